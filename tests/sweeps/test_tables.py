import codecs
import csv
import math

import numpy as np
import pytest

from jax_nst import Config, Grid, Status
from jax_nst.sweeps.entries import make_entries
from jax_nst.sweeps.job import make_job
from jax_nst.sweeps.keys import identify_pictures
from jax_nst.sweeps.records import Record, merged
from jax_nst.sweeps.tables import (
    gather_outcomes,
    keep_edited_results,
    loss_columns,
    make_rows,
    told,
    write_history,
    write_results,
)
from jax_nst.transfer.outcome import Outcome, failed

NAMES = ("total", "content", "style", "moments", "tv")
GRID = Grid(style_weight=(1 / 3, 1000.0), style_layer_weights=((1.0, 2.0), (2.0, 1.0)), seed=(7,))
JOB = make_job(["a/cat.png"], ["waves.jpg", "b/night.jpg"], GRID, Config(steps=2))
KEYS = [f"key{item}" for item in range(8)]
ENTRIES = make_entries(JOB, KEYS, identify_pictures(JOB), lambda config: NAMES, {})


def outcome(item, losses, status=Status.FINISHED, message="ok"):
    rows = np.array(losses, np.float32)[:, None] * np.arange(1, 6, dtype=np.float32)
    return Outcome(item, status, message, np.zeros((2, 2, 3), np.float32), (), rows, 1.23456)


def records_of(*outcomes, slots=(4, 2)):
    return {KEYS[x.item]: Record(x, *slots, NAMES, JOB.files[x.item]) for x in outcomes}


def row_of(outcome, measures=None, slots=(4, 2)):
    of_file = {} if measures is None else {JOB.files[outcome.item]: measures}
    return make_rows(ENTRIES, records_of(outcome, slots=slots), of_file)[KEYS[outcome.item]]


def test_the_columns_of_the_losses_are_named_after_the_terms():
    assert loss_columns(NAMES) == ["total_loss", "content_loss", "style_loss", "moments_loss", "tv_loss"]


def test_a_row_holds_values_in_full_and_the_best_losses():
    assert row_of(outcome(1, [3, 2, 2.5])) == {
        "item": 1,
        "key": "key1",
        "style": "waves",
        "style_weight": 1 / 3,
        "style_layer_weights": "2.0,1.0",
        "total_loss": 2.0,
        "content_loss": 4.0,
        "style_loss": 6.0,
        "moments_loss": 8.0,
        "tv_loss": 10.0,
        "steps": 2,
        "best_step": 1,
        "seconds": 1.235,
        "batch": 4,
        "devices": 2,
        "file": JOB.files[1],
        "status": "ok",
    }


def test_a_row_of_an_item_that_failed_has_no_file_and_no_losses():
    row = row_of(failed(0, "p.png: is damaged", NAMES), slots=(0, 0))
    assert {row[name] for name in ("best_step", "batch", "devices")} == {""}
    assert (row["file"], row["steps"], row["status"]) == ("", 0, "failed: p.png: is damaged")
    assert {row[name] for name in loss_columns(NAMES)} == {""}


def results(tmp_path, *batches):
    """The table of these batches, written; and their records."""
    records = [records_of(*batch, slots=(2, 1)) for batch in batches]
    write_results(tmp_path, ENTRIES, make_rows(ENTRIES, merged(records), {}))
    return tmp_path / "results.csv", records


@pytest.mark.parametrize(
    ("losses", "expected"),
    [([3, 2, 1], 2), ([3, np.nan, 4], 0), ([3, 2, np.inf], 1), ([np.nan], ""), ([], "")],
)
def test_the_best_step_is_that_of_the_picture(losses, expected):
    assert row_of(outcome(1, losses))["best_step"] == expected


def test_results_are_in_the_order_of_the_items(tmp_path):
    path, _ = results(tmp_path, [outcome(index, [3, 2]) for index in (5, 0, 3)])
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        assert [int(row["item"]) for row in table] == [0, 3, 5]
        assert table.fieldnames == list(row_of(outcome(0, [3])))
    assert not path.read_bytes().startswith(codecs.BOM_UTF8)


def test_results_as_they_were_written_are_kept(tmp_path):
    """Also those that a kill kept from the latest records, and those of items that were run again."""
    path, records = results(tmp_path, [outcome(0, [3, 2]), outcome(1, [3, 2], Status.STOPPED, "stopped")])
    before = path.read_bytes()
    newer = records_of(outcome(1, [3, 1]), outcome(4, [3, 1]), slots=(2, 1))
    keep_edited_results(tmp_path, ENTRIES, [*records, newer], {})
    assert path.read_bytes() == before
    keep_edited_results(tmp_path / "none", ENTRIES, records, {})


MEASURES = {"content_ssim": 1 / 3, "clipped": math.nan}


def test_measures_are_columns_after_the_losses_of_a_measured_sweep(tmp_path):
    rows = {"key0": row_of(outcome(0, [3, 2]), MEASURES), "key1": row_of(outcome(1, [3, 2]))}
    write_results(tmp_path, ENTRIES, rows)
    with (tmp_path / "results.csv").open(newline="", encoding="utf-8") as file:
        measured, other = csv.DictReader(file)
    columns = list(measured)
    assert columns[columns.index("tv_loss") + 1 : columns.index("steps")] == list(MEASURES)
    assert [measured[name] for name in MEASURES] == ["0.333333", ""]
    assert [other[name] for name in MEASURES] == ["", ""]


def test_results_written_before_and_after_measuring_are_kept(tmp_path):
    path, records = results(tmp_path, [outcome(0, [3, 2]), outcome(1, [3, 2])])
    measures = dict.fromkeys(JOB.files, MEASURES)
    plain, rows = (make_rows(ENTRIES, records[0], found) for found in ({}, measures))
    for measured in ({}, {"key0": rows["key0"]}, rows):
        write_results(tmp_path, ENTRIES, {**plain, **measured})
        before = path.read_bytes()
        keep_edited_results(tmp_path, ENTRIES, records, measures)
        assert path.read_bytes() == before


EDITS = {
    "another column": lambda text: "\n".join(f"{line},nice" for line in text.splitlines()),
    "semicolons": lambda text: text.replace(",", ";"),
    "a BOM": lambda text: "\ufeff" + text,
    "cut in half": lambda text: text[: len(text) // 2],
    "an unknown status": lambda text: text.replace("ok", "splendid"),
    "no text": lambda text: "\x00\x01",
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_edited_results_are_set_aside(edit, tmp_path):
    path, records = results(tmp_path, [outcome(0, [3, 2]), outcome(3, [3, 2])])
    edited = edit(path.read_text()).encode()
    path.write_bytes(edited)
    with pytest.warns(
        UserWarning, match=r"differs from the records of the sweep; kept as results\.csv\.old"
    ):
        keep_edited_results(tmp_path, ENTRIES, records, {})
    assert (tmp_path / "results.csv.old").read_bytes() == edited
    assert not path.exists()


def rows_of(*statuses):
    return [{"item": item, "status": status} for item, status in enumerate(statuses)]


def test_a_mistake_is_told_once():
    bad, other = "failed: c.png: is no image", "diverged at step 3; the best before is kept"
    assert told(rows_of(*[bad] * 300)) == [f"items 0-299: {bad}"]
    assert told(rows_of("ok", bad, "ok")) == [f"item 1: {bad}"]
    assert told(rows_of(bad, other, bad, bad, "ok")) == [
        f"items 0, 2-3 (3 of them): {bad}",
        f"item 1: {other}",
    ]
    assert told(rows_of("ok", "ok")) == told([]) == []
    assert told(rows_of(*[bad, "ok"] * 100)) == [
        f"items 0, 2, 4, 6, 8, 10, 12, 14, ... (100 of them): {bad}"
    ]


def test_many_mistakes_are_told_in_few_lines():
    lines = told(rows_of(*[f"failed: {name}.png: is no image" for name in range(100)]))
    assert len(lines) == 20
    assert lines[-1] == "and 81 other messages, see the column status of results.csv"


def test_history_has_an_array_for_each_loss(tmp_path):
    """Rows of items that were not reached, or ended before, are NaN there."""
    records = records_of(outcome(1, [3, 2]), outcome(3, [5, 4, 3]))
    write_history(tmp_path, ENTRIES, records)
    nan = math.nan
    with np.load(tmp_path / "history.npz") as arrays:
        assert set(arrays) == {*NAMES, "key", "picture"}
        expected = [[nan] * 3, [3, 2, nan], [nan] * 3, [5, 4, 3]]
        np.testing.assert_array_equal(arrays["total"][:4], expected)
        np.testing.assert_array_equal(arrays["moments"][1], [12, 8, nan])
        assert list(arrays["picture"]) == JOB.files
        assert list(arrays["key"]) == KEYS


def test_items_outside_the_grid_come_last_with_their_own_losses_and_steps(tmp_path):
    """They have a column for each setting in which they differ; what others lack is empty."""
    names = ("total", "other")
    entry = ENTRIES["key0"]
    values = {**entry.values, "tv_weight": 3.0}
    strange = entry._replace(item=None, file="strange.png", values=values, losses=list(names), steps=3)
    entries = {**ENTRIES, "strange": strange}
    curve = outcome(-1, [4, 3, 2, 1])
    records = {
        "strange": Record(curve._replace(losses=curve.losses[:, :2]), 4, 2, names, "strange.png"),
        **records_of(outcome(1, [3, 2])),
    }
    write_results(tmp_path, entries, make_rows(entries, records, {}))
    with (tmp_path / "results.csv").open(newline="", encoding="utf-8") as file:
        first, last = csv.DictReader(file)
    assert (first["item"], last["item"], last["key"]) == ("1", "", "strange")
    assert (first["tv_weight"], last["tv_weight"]) == ("", "3.0")
    assert (first["other_loss"], last["other_loss"], last["moments_loss"]) == ("", "2.0", "")
    write_history(tmp_path, entries, records)
    with np.load(tmp_path / "history.npz") as arrays:
        np.testing.assert_array_equal(arrays["total"][[1, 8]], [[3, 2, math.nan, math.nan], [4, 3, 2, 1]])
        assert np.isnan(arrays["other"][:8]).all()
        assert np.isnan(arrays["tv"][8]).all()


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
