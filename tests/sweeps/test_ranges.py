import math

import numpy as np
import pytest

from jax_nst import Range
from jax_nst.sweeps.ranges import as_range


def test_values_are_those_of_the_range_and_the_same_each_time():
    drawn = Range(10, 1000, 200).draw("style_weight")
    assert drawn == Range(10.0, 1000.0, 200.0).draw("style_weight")
    assert len(drawn) == len(set(drawn)) == 200
    assert all(10 <= value <= 1000 and float(f"{value:.6g}") == value for value in drawn)
    # A folder of a sweep keeps its pictures when more are drawn, on another machine, too.
    assert Range(10, 1000, 201).draw("style_weight")[:200] == drawn
    assert Range(10, 1000, 200, seed=1).draw("style_weight") != drawn
    assert drawn[:3] == (804.108, 877.82, 481.59)


def test_two_settings_get_values_that_do_not_depend_on_each_other():
    first, second = (Range(0, 1, 1000).draw(name) for name in ("tv_weight", "noise"))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1


@pytest.mark.parametrize(("log", "quantile"), [(False, lambda p: 1 + 999 * p), (True, lambda p: 1000**p)])
def test_values_are_spread_as_they_should(log, quantile):
    """The share of values below a quantile is that quantile, to three standard deviations."""
    drawn = np.array(Range(1, 1000, 4000, log=log).draw("tv_weight"))
    for share in (0.1, 0.5, 0.9):
        expected = 3 * math.sqrt(share * (1 - share) / len(drawn))
        assert abs((drawn < quantile(share)).mean() - share) < expected


def test_whole_numbers_are_equally_likely_with_both_ends():
    drawn = Range(3, 6, 4000).draw("seed")
    counts = np.bincount(drawn, minlength=7)
    assert counts[:3].sum() == 0
    assert (np.abs(counts[3:] - 1000) < 3 * math.sqrt(4000 * 3 / 16)).all()
    drawn = Range(16, 64, 100, log=True).draw("size")
    assert all(isinstance(value, int) and 16 <= value <= 64 for value in drawn)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10..10000:log:20", Range(10, 10000, 20, log=True)),
        ("0..1e-3:uniform:5", Range(0, 0.001, 5)),
        ("-1.5..+.5:uniform:5:7", Range(-1.5, 0.5, 5, seed=7)),
        (Range(1, 2, 3), Range(1, 2, 3)),
        ("1000", None),
        ("../map.png", None),
        ("a..b:log:3", None),
        (3.0, None),
    ],
)
def test_text_is_a_range(text, expected):
    assert as_range(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10..20", "the range 10..20 lacks how to draw; write 10..20:log:20 or 10..20:uniform:20"),
        (
            "10..20:log",
            "10..20:log lacks its number of values; write 10..20:log:20 for 20 values",
        ),
        ("10..20:20", "the range 10..20:20 is drawn log or uniform, not '20'"),
        ("10..20:log:many", "has an ending that is no number; write 10..20:log:20"),
        ("10..20:log:5:x", "has an ending that is no number"),
        ("10..20:log:5:1:2", "has an ending that is no number"),
        ("10..20:log:0", "count of a range must be 1 or more"),
        ("20..10:log:5", "a range goes from a number to a greater one, not from 20 to 10"),
        ("0..10:log:5", "a log range begins above zero, not at 0; draw it uniform"),
        ("1..1e999:uniform:5", "a range goes from a number to a greater one, not from 1 to inf"),
    ],
)
def test_a_range_that_is_wrong_says_what_is_missing(text, message):
    with pytest.raises(ValueError, match=message):
        as_range(text)


def test_only_numbers_are_drawn():
    with pytest.raises(ValueError, match="color takes no range, which draws numbers"):
        Range(1, 2, 3).draw("color")
    with pytest.raises(ValueError, match="size takes whole numbers; a range of them goes from one"):
        Range(1.5, 4, 3).draw("size")
