"""Pictures of a batch as files."""

import numpy as np
import pytest
from conftest import picture

from jax_nst import Config, Grid, Status, load_image
from jax_nst.images import quantize
from jax_nst.runtime.files import FileError
from jax_nst.sweeps.job import make_job
from jax_nst.sweeps.picture_files import save_pictures
from jax_nst.sweeps.settings import describe_job
from jax_nst.transfer.network import load_network
from jax_nst.transfer.outcome import Outcome, Trace, failed

NAMES = ("total", "content", "style", "tv")


@pytest.fixture(scope="module")
def job():
    grid = Grid(style_weight=(1.0, 2.0, 3.0, 4.0))
    return make_job([picture(40, 32, 1)], [picture(40, 32, 2)], grid, Config(features="wavelet", steps=2))


def outcome_of(item, *, status=Status.FINISHED, evaluations=3):
    losses = np.ones((evaluations, len(NAMES)), np.float32)
    traces = (Trace(40, losses, np.zeros(evaluations), 0.0),)
    return Outcome(item, status, status.value, picture(40, 32, item), traces, losses, 1.0)


def save(folder, job, outcomes):
    network = load_network(job.config)
    return save_pictures(folder, job, network, describe_job(job, network), [NAMES] * 4, outcomes)


def test_pictures_are_saved_and_outcomes_kept_without_them(job, tmp_path):
    """One failed, one was stopped before its first step, and one after it."""
    stopped = [outcome_of(item, status=Status.STOPPED, evaluations=item) for item in (1, 2)]
    saved, problem = save(tmp_path, job, [outcome_of(0), *stopped, failed(3, "bad", NAMES)])
    assert problem is None
    assert [outcome.item for outcome in saved] == [0, 2, 3]
    assert all(outcome.pixels is None and not outcome.traces for outcome in saved)
    assert {path.name for path in tmp_path.iterdir()} == {job.files[0], job.files[2]}
    expected = quantize(picture(40, 32, 2)).astype(np.float32) / 255
    np.testing.assert_array_equal(load_image(tmp_path / job.files[2]), expected)


def test_one_that_cannot_be_saved_leaves_the_others(job, tmp_path):
    (tmp_path / job.files[1]).mkdir()
    saved, problem = save(tmp_path, job, [outcome_of(item) for item in range(3)])
    assert [outcome.item for outcome in saved] == [0, 2]
    assert isinstance(problem, FileError)
    assert job.files[1] in str(problem)
