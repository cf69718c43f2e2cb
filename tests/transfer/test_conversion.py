"""Settings of several types that mean one thing."""

import pathlib

import numpy as np
import pytest

from jax_nst.transfer.conversion import as_masks, as_weight, is_path
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


def test_masks_of_one_string_are_separated_by_commas():
    mask = Mask(np.ones((2, 2)))
    assert as_masks("m", "a.png:b.png, c.png") == ("a.png:b.png", "c.png")
    assert as_masks("m", [mask, "c.png"]) == (mask, "c.png")
    assert as_masks("m", mask) == (mask,)
