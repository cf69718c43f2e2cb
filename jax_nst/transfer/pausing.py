"""Runs that pause between two chunks of steps, and go on in another batch."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jax_nst.optim import State
from jax_nst.optim.step import share_counts
from jax_nst.transfer.layout import OnePicture
from jax_nst.transfer.outcome import Trace
from jax_nst.transfer.snapshot import RunState, Snapshot


class Paused(NamedTuple):
    """The run of one item at the last level, on the host."""

    steps: State
    """Without an axis of items."""
    losses: np.ndarray
    """`[evaluations, names]` at this level."""
    seconds: np.ndarray
    """`[evaluations]`, the item's share of the seconds when each was done."""
    traces: tuple[Trace, ...]
    """What was measured at the levels before."""


def pause(now: Snapshot, items: Iterable[int]) -> dict[int, Paused]:
    """The runs of some items of a snapshot; others of its batch may go on without them.

    Args:
      now: of a run that has ended; its items lie on the devices of this process.
      items: numbers of items that have not levelled off.
    """
    assert now.state is not None
    assert now.layout is not None
    is_batched = not isinstance(now.layout, OnePicture)
    steps = jax.device_get(now.layout.fetch(now.state.steps))
    slots = {item: slot for slot, item in now.used.items()}
    seconds = now.state.seconds / max(1, len(now.used))
    return {
        item: Paused(
            _of_batch(lambda x, slot=slots[item]: x[slot].copy(), steps) if is_batched else steps,
            now.state.losses[:, slots[item]].copy(),
            seconds,
            now.traces.get(item, ()),
        )
        for item in items
    }


def join(
    paused: Mapping[int, Paused], *, level: int, choice: str, slots: int, is_batched: bool
) -> Snapshot:
    """The snapshot of a batch of runs that have paused at one step; the batch has them in this order.

    Args:
      paused: number of the item -> its run.
      level: index of the last level.
      choice: name of that of the plan of the level.
      slots: of the batch; those that are left over repeat the first run, and are not looked at.
      is_batched: whether arrays have an axis of items.
    """
    runs = list(paused.values())
    runs += runs[:1] * (slots - len(runs))
    steps = _stacked([run.steps for run in runs]) if is_batched else runs[0].steps
    losses = np.stack([run.losses for run in runs], axis=1)
    seconds = np.sum([run.seconds for run in paused.values()], axis=0)
    traces = {item: run.traces for item, run in paused.items()}
    return Snapshot(level, {}, traces, {}, choice, state=RunState(steps, losses, seconds, {}))


def _stacked(states: Sequence[State]) -> State:
    return _of_batch(lambda *leaves: np.stack(leaves), *states)


def _of_batch(function: Callable[..., Any], *states: State) -> State:
    """`function` of all leaves that each item has of its own; counts of steps are the same for all."""
    leaves = [jax.tree.leaves(state) for state in states]
    axes = jax.tree.leaves(share_counts(states[0]), is_leaf=lambda axis: axis is None)
    made = [
        of_all[0] if axis is None else function(*of_all)
        for axis, *of_all in zip(axes, *leaves, strict=True)
    ]
    return jax.tree.unflatten(jax.tree.structure(states[0]), made)
