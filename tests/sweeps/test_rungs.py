"""The rounds, with a painter that only counts: an item's value at any step is known."""

import numpy as np
import pytest

from jax_nst import Halving, Status
from jax_nst.sweeps.rungs import Painted, Rounds, one_round
from jax_nst.transfer.outcome import Outcome, failed

STEPS = 9


class Counting:
    """Notes what is painted; a paused run is the step that it has come to."""

    def __init__(self, *, size=4, failing=(), levelled=None, forget=False, stop_at=None):
        self.full, self.failing, self.levelled = size, set(failing), levelled or {}
        self.forget, self.stop_at = forget, stop_at
        self.batches, self.steps = [], 0

    def size(self, count, *, begun):
        return min(self.full, count) if begun else self.full

    def paint(self, items, runs, *, slots, until, done):
        assert len(items) <= slots
        assert set(runs) in (set(), set(items))
        end = STEPS if until is None else until
        self.batches.append((tuple(items), until))
        ended = len(self.batches) == self.stop_at
        outcomes = []
        for item in items:
            at = min(end, self.levelled.get(item, STEPS))
            self.steps += at - runs.get(item, 0)
            if item in self.failing:
                outcomes.append(failed(item, "bad", ("total",)))
                continue
            losses = np.full((at + 1, 1), item, np.float32)
            status = (Status.STOPPED, f"stopped after step {at}") if ended else (Status.FINISHED, "ok")
            outcomes.append(Outcome(item, *status, np.zeros((1, 1, 3)), (), losses, 1.0))
        return Painted(outcomes, lambda of: {} if self.forget else dict.fromkeys(of, end), slots, ended)


def rounds_of(values, *, at=(1, 3), keep=1 / 3, pools=None, known=None, waiting=None, alive=None):
    """Rounds of items whose values are those, at every step."""
    items = list(range(len(values)))
    halving = Halving(keep, "style_distance_vgg", at)
    return Rounds(
        halving, at, pools or dict.fromkeys(items, 0), lambda outcome: values[outcome.item],
        known if known is not None else {}, lambda: None, items if alive is None else alive, waiting or {},
    )  # fmt: skip


def run(rounds, painter):
    """Item -> outcome; each ends once."""
    found = {}
    for items, outcomes, _, _ in rounds.run(painter):
        assert set(items) >= {outcome.item for outcome in outcomes}
        for outcome in outcomes:
            assert outcome.item not in found
            found[outcome.item] = outcome
    return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("forget", [False, True])
def test_the_best_of_each_round_go_on(seed, forget):
    """Beside the definition: sort all that reach a step, and take the first ones."""
    rng = np.random.default_rng(seed)
    count, keep = int(rng.integers(1, 30)), float(rng.uniform(0.1, 0.9))
    values, pools = rng.random(count), dict(enumerate(rng.integers(0, 3, count)))
    halving, painter = Halving(keep), Counting(size=int(rng.integers(1, 8)), forget=forget)
    found = run(rounds_of(values, keep=keep, pools=pools), painter)
    assert set(found) == set(range(count))
    steps, left = 0, {pool: [i for i in range(count) if pools[i] == pool] for pool in range(3)}
    for at, before in ((1, 0), (3, 1)):
        for pool, items in left.items():
            steps += len(items) * (at - (0 if forget else before))
            best = sorted(items, key=values.__getitem__)[: halving.num_kept(len(items))]
            for item in set(items) - set(best):
                assert found[item].status is Status.HALTED
                assert len(found[item].losses) == at + 1
            left[pool] = best
    survivors = [item for items in left.values() for item in items]
    assert all(found[item].message == "ok" for item in survivors)
    assert painter.steps == steps + len(survivors) * (STEPS - (0 if forget else 3))


def test_batches_are_full_in_every_round():
    painter = Counting(size=4)
    run(rounds_of(np.arange(18.0)), painter)
    assert [len(items) for items, _ in painter.batches] == [4, 4, 4, 4, 2, 4, 2, 2]
    assert [until for _, until in painter.batches] == [1] * 5 + [3] * 2 + [None]


def test_without_halving_there_is_one_round():
    painter = Counting(size=4, failing=[2, 6])
    ended = list(one_round(range(2, 9)).run(painter))
    assert painter.batches == [((2, 3, 4, 5), None), ((6, 7, 8), None)]
    assert [end.items for end in ended] == [[2, 3, 4, 5], [6, 7, 8]]
    assert [[outcome.item for outcome in end.outcomes] for end in ended] == [[2, 3, 4, 5], [6, 7, 8]]
    stopped = list(one_round(range(2, 9)).run(Counting(size=4, stop_at=1)))
    assert [(end.items, end.stopped) for end in stopped] == [([2, 3, 4, 5], True)]


def test_the_worst_end_as_soon_as_it_is_known():
    """Six others are better than the seventh of eighteen, so it need not wait for the rest."""
    (first, *_) = [ended for ended in rounds_of(np.arange(18.0)).run(Counting(size=8)) if ended.outcomes]
    assert [outcome.message for outcome in first.outcomes] == [
        "halted at step 1, rank 7 of 8 by style_distance_vgg",
        "halted at step 1, rank 8 of 8 by style_distance_vgg",
    ]


def test_what_fails_or_levels_off_is_no_rival_that_goes_on():
    """An item that levels off comes to its end; its value counts in that round, not in the next ones."""
    painter = Counting(failing=[0], levelled={1: 2, 8: 0})
    found = run(rounds_of(np.arange(9.0)), painter)
    assert found[0].status is Status.FAILED
    assert found[1].message == found[8].message == "ok"
    halted = [item for item, outcome in found.items() if outcome.status is Status.HALTED]
    assert sorted(halted) == [2, 3, 4, 5, 6, 7]


def test_a_sweep_that_is_stopped_keeps_what_waits():
    painter = Counting(stop_at=2)
    found = run(rounds_of(np.arange(9.0)), painter)
    assert {item: outcome.message for item, outcome in found.items()} == {
        3: "halted at step 1, rank 4 of 4 by style_distance_vgg",
        **dict.fromkeys([0, 1, 2, 4, 5, 6, 7], "stopped after step 1"),
    }


def test_what_was_decided_before_stays_decided():
    """Two of nine were measured and one was halted by an earlier run, by values that are no longer so."""
    known = {1: {0: 9.0, 1: 0.0, 2: 10.0}}
    zero, one = (Counting().paint([i], {}, slots=1, until=1, done=0).outcomes[0] for i in (0, 1))
    alive = [0, 1, 3, 4, 5, 6, 7, 8]
    painter = Counting()
    found = run(rounds_of(np.arange(9.0), known=known, waiting={0: zero, 1: one}, alive=alive), painter)
    first_round = [item for items, until in painter.batches if until == 1 for item in items]
    assert first_round == [3, 4, 5, 6, 7, 8]
    assert found[0].status is Status.HALTED
    assert (painter.batches[-1][1], found[1].message) == (None, "ok")
    assert sum(outcome.status is Status.FINISHED for outcome in found.values()) == 1


def test_an_exception_carries_what_waits():
    class Broken(Counting):
        def paint(self, items, runs, **rest):
            if len(self.batches) == 1:
                error = KeyboardInterrupt()
                error.run = Painted([], lambda of: {}, 0, True)
                raise error
            return super().paint(items, runs, **rest)

    with pytest.raises(KeyboardInterrupt) as raised:
        run(rounds_of(np.arange(9.0)), Broken())
    assert [outcome.item for outcome in raised.value.run.outcomes] == [0, 1, 2]
