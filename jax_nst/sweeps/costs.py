"""What the items of a sweep cost: their steps, evaluations and time."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from jax_nst.sweeps.grid import GridItem
from jax_nst.sweeps.halving import Halving, pool_of
from jax_nst.transfer.spec import Level, Spec


class Trial(NamedTuple):
    """A few steps of a batch, timed."""

    shape: tuple[int, int]
    """(height, width) of its pictures."""
    slots: int
    """Pictures at once."""
    step_seconds: float
    """Of one step of the batch."""
    setup_seconds: float
    """Compiling, or reading the program from the cache, and the targets."""
    num_bytes: int
    """On each device, by XLA's analysis."""
    slowdown: float = 1.0
    """Time of a pixel and step of the run beside that of the trial, where a large picture is computed in
    another way than the smaller one that was tried."""


Rounds = list[tuple[int, int]]
"""How many items are run to which step of the full size, in order; one round without halving."""


def rounds_of(spec: Spec, items: Sequence[GridItem], halving: Halving | None) -> Rounds:
    """The rounds of the items of a group."""
    steps = spec.levels[-1].steps
    if halving is None:
        return [(len(items), steps)]
    counts = Counter(pool_of(item) for item in items).values()
    of_pools = [halving.rounds(count, steps) for count in counts]
    return [(sum(count for count, _ in of_step), of_step[0][1]) for of_step in zip(*of_pools, strict=True)]


def num_evaluations(spec: Spec, rounds: Rounds) -> int:
    """Evaluations of all items at all sizes; each begins a size with one."""
    return sum(count * evaluations for count, _, evaluations in _parts(spec, rounds))


def seconds_of(spec: Spec, rounds: Rounds, trial: Trial) -> float:
    """Time of the steps of a group, each counted by its pixels.

    The empty slots of a last batch take as long as full ones; fewer items are computed in fewer slots.
    """
    pixels = sum(
        _num_batches(count, trial.slots) * evaluations * math.prod(level.shape)
        for count, level, evaluations in _parts(spec, rounds)
    )
    return pixels / math.prod(trial.shape) * trial.step_seconds * trial.slowdown


def _parts(spec: Spec, rounds: Rounds) -> Iterator[tuple[int, Level, int]]:
    """How many items make how many evaluations at a level."""
    *coarse, last = spec.levels
    for level in coarse:
        yield rounds[0][0], level, level.steps + 1
    before = -1
    for count, step in rounds:
        yield count, last, step - before
        before = step


def _num_batches(count: int, slots: int) -> float:
    return math.ceil(count / slots) if count > slots else count / slots
