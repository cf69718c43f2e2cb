"""Folders of sweeps that become one."""

import json
import os

import numpy as np
import pytest
from tiny_sweeps import GRID, by_key, data_of, job_of, pictures_of, run, save_inputs, table

from jax_nst import Grid, merge_sweeps
from jax_nst.runtime import files as files_module
from jax_nst.sweeps.measuring import read_measures, write_measures


@pytest.fixture
def inputs(tmp_path):
    return save_inputs(tmp_path)


@pytest.fixture
def two(tmp_path, inputs):
    """Two sweeps that share an item, and the job of both together."""
    run(tmp_path / "a", job_of(inputs, Grid(style_weight=(10.0, 1000.0)), styles=(1, 2)))
    run(tmp_path / "b", job_of(inputs, Grid(style_weight=(5.0, 10.0)), styles=(2, 1)))
    return job_of(inputs, Grid(style_weight=(10.0, 1000.0, 5.0)), styles=(1, 2))


def everything(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_merged_folder_equals_one_made_at_once(two, tmp_path):
    before = everything(tmp_path / "a"), everything(tmp_path / "b")
    merge_sweeps([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    assert (everything(tmp_path / "a"), everything(tmp_path / "b")) == before
    run(tmp_path / "whole", two)
    merged, whole = (by_key(tmp_path / name) for name in ("c", "whole"))
    assert merged == whole
    assert list(merged) == list(whole)
    names = [[row["file"] for row in table(tmp_path / name)] for name in ("c", "whole")]
    assert names[0] == names[1]
    with (
        np.load(tmp_path / "c" / "history.npz") as found,
        np.load(tmp_path / "whole" / "history.npz") as known,
    ):
        assert set(found) == set(known)
        for name in known:
            np.testing.assert_array_equal(found[name], known[name])
    pages = [data_of(tmp_path / name) for name in ("c", "whole")]
    assert [[item["labels"] for item in page["items"]] for page in pages][0] == [
        item["labels"] for item in pages[1]["items"]
    ]
    assert sorted(os.listdir(tmp_path / "c")) == sorted(os.listdir(tmp_path / "whole"))
    assert run(tmp_path / "c", two)[1] == set()  # nothing is left to paint
    assert not list((tmp_path / "c").rglob("*.old*"))


def test_a_sweep_takes_the_items_of_another(two, tmp_path):
    before = pictures_of(tmp_path / "a")
    merge_sweeps([tmp_path / "b"], tmp_path / "a")
    now = pictures_of(tmp_path / "a")
    assert now.items() >= before.items()
    assert len(now) == 6
    assert [row["item"] for row in table(tmp_path / "a")] == list("012345")
    expected = everything(tmp_path / "a")
    merge_sweeps([tmp_path / "b"], tmp_path / "a")
    assert everything(tmp_path / "a") == expected


def test_inputs_are_those_of_their_items(two, tmp_path):
    merge_sweeps([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    data = data_of(tmp_path / "c")
    for item in data["items"]:
        assert f"_{item['labels']['style']}.png" in data["inputs"][item["inputs"][1]]["file"]


def test_pictures_of_one_name_are_kept_apart(tmp_path, inputs):
    """Each sweep has one style, which its names leave out."""
    for style in (1, 2):
        run(tmp_path / f"of{style}", job_of(inputs, GRID, styles=(style,)))
    pictures = [pictures_of(tmp_path / f"of{style}") for style in (1, 2)]
    write_measures(tmp_path / "of2", {"style_weight=10.png": {"clipped": 0.25}})
    merge_sweeps([tmp_path / "of1", tmp_path / "of2"], tmp_path / "both")
    now = pictures_of(tmp_path / "both")
    assert sorted(now) == [
        "style_weight=1000.png", "style_weight=1000~2.png", "style_weight=10.png", "style_weight=10~2.png",
    ]  # fmt: skip
    assert now["style_weight=10.png"][0] == pictures[0]["style_weight=10.png"][0]
    assert now["style_weight=10~2.png"][0] == pictures[1]["style_weight=10.png"][0]
    assert [(row["style"], row["file"]) for row in table(tmp_path / "both")] == [
        ("p1", "style_weight=10.png"), ("p1", "style_weight=1000.png"),
        ("p2", "style_weight=10~2.png"), ("p2", "style_weight=1000~2.png"),
    ]  # fmt: skip
    (kept,) = json.loads((tmp_path / "both" / "batches" / "measures.json").read_text())
    assert kept == "style_weight=10~2.png"


def test_a_merge_that_was_killed_is_repeated(two, tmp_path, monkeypatch):
    merge_sweeps([tmp_path / "a", tmp_path / "b"], tmp_path / "whole")
    expected, replace = by_key(tmp_path / "whole"), os.replace
    for moment in range(100):
        target, left = tmp_path / f"killed{moment}", [moment]

        def die(source, target, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            replace(source, target)

        monkeypatch.setattr(files_module.os, "replace", die)
        try:
            merge_sweeps([tmp_path / "a", tmp_path / "b"], target)
        except KeyboardInterrupt:
            pass
        else:
            break
        finally:
            monkeypatch.setattr(files_module.os, "replace", replace)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *arguments, **options: None)
            merge_sweeps([tmp_path / "a", tmp_path / "b"], target)
        assert by_key(target) == expected
        assert len(pictures_of(target)) == 6
    assert moment > 15


def refused(message, folders, into):
    with pytest.raises(ValueError, match=message):
        merge_sweeps(folders, into)


def test_what_cannot_be_merged_is_refused(two, tmp_path, inputs):
    a, b = tmp_path / "a", tmp_path / "b"
    run(tmp_path / "other", job_of(inputs, optimizer="lbfgs"))
    before = everything(a)
    message = r'other: cannot be merged with .*a \(config\.optimizer: "adam" in .*a, "lbfgs" in .*other\)'
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


def test_measures_of_both_are_kept(two, tmp_path):
    a, b = (sorted(pictures_of(tmp_path / name)) for name in "ab")
    write_measures(tmp_path / "a", {a[0]: {"clipped": 0.25}})
    write_measures(tmp_path / "b", {b[-1]: {"clipped": 0.5}})
    merge_sweeps([tmp_path / "b"], tmp_path / "a")
    assert read_measures(tmp_path / "a") == {}  # these are no whole sets
    found = json.loads((tmp_path / "a" / "batches" / "measures.json").read_text())
    assert set(found) == {a[0], b[-1]}
