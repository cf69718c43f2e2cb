import csv

import numpy as np
import pytest

from jax_nst import Config, Grid, Status
from jax_nst.sweeps.job import make_job
from jax_nst.sweeps.tables import (
    gather_outcomes,
    is_finished,
    loss_columns,
    make_row,
    read_history,
    read_results,
    write_history,
    write_results,
)
from jax_nst.transfer.outcome import Outcome, failed

NAMES = ("total", "content", "style", "moments", "tv")
GRID = Grid(style_weight=(1 / 3, 1000.0), style_layer_weights=((1.0, 2.0), (2.0, 1.0)), seed=(7,))
JOB = make_job(["a/cat.png"], ["waves.jpg", "b/night.jpg"], GRID, Config(steps=2))


def outcome(item, losses, status=Status.FINISHED, message="ok"):
    rows = np.array(losses, np.float32)[:, None] * np.arange(1, 6, dtype=np.float32)
    return Outcome(item, status, message, np.zeros((2, 2, 3), np.float32), (), rows, 1.23456)


def test_the_columns_of_the_losses_are_named_after_the_terms():
    assert loss_columns(NAMES) == ["total_loss", "content_loss", "style_loss", "moments_loss", "tv_loss"]


def test_a_row_holds_values_in_full_and_the_best_losses():
    assert make_row(JOB, outcome(1, [3, 2, 2.5]), NAMES) == {
        "item": 1,
        "style": "waves",
        "style_weight": 1 / 3,
        "style_layer_weights": "2.0,1.0",
        "total_loss": 2.0,
        "content_loss": 4.0,
        "style_loss": 6.0,
        "moments_loss": 8.0,
        "tv_loss": 10.0,
        "steps": 2,
        "seconds": 1.235,
        "file": JOB.files[1],
        "status": "ok",
    }


def test_a_row_of_an_item_that_failed_has_no_file_and_no_losses():
    row = make_row(JOB, failed(0, "p.png: is damaged", NAMES), NAMES)
    assert (row["file"], row["steps"], row["status"]) == ("", 0, "failed: p.png: is damaged")
    assert {row[name] for name in loss_columns(NAMES)} == {""}


def test_results_are_read_as_they_were_written(tmp_path):
    rows = {index: make_row(JOB, outcome(index, [3, 2]), NAMES) for index in (5, 0, 3)}
    write_results(tmp_path, JOB, rows, NAMES)
    with (tmp_path / "results.csv").open(newline="") as file:
        table = csv.DictReader(file)
        assert [int(row["item"]) for row in table] == [0, 3, 5]
        assert table.fieldnames == list(rows[0])
    found = read_results(tmp_path, JOB)
    assert {k: {n: str(v) for n, v in row.items()} for k, row in rows.items()} == found


def test_rows_beyond_the_items_are_left_out(tmp_path):
    row = make_row(JOB, outcome(0, [3, 2]), NAMES)
    write_results(tmp_path, JOB, {0: row, 8: {**row, "item": 8}}, NAMES)
    assert list(read_results(tmp_path, JOB)) == [0]


def test_no_table_has_no_rows(tmp_path):
    assert read_results(tmp_path, JOB) == {}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("ok", True),
        ("diverged at step 3; the best before is kept", True),
        ("stopped after step 3", False),
        ("stopped at 24 pixels, after step 3", False),
        ("failed: p.png: is damaged", False),
    ],
)
def test_a_row_is_finished_if_its_run_came_to_an_end_and_its_file_is_there(status, expected, tmp_path):
    (tmp_path / "p.png").touch()
    assert is_finished(tmp_path, {"status": status, "file": "p.png"}) == expected
    assert not is_finished(tmp_path, {"status": status, "file": "none.png"})
    assert not is_finished(tmp_path, {"status": status, "file": ""})


def test_history_is_read_as_it_was_written(tmp_path):
    history = np.arange(8 * 3 * 5, dtype=np.float32).reshape(8, 3, 5)
    assert np.isnan(read_history(tmp_path, JOB, NAMES)).all()
    assert read_history(tmp_path, JOB, NAMES).shape == history.shape
    write_history(tmp_path, JOB, history, NAMES)
    np.testing.assert_array_equal(read_history(tmp_path, JOB, NAMES), history)
    with np.load(tmp_path / "history.npz") as arrays:
        assert set(arrays) == {*NAMES, "picture"}
        np.testing.assert_array_equal(arrays["moments"], history[..., 3])
        assert list(arrays["picture"]) == JOB.files


def test_a_single_process_keeps_its_outcomes():
    outcomes = [outcome(0, [3, 2])]
    assert gather_outcomes([0], outcomes, 3, NAMES) == outcomes


def test_outcomes_of_other_processes_come_without_their_pictures(monkeypatch):
    """Two processes, of which the other has what this one has, for the items after it."""
    from jax_nst.runtime import distributed

    long = "failed: " + "ü" * 300
    mine = [outcome(0, [3, 2, 1]), failed(2, "", NAMES)._replace(message=long)]
    theirs = [outcome(3, [5, 4], Status.STOPPED, "stopped after step 1"), outcome(1, [9])]
    sent = []

    def packed(outcomes):
        monkeypatch.setattr(distributed, "gather", lambda array: sent.append(array) or array[None])
        gather_outcomes([0, 1, 2, 3], outcomes, 3, NAMES)
        return [sent.pop(0), sent.pop(0)]

    monkeypatch.setattr(distributed, "num_processes", lambda: 2)
    others = packed(theirs)
    monkeypatch.setattr(distributed, "gather", lambda array: np.stack([array, others.pop(0)]))
    found = {x.item: x for x in gather_outcomes([0, 1, 2, 3], mine, 3, NAMES)}
    assert sorted(found) == [0, 1, 2, 3]
    for expected in (*mine, *theirs):
        got = found[expected.item]
        assert (got.status, got.pixels) == (expected.status, None)
        assert expected.message.startswith(got.message)
        assert len(got.message) > 100 or got.message == expected.message
        np.testing.assert_array_equal(got.losses, expected.losses)
        assert got.seconds == pytest.approx(expected.seconds)
