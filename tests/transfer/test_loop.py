import numpy as np
import pytest

from jax_nst.transfer.loop import Stop, levelled_off, steps_in_chunks


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
def test_there_is_one_evaluation_more_than_updates(num_steps, in_step):
    calls = []
    chunks = list(steps_in_chunks(counting(calls), 0, (0.0,), num_steps, in_step=in_step))
    assert sum(calls) == num_steps + 1
    losses = np.concatenate([chunk.losses for chunk in chunks])
    np.testing.assert_array_equal(losses[:, 0], np.arange(num_steps + 1))
    seconds = np.concatenate([chunk.seconds for chunk in chunks])
    assert (np.diff(seconds) >= 0).all()
    assert chunks[-1].state == num_steps + 1


@pytest.mark.parametrize(
    ("stops", "expected"),
    [
        ([Stop(6)], {6, 12, 18, 20}),
        ([Stop(6, offset=2)], {4, 10, 16, 20}),  # at steps 6, 12 and 18 of all levels
        ([Stop(6), Stop(5)], {5, 6, 10, 12, 15, 18, 20}),
    ],
)
@pytest.mark.parametrize("in_step", [False, True])
def test_a_chunk_ends_at_every_stop(stops, expected, in_step):
    chunks = list(steps_in_chunks(counting([]), 0, (0.0,), 20, stops=stops, in_step=in_step))
    ends = {chunk.first + len(chunk.losses) - 1 for chunk in chunks}
    assert expected <= ends
    assert chunks[0].first == 0
    assert [chunk.first for chunk in chunks[1:]] == [
        chunk.first + len(chunk.losses) for chunk in chunks[:-1]
    ]


def test_chunks_of_several_processes_have_a_fixed_length():
    calls = []
    list(steps_in_chunks(counting(calls), 0, (0.0,), 70, in_step=True))
    assert calls == [32, 32, 7]


def test_rows_beyond_the_number_of_steps_are_cut():
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


def test_levelled_off_looks_at_multiples_of_patience_only():
    flat = np.ones(100)
    ends = [count for count in range(1, 100) if levelled_off(flat[:count], 0.1, 20)]
    assert ends == [21, 41, 61, 81]
