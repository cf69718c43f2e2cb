import json
import warnings

import numpy as np
import pytest
from conftest import picture
from tiny_sweeps import job_of, run, save_inputs

from jax_nst import Config, Grid, Status, save_image
from jax_nst.sweeps.job import make_job
from jax_nst.sweeps.keys import identify_pictures, item_keys
from jax_nst.sweeps.opening import open_folder
from jax_nst.sweeps.records import Record, write_batch
from jax_nst.sweeps.settings import describe_job
from jax_nst.transfer.network import load_network
from jax_nst.transfer.outcome import Outcome, failed

NAMES = ("total", "content", "style", "tv")
CONFIG = Config(features="wavelet", steps=2)


@pytest.fixture(scope="module")
def network():
    return load_network(CONFIG)


@pytest.fixture
def job(tmp_path):
    for index in range(2):
        save_image(tmp_path / f"p{index}.png", picture(24, 20, index))
    grid = Grid(style_weight=(1.0, 2.0, 3.0, 4.0))
    return make_job([str(tmp_path / "p0.png")], [str(tmp_path / "p1.png")], grid, CONFIG)


def reopened(folder, job, network, *, resume=True):
    folder.mkdir(exist_ok=True)
    pictures = identify_pictures(job)
    opened = open_folder(folder, job, network, describe_job(job, network), pictures, resume=resume)
    return sorted(opened.entries[key].item for key in opened.records)


@pytest.fixture
def folder(tmp_path, job, network):
    """Of a sweep whose items 0 and 1 are painted, 2 failed, and 3 was not reached."""
    folder = tmp_path / "sweep"
    assert reopened(folder, job, network, resume=False) == []
    losses = np.ones((3, 4), np.float32)
    outcomes = [Outcome(i, Status.FINISHED, "ok", None, (), losses, 1.0) for i in range(2)]
    for outcome in outcomes:
        save_image(folder / job.files[outcome.item], picture(24, 20))
    outcomes.append(failed(2, "bad", NAMES))
    keys = item_keys(job, network)
    write_batch(folder, {keys[x.item]: Record(x, 2, 1, NAMES, job.files[x.item]) for x in outcomes})
    return folder


def test_records_of_items_with_a_picture_are_read(folder, job, network):
    assert reopened(folder, job, network) == [0, 1, 2]


def test_a_folder_is_not_opened_twice_unless_to_resume(folder, job, network):
    with pytest.raises(ValueError, match="holds a sweep already; go on with it by --resume"):
        reopened(folder, job, network, resume=False)


def test_a_missing_picture_is_made_again(folder, job, network):
    (folder / job.files[1]).unlink()
    assert reopened(folder, job, network) == [0, 2]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-20],
        lambda content: content[:200] + bytes([content[200] ^ 1]) + content[201:],
        lambda content: b"",
        lambda content: b"a JPEG of the user",
    ],
    ids=["half", "end", "bit", "empty", "other"],
)
def test_a_damaged_picture_is_set_aside_and_made_again(damage, folder, job, network):
    path = folder / job.files[1]
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    with pytest.warns(UserWarning, match=r"pictures damaged: 1, .* kept as .*\.png\.old"):
        assert reopened(folder, job, network) == [0, 2]
    assert not path.exists()
    assert path.with_name(f"{path.name}.old").read_bytes() == damaged
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert reopened(folder, job, network) == [0, 2]


@pytest.mark.parametrize("text", ["{}", "torn {", '{"editor.fontSize": 14}'])
def test_settings_of_another_program_are_left_alone(text, tmp_path, job, network):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "settings.json").write_text(text)
    with pytest.raises(ValueError, match=r"settings\.json: exists but belongs to no sweep"):
        reopened(tmp_path / "sweep", job, network)
    assert (tmp_path / "sweep" / "settings.json").read_text() == text


def test_hidden_files_and_empty_folders_are_no_obstacle(tmp_path, job, network):
    (tmp_path / "sweep" / "batches").mkdir(parents=True)
    (tmp_path / "sweep" / "inputs").mkdir()
    (tmp_path / "sweep" / ".DS_Store").write_text("")
    (tmp_path / "sweep" / "notes.txt").write_text("")
    assert reopened(tmp_path / "sweep", job, network) == []


@pytest.mark.parametrize("name", ["results.csv", "settings.json", "index.html", "inputs", "checkpoint"])
def test_a_folder_for_a_file_and_the_other_way_are_set_aside(name, folder, job, network):
    path = folder / name
    path.unlink(missing_ok=True)
    if "." in name:
        path.mkdir()
        (path / "mine").touch()
    else:
        path.write_text("mine")
    with pytest.warns(UserWarning, match=f"{name}: is not what a sweep wrote there; kept as {name}.old"):
        assert reopened(folder, job, network) == [0, 1, 2]
    assert (folder / f"{name}.old").exists()


@pytest.fixture
def inputs(tmp_path):
    return save_inputs(tmp_path)


REFUSED = {
    "steps": ({"steps": 4}, r"config\.steps: 3 there, 4 now\), so that none of its pictures can be kept"),
    "size": ({"size": 20}, r"config\.size: 24 there, 20 now"),
    "values": ({"grid": Grid(style_weight=(11.0,))}, r"grid\.style_weight: \[10\.0, 1000\.0\] there"),
    "styles": ({"styles": (2, 3)}, r"styles: 1 there, 2 now"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_a_grid_that_shares_no_item_is_refused_with_the_difference(change, message, tmp_path, inputs):
    folder = tmp_path / "sweep"
    run(folder, job_of(inputs))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=message):
        run(folder, job_of(inputs, **change))
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_another_picture_of_the_same_name_is_refused_even_outside_the_grid(tmp_path, inputs):
    folder = tmp_path / "sweep"
    run(folder, job_of(inputs, styles=(1, 2)))
    run(folder, job_of(inputs, styles=(1,)))
    save_image(inputs[2], picture(24, 20, 77))
    with pytest.raises(ValueError, match=r"styles: the contents of p2\.png differ"):
        run(folder, job_of(inputs, styles=(1, 2)))


def test_a_folder_of_another_version_is_refused(tmp_path, inputs):
    folder = tmp_path / "sweep"
    run(folder, job_of(inputs))
    for path in (folder / "settings.json", folder / "batches" / "settings.json"):
        settings = json.loads(path.read_text())
        path.write_text(json.dumps({**settings, "format": 1}))
    with pytest.raises(ValueError, match="holds a sweep of another version of jax_nst"):
        run(folder, job_of(inputs))
