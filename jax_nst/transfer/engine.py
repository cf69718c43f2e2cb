"""The engine: paints the items of one batch, level by level. One picture is a batch of one."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jax_nst.runtime.interrupts import AbandonedError, held_interrupts, in_background
from jax_nst.transfer.config import PATIENCE
from jax_nst.transfer.item import Item
from jax_nst.transfer.loop import Stop, steps_in_chunks
from jax_nst.transfer.outcome import Callback, Outcome, Progress, failed
from jax_nst.transfer.plan import Plan
from jax_nst.transfer.snapshot import (
    RunState,
    Snapshot,
    after_chunk,
    at_beginning,
    best_pixels_of,
    is_over,
    new_entries,
    next_level,
    outcomes_of,
    steps_before,
)
from jax_nst.transfer.spec import Level, Spec

_LONG = 2.0
"""Seconds after which a chunk of steps is not waited for when the run is to stop."""

Batch = Sequence[tuple[int, Item]]
"""Items with their numbers."""


class Hooks(NamedTuple):
    """What a run tells, and asks, while it is on."""

    callback: Callback | None = None
    """See `Callback`."""
    keep: Callable[[Snapshot, bool], None] | None = None
    """Called after each chunk of steps, and told whether the run ends here before its end. The state is
    gone when the run goes on."""
    on_setup: Callable[[float], None] = lambda seconds: None
    """Told of the seconds that the set-up of a level took."""
    on_compile: Callable[[int], None] = lambda size: None
    """Told the longer side in pixels of a level before it is compiled."""
    on_plan: Callable[[Plan], None] = lambda plan: None
    """Told the plan of each level before its first step."""
    stop: Callable[[], bool] | None = None
    """Asked now and then during what takes long, such as compiling: a true answer ends the run."""


class Interrupted(NamedTuple):
    """What an exception that ended a run carries, as its attribute `run`."""

    outcomes: list[Outcome]
    """With the best pictures so far."""


def run(
    spec: Spec,
    plan_for: Callable[[Level], Plan],
    batch: Batch,
    *,
    hooks: Hooks = Hooks(),
    begin: Snapshot | None = None,
    items_done: int = 0,
    num_items: int | None = None,
    until: int | None = None,
) -> tuple[list[Outcome], bool]:
    """Paints the items of one batch, at each level from the best pictures of the level before.

    An exception on the way, such as KeyboardInterrupt or that of a callback, comes after a chunk of steps,
    and carries an `Interrupted` as its attribute `run`.

    Args:
      spec: of all of them.
      plan_for: gives the plan of a level when its turn comes.
      batch: the items with their numbers, as many as the layout of the plans takes.
      hooks: see `Hooks`.
      begin: where to go on; at the beginning if None.
      items_done: for `Progress`.
      num_items: for `Progress`; those of the batch if None.
      until: updates of the last level after which to end, if not None; see `pausing` for how to go on.

    Returns:
      The outcomes of the items on the devices of this process, and whether the run was ended before its
      end. There are none if it was ended before the first evaluation.
    """
    numbers = tuple(number for number, _ in batch)
    total = num_items or len(batch)
    blank = Progress(numbers, items_done, total, 0, spec.num_steps, 0, {}, lambda item=None: np.empty(0))
    now = begin or at_beginning()
    snapshots = _snapshots(spec, plan_for, batch, now, hooks, until)
    rescued: list[Outcome] | None = None  # while a step is long, in which its state is gone
    is_long = True
    try:
        while True:
            before = time.perf_counter()
            with held_interrupts():
                found = in_background(lambda: next(snapshots, None), hooks.stop if is_long else None)
                now = found or now
            if found is None:
                return outcomes_of(spec, now, stopped=False), False
            is_long = now.state is None or time.perf_counter() - before > _LONG
            if now.state is not None:
                ends = hooks.callback is not None and bool(hooks.callback(_progress(spec, now, blank)))
                if hooks.keep is not None:
                    hooks.keep(now, ends)
                if ends:
                    return outcomes_of(spec, now, stopped=True), True
            rescued = outcomes_of(spec, now, stopped=True) if is_long and hooks.stop else None
    except AbandonedError:
        return rescued or [], True
    except BaseException as error:
        _attach(error, spec, now)
        if hooks.keep is not None and now.layout is not None and now.state is not None:
            with contextlib.suppress(RuntimeError):  # the state went with the step that failed
                hooks.keep(now, True)
        raise


def _attach(error: BaseException, spec: Spec, now: Snapshot) -> None:
    """Gives the exception the best pictures so far, if there are any."""
    try:
        outcomes = outcomes_of(spec, now, stopped=True)
    except RuntimeError:  # the state went with the step that failed
        outcomes = outcomes_of(spec, now._replace(state=None), stopped=True)
    error.run = Interrupted(outcomes)  # pyright: ignore[reportAttributeAccessIssue]


def _snapshots(
    spec: Spec,
    plan_for: Callable[[Level], Plan],
    batch: Batch,
    now: Snapshot,
    hooks: Hooks,
    until: int | None,
) -> Iterator[Snapshot]:
    """The run before each level, where its state is None, and after each chunk of steps."""
    alone = jax.process_count() == 1
    while True:
        began = time.perf_counter()
        hooks.on_compile(spec.levels[now.level].size)
        now, plan, arguments = _set_up(spec, plan_for, batch, now, hooks)
        hooks.on_setup(time.perf_counter() - began)
        if now.state is None:  # none of the items can be run
            yield now
            return
        is_last = now.level == len(spec.levels) - 1
        chunks = steps_in_chunks(
            plan.advance,
            now.state.steps,
            arguments,
            plan.level.steps if until is None or not is_last else until,
            done=len(now.state.losses),
            elapsed=float(now.state.seconds[-1]) if len(now.state.seconds) else 0.0,
            stops=_stops(spec, steps_before(spec, now.level)),
            fetch=plan.layout.losses,
            in_step=not alone,
        )
        del arguments
        for chunk in chunks:
            now = after_chunk(spec, now, chunk)
            del chunk
            yield now
            if alone and is_over(now):
                break
        if is_last:
            return
        del chunks
        now = next_level(spec, now)
        yield now
        if alone and not now.starts:
            return


def _set_up(
    spec: Spec, plan_for: Callable[[Level], Plan], batch: Batch, now: Snapshot, hooks: Hooks
) -> tuple[Snapshot, Plan, tuple[Any, ...]]:
    """The snapshot with its items in their slots, the plan of the level, and arguments of its loop."""
    plan = plan_for(spec.levels[now.level])
    is_usual = plan.choice.name == spec.choices[0].name
    hooks.on_plan(plan._replace(seconds=_seconds_a_step(now, plan), is_usual=is_usual))
    plan.preparation.forget(but={item.pixels_key for _, item in batch})
    prepared, used, finish, failures = [], {}, {}, dict(now.failures)
    # Items that have failed keep their slots, which all processes must agree on.
    for number, slot in enumerate(plan.layout.slots(batch)):
        made = None
        if slot is not None and slot[0] not in failures:
            try:
                made = slot[1], plan.preparation.prepare(slot[1], now.starts.get(slot[0]))
                used[number], finish[slot[0]] = slot[0], plan.preparation.finish(slot[1])
            except ValueError as error:
                failures[slot[0]] = failed(slot[0], error, spec.loss_names)
        prepared.append(made)
    now = now._replace(
        failures=failures,
        choice=plan.choice.name,
        layout=plan.layout,
        used=used,
        finish=finish,
        spare=_spare(plan) if spec.platform.name == "cpu" else math.inf,
    )
    if not used and jax.process_count() == 1:
        return now._replace(state=None, starts={}), plan, ()
    pixels, *arguments = jax.block_until_ready(plan.layout.place(prepared))
    if now.state is None:
        nothing = np.empty((0, len(prepared), len(spec.loss_names)), np.float32)
        state = RunState(plan.init(pixels), nothing, np.empty(0), {})
    else:
        state = now.state._replace(steps=plan.layout.restore(now.state.steps))
    return now._replace(state=state), plan, (plan.params, *arguments)


def _spare(plan: Plan) -> int:
    """Bytes that the steps leave of what they may take, on all devices of this process."""
    return jax.local_device_count() * (plan.limit - plan.num_bytes)


def _seconds_a_step(now: Snapshot, plan: Plan) -> float | None:
    """Roughly, by the number of pixels and what the level before took; None at the first level."""
    traces = next(iter(now.traces.values()), ())
    if not traces:
        return None
    before = traces[-1]
    times_the_pixels = (plan.level.size / before.size) ** 2
    return plan.choice.time * times_the_pixels * before.share / len(before.losses)


def _stops(spec: Spec, before: int) -> list[Stop]:
    """Where chunks end: where the plateau is looked for, and where the picture is saved."""
    stops = [Stop(PATIENCE)] if spec.tolerance else []
    return [*stops, Stop(spec.save_every, before)] if spec.save_every else stops


def _progress(spec: Spec, now: Snapshot, blank: Progress) -> Progress:
    """What a callback is told; `blank` knows what does not change."""
    assert now.state is not None
    level, evaluations = spec.levels[now.level], len(now.state.losses)
    return blank._replace(
        step=steps_before(spec, now.level) + evaluations - 1,
        size=level.size,
        level_step=evaluations - 1,
        level_steps=level.steps,
        work=spec.work(level, evaluations),
        entries=new_entries(spec, now),
        best_pixels=lambda item=None: best_pixels_of(
            spec, now, next(iter(now.used.values())) if item is None else item
        ),
    )
