"""Outcomes and progress follow from a snapshot alone."""

import numpy as np
import pytest
from conftest import picture

from jax_nst import Config
from jax_nst.models.wavelet import wavelet
from jax_nst.runtime.platform import CPU
from jax_nst.transfer.outcome import Status, Trace
from jax_nst.transfer.snapshot import (
    RunState,
    Snapshot,
    at_beginning,
    next_level,
    outcomes_of,
    steps_before,
)
from jax_nst.transfer.spec import resolve

CONFIG = Config(
    features="wavelet", content_layers=("luma1",), style_layers=("scale1",), size=48, scales="3", steps=10
)
SPEC = resolve(CONFIG, wavelet(), (48, 40, 3), CPU)


class Pictures:
    """A layout whose state is the best pictures themselves."""

    size = 2

    def best_pixels(self, state, slots):
        return [state[slot] for slot in slots]


def at_first_level(losses):
    """Two items after as many evaluations as there are losses."""
    losses = np.repeat(np.asarray(losses, np.float32)[..., None], 4, axis=2)
    pictures = [picture(12, 10, 1), picture(12, 10, 2)]
    state = RunState(pictures, losses, np.arange(1.0, 1 + len(losses)), {})
    finish = dict.fromkeys((3, 4), lambda painted: painted)
    return at_beginning()._replace(layout=Pictures(), used={0: 3, 1: 4}, finish=finish, state=state)


def test_before_the_first_evaluation_there_is_no_outcome():
    assert outcomes_of(SPEC, at_beginning(), stopped=True) == []


def test_what_was_read_from_a_checkpoint_is_no_outcome_before_it_goes_on():
    """The picture that was saved when the run was stopped may be further."""
    read = at_first_level([[3, 3], [2, 2]])._replace(layout=None, used={})
    assert outcomes_of(SPEC, read, stopped=True) == []


def test_the_next_level_begins_with_the_best_pictures():
    now = at_first_level([[3, 3], [2, 2]])
    after = next_level(SPEC, now)
    assert (after.level, after.state, after.layout) == (1, None, None)
    assert list(after.starts) == list(after.traces) == [3, 4]
    np.testing.assert_array_equal(after.starts[4], now.state.steps[1])
    np.testing.assert_array_equal(after.traces[3][0].losses[:, 0], [3, 2])
    assert after.traces[3][0].size == 12


def test_an_item_without_a_finite_start_goes_no_further():
    after = next_level(SPEC, at_first_level([[np.nan, 3], [2, 2]]))
    assert list(after.starts) == [4]
    assert after.failures[3].status is Status.FAILED
    first, second = outcomes_of(SPEC, after, stopped=True)
    assert (first.item, first.pixels) == (3, None)
    assert (second.item, second.message) == (4, "stopped at 12 pixels, after step 1")


def test_a_run_that_ends_between_two_levels_keeps_the_picture():
    (_, outcome) = outcomes_of(SPEC, next_level(SPEC, at_first_level([[3, 3], [2, 2]])), stopped=True)
    assert outcome.status is Status.STOPPED
    assert outcome.pixels.shape == (48, 40, 3)
    assert outcome.seconds == pytest.approx(1.0)  # half of the two seconds


def test_steps_before_a_level_are_planned_ones():
    assert [steps_before(SPEC, level) for level in range(3)] == [0, 4, 8]
    assert SPEC.num_steps == 18


def test_an_item_that_has_levelled_off_keeps_what_it_had():
    now = at_first_level([[3, 3], [2, 2], [1, 1]])
    kept = picture(12, 10, 9)
    ended = {0: (kept, now.state.losses[:2, 0])}
    now = Snapshot(**now._asdict())._replace(state=now.state._replace(ended=ended))
    after = next_level(SPEC, now)
    np.testing.assert_array_equal(after.starts[3], kept)
    assert [len(after.traces[item][0].losses) for item in (3, 4)] == [2, 3]
    assert isinstance(after.traces[3][0], Trace)
