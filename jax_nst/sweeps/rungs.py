"""Rounds of early halving: all items are run to a step, and the best of them from there to the next.

A sweep without halving is one round, to the last step.
"""

import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from jax_nst.sweeps.halving import Halving, Values, halted
from jax_nst.transfer.layout import in_batches
from jax_nst.transfer.outcome import Outcome, Status
from jax_nst.transfer.pausing import Paused


class Painted(NamedTuple):
    """What became of a batch."""

    outcomes: list[Outcome]
    pause: Callable[[Sequence[int]], dict[int, Paused]]
    """`(items) -> their runs`, to go on with; those for which there is no memory are left out."""
    slots: int
    """Of the batch."""
    ended: bool
    """Whether it was ended from outside."""


class Painter(Protocol):
    """Paints batches of items of one spec."""

    def size(self, count: int, *, begun: bool) -> int:
        """Items in a batch, of so many that are to be run; `begun`: their runs have paused."""
        ...

    def paint(
        self,
        items: Sequence[int],
        runs: Mapping[int, Paused],
        *,
        slots: int,
        until: int | None,
        done: int,
    ) -> Painted:
        """Runs a batch from where its items have paused, by `runs`, to a step of the full size.

        `slots` is what `size` gave, and `done` how many items have ended.
        """
        ...


class Ended(NamedTuple):
    """Items that have come to an end together."""

    items: list[int]
    outcomes: list[Outcome]
    """Of those items that are on the devices of this process."""
    slots: int
    """Of their batch."""
    stopped: bool
    """Whether the sweep was ended from outside."""


@dataclasses.dataclass
class Rounds:
    """The rounds of the items of one spec.

    Attributes:
      halving: when to compare items, by what, and how many go on.
      steps: at which they are compared.
      pools: item -> key; items of one key are compared with each other.
      judge: `(outcome) -> value` that items are compared by.
      values: those known so far, also of items of an earlier run; added to.
      save: called when there are new values.
      alive: items that have not ended.
      waiting: item -> what it has come to, of those that have reached a step and may end there.
    """

    halving: Halving
    steps: Sequence[int]
    pools: Mapping[int, Hashable]
    judge: Callable[[Outcome], float]
    values: Values
    save: Callable[[], None]
    alive: list[int]
    waiting: dict[int, Outcome]

    def run(self, painter: Painter) -> Iterator[Ended]:
        """Runs all items; yields those that end, as they do."""
        held: dict[int, Paused] = {}
        count = len(self.alive)
        for until in (*self.steps, None):
            known = self.values.setdefault(until, {}) if until is not None else {}
            chosen = [item for item in self.alive if item not in known]
            for batch, slots in self._batches(chosen, held, painter):
                paused = {item: held.pop(item) for item in batch if item in held}
                done = count - len(self.alive)
                paint = functools.partial(painter.paint, slots=slots, until=until, done=done)
                with self._carried():
                    painted = paint(batch, paused)
                for outcome in painted.outcomes:
                    self.waiting.pop(outcome.item, None)
                ended = self._ended(batch, painted, until)
                if not painted.ended:
                    held |= painted.pause([item for item in batch if item in self.waiting])
                del painted  # it has the state of the batch
                yield ended
                if ended.stopped:
                    return
            if until is not None and (late := self._halt(until)):  # measured in an earlier run
                yield Ended([outcome.item for outcome in late], late, 0, False)

    @contextlib.contextmanager
    def _carried(self) -> Iterator[None]:
        """Adds the outcomes of those that wait to what an exception carries, see `engine.run`."""
        try:
            yield
        except BaseException as error:
            carried = getattr(error, "run", None)
            if carried is not None:
                known = {outcome.item for outcome in carried.outcomes}
                carried.outcomes.extend(x for x in self._stopped() if x.item not in known)
            raise

    def _batches(
        self, items: Sequence[int], held: Mapping[int, Paused], painter: Painter
    ) -> list[tuple[Sequence[int], int]]:
        """The batches of a round, and their slots; paused runs share none with those that begin."""
        batches = []
        for begun in (True, False):
            chosen = [item for item in items if (item in held) == begun]
            if chosen:
                slots = painter.size(len(chosen), begun=begun)
                batches += [(batch, slots) for batch in in_batches(chosen, slots)]
        return batches

    def _ended(self, batch: Sequence[int], painted: Painted, until: int | None) -> Ended:
        """Those of a batch that have ended, and others that are worse, or are stopped with it."""
        if until is None or painted.ended:
            outcomes = painted.outcomes
        else:
            outcomes = [outcome for outcome in painted.outcomes if not self._goes_on(outcome, until)]
            self.save()
        over = list(batch) if until is None else [outcome.item for outcome in outcomes]
        gone = set(over)
        self.alive = [item for item in self.alive if item not in gone]
        more = self._stopped() if painted.ended else self._halt(until) if until is not None else []
        over += [outcome.item for outcome in more]
        return Ended(over, [*outcomes, *more], painted.slots, painted.ended)

    def _goes_on(self, outcome: Outcome, until: int) -> bool:
        """Notes the value of an item; whether it has come to that step, and has not levelled off before."""
        if outcome.status is Status.FAILED:
            return False
        self.values.setdefault(until, {})[outcome.item] = self.judge(outcome)
        if len(outcome.losses) <= until:
            return False
        self.waiting[outcome.item] = outcome
        return True

    def _halt(self, step: int) -> list[Outcome]:
        """The outcomes of the items that as many others as go on are better than, by what is known."""
        known, ended = self.values.get(step, {}), []
        for pool in {self.pools[item] for item in self.waiting}:
            reached = {item: value for item, value in known.items() if self.pools.get(item) == pool}
            coming = {item for item in self.alive if self.pools[item] == pool}
            kept = self.halving.num_kept(len(coming | set(reached)))
            for rank, item in enumerate(self.halving.ranked(reached), 1):
                if rank > kept and item in self.waiting:
                    outcome = self.waiting.pop(item)
                    ended.append(halted(outcome, self.halving, step, rank, len(reached)))
        over = {outcome.item for outcome in ended}
        self.alive = [item for item in self.alive if item not in over]
        return ended

    def _stopped(self) -> list[Outcome]:
        """The outcomes of those that wait, where the sweep is ended from outside."""
        return [
            outcome._replace(status=Status.STOPPED, message=f"stopped after step {len(outcome.losses) - 1}")
            for outcome in self.waiting.values()
            if outcome.pixels is not None
        ]


def one_round(items: Sequence[int]) -> Rounds:
    """The rounds of items of which none ends early: one, to the last step."""
    return Rounds(Halving(), (), {}, lambda outcome: math.nan, {}, lambda: None, list(items), {})
