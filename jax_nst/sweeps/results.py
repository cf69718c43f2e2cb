"""The results of sweeps in Python."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jax_nst.losses import Losses
from jax_nst.sweeps.grid import GridItem
from jax_nst.sweeps.job import Job
from jax_nst.sweeps.measuring import Measures, stack_measures
from jax_nst.transfer.outcome import Outcome, Status, failed
from jax_nst.transfer.pictures import content_shape
from jax_nst.transfer.spec import picture_shape


class SweepResult(NamedTuple):
    """Result of a sweep: its items in the order of the grid, the last setting fastest, stacked."""

    values: list[dict[str, Any]]
    """Varied settings: a dict for each item, name -> value; an index for contents and styles."""
    pixels: Any
    """`[items, H, W, 3]`, the best picture of each run; a list of `[H, W, 3]` if shapes differ. Black where
    an item failed."""
    losses: Losses
    """Each `[items]`, of those pictures; NaN for an item that failed, or that has no such loss."""
    history: Losses
    """Each `[items, steps + 1]`, at the full size; NaN where a run ended before, or has no such loss."""
    seconds: np.ndarray
    """`[items]`, its share of the time of its batch."""
    status: list[Status]
    """How the run of each item ended."""
    messages: list[str]
    """`ok`, or in a sentence what went wrong."""
    measures: dict[str, np.ndarray]
    """Name, as in `METRICS` -> `[items]`, NaN for what was not measured; empty if nothing was."""


class SweepItem(NamedTuple):
    """Result of one item of a sweep, as `iterate_sweep` gives it."""

    item: int
    """Its number."""
    values: dict[str, Any]
    """Varied settings: name -> value; an index for contents and styles."""
    pixels: np.ndarray | None
    """`[H, W, 3]`, the best picture of its run; None if it failed."""
    losses: Losses
    """Each `[]`, of that picture; NaN if it failed."""
    history: Losses
    """Each `[evaluations]`, at the full size."""
    seconds: float
    """Its share of the time of its batch."""
    status: Status
    message: str
    """`ok`, or in a sentence what went wrong."""


def stack(
    job: Job, outcomes: Sequence[Outcome], names: Sequence[str], measures: dict[int, Measures]
) -> SweepResult:
    """The result of all items; one that has no outcome was not reached."""
    items = job.items
    found = {outcome.item: outcome for outcome in outcomes}
    nothing = failed(-1, "", names)._replace(status=Status.STOPPED, message="not reached")
    ordered = [found.get(index, nothing) for index in range(len(items))]
    curves = np.full(
        (len(items), 1 + max(item.config.steps for item in items), len(names)), np.nan, np.float32
    )
    for curve, outcome in zip(curves, ordered, strict=True):
        curve[: len(outcome.losses)] = outcome.losses
    pixels = [
        _black(job, item) if outcome.pixels is None else outcome.pixels
        for outcome, item in zip(ordered, items, strict=True)
    ]
    return SweepResult(
        [item.values for item in items],
        np.stack(pixels) if len({x.shape for x in pixels}) == 1 else pixels,
        by_name(np.stack([outcome.best for outcome in ordered]), names),
        by_name(curves, names),
        np.array([outcome.seconds for outcome in ordered]),
        [outcome.status for outcome in ordered],
        [outcome.message for outcome in ordered],
        stack_measures(measures, len(items)),
    )


def by_name(rows: np.ndarray, names: Sequence[str]) -> Losses:
    """`[..., names]`, the first the total -> each `[...]`."""
    total, *terms = np.moveaxis(rows, -1, 0)
    return Losses(total, dict(zip(names[1:], terms, strict=True)))  # pyright: ignore[reportArgumentType]


def _black(job: Job, item: GridItem) -> np.ndarray:
    """`[H, W, 3]`, in place of the picture of an item."""
    try:
        shape = content_shape(job.picture(job.contents[item.content]), item.config)
    except ValueError:
        shape = (1, 1, 3)  # it cannot be read
    return np.zeros((*picture_shape(item.config, shape), 3), np.float32)
