"""The page of a sweep while it runs: what is appended for each batch."""

import json

import numpy as np
import pytest
from conftest import picture

from jax_nst import Config, Grid, Status, save_image
from jax_nst.sweeps.job import make_job
from jax_nst.sweeps.live import LivePage
from jax_nst.sweeps.records import Record
from jax_nst.sweeps.report import make_report
from jax_nst.sweeps.tables import make_row, write_results
from jax_nst.transfer.outcome import Outcome

NAMES = ("total", "content", "style", "tv")


def calls(folder):
    """What the script calls `progress` with, line by line."""
    lines = (folder / "progress.js").read_text().splitlines()
    assert all(line.startswith("progress({") and line.endswith("});") for line in lines)
    return [json.loads(line.removeprefix("progress(").removesuffix(");")) for line in lines]


@pytest.fixture
def sweep(tmp_path):
    """A job of six items and its folder, which is open."""
    config = Config(steps=2, size=30, init="noise", features="wavelet")
    job = make_job(["c.png"], ["s.png"], Grid(style_weight=(1, 1000000), seed=(1, 2, 3)), config)
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
    return job, folder


def add(live, job, folder, chosen, measures=None):
    """A batch of items, of which each has a picture."""
    losses = np.array([[3.0, 1, 1, 1], [2.0, 1, 1, 0], [np.nan] * 4], np.float32)
    records = [
        Record(Outcome(item, Status.FINISHED, "ok", None, (), losses, 1.5), len(chosen), 1)
        for item in chosen
    ]
    for item in chosen:
        save_image(folder / job.files[item], picture(20, 30, item))
    rows = {
        item: make_row(job, record, NAMES, measures) for item, record in zip(chosen, records, strict=True)
    }
    write_results(folder, job, rows, NAMES)
    live.add(records, rows)


def test_each_batch_is_appended_with_what_the_page_shows_of_its_items(sweep):
    job, folder = sweep
    live = LivePage(folder, job, 6)
    (begun,) = calls(folder)
    assert (begun["batch"], begun["done"], begun["of"], begun["items"]) == (0, 0, 6, [])
    assert begun["secondsLeft"] is None
    before = (folder / "progress.js").read_bytes()
    add(live, job, folder, [0, 1], {"clipped": 0.25, "content_ssim": np.nan})
    add(live, job, folder, [5])
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
    job, folder = sweep
    LivePage(folder, job, 6)
    text = (folder / "index.html").read_text()
    (begun,) = calls(folder)
    assert f'"running":"{begun["run"]}"' in text
    assert '"labels":["1","2","3"]' in text
    # Another run of the sweep is told apart.
    LivePage(folder, job, 6)
    assert calls(folder)[0]["run"] != begun["run"]


def test_the_time_left_is_that_of_the_items_so_far(sweep, monkeypatch):
    job, folder = sweep
    now = [100.0]
    monkeypatch.setattr("jax_nst.sweeps.live.time.monotonic", lambda: now[0])
    live = LivePage(folder, job, 4)  # two were there
    now[0] += 10
    add(live, job, folder, [2])
    said = calls(folder)[-1]
    assert (said["done"], said["secondsLeft"]) == (3, 30.0)


def test_at_the_end_the_page_is_complete(sweep):
    job, folder = sweep
    live = LivePage(folder, job, 6)
    add(live, job, folder, [0, 1])
    assert not (folder / "contact_sheet.png").exists()
    make_report(folder)
    assert not (folder / "progress.js").exists()
    assert '"running":""' in (folder / "index.html").read_text()
    assert (folder / "contact_sheet.png").exists()


def test_a_page_that_cannot_be_written_does_not_end_the_sweep(sweep):
    job, folder = sweep
    live = LivePage(folder, job, 6)
    (folder / "progress.js").unlink()
    (folder / "progress.js").mkdir()
    add(live, job, folder, [0])
