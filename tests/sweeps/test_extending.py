"""A folder that takes more values, more axes and more pictures, or fewer."""

import os
import re
import warnings

import numpy as np
import pytest
from tiny_sweeps import (
    CONFIG,
    GRID,
    by_key,
    data_of,
    job_of,
    killed_before_rename,
    pictures_of,
    run,
    save_inputs,
    table,
)

from jax_nst import Grid, sweep
from jax_nst.sweeps.folder import run_in_folder
from jax_nst.transfer.engine import Hooks
from jax_nst.transfer.network import load_network


@pytest.fixture
def inputs(tmp_path):
    return save_inputs(tmp_path)


LARGER = {
    "a value more": {"grid": Grid(style_weight=(10.0, 5000.0, 1000.0))},
    "an axis more": {"grid": Grid(style_weight=(10.0, 1000.0), tv_weight=(1.0, 2.0))},
    "seeds": {"grid": Grid(style_weight=(10.0, 1000.0), seed=(3, 0))},
    "a style more": {"styles": (2, 1)},
    "a content more": {"contents": (0, 2)},
    "all": {
        "grid": Grid(style_weight=(1.0, 10.0, 1000.0), seed=(0, 1)),
        "styles": (1, 3),
        "contents": (2, 0),
    },
}


@pytest.mark.parametrize("larger", LARGER.values(), ids=LARGER)
def test_only_what_is_missing_is_painted(larger, tmp_path, inputs):
    """The folder then holds what one that was made at once does, but for the names of the old pictures."""
    one = {"tv_weight": 1.0}
    folder, whole = tmp_path / "sweep", tmp_path / "whole"
    run(folder, job_of(inputs, **one))
    before, old = pictures_of(folder), {row["key"] for row in table(folder)}
    rows, painted = run(folder, job_of(inputs, **one, **larger))
    assert {rows[item]["key"] for item in painted} == {row["key"] for row in rows} - old
    assert len(painted) == len(rows) - 2
    now = pictures_of(folder)
    assert len(now) == len(rows)
    assert now.items() >= before.items()
    run(whole, job_of(inputs, **one, **larger))
    assert by_key(folder) == by_key(whole)
    assert list(by_key(folder)) == list(by_key(whole))
    labels = [[item["labels"] for item in data_of(path)["items"]] for path in (folder, whole)]
    assert labels[0] == labels[1]
    assert not list(folder.rglob("*.old*"))


def test_a_smaller_grid_keeps_the_rest_outside_and_the_larger_takes_it_back(tmp_path, inputs):
    folder = tmp_path / "sweep"
    large, small = job_of(inputs, styles=(1, 2)), job_of(inputs, Grid(style_weight=(1000.0, 7.0)))
    run(folder, large)
    expected, before = by_key(folder), pictures_of(folder)
    table_before = table(folder)
    rows, painted = run(folder, small)
    assert painted == {1}
    assert [row["item"] for row in rows] == [0, 1]
    assert pictures_of(folder).items() >= before.items()
    assert [row["item"] for row in table(folder)] == ["0", "1", "", "", ""]
    assert [(row["style"], row["style_weight"]) for row in table(folder)] == [
        ("p1", "1000.0"), ("p1", "7.0"), ("p1", "10.0"), ("p2", "10.0"), ("p2", "1000.0"),
    ]  # fmt: skip
    assert len(data_of(folder)["items"]) == 5
    rows, painted = run(folder, large)
    assert painted == set()
    assert len(rows) == 4
    assert pictures_of(folder).items() >= before.items()
    assert {key: value for key, value in by_key(folder).items() if key in expected} == expected
    assert table(folder)[:4] == table_before
    assert [row["style_weight"] for row in table(folder)[4:]] == ["7.0"]
    assert not list(folder.rglob("*.old*"))


def test_the_page_knows_the_inputs_of_all_items(tmp_path, inputs):
    folder = tmp_path / "sweep"
    run(folder, job_of(inputs, styles=(1, 2)))
    run(folder, job_of(inputs, styles=(3, 2)))
    data = data_of(folder)
    names = {key: given["file"] for key, given in data["inputs"].items()}
    styles = [names[item["inputs"][1]] for item in data["items"]]
    labels = [item["labels"]["style"] for item in data["items"]]
    assert labels == ["p3", "p3", "p2", "p2", "p1", "p1"]
    assert [re.sub(r"inputs/style_\d_|\.png", "", name) for name in styles] == labels


def test_a_name_that_another_picture_has_is_numbered(tmp_path, inputs):
    folder = tmp_path / "sweep"
    run(folder, job_of(inputs, Grid(style_weight=(10.0, 1000.0)), styles=(1,)))
    run(folder, job_of(inputs, Grid(style_weight=(10.0, 1000.0)), styles=(1, 2)))
    (folder / "style_weight=5000.png").write_text("mine")
    rows, painted = run(folder, job_of(inputs, Grid(style_weight=(5000.0, 10.0, 7.0)), styles=(2,)))
    assert painted == {0, 2}
    assert [row["file"] for row in rows] == [
        "style_weight=5000~2.png", "style=p2__style_weight=10.png", "style_weight=7.png",
    ]  # fmt: skip
    rows, painted = run(folder, job_of(inputs, Grid(style_weight=(10.0, 7.0)), styles=(1,)))
    assert (painted, [row["file"] for row in rows]) == (
        {1}, ["style_weight=10.png", "style_weight=7~2.png"],
    )  # fmt: skip
    assert (folder / "style_weight=5000.png").read_text() == "mine"


def test_a_sweep_that_is_stopped_while_it_grows_goes_on(tmp_path, inputs):
    folder, whole = tmp_path / "sweep", tmp_path / "whole"
    larger = job_of(inputs, Grid(style_weight=(10.0, 1000.0), seed=(0, 1, 2)), steps=40)
    run(folder, job_of(inputs, steps=40))
    before = pictures_of(folder)
    _, painted = run(folder, larger, stop=lambda progress: progress.items_done >= 2)
    assert len(painted) == 4
    _, painted = run(folder, larger)
    assert len(painted) == 2
    assert pictures_of(folder).items() >= before.items()
    run(whole, larger)
    assert by_key(folder) == by_key(whole)


def test_the_batch_at_work_keeps_its_slots_in_a_grid_of_another_length(tmp_path, inputs):
    """Seven items make batches of four, nine of three."""
    folder, weights = tmp_path / "sweep", tuple(map(float, range(1, 10)))

    def painted(count, stop=lambda progress: False):
        network = load_network(CONFIG)
        job = job_of(inputs, Grid(style_weight=weights[:count]), steps=40)
        return run_in_folder(folder, job, network, batch=4, resume=True, hooks=Hooks(stop))

    painted(7, lambda progress: progress.step >= 10)
    rows = painted(9)
    assert [row["status"] for row in rows] == ["ok"] * 9


@pytest.mark.parametrize("kept", [True, False])
def test_the_batch_at_work_goes_on_if_its_items_are_in_the_new_grid(kept, tmp_path, inputs, recwarn):
    folder, whole = tmp_path / "sweep", tmp_path / "whole"
    run(folder, job_of(inputs, steps=40), stop=lambda progress: progress.step >= 20)
    weights = (5.0, 10.0, 1000.0) if kept else (5.0, 10.0)
    larger, steps = job_of(inputs, Grid(style_weight=weights), steps=40), {}

    def first_step(progress):
        for item in progress.items:
            steps.setdefault(item, progress.step)

    run(folder, larger, stop=first_step)
    assert steps[1] >= 20 if kept else steps[1] < 20
    assert steps[0] < 20
    warned = [str(x.message) for x in recwarn if issubclass(x.category, UserWarning)]
    assert [text.split("; ")[1] for text in warned] == ([] if kept else ["its batch begins anew"])
    run(whole, larger)
    found, expected = by_key(folder), by_key(whole)
    assert {key: found[key][:2] for key in expected} == {key: expected[key][:2] for key in expected}


def test_lost_entries_cost_only_the_items_outside(tmp_path, inputs):
    folder, job = tmp_path / "sweep", job_of(inputs)
    run(folder, job)
    expected = by_key(folder)
    (folder / "batches" / "items.json").write_text("{")
    with pytest.warns(UserWarning, match=r"items\.json: was damaged or changed; kept as items\.json\.old"):
        _, painted = run(folder, job)
    assert painted == set()
    assert by_key(folder) == expected


def test_a_file_that_is_gone_keeps_what_was_painted_from_it(tmp_path, inputs):
    folder, job = tmp_path / "sweep", job_of(inputs, styles=(1, 2))
    run(folder, job)
    os.unlink(inputs[2])
    rows, painted = run(folder, job)
    assert painted == set()
    assert [row["status"] for row in rows] == ["ok"] * 4


def test_measures_outlast_the_grid(tmp_path, inputs):
    folder = tmp_path / "sweep"
    options = {"config": CONFIG, "folder": folder, "batch": 2, "measure": True}
    sweep(inputs[0], inputs[1], grid=GRID, **options)
    before = {row["key"]: row["content_ssim"] for row in table(folder)}
    result = sweep(inputs[0], inputs[1], grid=Grid(style_weight=(10.0, 5.0)), **options, resume=True)
    assert np.isfinite(result.measures["content_ssim"]).all()
    now = {row["key"]: row["content_ssim"] for row in table(folder)}
    assert now.items() > before.items()
    assert all(now.values())


def test_a_result_has_the_items_of_the_grid_of_now(tmp_path, inputs):
    options = {"config": CONFIG, "folder": tmp_path / "sweep", "batch": 2}
    before = sweep(inputs[0], inputs[1:3], grid=GRID, **options)
    now = sweep(inputs[0], inputs[2:], grid=Grid(style_weight=(1000.0,)), **options, resume=True)
    assert now.messages == ["ok", "ok"]
    np.testing.assert_array_equal(now.pixels[0], before.pixels[3])
    assert now.history.total.shape == (2, 4)


@pytest.mark.slow
def test_a_sweep_killed_while_it_grows_loses_nothing(tmp_path, inputs, monkeypatch):
    """Before each time that a file takes its place, one after the other, until a run gets through."""
    small, large = (
        job_of(inputs, styles=(1, 2)),
        job_of(inputs, Grid(style_weight=(5.0, 10.0)), styles=(2, 3)),
    )
    whole = tmp_path / "whole"
    run(whole, small)
    run(whole, large)
    expected = by_key(whole)
    kept = []
    for moment in range(100):
        folder = tmp_path / f"killed{moment}"
        run(folder, small)
        before = pictures_of(folder)
        with killed_before_rename(monkeypatch, moment) as killed:
            run(folder, large)
        if not killed:
            break
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r".*/settings\.json: was damaged or changed")
            run(folder, large)
        assert by_key(folder) == expected
        assert pictures_of(folder).items() >= before.items()
        kept += [path.name for path in folder.rglob("*.old*")]
    assert moment > 10
    assert kept == ["settings.json.old"]  # killed between its two copies
