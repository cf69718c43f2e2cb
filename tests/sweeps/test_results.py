"""Results of a sweep, stacked in the order of its grid."""

import math

import numpy as np
from conftest import picture

from jax_nst import Config, Grid, Status
from jax_nst.sweeps.job import make_job
from jax_nst.sweeps.results import by_name, stack
from jax_nst.transfer.outcome import Outcome, failed

NAMES = ("total", "content", "style")


def test_losses_have_names():
    losses = by_name(np.arange(6.0).reshape(2, 3), NAMES)
    assert losses.total.tolist() == [0, 3]
    assert losses["style"].tolist() == [2, 5]


def test_items_without_a_picture_are_black_and_without_an_outcome_not_reached():
    config, grid = Config(features="wavelet", steps=3), Grid(style_weight=(1.0, 2.0, 3.0))
    job = make_job([picture(24, 20)], [picture(24, 20, 1)], grid, config)
    losses = np.arange(6, dtype=np.float32).reshape(2, 3)
    done = Outcome(2, Status.FINISHED, "ok", picture(24, 20, 2), (), losses, 1.5)
    result = stack(job, [done, failed(0, "bad", NAMES)], NAMES, {2: {"clipped": 0.5}})
    assert result.values == [{"style_weight": 1.0}, {"style_weight": 2.0}, {"style_weight": 3.0}]
    assert result.status == [Status.FAILED, Status.STOPPED, Status.FINISHED]
    assert result.messages[1] == "not reached"
    np.testing.assert_array_equal(result.pixels, [*np.zeros((2, 24, 20, 3)), done.pixels])
    np.testing.assert_array_equal(result.history.total, [[math.nan] * 4] * 2 + [[0, 3, math.nan, math.nan]])
    np.testing.assert_array_equal(result.losses["style"], [math.nan, math.nan, 2])
    assert result.measures["clipped"].tolist()[2] == 0.5
