"""Settings of several types that mean one thing."""

import pathlib

import numpy as np
import pytest

from jax_nst.transfer.conversion import as_masks, as_weight, bytes_in, from_text, is_list, is_path
from jax_nst.transfer.masks import Mask


def test_a_number_as_text_is_no_path():
    assert [is_path(x) for x in ("map.png", pathlib.Path("1"), "1e3", "nan", 3, None)] == [
        True, True, False, False, False, False,
    ]  # fmt: skip


def test_a_weight_is_a_number_or_a_path():
    assert as_weight("w", np.float32(2)) == 2.0
    assert as_weight("w", pathlib.Path("a") / "map.png") == str(pathlib.Path("a") / "map.png")
    with pytest.raises(ValueError, match="w must be a number, not '7'"):
        as_weight("w", "7")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8GB", 2**33), ("0.5g", 2**29), (" 512 MiB ", 2**29), ("1024", 1024), ("2tb", 2**41),
        ("7KB", 7168),
        (".5MB", 2**19), (None, None),
    ],
)  # fmt: skip
def test_amounts_of_memory(text, expected):
    assert bytes_in(text) == expected


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "8 GB of it", "1e9", "8XB", "0"])
def test_what_is_no_amount_of_memory(text):
    with pytest.raises(ValueError, match="memory must be an amount such as 8GB"):
        bytes_in(text)


def test_masks_of_one_string_are_separated_by_commas():
    mask = Mask(np.ones((2, 2)))
    assert as_masks("m", "a.png:b.png, c.png") == ("a.png:b.png", "c.png")
    assert as_masks("m", [mask, "c.png"]) == (mask, "c.png")
    assert as_masks("m", mask) == (mask,)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("steps", " 0x10 ", 16),
        ("steps", "1_0", 10),
        ("style_scale", "1e-1", 0.1),
        ("style_weight", "1e3", 1000.0),
        ("style_angle", "0,45", (0.0, 45.0)),
        ("style_sizes", "20,30", (20, 30)),
        ("blend", "1,2", (1.0, 2.0)),
        ("style_layers", "a, b", ("a", "b")),
        ("style_layers", "", ()),
        ("scales", "auto", "auto"),
        ("optimizer", "adam", "adam"),
        ("mask", "a.png:b.png,c.png", "a.png:b.png,c.png"),
    ],
)
def test_text_is_read_as_what_a_setting_takes(name, text, value):
    assert (found := from_text(name, text)) == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("steps", "3e1", "steps takes whole numbers separated by commas, not '3e1'"),
        ("style_sizes", "20,large", "style_sizes takes whole numbers separated by commas, not '20,large'"),
        ("tv_weight", "high", "tv_weight takes numbers separated by commas, not 'high'"),
        ("style_weight", "none.png", "not 'none.png', nor is there an image of that name"),
    ],
)
def test_text_that_is_no_number_is_refused(name, text, message):
    with pytest.raises(ValueError, match=message):
        from_text(name, text)


def test_lists_are_told_from_single_values():
    assert [is_list(name) for name in ("style_angle", "style_loss", "mask", "crop", "steps", "scales")] == [
        True, True, True, True, False, False,
    ]  # fmt: skip
