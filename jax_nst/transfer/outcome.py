"""Statuses, measurements, outcomes and progress of a run."""

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jax_nst.transfer.spec import Spec

NOT_FINITE = "the loss of the start is not finite; make the weights of the losses smaller"
FEATURES_NOT_FINITE = (
    "the features of the start are not finite, or too large to be compared; the weights of the network may "
    "be damaged, or too large for float16 (then choose precision float32)"
)


def not_finite(losses: np.ndarray) -> str:
    """Why the losses of a start, `[names]` as `Spec.loss_names`, are not finite."""
    return NOT_FINITE if np.isfinite(losses[1:]).all() else FEATURES_NOT_FINITE


class Status(enum.Enum):
    """How a run ended; the value is the first word of its message."""

    FINISHED = "ok"
    """All steps were made, or the loss has levelled off."""
    UNCHANGED = "unchanged"
    """No step lowered the loss, so the picture is where the run began."""
    STOPPED = "stopped"
    """A callback or the user ended it; the best picture so far is kept."""
    HALTED = "halted"
    """A sweep ended it early, since others were better; the best picture so far is kept."""
    DIVERGED = "diverged"
    """The loss stayed infinite or NaN to the end; the best picture before is kept."""
    FAILED = "failed"
    """There is no picture."""

    @property
    def is_early(self) -> bool:
        """Whether the run ended before its steps were made, so that its picture may still become better."""
        return self in (Status.STOPPED, Status.HALTED)

    @property
    def is_final(self) -> bool:
        """Whether a sweep that goes on leaves the item as it is; others are run again."""
        return self not in (Status.STOPPED, Status.FAILED)

    @classmethod
    def of(cls, message: str) -> "Status":
        """The status that a message begins with; raises ValueError if it begins with none."""
        return cls(message.split(":")[0].split(" ")[0])


class Trace(NamedTuple):
    """Measurements at one level."""

    size: int
    """Longer side of the picture in pixels."""
    losses: np.ndarray
    """`[evaluations, names]`, as `Spec.loss_names`; the first is of the start."""
    seconds: np.ndarray
    """`[evaluations]`, when each was done, since the loop of the level began."""
    share: float
    """The item's share of the seconds of its batch at this level."""


class Outcome(NamedTuple):
    """How the run of an item ended."""

    item: int
    """Its number."""
    status: Status
    message: str
    """`ok`, or in a sentence what went wrong."""
    pixels: np.ndarray | None
    """`[H, W, 3]`, the best of its run; None if there is none."""
    traces: tuple[Trace, ...]
    """One for each level that was begun, coarse to fine."""
    losses: np.ndarray
    """`[evaluations, names]` of the last level; none if it was not begun."""
    seconds: float
    """Its share of the time of its batch, without compilation."""

    @property
    def best(self) -> np.ndarray:
        """`[names]`, the losses of the best evaluation; NaN if there is none, or no picture."""
        finite = np.isfinite(self.losses[:, 0])
        if self.status is Status.FAILED or not finite.any():
            return np.full(self.losses.shape[1], np.nan, np.float32)
        return self.losses[np.argmin(np.where(finite, self.losses[:, 0], np.inf))]


def failed(item: int, reason: object, names: Sequence[str]) -> Outcome:
    """The outcome of an item that cannot be run."""
    losses = np.empty((0, len(names)), np.float32)
    return Outcome(item, Status.FAILED, f"{Status.FAILED.value}: {reason}", None, (), losses, 0.0)


class Progress(NamedTuple):
    """Argument of a callback; the same for one picture and for a sweep."""

    items: tuple[int, ...]
    """Numbers of the items at work."""
    items_done: int
    """Those of earlier batches, failed ones included."""
    num_items: int
    step: int
    """Updates that each item at work has had, at all levels together."""
    num_steps: int
    size: int
    """Longer side, in pixels, of the level at work."""
    entries: Mapping[int, list[dict[str, float]]]
    """Item -> an entry for each evaluation since the last call: `step`, `size`, `seconds`, `total`, and the
    unweighted loss of each term."""
    best_pixels: Callable[..., np.ndarray]
    """`(item) -> [H, W, 3]`, its best picture so far at the full size; by default the first item's."""
    level_step: int = 0
    """Updates at the level at work, of `level_steps`."""
    level_steps: int = 0
    work: float = 0.0
    """Share of the work done, 0 to 1: evaluations, each counted by the pixels of its level."""


Callback = Callable[[Progress], bool | None]
"""Called after each chunk of steps; a true answer ends the run early, with the best pictures so far."""


def entries_of(spec: Spec, traces: Sequence[Trace], since: int = 0) -> list[dict[str, float]]:
    """One entry for each evaluation of the last trace, from `since` on, ready for JSON; see `Progress`."""
    *before, last = traces
    step = sum(len(trace.losses) for trace in before) + since
    seconds = sum(float(trace.seconds[-1]) for trace in before)
    return [
        {"step": step + i, "size": last.size, "seconds": seconds + float(at)}
        | dict(zip(spec.loss_names, map(float, losses), strict=True))
        for i, (at, losses) in enumerate(zip(last.seconds[since:], last.losses[since:], strict=True))
    ]


def history_of(spec: Spec, outcome: Outcome) -> list[dict[str, float]]:
    """The entries of all levels; see `Result.history`."""
    return [
        entry
        for count in range(1, len(outcome.traces) + 1)
        for entry in entries_of(spec, outcome.traces[:count])
    ]
