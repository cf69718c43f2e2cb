import json

import numpy as np
import pytest

from jax_nst import Config, vgg
from jax_nst.runtime.platform import CPU
from jax_nst.transfer.outcome import (
    FEATURES_NOT_FINITE,
    NOT_FINITE,
    Outcome,
    Status,
    Trace,
    entries_of,
    failed,
    not_finite,
)
from jax_nst.transfer.spec import resolve


def test_every_status_is_the_first_word_of_its_message():
    messages = {
        "ok": Status.FINISHED,
        "stopped at 24 pixels, after step 3": Status.STOPPED,
        "stopped after step 3": Status.STOPPED,
        "diverged at step 3; the best before is kept": Status.DIVERGED,
        "failed: p.png: is damaged": Status.FAILED,
    }
    assert {message: Status.of(message) for message in messages} == messages
    with pytest.raises(ValueError, match="soup"):
        Status.of("soup")


def test_a_start_that_is_not_finite_names_what_is_to_blame():
    """The weights of the losses only where the losses without them are finite."""
    assert not_finite(np.array([np.inf, 1, 2, 3])) == NOT_FINITE
    assert not_finite(np.array([np.nan, 1, np.nan, 3])) == FEATURES_NOT_FINITE
    assert "the weights of the network may be damaged" in FEATURES_NOT_FINITE


def test_the_best_evaluation_is_the_lowest_finite_one():
    def best(losses, status=Status.FINISHED):
        rows = np.repeat(np.array(losses, np.float32)[:, None], 4, axis=1)
        return Outcome(0, status, "", None, (), rows, 0.0).best

    assert best([3, np.nan, 2, np.inf, 4]).tolist() == [2.0] * 4
    assert np.isnan(best([np.nan])).all()
    assert np.isnan(failed(0, "why", ("total", "content", "style", "tv")).best).all()
    # A run from a start that is not finite may meet finite losses, but has no picture.
    assert np.isnan(best([np.inf, 2], Status.FAILED)).all()


def test_entries_number_evaluations_over_levels():
    spec = resolve(Config(steps=2, size=48, scales=2), vgg("vgg19-lite"), (48, 48, 3), CPU)
    coarse = Trace(24, np.arange(16.0).reshape(4, 4), np.array([1.0, 2.0, 3.0, 4.0]), 1.0)
    fine = Trace(48, np.ones((3, 4)), np.array([0.5, 1.0, 1.5]), 1.0)
    entries = entries_of(spec, (coarse,)) + entries_of(spec, (coarse, fine))
    assert [entry["step"] for entry in entries] == list(range(7))
    assert [entry["size"] for entry in entries] == [24] * 4 + [48] * 3
    assert [entry["seconds"] for entry in entries] == [1, 2, 3, 4, 4.5, 5, 5.5]
    assert entries[1] == {
        "step": 1,
        "size": 24,
        "seconds": 2,
        "total": 4,
        "content": 5,
        "style": 6,
        "tv": 7,
    }
    assert entries_of(spec, (coarse, fine), since=2) == entries[-1:]
    assert json.loads(json.dumps(entries)) == entries


def test_what_is_early_and_what_is_final():
    early = {status for status in Status if status.is_early}
    assert early == {Status.STOPPED, Status.HALTED}
    assert {status for status in Status if not status.is_final} == {Status.STOPPED, Status.FAILED}
