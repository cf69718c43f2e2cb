"""What a trial measures, and that of a large picture a smaller one is tried."""

import dataclasses

import pytest
from conftest import picture

from jax_nst import Config, Grid
from jax_nst.runtime.platform import current_platform
from jax_nst.sweeps import trials
from jax_nst.sweeps.inputs import agreed_sources
from jax_nst.sweeps.job import make_job
from jax_nst.sweeps.planning import forecast
from jax_nst.sweeps.sweeping import group_by_spec
from jax_nst.transfer.network import load_network

CONFIG = Config(
    features="wavelet", content_layers=("luma1",), style_layers=("scale1",), steps=5, size=96, scales=1
)


PICTURES = picture(48, 64, 0), picture(40, 50, 1)


@pytest.fixture
def job():
    return make_job(PICTURES[:1], PICTURES[1:], Grid(), CONFIG)


def try_one(job, tile_size):
    """A trial of the picture, expected to be computed in tiles of that size."""
    platform, network = current_platform(), load_network(job.config)
    contents, styles, items = agreed_sources(job)
    ((spec, _),) = group_by_spec(network, contents, items, platform)[0].items()
    choice = next(x for x in spec.choices if x.partition.tile_size == tile_size)
    return trials.try_picture(network, contents, styles, items[0], spec.levels[-1].shape, choice), choice


def test_a_picture_is_tried_at_its_size(job):
    trial, _ = try_one(job, None)
    assert (trial.shape, trial.slots, trial.slowdown) == ((72, 96), 1, 1)
    assert trial.step_seconds > 0
    assert trial.num_bytes > 0


def test_a_large_one_is_tried_at_a_smaller_size(job, monkeypatch):
    """And the time of its steps counts as much more as its tiles take."""
    monkeypatch.setattr(trials, "_PIXELS", 24 * 32)
    trial, choice = try_one(job, 256)
    assert trial.shape == (24, 32)
    assert trial.slowdown == choice.time > 1


def test_the_plan_of_a_large_picture_says_at_which_size_it_was_measured(job, monkeypatch):
    """And has no line for the memory of the smaller size."""
    network = load_network(job.config)
    lines = forecast(job, network, batch=1).lines
    assert [line.partition(":")[0] for line in lines[1:6]] == [
        "sizes", "programs", "batches", "memory", "time",
    ]  # fmt: skip
    assert lines[3].endswith(" measured at 96 x 72 pixels")
    monkeypatch.setattr(trials, "_PIXELS", 24 * 32)
    lines = forecast(job, network, batch=1).lines
    assert lines[1].endswith(" at 96 x 72 pixels")
    assert lines[3].endswith(" measured at 32 x 24 pixels")
    assert not any(line.startswith("memory:") for line in lines)


def test_an_own_size_is_tried_smaller_too(monkeypatch):
    """Where no size is given, that of the content counts."""
    monkeypatch.setattr(trials, "_PIXELS", 24 * 32)
    job = make_job(PICTURES[:1], PICTURES[1:], Grid(), dataclasses.replace(CONFIG, size=None))
    trial, _ = try_one(job, None)
    assert trial.shape == (24, 32)
