import math

import pytest
from conftest import picture

from jax_nst import METRICS, Config, Grid, Halving, Status
from jax_nst.sweeps.halving import check_halving, halted
from jax_nst.sweeps.job import make_job
from jax_nst.transfer.outcome import failed

CONFIG = Config(features="wavelet", steps=9)


def job_of(**grid):
    return make_job([picture(24, 32, 1)], [picture(28, 20, 2)], Grid(**grid), CONFIG)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keep": 0.0}, "keep must be between 0 and 1, such as 1/3, not 0.0"),
        ({"keep": 1.0}, "keep must be between 0 and 1"),
        ({"keep": math.nan}, "keep must be between 0 and 1"),
        ({"by": "beauty"}, "unknown measure 'beauty'; the valid ones are total, style_distance_vgg"),
        ({"at": (0,)}, "at must be"),
        ({"at": ()}, "at must be increasing steps"),
        ({"at": (4, 4)}, "at must be increasing steps"),
        ({"at": (4, 2)}, "at must be increasing steps"),
    ],
)
def test_bad_values_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        Halving(**options)


def test_steps_are_the_shares_of_all_steps():
    """As in Li et al. 2018 with a reduction factor of 1 / keep: each round takes about the same time."""
    assert Halving(1 / 3).steps_of(81) == (9, 27)
    assert Halving(1 / 2).steps_of(80) == (20, 40)
    assert Halving(1 / 3).steps_of(1) == ()
    assert Halving(1 / 3).steps_of(2) == (1,)
    assert Halving(0.5, at=[3, 20]).steps_of(10) == (3,)


def test_a_share_of_the_items_is_kept():
    for count in range(1, 200):
        assert Halving(1 / 3).num_kept(count) == -(-count // 3)
        assert Halving(0.1).num_kept(count) == -(-count // 10)


def test_each_round_has_the_items_that_the_one_before_keeps():
    assert Halving(1 / 3).rounds(9, 81) == [(9, 9), (3, 27), (1, 81)]
    assert Halving(1 / 2, at=(3,)).rounds(5, 2) == [(5, 2)]


def test_the_best_are_first_whichever_way_is_better():
    values = {0: 0.5, 1: 3.0, 2: math.nan, 3: 1.2, 4: 0.5}
    better = {name: metric.better for name, metric in METRICS.items()}
    expected = {"lower": [0, 4, 3, 1, 2], "higher": [1, 3, 0, 4, 2], "near 1": [3, 0, 4, 1, 2]}
    for name, way in better.items():
        assert Halving(by=name).ranked(values) == expected[way]
    assert Halving(by="total").ranked(values) == expected["lower"]


def test_items_that_cannot_be_compared_are_refused():
    check_halving(Halving(at=(8,)), job_of(style_weight=(1, 2)).items)
    with pytest.raises(ValueError, match=r"at 9 \(--keep_at\) is not before the last of 9 steps"):
        check_halving(Halving(at=(3, 9)), job_of(style_weight=(1, 2)).items)
    with pytest.raises(ValueError, match="the weights of the losses vary; name a measure"):
        check_halving(Halving(by="total"), job_of(style_weight=(1, 2)).items)
    check_halving(Halving(by="total"), job_of(init=("content", "style")).items)


def test_a_halted_item_says_where_and_why():
    outcome = halted(failed(3, "", ("total",)), Halving(by="content_ssim"), 9, 12, 20)
    assert outcome.message == "halted at step 9, rank 12 of 20 by content_ssim"
    assert outcome.status is Status.of(outcome.message) is Status.HALTED
