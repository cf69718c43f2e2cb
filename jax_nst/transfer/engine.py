"""The engine: paints the items of one batch, level by level. One picture is a batch of one."""

import enum
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jax_nst.images import resize
from jax_nst.optim import State
from jax_nst.transfer.config import PATIENCE
from jax_nst.transfer.loop import Stop, levelled_off, steps_in_chunks
from jax_nst.transfer.plan import Plan
from jax_nst.transfer.spec import Spec
from jax_nst.transfer.targets import Item

NOT_FINITE = "the loss of the start is not finite; make the weights of the losses smaller"


class Status(enum.Enum):
    """How a run ended; the value is the first word of its message."""

    FINISHED = "ok"
    """All steps were made, or the loss has levelled off."""
    STOPPED = "stopped"
    """A callback or the user ended it; the best picture so far is kept."""
    DIVERGED = "diverged"
    """The loss stayed infinite or NaN to the end; the best picture before is kept."""
    FAILED = "failed"
    """There is no picture."""

    @classmethod
    def of(cls, message: str) -> "Status":
        """The status that a message begins with; raises ValueError if it begins with none."""
        return cls(message.split(":")[0].split(" ")[0])


class Trace(NamedTuple):
    """What was measured at one level."""

    size: int
    """Longer side of the picture in pixels."""
    losses: np.ndarray
    """`[evaluations, names]`, as `Spec.loss_names`; the first is of the start."""
    seconds: np.ndarray
    """`[evaluations]`, when each was done, since the loop of the level began."""


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
    """What a callback is told, of one picture as of a sweep."""

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


Callback = Callable[[Progress], bool | None]
"""Called after each chunk of steps; a true answer ends the run early, with the best pictures so far."""


class RunState(NamedTuple):
    """What a level needs to go on, a pytree: the state of the steps, and what was measured so far."""

    steps: State
    losses: np.ndarray
    """`[evaluations, slots, names]`."""
    seconds: np.ndarray
    """`[evaluations]`."""
    ended: dict[int, tuple[np.ndarray, np.ndarray]]
    """Slot -> best picture and `[evaluations, names]` of an item that has levelled off."""


class LevelRun(NamedTuple):
    """How one level of a batch went."""

    pixels: dict[int, np.ndarray]
    """Item -> its best picture."""
    losses: dict[int, np.ndarray]
    """Item -> `[evaluations, names]`."""
    seconds: np.ndarray
    """`[evaluations]`, of the batch."""
    failures: list[Outcome]
    """Of items that could not begin."""
    interrupted: bool
    """Whether the callback ended it."""


def run(
    spec: Spec,
    plans: Iterable[Plan],
    batch: Sequence[tuple[int, Item]],
    *,
    callback: Callback | None = None,
    items_done: int = 0,
    num_items: int | None = None,
    on_setup: Callable[[float], None] = lambda seconds: None,
) -> tuple[list[Outcome], bool]:
    """Paints the items of one batch, at each level from the best pictures of the level before.

    Args:
      spec: of all of them.
      plans: of its levels, coarse to fine; each is asked for when its turn comes.
      batch: the items with their numbers, as many as the layout of the plans takes.
      callback: see `Callback`.
      items_done: for `Progress`.
      num_items: for `Progress`; those of the batch if None.
      on_setup: told of the seconds that the targets of a level took.

    Returns:
      The outcomes of the items on the devices of this process, and whether the callback ended the run.
    """
    outcomes: dict[int, Outcome] = {}
    traces: dict[int, tuple[Trace, ...]] = {number: () for number, _ in batch}
    spent = dict.fromkeys(traces, 0.0)
    starts: dict[int, np.ndarray] = {}
    planned, interrupted = 0, False
    for plan, is_last in zip(plans, _last_of(spec.levels), strict=True):
        first = Progress(
            tuple(number for number, _ in batch),
            items_done,
            num_items or len(batch),
            planned,
            spec.num_steps,
            plan.level.size,
            {},
            lambda item=None: np.empty(0),
        )
        level = _run_level(spec, plan, batch, outcomes.keys(), starts, traces, first, callback, on_setup)
        outcomes |= {outcome.item: outcome for outcome in level.failures}
        share = float(level.seconds[-1]) / max(1, len(level.losses)) if len(level.seconds) else 0.0
        for number, losses in level.losses.items():
            traces[number] += (Trace(plan.level.size, losses, level.seconds[: len(losses)]),)
            spent[number] += share
            made = number, level.pixels[number], traces[number], spent[number]
            if not np.isfinite(losses[0, 0]):
                failure = failed(number, NOT_FINITE, spec.loss_names)
                outcomes[number] = failure._replace(losses=losses, seconds=spent[number])
            elif is_last or level.interrupted:
                outcomes[number] = _outcome(spec, *made, level.interrupted)
        starts = level.pixels
        planned += plan.level.steps + 1
        interrupted = level.interrupted
        if interrupted:
            break
    return [outcomes[number] for number in sorted(outcomes)], interrupted


def _last_of(levels: Sequence[Any]) -> list[bool]:
    return [level is levels[-1] for level in levels]


def _run_level(
    spec: Spec,
    plan: Plan,
    batch: Sequence[tuple[int, Item]],
    skip: Collection[int],
    starts: Mapping[int, np.ndarray],
    traces: Mapping[int, tuple[Trace, ...]],
    first: Progress,
    callback: Callback | None,
    on_setup: Callable[[float], None],
) -> LevelRun:
    began = time.perf_counter()
    layout = plan.layout
    prepared, numbers, failures = _prepare(spec, plan, batch, skip, starts)
    used = {slot: number for slot, number in enumerate(numbers) if number is not None}
    if not used and jax.process_count() == 1:
        return LevelRun({}, {}, np.empty(0), failures, False)
    pixels, *arguments = jax.block_until_ready(layout.place(prepared))
    on_setup(time.perf_counter() - began)
    nothing = np.empty((0, len(numbers), len(spec.loss_names)), np.float32)
    state = RunState(plan.init(pixels), nothing, np.empty(0), {})
    stops = [Stop(PATIENCE)] if spec.tolerance else []
    stops += [Stop(spec.save_every, first.step)] if spec.save_every else []
    interrupted = False
    for chunk in steps_in_chunks(
        plan.advance,
        state.steps,
        (plan.params, *arguments),
        plan.level.steps,
        stops=stops,
        fetch=layout.losses,
        in_step=jax.process_count() > 1,
    ):
        losses = np.concatenate([state.losses, chunk.losses])
        seconds = np.concatenate([state.seconds, chunk.seconds])
        state = RunState(chunk.state, losses, seconds, _ended(spec, plan, chunk.state, losses, used, state))
        if callback is not None:
            progress = _progress(spec, plan, state, chunk.first, used, traces, first)
            interrupted = bool(callback(progress))
        hopeless = not np.isfinite(losses[0, list(used), 0]).any() and jax.process_count() == 1
        if interrupted or hopeless or (len(state.ended) == len(used) and jax.process_count() == 1):
            break
    left = [slot for slot in used if slot not in state.ended]
    best = dict(zip(left, layout.best_pixels(state.steps, left), strict=True))
    best |= {slot: pixels for slot, (pixels, _) in state.ended.items()}
    found = {slot: losses for slot, (_, losses) in state.ended.items()}
    return LevelRun(
        {number: best[slot] for slot, number in used.items()},
        {number: found.get(slot, state.losses[:, slot]) for slot, number in used.items()},
        state.seconds,
        failures,
        interrupted,
    )


def _prepare(
    spec: Spec,
    plan: Plan,
    batch: Sequence[tuple[int, Item]],
    skip: Collection[int],
    starts: Mapping[int, np.ndarray],
) -> tuple[list[Any], list[int | None], list[Outcome]]:
    """What lies in each slot, the number of its item, and the outcomes of items that cannot be run.

    Items to skip keep their slots, which all processes must agree on.
    """
    plan.preparation.forget(but={item.content for _, item in batch})
    prepared, numbers, failures = [], [], []
    for slot in plan.layout.slots(batch):
        made = None
        if slot is not None and slot[0] not in skip:
            try:
                made = slot[1], plan.preparation.prepare(slot[1], starts.get(slot[0]))
            except ValueError as error:
                failures.append(failed(slot[0], error, spec.loss_names))
        prepared.append(made)
        numbers.append(slot[0] if slot and made else None)
    return prepared, numbers, failures


def _ended(
    spec: Spec, plan: Plan, steps: State, losses: np.ndarray, used: Mapping[int, int], before: RunState
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """The slots that have levelled off: an item ends where its single run would, whatever the others do."""
    level = [
        slot
        for slot in used
        if slot not in before.ended and levelled_off(losses[:, slot, 0], spec.tolerance, PATIENCE)
    ]
    pixels = plan.layout.best_pixels(steps, level)
    return before.ended | {slot: (x, losses[:, slot]) for slot, x in zip(level, pixels, strict=True)}


def _progress(
    spec: Spec,
    plan: Plan,
    state: RunState,
    since: int,
    used: Mapping[int, int],
    traces: Mapping[int, tuple[Trace, ...]],
    first: Progress,
) -> Progress:
    numbers = {number: slot for slot, number in used.items()}
    shape = spec.levels[-1].shape

    def best_pixels(item: int | None = None) -> np.ndarray:
        slot = numbers[next(iter(numbers)) if item is None else item]
        return resize(plan.layout.best_pixels(state.steps, [slot])[0], shape)

    entries = {
        number: entries_of(
            spec, (*traces[number], Trace(plan.level.size, state.losses[:, slot], state.seconds)), since
        )
        for slot, number in used.items()
    }
    return first._replace(step=first.step + len(state.losses) - 1, entries=entries, best_pixels=best_pixels)


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


def _outcome(
    spec: Spec,
    number: int,
    pixels: np.ndarray,
    traces: tuple[Trace, ...],
    seconds: float,
    interrupted: bool,
) -> Outcome:
    losses, last = traces[-1].losses, spec.levels[-1]
    finite = np.isfinite(losses[:, 0])
    status, message = Status.FINISHED, Status.FINISHED.value
    at_last = len(traces) == len(spec.levels)
    if interrupted and not at_last:
        size, steps = traces[-1].size, len(losses) - 1
        status, message = Status.STOPPED, f"stopped at {size} pixels, after step {steps}"
        # Losses of a smaller size do not compare.
        pixels, losses = resize(pixels, last.shape), losses[:0]
    # The guard of L-BFGS meets a loss that is not finite now and then, and goes on.
    elif len(finite) > 1 and not finite[-2:].any():
        step = len(finite) - int(np.argmax(finite[::-1]))
        status, message = Status.DIVERGED, f"diverged at step {step}; the best before is kept"
    elif interrupted and len(losses) <= last.steps:
        status, message = Status.STOPPED, f"stopped after step {len(losses) - 1}"
    return Outcome(number, status, message, pixels, traces, losses, seconds)
