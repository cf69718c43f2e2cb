"""The page of a sweep while it runs: what is appended for each batch."""

import json

import numpy as np
import pytest
from conftest import picture

from jax_nst import Config, Grid, Status, save_image
from jax_nst.sweeps.entries import make_entries
from jax_nst.sweeps.job import make_job
from jax_nst.sweeps.keys import identify_pictures
from jax_nst.sweeps.live import LivePage
from jax_nst.sweeps.records import Record
from jax_nst.sweeps.report import make_report
from jax_nst.sweeps.tables import make_rows, write_results
from jax_nst.transfer.outcome import Outcome

NAMES = ("total", "content", "style", "tv")


def calls(folder):
    """What the script calls `progress` with, line by line."""
    lines = (folder / "progress.js").read_text().splitlines()
    assert all(line.startswith("progress({") and line.endswith("});") for line in lines)
    return [json.loads(line.removeprefix("progress(").removesuffix(");")) for line in lines]


@pytest.fixture
def sweep(tmp_path):
    """The entries of six items and their folder, which is open."""
    config = Config(steps=2, size=30, init="noise", features="wavelet")
    job = make_job(["c.png"], ["s.png"], Grid(style_weight=(1, 1000000), seed=(1, 2, 3)), config)
    keys = [f"key{item}" for item in range(6)]
    entries = make_entries(job, keys, identify_pictures(job), lambda config: NAMES, {})
    folder = tmp_path / "sweep"
    (folder / "batches").mkdir(parents=True)
    settings = {
        "config": {"steps": 2},
        "features": "wavelet",
        "grid": {"zip": False, "blend": False},
        "contents": list(job.contents),
        "styles": list(job.styles),
        "items": len(job.items),
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    return entries, folder


def add(live, entries, folder, chosen, measures=None):
    """A batch of items, of which each has a picture."""
    losses = np.array([[3.0, 1, 1, 1], [2.0, 1, 1, 0], [np.nan] * 4], np.float32)
    records = {}
    for item in chosen:
        file, outcome = (
            entries[f"key{item}"].file,
            Outcome(item, Status.FINISHED, "ok", None, (), losses, 1.5),
        )
        records[f"key{item}"] = Record(outcome, len(chosen), 1, NAMES, file)
        save_image(folder / file, picture(20, 30, item))
    rows = make_rows(entries, records, {record.file: measures or {} for record in records.values()})
    write_results(folder, entries, rows)
    live.add(records, rows)


def test_each_batch_is_appended_with_what_the_page_shows_of_its_items(sweep):
    entries, folder = sweep
    live = LivePage(folder, entries, 6)
    (begun,) = calls(folder)
    assert (begun["batch"], begun["done"], begun["of"], begun["items"]) == (0, 0, 6, [])
    assert begun["secondsLeft"] is None
    before = (folder / "progress.js").read_bytes()
    add(live, entries, folder, [0, 1], {"clipped": 0.25, "content_ssim": np.nan})
    add(live, entries, folder, [5])
    assert (folder / "progress.js").read_bytes().startswith(before)
    _, first, second = calls(folder)
    assert [(said["batch"], said["done"], len(said["items"])) for said in (first, second)] == [
        (1, 2, 2), (2, 3, 1),
    ]  # fmt: skip
    item = second["items"][0]
    assert item["labels"] == {"style_weight": "1e+06", "seed": "3"}
    assert item["losses"]["total_loss"] == 2.0
    assert item["curve"] == [[0, 3.0], [1, 2.0]]
    assert (item["inputs"], item["status"], item["outside"]) == (["content 0", "style 0"], "ok", False)
    assert first["items"][0]["measures"] == {"clipped": 0.25}
    name, *size = item["thumbnail"]
    assert (folder / name).exists()
    assert size == [30, 20]


def test_the_page_says_what_run_it_shows_and_knows_all_labels(sweep):
    entries, folder = sweep
    LivePage(folder, entries, 6)
    text = (folder / "index.html").read_text()
    (begun,) = calls(folder)
    assert f'"running":"{begun["run"]}"' in text
    assert '"labels":["1","2","3"]' in text
    # Another run of the sweep is told apart.
    LivePage(folder, entries, 6)
    assert calls(folder)[0]["run"] != begun["run"]


def test_the_time_left_is_that_of_the_items_so_far(sweep, monkeypatch):
    entries, folder = sweep
    now = [100.0]
    monkeypatch.setattr("jax_nst.sweeps.live.time.monotonic", lambda: now[0])
    live = LivePage(folder, entries, 4)  # two were there
    now[0] += 10
    add(live, entries, folder, [2])
    said = calls(folder)[-1]
    assert (said["done"], said["secondsLeft"]) == (3, 30.0)


def test_at_the_end_the_page_is_complete(sweep):
    entries, folder = sweep
    live = LivePage(folder, entries, 6)
    add(live, entries, folder, [0, 1])
    assert not (folder / "contact_sheet.png").exists()
    make_report(folder)
    assert not (folder / "progress.js").exists()
    assert '"running":""' in (folder / "index.html").read_text()
    assert (folder / "contact_sheet.png").exists()


def test_a_page_that_cannot_be_written_does_not_end_the_sweep(sweep):
    entries, folder = sweep
    live = LivePage(folder, entries, 6)
    (folder / "progress.js").unlink()
    (folder / "progress.js").mkdir()
    add(live, entries, folder, [0])
