"""Checkpoints: a run that goes on is bit for bit the run that was never stopped."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple

import jax
import numpy as np
import pytest
from conftest import ROOT, picture

from jax_nst import Checkpoint, Config, Status, stylize
from jax_nst.transfer import checkpoint as checkpoint_module
from jax_nst.transfer import transfer as transfer_module
from jax_nst.transfer.checkpoint import NAME, CheckpointError, Store, read_checkpoint

WAVELET = Config(
    features="wavelet",
    content_layers=("luma1",),
    style_layers=("scale1",),
    size=48,
    scales="2",
    steps=12,
    optimizer="adam",
)
CONTENT, STYLE = picture(48, 40, 1), picture(48, 48, 2)


def paint(config=WAVELET, *, stop_at=None, folder="run", resume=True, content=CONTENT, **options):
    def callback(progress):
        return stop_at is not None and progress.step >= stop_at

    given = Checkpoint(folder, **options) if folder else None
    return stylize(
        content, STYLE, config=config, callback=callback, checkpoint=given, resume=resume and bool(folder)
    )


def untimed(history):
    return [{name: x for name, x in entry.items() if name != "seconds"} for entry in history["steps"]]


def assert_equal(result, other):
    np.testing.assert_array_equal(result.pixels, other.pixels)
    assert untimed(result.history) == untimed(other.history)
    assert (result.status, result.message) == (other.status, other.message)


def arrays_of(folder):
    """The arrays of a checkpoint, but for times."""
    with np.load(read_checkpoint(folder).state) as file:
        return {name: file[name] for name in file if "seconds" not in name and "share" not in name}


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("optimizer", ["adam", pytest.param("lbfgs", marks=pytest.mark.slow)])
def test_a_run_goes_on_bit_for_bit(optimizer):
    """Stopped at the coarse level, at the first evaluation of the full size, and later."""
    config = dataclasses.replace(WAVELET, optimizer=optimizer, save_every=1)
    never_stopped = paint(config, folder=None)
    for stop_at in (2, 5, 9, 14):
        stopped = paint(config, stop_at=stop_at)
        assert stopped.status is Status.STOPPED
        assert os.listdir("run") == [NAME, *[f for f in os.listdir("run") if f.startswith("state_")]]
    result = paint(config)
    assert_equal(result, never_stopped)
    assert result.status is Status.FINISHED
    seconds = [entry["seconds"] for entry in result.history["steps"]]
    assert seconds == sorted(seconds)
    assert not os.path.exists("run")  # it has come to its end


def test_the_state_is_the_same_to_the_bit():
    config = dataclasses.replace(WAVELET, optimizer="lbfgs", save_every=1)
    paint(config, stop_at=9, folder="at_once")
    for stop_at in (3, 6, 9):
        paint(config, stop_at=stop_at, folder="in_parts")
    whole, parts = arrays_of("at_once"), arrays_of("in_parts")
    assert list(whole) == list(parts)
    for name, array in whole.items():
        np.testing.assert_array_equal(array, parts[name])


def test_a_run_that_levels_off_goes_on_bit_for_bit():
    config = dataclasses.replace(WAVELET, steps=80, tolerance=0.95)
    never_stopped = paint(config, folder=None)
    assert len(never_stopped.history["steps"]) < (24 + 1) + (80 + 1)
    paint(config, stop_at=10)
    assert_equal(paint(config), never_stopped)


def test_a_run_without_a_checkpoint_in_the_folder_begins():
    assert_equal(paint(), paint(folder=None))


def test_a_checkpoint_is_not_overwritten_unasked():
    paint(stop_at=3)
    before = arrays_of("run")
    with pytest.raises(CheckpointError, match=r"^run: holds the checkpoint of a run; resume that, or"):
        paint(resume=False)
    assert arrays_of("run").keys() == before.keys()


def test_a_state_that_may_be_replaced_is_not_written_over():
    """A process that is killed before the JSON is written leaves the old state as it was."""
    paint(stop_at=3)
    before = read_checkpoint("run").state
    with pytest.warns(UserWarning, match="holds the state of a run that was stopped; go on with that by"):
        paint(dataclasses.replace(WAVELET, style_weight=7.0), stop_at=3, resume=False, replace=True)
    after = read_checkpoint("run").state
    assert after != before
    assert os.listdir("run").count(before.name) == 0


def test_resume_alone_is_refused():
    with pytest.raises(ValueError, match="pass its folder as checkpoint"):
        stylize(CONTENT, STYLE, config=WAVELET, resume=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": dataclasses.replace(WAVELET, steps=13)}, r"steps: 12 there, 13 here"),
        ({"config": dataclasses.replace(WAVELET, style_weight=7.0)}, r"style_weight: null there, 7.0 here"),
        ({"content": CONTENT[::-1]}, r"content: another one"),
    ],
)
def test_another_run_is_refused(changes, message):
    paint(stop_at=3)
    with pytest.raises(CheckpointError, match=rf"^run: holds the state of another run \({message}\); name"):
        paint(**changes)


def test_settings_that_do_not_decide_the_picture_may_change():
    paint(stop_at=3)
    assert_equal(paint(dataclasses.replace(WAVELET, save_every=4)), paint(folder=None))


def test_another_environment_is_told_and_gone_on_with_if_asked():
    paint(stop_at=3)
    description = json.loads((path := read_checkpoint("run").state.with_name(NAME)).read_text())
    description["identity"]["environment"]["jax"] = "0.0.1"
    path.write_text(json.dumps(description))
    message = rf"^run: was written elsewhere \(jax: \"0.0.1\" there, \"{jax.__version__}\" here\)"
    with pytest.raises(CheckpointError, match=message):
        paint()
    assert_equal(paint(anyway=True), paint(folder=None))


@pytest.mark.parametrize("damage", ["half", "empty", "gone", "noise"])
@pytest.mark.parametrize("which", ["json", "state"])
def test_a_torn_checkpoint_is_refused_in_a_sentence(which, damage):
    paint(stop_at=3)
    saved = read_checkpoint("run")
    path = saved.state if which == "state" else saved.state.with_name(NAME)
    whole = path.read_bytes()
    torn = {"half": whole[: len(whole) // 2], "empty": b"", "noise": os.urandom(len(whole)), "gone": b""}
    path.write_bytes(torn[damage])
    if damage == "gone":
        path.unlink()
        if which == "json":
            return  # then there is no checkpoint
    with pytest.raises(CheckpointError, match=r"^run.*damaged; delete .* to begin anew$"):
        paint()


def test_a_flipped_bit_is_found():
    paint(stop_at=3)
    path = read_checkpoint("run").state
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged"):
        paint()


def test_a_folder_that_holds_something_else_is_spared():
    os.mkdir("run")
    with open("run/diary.txt", "w") as file:
        file.write("Dear diary")
    paint(stop_at=3)
    paint()
    assert os.listdir("run") == ["diary.txt"]


def test_it_is_saved_now_and_then_in_the_background(monkeypatch):
    saved, savez = [], np.savez
    monkeypatch.setattr(
        checkpoint_module.np, "savez", lambda file, **arrays: saved.append(1) or savez(file, **arrays)
    )
    monkeypatch.setattr(checkpoint_module, "_MOST_OF_THE_TIME", 1e9)
    config = dataclasses.replace(WAVELET, save_every=1, steps=40)
    paint(config, every=1000.0)
    assert not saved
    paint(config, every=1000.0, stop_at=3)
    assert len(saved) == 1
    paint(config, every=0.0)
    assert len(saved) > 2


def test_a_run_that_ends_early_leaves_nothing():
    paint(stop_at=3, after=1000.0)
    assert not os.path.exists("run")


def test_pictures_are_digested_only_to_save_or_to_compare(monkeypatch):
    digested, identity_of = [], transfer_module.identity_of
    monkeypatch.setattr(
        transfer_module, "identity_of", lambda *given: digested.append(1) or identity_of(*given)
    )
    paint(after=1000.0)
    assert digested == []
    paint(stop_at=3, every=0.0)
    assert digested == [1]


def test_where_memory_is_short_the_state_is_saved_without_a_copy(monkeypatch):
    monkeypatch.setattr(checkpoint_module, "available_memory", lambda: 0)
    config = dataclasses.replace(WAVELET, save_every=1)
    paint(config, stop_at=9, every=0.0)
    assert_equal(paint(config, every=0.0), paint(config, folder=None))


@pytest.mark.parametrize("spare", [0, float("inf")])
def test_a_copy_of_the_state_keeps_within_what_the_steps_leave(monkeypatch, spare):
    keep, are_waited_for = Store.keep, []

    def keep_with(store, now, ends):
        assert 0 < now.spare < float("inf")  # on a CPU it is known
        keep(store, now._replace(spare=spare), ends)
        are_waited_for.append(store._thread is None)

    monkeypatch.setattr(Store, "keep", keep_with)
    paint(dataclasses.replace(WAVELET, save_every=1), every=0.0)
    assert all(are_waited_for) == (spare == 0)


def test_a_full_disk_is_told_once_and_ends_nothing(monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(checkpoint_module.shutil, "disk_usage", lambda path: usage(1000))
    with pytest.warns(UserWarning, match="would leave little space on the disk; painting goes on") as told:
        result = paint(dataclasses.replace(WAVELET, save_every=1), every=0.0)
    assert len(told) == 1
    assert_equal(result, paint(dataclasses.replace(WAVELET, save_every=1), folder=None))


def test_an_exception_of_a_callback_keeps_the_picture_and_the_state():
    def callback(progress):
        if progress.step >= 9:
            raise ZeroDivisionError

    config = dataclasses.replace(WAVELET, save_every=1)
    with pytest.raises(ZeroDivisionError) as caught:
        stylize(CONTENT, STYLE, config=config, callback=callback, checkpoint="run")
    stopped = paint(config, stop_at=9, folder=None)
    assert_equal(caught.value.result, stopped)
    assert "best picture so far" in caught.value.__notes__[0]
    assert_equal(paint(config), paint(config, folder=None))


def test_ctrl_c_in_python_keeps_the_picture_and_the_state(monkeypatch):
    """It comes in the middle of a step, and is held until that ends."""
    config = dataclasses.replace(WAVELET, save_every=1)
    steps = []
    after_chunk = checkpoint_module.Store.keep

    def keep(self, now, ends):
        steps.append(now)
        if len(steps) == 6:
            os.kill(os.getpid(), signal.SIGINT)
        after_chunk(self, now, ends)

    monkeypatch.setattr(checkpoint_module.Store, "keep", keep)
    with pytest.raises(KeyboardInterrupt) as caught:
        paint(config)
    assert caught.value.result.status is Status.STOPPED
    assert caught.value.result.pixels.shape == (48, 40, 3)
    monkeypatch.undo()
    os.chdir(os.path.dirname(os.path.abspath("run")))
    assert_equal(paint(config), paint(config, folder=None))


# Real processes.

CHILD = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
import numpy as np
import test_checkpoint as t
from jax_nst import Checkpoint, stylize

case, folder, out, die_at = sys.argv[2:6]
replace, calls = os.replace, []

def dying(*arguments):
    calls.append(arguments)
    if len(calls) == int(die_at):
        os.kill(os.getpid(), 9)
    replace(*arguments)

os.replace = dying
result = stylize(
    t.CONTENT, t.STYLE, config=t.CASES[case], callback=lambda progress: time.sleep(0.03),
    checkpoint=Checkpoint(folder, every=0) if folder != "none" else None, resume=folder != "none",
)
history = [[entry[name] for name in entry if name != "seconds"] for entry in result.history["steps"]]
np.savez(out, pixels=result.pixels, history=history)
"""

LITE = Config(
    features="vgg19-lite",
    content_layers=("relu2_1",),
    style_layers=("relu1_1", "relu2_1"),
    size=64,
    scales="2",
    steps=40,
    save_every=2,
)
CASES = {"wavelet adam": dataclasses.replace(WAVELET, steps=60, save_every=2), "vgg lbfgs": LITE}


def start(case, folder, out, die_at=0):
    command = [
        sys.executable,
        "-c",
        CHILD,
        str(ROOT / "tests" / "transfer"),
        case,
        folder,
        out,
        str(die_at),
    ]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})


def saved_so_far():
    """How often the state has been saved; 0 where the run has ended."""
    try:
        return read_checkpoint("run").description["number"]
    except CheckpointError:
        return 0


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_process_killed_at_any_moment_goes_on_bit_for_bit(case, rng):
    assert start(case, "none", "whole.npz").wait() == 0
    kills = 0
    for die_at in (1, 2, 4):  # while the state is saved, while the JSON is saved, later
        kills += start(case, "run", "parts.npz", die_at).wait() == -signal.SIGKILL
    while not os.path.exists("parts.npz"):
        process, before = start(case, "run", "parts.npz"), saved_so_far()
        while process.poll() is None:
            time.sleep(0.01)
            if kills < 7 and saved_so_far() > before + 2:
                time.sleep(rng.uniform(0, 0.3))
                process.kill()
        kills += process.wait() == -signal.SIGKILL
    assert kills >= 4
    with np.load("whole.npz") as whole, np.load("parts.npz") as parts:
        np.testing.assert_array_equal(whole["history"], parts["history"])
        np.testing.assert_array_equal(whole["pixels"], parts["pixels"])
    shutil.rmtree("run", ignore_errors=True)


def test_a_checkpoint_is_of_a_path_and_of_seconds():
    for given, message in (
        ({"folder": 5}, "folder must be a string or a path"),
        ({"folder": ""}, "folder is empty"),
        ({"folder": "k", "every": "often"}, "every must be a number"),
        ({"folder": "k", "every": float("nan")}, "every must be zero or more seconds"),
        ({"folder": "k", "after": -1}, "after must be zero or more seconds"),
    ):
        with pytest.raises(ValueError, match=message):
            Checkpoint(**given)


@pytest.mark.parametrize(
    "change",
    [
        {"command": [1]},
        {"identity": None},
        {"number": "x"},
        {"state": 5},
        {"snapshot": {}},
        {"snapshot": {"level": 7, "choice": "none"}},
        {"snapshot": {"level": 0, "choice": "sparkling"}},
    ],
    ids=str,
)
def test_what_is_edited_in_a_checkpoint_is_damage(change, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paint(stop_at=3)
    path = tmp_path / "run" / NAME
    found = json.loads(path.read_text())
    kept = {**found, **change}
    if isinstance(change.get("snapshot"), dict) and change["snapshot"]:
        kept["snapshot"] = {**found["snapshot"], **change["snapshot"]}
    path.write_text(json.dumps(kept))
    with pytest.raises(CheckpointError, match="is damaged; delete"):
        paint()


def test_json_nested_without_end_is_damage(tmp_path):
    (tmp_path / NAME).write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match="is damaged"):
        read_checkpoint(tmp_path)


def test_a_checkpoint_may_be_a_link(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paint(stop_at=3)
    os.rename("run", "elsewhere")
    os.symlink("elsewhere", "run")
    assert paint().status is Status.FINISHED
    assert os.listdir("elsewhere") == []
