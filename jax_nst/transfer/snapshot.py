"""All that a run is between two chunks of steps; the outcomes and the progress follow from it."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jax_nst.images import resize
from jax_nst.optim import State
from jax_nst.transfer.config import PATIENCE
from jax_nst.transfer.layout import Layout
from jax_nst.transfer.loop import Chunk, levelled_off
from jax_nst.transfer.outcome import Outcome, Status, Trace, entries_of, failed, not_finite
from jax_nst.transfer.spec import Spec


class RunState(NamedTuple):
    """State of a level, a pytree: that of the steps, and the measurements so far."""

    steps: State
    losses: np.ndarray
    """`[evaluations, slots, names]`."""
    seconds: np.ndarray
    """`[evaluations]`."""
    ended: dict[int, tuple[np.ndarray, np.ndarray]]
    """Slot -> best picture and `[evaluations, names]` of an item that has levelled off."""


class Snapshot(NamedTuple):
    """A run between two chunks of steps; what is needed to go on from there."""

    level: int
    """Index of the level at work."""
    starts: Mapping[int, np.ndarray]
    """Item -> `[H, W, 3]`, its best picture of the level before; none at the first level."""
    traces: Mapping[int, tuple[Trace, ...]]
    """Item -> what was measured at the levels before."""
    failures: Mapping[int, Outcome]
    """Item -> why it has no picture."""
    choice: str = ""
    """Name of the way in which this level is computed; empty before it is set up."""
    layout: Layout | None = None
    """Where the items lie; None before the level is set up."""
    used: Mapping[int, int] = {}
    """Slot -> item, of those on the devices of this process that can be run."""
    finish: Mapping[int, Callable[[np.ndarray], np.ndarray]] = {}
    """Item -> what makes the picture that leaves the run, see `Preparation.finish`."""
    state: RunState | None = None
    """None before the level is set up."""
    spare: float = math.inf
    """Bytes of main memory that the steps leave of what the run may take."""
    told: int = 0
    """Evaluations of this level before the last chunk, which callbacks know already."""


def at_beginning() -> Snapshot:
    """The snapshot of a run that has not begun."""
    return Snapshot(0, {}, {}, {})


def after_chunk(spec: Spec, before: Snapshot, chunk: Chunk) -> Snapshot:
    """The snapshot after a chunk. An item ends where its single run would, whatever the others do."""
    assert before.state is not None
    assert before.layout is not None
    losses = np.concatenate([before.state.losses, chunk.losses])
    level = [
        slot
        for slot in before.used
        if slot not in before.state.ended and levelled_off(losses[:, slot, 0], spec.tolerance, PATIENCE)
    ]
    pixels = before.layout.best_pixels(chunk.state, level)
    ended = {slot: (x, losses[:, slot]) for slot, x in zip(level, pixels, strict=True)}
    seconds = np.concatenate([before.state.seconds, chunk.seconds])
    state = RunState(chunk.state, losses, seconds, before.state.ended | ended)
    return before._replace(state=state, told=chunk.first)


def is_over(now: Snapshot) -> bool:
    """Whether every item has levelled off, or none can begin."""
    assert now.state is not None
    starts = now.state.losses[0, list(now.used), 0]
    return len(now.state.ended) == len(now.used) or not np.isfinite(starts).any()


def next_level(spec: Spec, now: Snapshot) -> Snapshot:
    """The snapshot before the next level, which begins with the best pictures of this one."""
    pixels, traces = _measured(spec, now)
    failures = dict(now.failures)
    for item, of_item in traces.items():
        if not np.isfinite(of_item[-1].losses[0, 0]):
            failures[item] = _outcome(spec, item, pixels[item], of_item, stopped=False)
    starts = {item: x for item, x in pixels.items() if item not in failures}
    return Snapshot(now.level + 1, starts, traces, failures, finish=now.finish)


def outcomes_of(spec: Spec, now: Snapshot, *, stopped: bool) -> list[Outcome]:
    """The outcomes of the items of this process, if the run ends here.

    Args:
      spec: of the run.
      now: where it ends.
      stopped: whether it was ended from outside.
    """
    pixels, traces = _measured(spec, now)
    outcomes = dict(now.failures)
    for item, x in pixels.items():
        if item not in outcomes:
            outcomes[item] = _outcome(spec, item, now.finish[item](x), traces[item], stopped=stopped)
    return [outcomes[item] for item in sorted(outcomes)]


def steps_before(spec: Spec, level: int) -> int:
    """Updates at the levels before this one; each but the first begins with one evaluation more."""
    return sum(before.steps + 1 for before in spec.levels[:level])


def new_entries(spec: Spec, now: Snapshot) -> dict[int, list[dict[str, float]]]:
    """Item -> an entry for each evaluation of the last chunk; see `Progress`."""
    assert now.state is not None
    return {
        item: entries_of(spec, (*now.traces.get(item, ()), _trace(spec, now, slot)), now.told)
        for slot, item in now.used.items()
    }


def best_pixels_of(spec: Spec, now: Snapshot, item: int) -> np.ndarray:
    """`[H, W, 3]`, the best picture of an item so far, at the full size.

    Raises:
      RuntimeError: the run has gone on since.
    """
    assert now.state is not None
    assert now.layout is not None
    slot = next(slot for slot, number in now.used.items() if number == item)
    try:
        (pixels,) = now.layout.best_pixels(now.state.steps, [slot])
    except RuntimeError as error:
        raise RuntimeError(f"{error}; call best_pixels within the callback") from error
    return resize(now.finish[item](pixels), spec.levels[-1].shape)


def _measured(
    spec: Spec, now: Snapshot
) -> tuple[Mapping[int, np.ndarray], Mapping[int, tuple[Trace, ...]]]:
    """Item -> its best picture, and item -> its traces, of all levels so far."""
    if now.state is None:
        return now.starts, now.traces
    if now.layout is None:  # read from a checkpoint, and not set up
        return {}, {}
    left = [slot for slot in now.used if slot not in now.state.ended]
    best = dict(zip(left, now.layout.best_pixels(now.state.steps, left), strict=True))
    best |= {slot: pixels for slot, (pixels, _) in now.state.ended.items()}
    return (
        {item: best[slot] for slot, item in now.used.items()},
        {
            item: (*now.traces.get(item, ()), _trace(spec, now, slot, ended=True))
            for slot, item in now.used.items()
        },
    )


def _trace(spec: Spec, now: Snapshot, slot: int, *, ended: bool = False) -> Trace:
    """What was measured at this level; `ended`: up to where the item has levelled off."""
    assert now.state is not None
    losses = now.state.losses[:, slot]
    if ended and slot in now.state.ended:
        losses = now.state.ended[slot][1]
    share = float(now.state.seconds[-1]) / max(1, len(now.used))
    return Trace(spec.levels[now.level].size, losses, now.state.seconds[: len(losses)], share)


def _outcome(
    spec: Spec, item: int, pixels: np.ndarray, traces: Sequence[Trace], *, stopped: bool
) -> Outcome:
    traces = tuple(traces)
    losses, last = traces[-1].losses, spec.levels[-1]
    seconds = sum(trace.share for trace in traces)
    finite = np.isfinite(losses[:, 0])
    if not finite[0]:
        reason = not_finite(losses[0])
        return failed(item, reason, spec.loss_names)._replace(losses=losses, seconds=seconds)
    status, message = Status.FINISHED, Status.FINISHED.value
    if stopped and len(traces) < len(spec.levels):
        size, steps = traces[-1].size, len(losses) - 1
        status, message = Status.STOPPED, f"stopped at {size} pixels, after step {steps}"
        # Losses of a smaller size do not compare.
        pixels, losses = resize(pixels, last.shape), losses[:0]
    elif stopped and len(losses) <= last.steps:
        status, message = Status.STOPPED, f"stopped after step {len(losses) - 1}"
    # The guard of L-BFGS meets a loss that is not finite now and then, and goes on.
    elif len(finite) > 1 and not finite[-2:].any():
        step = len(finite) - int(np.argmax(finite[::-1]))
        status, message = Status.DIVERGED, f"diverged at step {step}; the best before is kept"
    elif not any(_improved(trace.losses[:, 0]) for trace in traces):
        status, message = Status.UNCHANGED, "unchanged: no step lowered the loss"
    return Outcome(item, status, message, pixels, traces, losses, seconds)


def _improved(totals: np.ndarray) -> bool:
    """Whether some evaluation after the first is the best of a level."""
    return bool(np.nanargmin(np.where(np.isfinite(totals), totals, np.inf)))
