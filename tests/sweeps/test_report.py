"""The report of a sweep, made from its folder alone."""

import csv
import json
import re
import tracemalloc

import numpy as np
import pytest
from conftest import picture
from PIL import Image

from jax_nst import Config, Grid, Status, load_image, save_image
from jax_nst.images import load_settings
from jax_nst.sweeps.entries import make_entries, write_entries
from jax_nst.sweeps.job import make_job
from jax_nst.sweeps.keys import identify_pictures
from jax_nst.sweeps.labels import item_labels
from jax_nst.sweeps.records import Record, write_batch
from jax_nst.sweeps.report import make_report, save_inputs
from jax_nst.transfer.outcome import Outcome

NAMES = ("total", "content", "style", "tv")
LOSSES = [f"{name}_loss" for name in NAMES]
NOISE = Config(steps=2, size=30, init="noise", features="wavelet")


def entries_of(job):
    keys = [f"key{item}" for item in range(len(job.items))]
    return make_entries(job, keys, identify_pictures(job), lambda config: NAMES, {})


def folder_of(folder, job, reached, bad=()):
    """The folder of a sweep that has reached some of its items."""
    folder.mkdir(exist_ok=True)
    rows = []
    for index in reached:
        item = job.items[index]
        labels = item_labels(item, job.axes)
        for name, value in item.values.items():
            if name not in ("content", "style", "init"):
                labels[name] = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        row = {"item": index, "key": f"key{index}", **labels, **dict.fromkeys(LOSSES, ""), "seconds": 1.5}
        if index in bad:
            rows.append({**row, "file": "", "status": "failed: bad.png: is damaged"})
            continue
        save_image(folder / job.files[index], picture(20, 30, index))
        rows.append({**row, **dict.fromkeys(LOSSES, 2.0), "file": job.files[index], "status": "ok"})
    settings = {
        "config": {"steps": job.config.steps},
        "features": job.config.features,
        "grid": {"zip": job.grid.zip, "blend": job.grid.blend},
        "contents": list(job.contents),
        "styles": list(job.styles),
        "items": len(job.items),
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    with (folder / "results.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["item", "key", *job.axes, *LOSSES, "seconds", "file", "status"])
        table.writeheader()
        table.writerows(rows)
    (folder / "batches").mkdir(exist_ok=True)
    losses = np.repeat(np.array([3.0, 2.0, 2.5], np.float32)[:, None], len(NAMES), axis=1)
    good = [index for index in reached if index not in bad]
    outcome = Outcome(-1, Status.FINISHED, "ok", None, (), losses, 1.5)
    write_batch(folder, {f"key{i}": Record(outcome, 2, 1, NAMES, job.files[i]) for i in good})
    write_entries(folder, entries_of(job))
    return folder


def data_of(folder):
    text = (folder / "index.html").read_text()
    return json.loads(re.findall(r'<script id="data"[^>]*>(.*?)</script>', text, re.DOTALL)[0])


@pytest.fixture
def job(tmp_path):
    save_image(tmp_path / "c.png", picture(40, 60, 1))
    save_image(tmp_path / "s.png", picture(20, 20, 2))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    styles = [str(tmp_path / name) for name in ("s.png", "bad.png")]
    return make_job([str(tmp_path / "c.png")], styles, Grid(seed=(1, 2)), NOISE)


def test_a_report_shows_every_item_that_was_reached(job, tmp_path):
    folder = folder_of(tmp_path / "sweep", job, [0, 1, 2], bad=[2])
    make_report(folder)
    assert load_settings(folder / "contact_sheet.png") == {"sweep": "4 pictures, 2 steps, wavelet"}
    assert load_image(folder / "contact_sheet.png").ndim == 3
    text = (folder / "index.html").read_text()
    assert "4 pictures, 2 steps, wavelet: 3 so far" in text
    assert "failed: bad.png: is damaged" in text
    items = data_of(folder)["items"]
    assert [item["file"] for item in items] == [*job.files[:2], ""]
    assert [item["labels"]["seed"] for item in items] == ["1", "2", "1"]
    assert items[0]["losses"]["total_loss"] == 2.0
    assert items[0]["curve"] == [[0, 3.0], [1, 2.0], [2, 2.5]]


def test_a_report_needs_no_inputs_but_the_copies_in_the_folder(job, tmp_path):
    folder = folder_of(tmp_path / "sweep", job, range(4), bad=[2, 3])
    save_inputs(folder, job, entries_of(job).values())
    for name in ("c.png", "s.png", "bad.png"):
        (tmp_path / name).unlink()
    moved = folder.rename(tmp_path / "moved")
    make_report(moved)
    data = data_of(moved)
    assert data["inputs"]["style 0"]["file"] == "inputs/style_0_s.png"
    assert [item["inputs"] for item in data["items"]] == [["content 0", "style 0"]] * 2 + [
        ["content 0", "style 1"]
    ] * 2


def test_inputs_are_saved_no_larger_than_the_pictures_and_once(job, tmp_path):
    """An input that cannot be read is left out."""
    folder = folder_of(tmp_path / "sweep", job, [])
    save_inputs(folder, job, entries_of(job).values())
    make_report(folder)
    inputs = folder / "inputs"
    assert sorted(path.name for path in inputs.iterdir()) == ["content_0_c.png", "style_0_s.png"]
    assert load_image(inputs / "content_0_c.png").shape == (20, 30, 3)
    assert load_image(inputs / "style_0_s.png").shape == (20, 20, 3)
    (tmp_path / "c.png").unlink()
    save_inputs(folder, job, entries_of(job).values())
    assert (inputs / "content_0_c.png").exists()


def test_inputs_are_saved_with_the_items_that_use_them(job, tmp_path):
    """Not all at once, before the first step of a large sweep."""
    folder = folder_of(tmp_path / "sweep", job, [])
    entries = list(entries_of(job).values())
    by_style = {item.styles: number for number, item in enumerate(job.items)}
    save_inputs(folder, job, [entries[by_style[(1,)]]])
    assert [path.name for path in (folder / "inputs").iterdir()] == ["content_0_c.png"]
    save_inputs(folder, job, [entries[by_style[(0,)]]])
    assert (folder / "inputs" / "style_0_s.png").exists()


def test_a_report_of_nothing_yet(job, tmp_path):
    folder = folder_of(tmp_path / "sweep", job, [])
    (folder / "results.csv").unlink()
    (folder / "batches" / "00001.npz").unlink()
    make_report(folder)
    assert "0 so far" in (folder / "index.html").read_text()


@pytest.mark.parametrize("damage", ["missing", "cut", "text"])
def test_damaged_pictures_and_histories_do_not_stop_a_report(damage, job, tmp_path):
    folder = folder_of(tmp_path / "sweep", job, [0, 1])
    for file in (folder / job.files[0], folder / "batches" / "00001.npz"):
        if damage == "missing":
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[:100] if damage == "cut" else b"text")
    make_report(folder)
    text = (folder / "index.html").read_text()
    assert f"{job.files[0]} is missing or damaged" in text
    assert data_of(folder)["items"][1]["curve"] == []


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("settings.json", None, r"sweep: holds no sweep \(settings.json is missing\)"),
        ("settings.json", "{", "settings.json: cannot be read, or holds no settings of a sweep"),
        ("settings.json", "[1]", "settings.json: cannot be read, or holds no settings of a sweep"),
        ("results.csv", "a,b\n1,2\n", "results.csv: cannot be read, or is no table of a sweep"),
    ],
)
def test_a_folder_without_a_sweep_is_refused(file, content, message, job, tmp_path):
    folder = folder_of(tmp_path / "sweep", job, [0])
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content)
    with pytest.raises(ValueError, match=message):
        make_report(folder)


def test_a_table_with_a_byte_order_mark_and_another_column_is_read(job, tmp_path):
    folder = folder_of(tmp_path / "sweep", job, [0, 1])
    with (folder / "results.csv").open(newline="") as file:
        rows = [{**row, "mine": "good"} for row in csv.DictReader(file)]
    with (folder / "results.csv").open("w", newline="", encoding="utf-8-sig") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    make_report(folder)
    assert [item["labels"] for item in data_of(folder)["items"]] == [
        {"style": "s", "seed": "1"}, {"style": "s", "seed": "2"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("contents", "styles", "grid", "expected"),
    [
        (2, 2, Grid(tv_weight=(1, 2)), [(0, 0), (0, 0), (0, 1), (0, 1), (1, 0), (1, 0), (1, 1), (1, 1)]),
        (1, 3, Grid(tv_weight=(1, 2, 3), zip=True), [(0, 0), (0, 1), (0, 2)]),
        (2, 2, Grid(blend=((1, 2), (2, 1))), [(0, 0, 1), (0, 0, 1), (1, 0, 1), (1, 0, 1)]),
    ],
)
def test_cards_know_the_inputs_of_their_item(contents, styles, grid, expected, tmp_path):
    paths = [[f"{kind}{index}.png" for index in range(n)] for kind, n in (("c", contents), ("s", styles))]
    job = make_job(*paths, grid, NOISE)
    make_report(folder_of(tmp_path / "sweep", job, range(len(job.items))))
    data = data_of(tmp_path / "sweep")
    assert [item["inputs"] for item in data["items"]] == [
        [f"content {content}", *(f"style {index}" for index in of_item)] for content, *of_item in expected
    ]
    assert data["paired"] == grid.zip


def test_labels_are_those_of_the_files(tmp_path):
    grid = Grid(style_weight=(1000, 1 / 3), blend=((0.7, 0.3), (1, 1)), seed=(5, 6))
    job = make_job(["c.png"], ["x/s.png", "y/s.png"], grid, NOISE)
    make_report(folder_of(tmp_path / "sweep", job, range(8)))
    for item, file in zip(data_of(tmp_path / "sweep")["items"], job.files, strict=True):
        assert "__".join(f"{name}={label}" for name, label in item["labels"].items()) + ".png" == file


def test_pictures_of_many_items_are_not_held_at_once(tmp_path):
    """Each is 3 MB as floats; 40 of them were held as thumbnails of 0.8 MB."""
    job = make_job(["c.png"], ["s.png"], Grid(seed=range(40)), NOISE)
    folder = folder_of(tmp_path / "sweep", job, range(40))
    noise = np.random.default_rng(0).integers(0, 255, (512, 512, 3), np.uint8)
    for file in job.files:
        Image.fromarray(noise).save(folder / file)
    tracemalloc.start()
    try:
        make_report(folder)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 25e6


def test_a_report_has_the_spread_over_seeds_and_a_map(job, tmp_path):
    folder = folder_of(tmp_path / "sweep", job, [0, 1])
    make_report(folder)
    (group,) = data_of(folder)["groups"]
    assert (group["labels"], group["seeds"]) == ({"style": "s"}, ["1", "2"])
    assert group["losses"]["total_loss"] == 2.0
    assert group["spread"]["total_loss"] == 0.0
    (file, *size), rms = group["deviation"]
    assert load_image(folder / file).shape == (*size[::-1], 3)
    pictures = np.array([load_image(folder / file) for file in job.files[:2]], np.float64)
    assert rms == pytest.approx(np.sqrt(pictures.var(axis=0, ddof=1).mean()), rel=1e-4)


def test_a_second_report_makes_the_thumbnails_of_new_pictures_only(job, tmp_path, monkeypatch):
    folder = folder_of(tmp_path / "sweep", job, [0, 1])
    make_report(folder)
    read = []
    monkeypatch.setattr(
        "jax_nst.sweeps.thumbnails.load_image", lambda path: read.append(path.name) or load_image(path)
    )
    folder_of(folder, job, [0, 1])  # written again
    make_report(folder, running="run")
    assert read == job.files[:2]
    make_report(folder, running="run")
    assert read == job.files[:2]


def test_pages_of_an_earlier_and_longer_contact_sheet_are_removed(job, tmp_path, monkeypatch):
    folder = folder_of(tmp_path / "sweep", job, range(4))
    monkeypatch.setattr("jax_nst.sweeps.contact_sheet._MOST", 2)
    make_report(folder)
    names = ["contact_sheet.png", "contact_sheet_2.png"]
    assert sorted(path.name for path in folder.glob("contact_sheet*")) == names
    monkeypatch.setattr("jax_nst.sweeps.contact_sheet._MOST", 4)
    make_report(folder)
    assert [path.name for path in folder.glob("contact_sheet*")] == names[:1]
