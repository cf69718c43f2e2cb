"""Folders of sweeps that become one."""

import os
import warnings

import numpy as np
import pytest
from tiny_sweeps import (
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

from jax_nst import METRICS, Grid, merge_sweeps
from jax_nst.sweeps.measuring import read_measures, write_measures


@pytest.fixture
def inputs(tmp_path):
    return save_inputs(tmp_path)


@pytest.fixture
def two(tmp_path, inputs):
    """Two sweeps that share two items, and the job of both together."""
    run(tmp_path / "a", job_of(inputs, Grid(style_weight=(10.0, 1000.0)), styles=(1, 2)))
    run(tmp_path / "b", job_of(inputs, Grid(style_weight=(5.0, 10.0)), styles=(2, 1)))
    return job_of(inputs, Grid(style_weight=(10.0, 1000.0, 5.0)), styles=(1, 2))


def everything(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def history_of(folder):
    with np.load(folder / "history.npz") as arrays:
        return {name: arrays[name].tobytes() for name in arrays}


def test_a_merged_folder_equals_one_made_at_once(two, tmp_path):
    a, b, merged, whole = (tmp_path / name for name in ("a", "b", "merged", "whole"))
    before = everything(a), everything(b)
    merge_sweeps([a, b], merged)
    assert (everything(a), everything(b)) == before
    run(whole, two)
    assert by_key(merged) == by_key(whole)
    assert list(by_key(merged)) == list(by_key(whole))
    assert [row["file"] for row in table(merged)] == two.files
    assert history_of(merged) == history_of(whole)
    labels = [[item["labels"] for item in data_of(folder)["items"]] for folder in (merged, whole)]
    assert labels[0] == labels[1]
    assert sorted(os.listdir(merged)) == sorted(os.listdir(whole))
    assert run(merged, two)[1] == set()  # nothing is left to paint
    assert not list(merged.rglob("*.old*"))


def test_a_sweep_takes_the_items_of_another(two, tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    before = pictures_of(a)
    merge_sweeps([b], a)
    now = pictures_of(a)
    assert now.items() >= before.items()
    assert len(now) == 6
    assert [row["item"] for row in table(a)] == list("012345")
    expected = everything(a)
    merge_sweeps([b], a)
    assert everything(a) == expected


def test_inputs_are_those_of_their_items(two, tmp_path):
    merge_sweeps([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    data = data_of(tmp_path / "c")
    assert len(data["items"]) == 6
    for item in data["items"]:
        assert f"_{item['labels']['style']}.png" in data["inputs"][item["inputs"][1]]["file"]


def test_pictures_of_one_name_are_kept_apart(tmp_path, inputs):
    """Each sweep has one style, which its names leave out; one was measured."""
    for style in (1, 2):
        run(tmp_path / f"of{style}", job_of(inputs, GRID, styles=(style,)))
    pictures = [pictures_of(tmp_path / f"of{style}") for style in (1, 2)]
    measures = dict.fromkeys(METRICS, 0.25)
    write_measures(tmp_path / "of2", {"style_weight=10.png": measures})
    both = tmp_path / "both"
    merge_sweeps([tmp_path / "of1", tmp_path / "of2"], both)
    rows = [(row["style"], row["file"], row["clipped"]) for row in table(both)]
    assert rows == [
        ("p1", "style_weight=10.png", ""),
        ("p1", "style_weight=1000.png", ""),
        ("p2", "style_weight=10~2.png", "0.25"),
        ("p2", "style_weight=1000~2.png", ""),
    ]
    now = pictures_of(both)
    assert sorted(now) == sorted(file for _, file, _ in rows)
    assert now["style_weight=10.png"][0] == pictures[0]["style_weight=10.png"][0]
    assert now["style_weight=10~2.png"][0] == pictures[1]["style_weight=10.png"][0]
    assert read_measures(both) == {"style_weight=10~2.png": measures}


@pytest.mark.slow
def test_a_merge_that_was_killed_is_repeated(two, tmp_path, monkeypatch):
    folders = [tmp_path / "a", tmp_path / "b"]
    merge_sweeps(folders, tmp_path / "whole")
    expected = by_key(tmp_path / "whole")
    for moment in range(100):
        target = tmp_path / f"killed{moment}"
        with killed_before_rename(monkeypatch, moment) as killed:
            merge_sweeps(folders, target)
        if not killed:
            break
        with warnings.catch_warnings():  # killed between the two copies of settings.json
            warnings.filterwarnings("ignore", r".*/settings\.json: was damaged or changed")
            merge_sweeps(folders, target)
        assert by_key(target) == expected
        assert len(pictures_of(target)) == 6
    assert moment > 15


def refused(message, folders, into):
    with pytest.raises(ValueError, match=message):
        merge_sweeps(folders, into)


def test_what_cannot_be_merged_is_refused(two, tmp_path, inputs):
    a, b = tmp_path / "a", tmp_path / "b"
    run(tmp_path / "other", job_of(inputs, crop="1:1"))
    before = everything(a)
    message = r'other: cannot be merged with .*a \(config\.crop: null in .*a, \["1:1"\] in .*other\)'
    refused(message, [tmp_path / "other"], a)
    refused("a: cannot be merged with itself", [a], a)
    refused("nothing: holds no sweep; name the folder of one", [tmp_path / "nothing"], a)
    refused("there is no sweep to merge", [], a)
    (b / "batches" / "00001.npz").write_bytes(b"torn")
    refused(r"00001\.npz: is damaged; mend it with --resume .*b first", [b], a)
    assert everything(a) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "results.csv").write_text("mine")
    refused(r"results\.csv: exists but belongs to no sweep", [a], tmp_path / "mine")


def test_a_picture_of_more_steps_takes_the_place_of_one_that_was_stopped(tmp_path, inputs):
    job = job_of(inputs, steps=40)
    run(tmp_path / "stopped", job, stop=lambda progress: progress.step >= 10)
    run(tmp_path / "ended", job)
    for order in (("stopped", "ended"), ("ended", "stopped")):
        into = tmp_path / "-".join(order)
        merge_sweeps([tmp_path / name for name in order], into)
        assert by_key(into) == by_key(tmp_path / "ended")
        assert run(into, job)[1] == set()
