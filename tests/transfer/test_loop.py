import numpy as np
import pytest

from jax_nst.transfer.loop import levelled_off, steps_in_chunks


def counting(calls, blocks=1):
    """A loop that only counts: its losses are the numbers of the evaluations."""

    def advance(state, offset, count):
        calls.append(count)
        numbers = np.arange(state, state + count, dtype=np.float32) + offset
        return state + count, [
            np.repeat(part[:, None], 4, axis=1) for part in np.array_split(numbers, blocks)
        ]

    return advance


@pytest.mark.parametrize("in_step", [False, True])
@pytest.mark.parametrize("num_steps", [1, 7, 100])
def test_one_evaluation_more_than_updates(num_steps, in_step):
    calls = []
    chunks = list(steps_in_chunks(counting(calls), 0, (0.0,), num_steps, in_step=in_step))
    assert sum(calls) == num_steps + 1
    losses = np.concatenate([chunk.losses for chunk in chunks])
    np.testing.assert_array_equal(losses[:, 0], np.arange(num_steps + 1))
    seconds = np.concatenate([chunk.seconds for chunk in chunks])
    assert (np.diff(seconds) >= 0).all()
    assert chunks[-1].state == num_steps + 1


def test_a_chunk_ends_where_something_is_to_be_saved():
    chunks = list(steps_in_chunks(counting([]), 0, (0.0,), 20, stops=[6]))
    ends = {chunk.first + len(chunk.losses) - 1 for chunk in chunks}
    assert {6, 12, 18, 20} <= ends


def test_chunks_in_step_do_not_depend_on_the_time():
    calls = []
    list(steps_in_chunks(counting(calls), 0, (0.0,), 70, in_step=True))
    assert calls == [32, 32, 7]


def test_more_rows_than_were_asked_for_are_cut():
    def padded(state, count):
        return state + count, [np.zeros((32, 4))]

    assert sum(len(chunk.losses) for chunk in steps_in_chunks(padded, 0, (), 9)) == 10


def test_levelled_off():
    falling = 10.0 * 0.9 ** np.arange(31)
    assert not levelled_off(falling, 0.5, 5)
    assert levelled_off(falling, 0.5, 3)  # 0.9^3 = 0.73, 0.37 of the new best
    flat = np.concatenate([falling, np.full(5, falling[-1])])
    assert levelled_off(flat, 1e-6, 5)
    assert not levelled_off(flat, 1e-6, 7)
    assert not levelled_off(flat, 0.0, 5)
    assert not levelled_off(falling[:5], 0.9, 5)
    worse = np.concatenate([falling, [np.nan, np.inf, 99.0, 98.0, np.nan]])
    assert levelled_off(worse, 1e-6, 5)


def test_whether_it_has_levelled_off_does_not_depend_on_the_chunks():
    flat = np.ones(100)
    ends = [count for count in range(1, 100) if levelled_off(flat[:count], 0.1, 20)]
    assert ends == [21, 41, 61, 81]
