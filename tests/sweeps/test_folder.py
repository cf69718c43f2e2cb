"""Sweeps on disk, killed and resumed."""

import contextlib
import csv
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest
from conftest import ROOT, picture
from PIL import Image
from tiny_sweeps import killed_before_rename

from jax_nst import Config, Grid, load_image, save_image
from jax_nst.cli.main import main
from jax_nst.images import load_picture, load_settings, quantize
from jax_nst.runtime.files import FileError
from jax_nst.runtime.locking import locked
from jax_nst.sweeps import picture_files
from jax_nst.sweeps.folder import run_in_folder
from jax_nst.sweeps.job import make_job
from jax_nst.transfer.engine import Hooks
from jax_nst.transfer.network import load_network

CONFIG = Config(
    features="wavelet",
    content_layers=("luma1",),
    style_layers=("scale1",),
    steps=3,
    size=24,
    optimizer="adam",
)
GRID = Grid(style_weight=(10.0, 1000.0, 5000.0))


@pytest.fixture
def inputs(tmp_path):
    for index, (height, width) in enumerate([(24, 20), (20, 24), (28, 28)]):
        save_image(tmp_path / f"p{index}.png", picture(height, width, index))
    return [str(tmp_path / f"p{index}.png") for index in range(3)]


def job_of(inputs, grid=GRID, **settings):
    return make_job(inputs[:1], inputs[1:], grid, dataclasses.replace(CONFIG, **settings))


def run(folder, job, *, callback=None, **options):
    network = load_network(job.config)
    return run_in_folder(folder, job, network, batch=2, hooks=Hooks(callback), **options)


def table(folder):
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def recorded(folder):
    """The items that have a record."""
    items = set()
    for path in (folder / "batches").glob("*.npz"):
        with np.load(path) as arrays:
            items.update(arrays["key"].tolist())
    return items


def contents_of(folder):
    """Every file, without what differs from run to run: the times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name == "results.csv":
            found[name] = [{k: v for k, v in row.items() if k != "seconds"} for row in table(folder)]
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                found[name] = {key: arrays[key].tobytes() for key in arrays if key != "seconds"}
        elif name in ("index.html", "results.parquet"):
            found[name] = True
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def test_files_of_a_sweep(tmp_path, inputs):
    job, folder = job_of(inputs), tmp_path / "out" / "sweep"
    rows = run(folder, job)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [
            *job.files,
            "results.csv",
            "results.parquet",
            "settings.json",
            "history.npz",
            "contact_sheet.png",
            "index.html",
            "inputs",
            "batches",
            "thumbnails",
        ]
    )
    written = table(folder)
    assert list(written[0]) == [
        "item", "key", "style", "style_weight", "total_loss", "content_loss", "style_loss", "tv_loss",
        "steps", "best_step", "seconds", "batch", "devices", "file", "status",
    ]  # fmt: skip
    assert [row["file"] for row in written] == job.files == [row["file"] for row in rows]
    assert {row["status"] for row in written} == {"ok"}
    assert [(row["style"], row["style_weight"]) for row in written[:3]] == [
        ("p1", "10.0"), ("p1", "1000.0"), ("p1", "5000.0"),
    ]  # fmt: skip
    with np.load(folder / "history.npz") as history:
        assert history["total"].shape == (6, 4)
        np.testing.assert_allclose(
            history["total"].min(axis=1), [float(row["total_loss"]) for row in written], rtol=1e-6
        )
        assert list(history["picture"]) == job.files
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["config"]["steps"] == 3
    assert [style["name"] for style in settings["styles"]] == ["p1.png", "p2.png"]
    assert str(tmp_path) not in (folder / "settings.json").read_text()
    assert load_settings(folder / job.files[0])["config"]["style_weight"] == 10.0
    assert load_image(folder / job.files[0]).shape == (24, 20, 3)
    assert (folder / "inputs" / "content_0_p0.png").exists()


def test_every_style_loss_has_a_column_and_a_history(tmp_path, inputs):
    job, folder = job_of(inputs, style_loss=("gram:2", "moments")), tmp_path / "sweep"
    run(folder, job)
    names = ["total", "content", "gram", "moments", "tv"]
    assert [name for name in table(folder)[0] if name.endswith("_loss")] == [f"{x}_loss" for x in names]
    with np.load(folder / "history.npz") as history:
        assert set(history) == {*names, "key", "picture"}
        lowest = history["total"].argmin(axis=1)
        for name in names:
            expected = [float(row[f"{name}_loss"]) for row in table(folder)]
            np.testing.assert_allclose(history[name][np.arange(6), lowest], expected, rtol=1e-6)
    rows = run(folder, job, resume=True)
    assert {row["status"] for row in rows} == {"ok"}
    with pytest.raises(ValueError, match=r'config\.style_loss: \["gram:2", "moments"\] there, null now'):
        run(folder, job_of(inputs), resume=True)


def test_alpha_is_kept(tmp_path, inputs):
    alpha = np.linspace(0, 1, 480).reshape(24, 20)
    save_image(inputs[0], picture(24, 20, 1), alpha=alpha)
    job = job_of(inputs)
    run(tmp_path / "sweep", job)
    kept = load_picture(tmp_path / "sweep" / job.files[0]).alpha
    assert kept is not None
    np.testing.assert_allclose(kept, alpha, atol=1 / 255)


@pytest.mark.slow
def test_contents_whose_file_has_another_shape_than_their_picture(tmp_path, inputs):
    """One with alpha is resized first, so that half its size is rounded twice; one lies on its side."""
    save_image(tmp_path / "alpha.png", picture(603, 1000), alpha=np.ones((603, 1000)))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(quantize(picture(64, 39))).save(tmp_path / "side.tif", exif=exif)
    contents = [str(tmp_path / name) for name in ("alpha.png", "side.tif")]
    config = dataclasses.replace(CONFIG, size=64, scales="2", steps=1)
    job = make_job(contents, inputs[:1], Grid(), config)
    rows = run(tmp_path / "sweep", job)
    assert [row["status"] for row in rows] == ["ok", "ok"]
    shapes = [load_image(tmp_path / "sweep" / file).shape for file in job.files]
    assert shapes == [(39, 64, 3), (39, 64, 3)]


def test_a_file_of_the_user_is_not_overwritten(tmp_path, inputs):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "index.html").write_text("mine")
    with pytest.raises(ValueError, match=r"index.html: exists but belongs to no sweep; choose another"):
        run(tmp_path / "sweep", job_of(inputs))
    assert [path.name for path in (tmp_path / "sweep").iterdir()] == ["index.html"]


@pytest.mark.slow
def test_a_sweep_killed_before_any_rename_ends_as_one_that_was_not(tmp_path, inputs, monkeypatch):
    """Before each time that a file takes its place, one after the other, until a run gets through."""
    job, whole = job_of(inputs), tmp_path / "whole"
    run(whole, job)
    expected, ran_again = contents_of(whole), []
    keys = [row["key"] for row in table(whole)]
    for moment in range(100):
        folder = tmp_path / f"killed{moment}"
        with killed_before_rename(monkeypatch, moment) as killed:
            run(folder, job)
        if not killed:
            break
        before = recorded(folder)
        seen = set()
        run(folder, job, resume=True, callback=lambda progress, seen=seen: seen.update(progress.items))
        assert contents_of(folder) == expected
        # What has a record is not run again.
        assert {keys[item] for item in seen} == set(keys) - before
        ran_again.append(len(seen))
    assert moment > 15
    assert sorted(set(ran_again), reverse=True) == [6, 4, 2, 0]


@pytest.mark.slow
def test_a_sweep_killed_by_the_system_and_resumed_ends_as_one_that_was_not(tmp_path, inputs):
    """SIGKILL, at moments that the folder tells: as it begins, at a picture, at the table."""
    arguments = [
        "--content", inputs[0], "--style", ",".join(inputs[1:]), "--style_weight", "10,1000,5000",
        "--features", "wavelet", "--content_layers", "luma1", "--style_layers", "scale1",
        "--optimizer", "adam",
        "--steps", "100", "--size", "24", "--batch", "2",  # long enough to be killed in between
    ]  # fmt: skip
    command = [sys.executable, str(ROOT / "main.py"), *arguments]
    whole = tmp_path / "whole"
    subprocess.run([*command, "--output", whole], check=True, capture_output=True)
    for moment in ("settings.json", "*.png", "results.csv"):
        folder = tmp_path / f"killed_{moment.strip('*.')}"
        process = subprocess.Popen([*command, "--output", folder], stderr=subprocess.DEVNULL)
        while not list(folder.glob(moment)) and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        subprocess.run([*command, "--output", folder, "--resume", folder], check=True, capture_output=True)
        assert contents_of(folder) == contents_of(whole)


def test_leftovers_of_a_killed_program_are_removed(tmp_path, inputs):
    job, folder = job_of(inputs), tmp_path / "sweep"
    run(folder, job)
    (folder / ".jax_nst.abc.tmp").write_text("half a pict")
    run(folder, job, resume=True)
    assert not list(folder.glob(".*"))


def test_a_folder_with_a_sweep_is_not_overwritten(tmp_path, inputs):
    run(tmp_path / "sweep", job_of(inputs))
    with pytest.raises(ValueError, match="holds a sweep already; go on with it by --resume"):
        run(tmp_path / "sweep", job_of(inputs))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 4}, r"config\.steps: 3 there, 4 now"),
        ({"tv_weight": 2.0}, r"config\.tv_weight: null there, 2\.0 now"),
        (
            {"grid": Grid(style_weight=(11.0, 999.0, 5001.0))},
            r"grid\.style_weight\[0\]: 10\.0 there, 11\.0 now",
        ),
        ({"grid": Grid(style_weight=(11.0,))}, r"grid\.style_weight: \[10\.0, 1000\.0, 5000\.0\] there"),
    ],
)
def test_other_settings_are_refused_with_the_difference(change, message, tmp_path, inputs):
    run(tmp_path / "sweep", job_of(inputs))
    with pytest.raises(ValueError, match=message):
        run(tmp_path / "sweep", job_of(inputs, **change), resume=True)


def test_another_picture_of_the_same_name_is_refused(tmp_path, inputs):
    run(tmp_path / "sweep", job_of(inputs))
    save_image(inputs[1], picture(20, 24, 77))
    with pytest.raises(ValueError, match=r"other settings \(styles: the contents of p1\.png differ\)"):
        run(tmp_path / "sweep", job_of(inputs), resume=True)


def test_a_bad_file_fails_alone_and_is_tried_again_once_mended(tmp_path, inputs):
    good = (tmp_path / "p1.png").read_bytes()
    (tmp_path / "p1.png").write_bytes(b"no picture")
    job, folder = job_of(inputs), tmp_path / "sweep"
    rows = run(folder, job)
    assert [row["status"] for row in rows[3:]] == ["ok"] * 3
    assert all(row["status"].startswith("failed: ") and "p1.png" in row["status"] for row in rows[:3])
    assert [row["file"] for row in rows[:3]] == [""] * 3
    assert rows[0]["total_loss"] == ""
    (tmp_path / "p1.png").write_bytes(good)
    seen = set()
    rows = run(folder, job, resume=True, callback=lambda progress: seen.update(progress.items))
    assert seen == {0, 1, 2}
    assert {row["status"] for row in rows} == {"ok"}
    run(tmp_path / "whole", job)
    assert [row["file"] for row in table(folder)] == [row["file"] for row in table(tmp_path / "whole")]


def test_a_content_that_cannot_be_read_fails_alone(tmp_path, inputs):
    missing = str(tmp_path / "missing.png")
    job = make_job([missing, inputs[0]], inputs[1:2], Grid(), CONFIG)
    rows = run(tmp_path / "sweep", job)
    assert [row["status"].split(":")[0] for row in rows] == ["failed", "ok"]
    assert "missing.png: no such image file" in rows[0]["status"]


def test_a_stopped_sweep_goes_on(tmp_path, inputs):
    job, folder = job_of(inputs, steps=40), tmp_path / "sweep"
    rows = run(folder, job, callback=lambda progress: progress.items_done >= 2 and progress.step >= 1)
    assert [row["status"].split(" ")[0] for row in rows] == ["ok", "ok", "stopped", "stopped"]
    assert (folder / "index.html").exists()
    rows = run(folder, job, resume=True)
    assert [row["status"] for row in rows] == ["ok"] * 6


# Inputs in the folder of the sweep, or around it.


@pytest.mark.parametrize(
    ("style", "output"), [("gl/*", "gl/sweep"), ("gl/**", "gl/sweep"), ("*.png", "."), (".", ".")]
)
def test_a_sweep_among_its_inputs_takes_none_of_its_own_files(style, output, tmp_path, inputs, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gl").mkdir()
    for path in inputs[1:]:
        Path(path).rename(tmp_path / ("gl" if output != "." else ".") / Path(path).name)
    arguments = [
        "main.py", "--content", "p0.png", "--style", style, "--style_weight", "10,1000", "--output", output,
        "--features", "wavelet", "--content_layers", "luma1", "--style_layers", "scale1",
        "--optimizer", "adam",
        "--steps", "3", "--size", "24", "--batch", "2", "--quiet",
    ]  # fmt: skip
    assert main(arguments) == 0
    before = contents_of(Path(output))
    (Path(output) / before["results.csv"][0]["file"]).unlink()
    assert main([*arguments, "--resume", output]) == 0
    assert contents_of(Path(output)).items() >= {k: v for k, v in before.items() if "npz" not in k}.items()


@pytest.mark.parametrize(
    "name",
    [
        "inputs/mine.png",
        "batches",
        "style=p1__style_weight=10.png",
        "contact_sheet_2.png",
        "thumbnails/a.jpg",
    ],
)
def test_files_of_the_user_are_not_taken_for_those_of_a_sweep(name, tmp_path, inputs):
    path = tmp_path / "sweep" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(ValueError, match="exists but belongs to no sweep; choose another --output"):
        run(tmp_path / "sweep", job_of(inputs))
    assert [p.read_text() for p in (tmp_path / "sweep").rglob("*") if p.is_file()] == ["mine"]


# Files that were damaged or edited.


@pytest.fixture
def finished(tmp_path, inputs):
    """A job, the folder of its finished sweep, and what is in it."""
    job, folder = job_of(inputs), tmp_path / "sweep"
    run(folder, job)
    return job, folder, contents_of(folder)


def resumed(folder, job):
    """Resumes; returns the items that were run, and what is in the folder but the files set aside."""
    seen = set()
    rows = run(folder, job, resume=True, callback=lambda progress: seen.update(progress.items))
    assert {row["status"] for row in rows} == {"ok"}
    return seen, {name: value for name, value in contents_of(folder).items() if ".old" not in name}


@pytest.mark.parametrize(
    "name", ["results.csv", "settings.json", "history.npz", "index.html", "contact_sheet.png"]
)
@pytest.mark.parametrize("kept", [0.5, 0, None], ids=["half", "empty", "missing"])
def test_what_is_made_from_the_records_is_made_again(kept, name, finished):
    job, folder, expected = finished
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    if kept is not None:
        path.write_bytes(content[: int(len(content) * kept)])
    kept_aside = name in ("results.csv", "settings.json") and kept is not None
    told = pytest.warns(UserWarning, match=f"{name}: (was|differs) .* kept as {name}.old")
    with told if kept == 0.5 and kept_aside else contextlib.nullcontext(), warnings.catch_warnings():
        if kept == 0:
            warnings.simplefilter("ignore")
        assert resumed(folder, job) == (set(), expected)
    if kept == 0.5 and kept_aside:
        assert (folder / f"{name}.old").read_bytes() == content[: len(content) // 2]


def test_an_edited_table_is_kept_and_written_again(finished):
    job, folder, expected = finished
    edited = (folder / "results.csv").read_text().replace(",", ";").replace("ok", "lovely")
    (folder / "results.csv").write_text("\ufeff" + edited)
    with pytest.warns(UserWarning, match=r"results\.csv: differs from the records of the sweep; kept as"):
        assert resumed(folder, job) == (set(), expected)
    assert (folder / "results.csv.old").read_text() == "\ufeff" + edited


def test_damaged_pictures_are_made_again(finished):
    job, folder, expected = finished
    for item, damage in ((1, lambda x: x[: len(x) // 2]), (4, lambda x: x[:100] + b"?" + x[101:])):
        path = folder / job.files[item]
        path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(UserWarning, match=r"pictures damaged: 2, painted again"):
        seen, found = resumed(folder, job)
    assert seen == {1, 4}
    assert {k: v for k, v in found.items() if "batches" not in k} == {
        k: v for k, v in expected.items() if "batches" not in k
    }
    assert (folder / f"{job.files[1]}.old").exists()
    assert resumed(folder, job)[0] == set()


def test_damaged_records_cost_their_batch(finished):
    job, folder, expected = finished
    path = folder / "batches" / "00002.npz"
    path.write_bytes(path.read_bytes()[:-30])
    told = pytest.warns(UserWarning, match=r"00002\.npz: is damaged")
    with told, pytest.warns(UserWarning, match=r"results\.csv: differs from the records"):
        seen, found = resumed(folder, job)
    assert seen == {2, 3}
    assert found["results.csv"] == expected["results.csv"]
    assert found["history.npz"] == expected["history.npz"]


# Runs at once, and runs that are stopped.


def test_a_folder_at_work_is_not_resumed(finished):
    job, folder, expected = finished
    with locked(folder), pytest.raises(ValueError, match=r"another run \(process \d+\) is at work in it"):
        run(folder, job, resume=True)
    assert resumed(folder, job) == (set(), expected)


def test_an_item_that_was_stopped_before_its_first_step_leaves_nothing(tmp_path, inputs):
    job, folder = job_of(inputs), tmp_path / "sweep"
    assert run(folder, job, callback=lambda progress: True) == []
    assert not list(folder.glob("*.png"))
    assert not (folder / "results.csv").exists()
    rows = run(folder, job, resume=True, callback=lambda progress: progress.items_done > 0)
    assert [row["item"] for row in rows] == [0, 1]
    assert {row["status"] for row in run(folder, job, resume=True)} == {"ok"}


def test_a_stopped_picture_stays_until_there_is_a_better_one(tmp_path, inputs):
    job, folder = job_of(inputs, steps=40), tmp_path / "sweep"
    before = run(folder, job, callback=lambda progress: progress.step >= 1)
    shutil.rmtree(folder / "checkpoint")  # with it the run would go on where it was stopped
    assert run(folder, job, resume=True, callback=lambda progress: True) == before
    assert all((folder / row["file"]).exists() for row in before)
    assert table(folder)[0]["status"].startswith("stopped after step")


def test_an_item_that_never_improved_says_so(tmp_path, inputs):
    job, folder = job_of(inputs, optimizer="adam", learning_rate=1e6), tmp_path / "sweep"
    rows = run(folder, job)
    assert {(row["status"].split(":")[0], row["best_step"]) for row in rows} == {("unchanged", 0)}
    assert {row["best_step"] for row in run(tmp_path / "good", job_of(inputs))} == {3}
    seen = set()
    run(folder, job, resume=True, callback=lambda progress: seen.update(progress.items))
    assert seen == set()


def test_the_batch_and_the_devices_are_in_each_row(tmp_path, inputs):
    bad = str(tmp_path / "missing.png")
    job = make_job([inputs[0], bad], inputs[1:2], GRID, CONFIG)
    rows = run(tmp_path / "sweep", job)
    devices = jax.device_count()
    assert [(row["batch"], row["devices"]) for row in rows] == [(2 * devices, devices)] * 3 + [("", "")] * 3


def test_a_full_disk_loses_no_other_item_and_names_resume(tmp_path, inputs, monkeypatch):
    job, folder = job_of(inputs), tmp_path / "sweep"

    def save(path, pixels, **rest):
        if path == folder / job.files[2]:
            raise FileError(f"{path}: cannot be written (No space left on device)")
        save_image(path, pixels, **rest)

    monkeypatch.setattr(picture_files, "save_image", save)
    message = r"1e\+03|5000|5e\+03.*\(No space left on device\); mend that and go on with --resume"
    with pytest.raises(FileError, match=message):
        run(folder, job)
    assert [int(row["item"]) for row in table(folder)] == [0, 1, 3]
    monkeypatch.setattr(picture_files, "save_image", save_image)
    assert resumed(folder, job)[0] == {2, 4, 5}


def test_a_folder_that_cannot_be_made_is_refused(tmp_path, inputs):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be made a folder"):
        run(tmp_path / "file", job_of(inputs))
