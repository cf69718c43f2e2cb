"""Plans: what they promise is what the run then does, and inputs that would fail are found."""

import csv
import dataclasses
import os

import jax
import numpy as np
import pytest
from conftest import picture
from jax.sharding import AxisType, Mesh

from jax_nst import Config, Grid, Halving, save_image
from jax_nst.runtime.memory import amount
from jax_nst.runtime.platform import current_platform
from jax_nst.sweeps import trials
from jax_nst.sweeps.folder import run_in_folder
from jax_nst.sweeps.inputs import agreed_sources
from jax_nst.sweeps.job import make_job
from jax_nst.sweeps.planning import done_items, forecast
from jax_nst.sweeps.sweeping import group_by_spec
from jax_nst.transfer.network import load_network
from jax_nst.transfer.plan import plan_many
from jax_nst.transfer.programs import on_all_devices
from jax_nst.transfer.rows import ITEMS
from jax_nst.transfer.targets import Preparation

CONFIG = Config(
    features="wavelet", content_layers=("luma1",), style_layers=("scale1",), steps=5, size=16, scales=1
)
GRID = Grid(style_weight=(10.0, 1000.0, 3000.0))


@pytest.fixture
def files(tmp_path):
    names = [str(tmp_path / f"p{index}.png") for index in range(3)]
    for index, (name, shape) in enumerate(zip(names, [(24, 18), (20, 24), (24, 24)], strict=True)):
        save_image(name, picture(*shape, index))
    return names


def plan(job, batch=None, **options):
    return forecast(job, load_network(job.config), batch=batch, **options)


def test_batch_programs_and_memory_are_those_of_the_run(files, tmp_path):
    job = make_job(files[:1], files[1:], GRID, CONFIG)
    network = load_network(CONFIG)
    lines, problems = forecast(job, network, batch=4)
    assert problems == []
    assert lines[0] == "6 pictures, style (2) x style_weight (3)"
    assert lines[1] == "sizes: 6 pictures with 5 steps at 12 x 16 pixels"
    assert lines[2].startswith("programs: 1 to compile; the first took ")
    run_in_folder(tmp_path / "out", job, network, batch=4)
    with (tmp_path / "out" / "results.csv").open(newline="") as file:
        (slots,) = {int(row["batch"]) for row in csv.DictReader(file)}
    assert lines[3].startswith(f"batches: {slots} pictures at once, ")
    num_bytes = bytes_of(job, network, slots)
    assert lines[4].startswith(f"memory: {amount(num_bytes)} of the ")
    assert lines[5].startswith("time: about 1 s for the steps")


def bytes_of(job, network, batch):
    """By compiling the program of the batch here."""
    platform = current_platform()
    contents, styles, found = agreed_sources(job)
    groups, resolved, _ = group_by_spec(network, contents, found, platform)
    ((spec, numbers),) = groups.items()
    mesh = Mesh(np.asarray(jax.devices()), (ITEMS,), axis_types=(AxisType.Auto,))
    preparation = Preparation(network, spec.levels[0], platform, contents, styles)
    params = network._replace(params=on_all_devices(network.params, mesh))
    items = [resolved[number] for number in numbers]
    made = plan_many(params, spec, spec.levels[0], preparation, mesh=mesh, items=items, batch=batch)
    return made.layout.programs.compile_advance(*made.layout.abstract(params.params))[1]


def test_nothing_is_written_and_what_is_done_is_left_out(files, tmp_path, monkeypatch):
    job = make_job(files[:1], files[1:], GRID, dataclasses.replace(CONFIG, optimizer="adam"))
    network, folder = load_network(CONFIG), tmp_path / "out"
    monkeypatch.chdir(tmp_path)
    assert done_items(folder, job, load_network(job.config)) == set()
    run_in_folder(folder, job, network, batch=2)
    assert done_items(folder, job, load_network(job.config)) == set(range(6))
    os.remove(folder / job.files[3])
    text = (folder / "results.csv").read_text().splitlines()
    text[1] = text[1].replace(",ok", ",stopped at step 3")
    (folder / "results.csv").write_text("\n".join(text))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    done = done_items(folder, job, load_network(job.config))
    assert done == {1, 2, 4, 5}
    lines, _ = plan(job, batch=2, done=done)
    assert lines[0] == "6 pictures, style (2) x style_weight (3); 4 done, 2 left"
    assert lines[1].startswith("sizes: 2 pictures with ")
    assert lines[3].startswith("batches: 2 pictures at once, ")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_step_that_takes_long_is_still_timed(files, monkeypatch):
    monkeypatch.setattr(trials, "_SECONDS", 0.0)
    job = make_job(files[:1], files[1:2], Grid(), dataclasses.replace(CONFIG, optimizer="adam"))
    assert [line.partition(":")[0] for line in plan(job, batch=1).lines[-4:-2]] == ["memory", "time"]


def test_what_is_left_of_a_group_goes_in_batches_of_the_whole(files):
    job = make_job(files[:1], files[1:], GRID, dataclasses.replace(CONFIG, optimizer="adam"))
    lines, _ = plan(job, batch=4, done={0, 1, 2, 3, 4})
    assert lines[0].endswith("5 done, 1 left")
    assert lines[3].startswith("batches: 3 pictures at once, ")  # six in batches of at most four


def test_a_sweep_that_is_done_needs_no_time(files):
    job = make_job(files[:1], files[1:], GRID, CONFIG)
    assert plan(job, done=range(6)).lines == ["6 pictures, style (2) x style_weight (3); 6 done, 0 left"]


def test_every_input_that_cannot_be_used_has_a_line(files, tmp_path):
    """A file that is missing, and one whose head is whole."""
    damaged, missing = str(tmp_path / "damaged.png"), str(tmp_path / "missing.png")
    with open(files[1], "rb") as file:
        data = file.read()
    with open(damaged, "wb") as file:
        file.write(data[: len(data) // 2])
    grid = Grid(init=("content", missing))
    job = make_job([files[0], missing], [files[1], damaged], grid, CONFIG)
    lines, problems = plan(job, batch=1)
    assert lines[0] == "8 pictures, content (2) x style (2) x init (2)"
    assert lines[1].startswith("sizes: 1 picture ")  # what is left
    assert problems == [
        f"{missing}: no such image file (6 pictures)",  # as a content and as a start
        f"{damaged}: is damaged or truncated (image file is truncated); name another file (4 pictures)",
    ]


def test_a_style_that_is_too_small_is_found(files, tmp_path):
    save_image(tmp_path / "tiny.png", picture(2, 2))
    config = dataclasses.replace(CONFIG, style_size=2)
    (problem,) = plan(make_job(files[:1], [str(tmp_path / "tiny.png")], Grid(), config), batch=1).problems
    assert "the style image is 2 x 2 pixels" in problem


def test_halving_ends_as_many_runs_after_as_many_evaluations_as_planned(files, tmp_path):
    config = dataclasses.replace(CONFIG, optimizer="adam", steps=9, tolerance=0.0)
    grid = Grid(style_weight=(1.0, 10.0, 100.0, 1000.0))
    job, halving = make_job(files[:1], files[1:], grid, config), Halving(1 / 3, "color_distance_style")
    lines, _ = plan(job, batch=4, halving=halving)
    run_in_folder(tmp_path / "out", job, load_network(config), batch=4, halving=halving)
    with np.load(tmp_path / "out" / "history.npz") as arrays:
        steps = np.isfinite(arrays["total"]).sum(axis=1) - 1
    assert sorted(steps) == [1] * 4 + [3] * 2 + [9] * 2  # of each style 2, 1 and 1
    assert lines[2] == (
        "early halving: runs end after step 1 (4 pictures), step 3 (2 pictures), step 9 (2 pictures); "
        f"{sum(steps + 1)} of 80 evaluations remain"
    )
    assert plan(job, batch=4).lines[2].startswith("programs: ")


def test_a_folder_without_a_batch_has_nothing_done(files, tmp_path):
    job = make_job(files[:1], files[1:], GRID, CONFIG)
    (tmp_path / "settings.json").write_text("{}")
    assert done_items(tmp_path, job, load_network(job.config)) == set()
