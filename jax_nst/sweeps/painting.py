"""Early halving with the engine: batches that pause and go on, and what decides which items do."""

import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np

from jax_nst.images import quantize
from jax_nst.models.extractor import Extractor
from jax_nst.runtime import distributed
from jax_nst.runtime.memory import available_memory
from jax_nst.sweeps.decisions import of_values, read_decisions, to_values, write_decisions
from jax_nst.sweeps.halving import TOTAL, Halving, Values, check_halving, pool_of
from jax_nst.sweeps.job import Job
from jax_nst.sweeps.measuring import make_measure
from jax_nst.sweeps.records import Record
from jax_nst.sweeps.rungs import Painted, Rounds
from jax_nst.transfer import engine
from jax_nst.transfer.item import Item
from jax_nst.transfer.layout import OnePicture
from jax_nst.transfer.outcome import Outcome, Status
from jax_nst.transfer.pausing import Paused, join, pause
from jax_nst.transfer.plan import Plan
from jax_nst.transfer.snapshot import Snapshot
from jax_nst.transfer.spec import Level, Spec

_MOST_KEPT = 0.5  # share of the available memory that the runs of one batch may take


@dataclasses.dataclass
class Contest:
    """What decides which items of a sweep end early.

    Attributes:
      halving: the settings.
      pools: item -> key; those of one key are compared, if they are of one spec, too.
      judge: see `Rounds`, and so are the others.
      values: the same.
      save: the same.
      reached: outcomes of items that an earlier run did not end.
    """

    halving: Halving
    pools: Mapping[int, Hashable]
    judge: Callable[[Outcome], float]
    values: Values = dataclasses.field(default_factory=dict)
    save: Callable[[], None] = lambda: None
    reached: Mapping[int, Outcome] = dataclasses.field(default_factory=dict)

    def rounds(self, group: Sequence[int], left: Sequence[int], steps: int) -> Rounds:
        """The rounds of the items `left` of a group, all of one spec and of so many steps."""
        pools = {item: self.pools[item] for item in group}
        waiting = {item: self.reached[item] for item in left if item in self.reached}
        at = self.halving.steps_of(steps)
        return Rounds(self.halving, at, pools, self.judge, self.values, self.save, list(left), waiting)


class BatchPainter:
    """Paints batches with the engine; see `Painter`."""

    def __init__(
        self,
        spec: Spec,
        items: Mapping[int, Item],
        plans: Mapping[Level, Plan],
        plan_last: Callable[[int], Mapping[Level, Plan]],
        saved: Callable[[], Snapshot | None],
        hooks: engine.Hooks,
        items_done: int,
        num_items: int,
    ) -> None:
        """`plan_last` gives the plan of the last level for batches of another size, and `saved` where a
        batch goes on that has not paused."""
        self._spec, self._items, self._saved, self._hooks = spec, items, saved, hooks
        self._plans, self._plan_last = plans, functools.cache(plan_last)
        self._smaller: dict[int, Mapping[Level, Plan]] = {}
        self._done, self._num_items = items_done, num_items

    def size(self, count: int, *, begun: bool) -> int:
        """Items in a batch: where at least half of the slots would be empty, fewer.

        Args:
          count: of the items that are to be run.
          begun: whether their runs have paused, so that only the last level is compiled.
        """
        last = self._spec.levels[-1]
        layout = self._plans[last].layout
        size = wanted = layout.size
        groups = layout.num_groups
        while (
            begun
            and groups < wanted
            and count <= (half := math.ceil(wanted / 2 / groups) * groups) < wanted
        ):
            wanted = half
        if wanted < size:
            plans = self._plan_last(wanted)
            size = plans[last].layout.size
            self._smaller[size] = plans
        return size

    def paint(
        self,
        items: Sequence[int],
        runs: Mapping[int, Paused],
        *,
        slots: int,
        until: int | None,
        done: int,
    ) -> Painted:
        """Runs a batch from where its items have paused, by `runs`, to a step of the full size."""
        spec, plans = self._spec, self._smaller.get(slots, self._plans)
        plan = plans[spec.levels[-1]]
        hooks, kept = self._hooks, list[Snapshot]()
        if until is not None:
            hooks = hooks._replace(keep=lambda now, ends: kept.__setitem__(slice(None), [now]))
        if not runs:
            begin = self._saved()
        else:
            begin = join(
                runs,
                level=len(spec.levels) - 1,
                choice=plan.choice.name,
                slots=plan.layout.size,
                is_batched=not isinstance(plan.layout, OnePicture),
            )
        outcomes, ended = engine.run(
            spec,
            plans.__getitem__,
            [(number, self._items[number]) for number in items],
            hooks=hooks,
            begin=begin,
            items_done=self._done + done,
            num_items=self._num_items,
            until=until,
        )
        return Painted(outcomes, functools.partial(_pause, kept), plan.layout.size, ended)


def make_contest(halving: Halving | None, job: Job, extractor: Extractor) -> Contest | None:
    """The contest of a sweep, measured on pictures of 8 bits; None without halving.

    Raises:
      ValueError: as `check_halving`, or there are several processes.
    """
    if halving is None:
        return None
    if distributed.num_processes() > 1:
        raise ValueError(
            "items cannot end early (--keep_best) in a distributed sweep; leave one of them out"
        )
    check_halving(halving, job.items)
    measure_item = make_measure(job, extractor, [halving.by])

    def judge(outcome: Outcome) -> float:
        if halving.by == TOTAL or outcome.pixels is None:
            return float(outcome.best[0])
        rounded = quantize(outcome.pixels).astype(np.float32) / 255
        with contextlib.suppress(ValueError):  # a picture of the item cannot be read
            return measure_item(outcome.item, rounded)[halving.by]
        return math.nan

    pools = {number: pool_of(item) for number, item in enumerate(job.items)}
    return Contest(halving, pools, judge)


def make_contest_in(
    folder: Path,
    halving: Halving | None,
    job: Job,
    extractor: Extractor,
    keys: Sequence[str],
    records: Mapping[int, Record],
) -> Contest | None:
    """The same of a sweep in a folder, which goes on with what an earlier run has decided.

    Args:
      folder: of the sweep.
      halving: see `make_contest`, and so are the next two.
      job: the same.
      extractor: the same.
      keys: of the items of the job.
      records: of the items that an earlier run has reached.

    Raises:
      ValueError: as `make_contest`.
    """
    contest = make_contest(halving, job, extractor)
    if contest is None or halving is None:
        return None
    decisions, key_of = read_decisions(folder), dict(enumerate(keys))
    values = to_values(decisions.get(halving.by, {}), {item: key_of[item] for item in records})
    reached = {
        item: record.outcome
        for item, record in records.items()
        if record.outcome.status is Status.STOPPED and any(item in of_step for of_step in values.values())
    }
    in_grid = set(keys)
    outside = {key: x for key, x in decisions.get(halving.by, {}).items() if key not in in_grid}

    def save() -> None:
        now = {halving.by: outside | of_values(values, key_of)}
        write_decisions(folder, decisions | now)

    return dataclasses.replace(contest, values=values, save=save, reached=reached)


def _pause(kept: Sequence[Snapshot], items: Sequence[int]) -> dict[int, Paused]:
    """Their runs; none where they would take much of the memory, so that they begin anew."""
    if not kept or kept[-1].state is None or not items:
        return {}
    num_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(kept[-1].state.steps))
    return pause(kept[-1], items) if num_bytes < _MOST_KEPT * available_memory() else {}
