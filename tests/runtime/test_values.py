from fractions import Fraction
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jax_nst.runtime.values import (
    as_names,
    as_path,
    as_real,
    as_reals,
    as_whole,
    as_wholes,
    check_callback,
    check_type,
    differing,
    shown,
)

NO_NUMBERS = (None, "512", True, np.True_, np.ones(2), 1j, [3], object())


@pytest.mark.parametrize(
    "value", [512, 512.0, np.int64(512), np.uint16(512), np.float32(512), np.array(512), jnp.asarray(512)]
)
def test_a_whole_number_is_taken_from_any_type(value):
    number = as_whole("size", value, 1, 1000)
    assert number == 512
    assert type(number) is int


@pytest.mark.parametrize("value", [*NO_NUMBERS, 0.5, float("nan"), float("inf"), np.float32(1.5)])
def test_what_is_no_whole_number_is_refused_by_name(value):
    with pytest.raises(ValueError, match=r"^size must be a whole number, not "):
        as_whole("size", value, 1, 1000)


@pytest.mark.parametrize("value", [0, 1001, -3.0, 10**400])
def test_a_whole_number_out_of_range_is_refused(value):
    with pytest.raises(ValueError, match=r"^size must be 1 or more, 1000 at most, not "):
        as_whole("size", value, 1, 1000)


@pytest.mark.parametrize("value", [3, 3.0, np.float16(3), np.int8(3), jnp.float32(3), Fraction(3)])
def test_a_number_is_taken_as_a_float(value):
    number = as_real("weight", value)
    assert number == 3
    assert type(number) is float
    assert as_reals("weights", [value, 1]) == (3.0, 1.0)
    assert as_real("weight", 10**400) == float("inf")


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_what_is_no_number_is_refused_by_name(value):
    with pytest.raises(ValueError, match=r"^weight must be a number, not "):
        as_real("weight", value)
    with pytest.raises(ValueError, match=r"^weight must be a number, not "):
        as_reals("weight", (1.0, value))


@pytest.mark.parametrize("value", [1.0, "1,2", {1.0}, None, np.ones((1, 2))])
def test_what_is_no_list_of_numbers_is_refused_by_name(value):
    with pytest.raises(ValueError, match=r"^weights must be a tuple of numbers, not "):
        as_reals("weights", value)
    assert as_reals("weights", np.ones(2)) == (1.0, 1.0)


def test_names_are_taken_from_a_list_or_a_string():
    for value in (("a", "b"), ["a", "b"], "a,b", "a, b", [np.str_("a"), "b"]):
        names = as_names("layers", value)
        assert names == ("a", "b")
        assert {type(name) for name in names} == {str}
    assert as_names("layers", "a") == ("a",)
    for value in ({"a"}, (1,), None, 3, [["a"]]):
        with pytest.raises(ValueError, match=r"^layers must be a tuple of strings, not "):
            as_names("layers", value)


def test_paths_are_strings():
    assert as_path("weights", Path("a") / "b.h5") == str(Path("a/b.h5"))
    for value in (b"a", 3, None):
        with pytest.raises(ValueError, match=r"^weights must be a string or a path, not "):
            as_path("weights", value)


def test_values_are_shown_in_one_short_line():
    text = shown(np.zeros((500, 500)))
    assert len(text) < 100
    assert "\n" not in text


def test_a_value_of_another_type_is_refused_by_name():
    check_type("config", 5, int)
    with pytest.raises(TypeError, match="config must be a int, not 'five'"):
        check_type("config", "five", int)
    for callback in (None, print):
        check_callback(callback)
    with pytest.raises(TypeError, match="callback must be a function, or None, not 5"):
        check_callback(5)


def test_differences_come_with_their_paths():
    before = {"a": 1, "b": {"c": [1, 2], "d": None}, "e": [1]}
    now = {"a": 1, "b": {"c": [1, 3]}, "e": [1, 2], "f": 0}
    assert list(differing(before, now, into_lists=True)) == [
        (("b", "c", 1), 2, 3),
        (("e",), [1], [1, 2]),
        (("f",), None, 0),
    ]
    assert next(differing(before, now, into_lists=False)) == (("b", "c"), [1, 2], [1, 3])
    assert list(differing(before, before, into_lists=True)) == []


def test_whole_numbers_of_a_list_or_an_array():
    for value in ((3, 4.0), [np.int8(3), 4], np.array([3, 4]), jnp.asarray([3.0, 4.0])):
        assert as_wholes("sizes", value, 1, 9) == (3, 4)
    for value, message in (
        (3, "sizes must be a tuple of whole numbers, not 3"),
        ("3,4", "sizes must be a tuple of whole numbers, not '3,4'"),
        ((3, 4.5), "sizes must be a whole number, not 4.5"),
        ((3, 10), "sizes must be 1 or more, 9 at most, not 10"),
    ):
        with pytest.raises(ValueError, match=message):
            as_wholes("sizes", value, 1, 9)
