"""Saving the picture of a run, whatever happens."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, picture

from jax_nst import Result, Status, load_image, save_image
from jax_nst.cli import main as cli
from jax_nst.cli import saving
from jax_nst.cli.saving import Saver
from jax_nst.images import load_picture, load_settings
from jax_nst.runtime.files import FileError
from jax_nst.transfer.outcome import Progress

QUICK = ("--features=wavelet", "--content_layers=luma1", "--style_layers=scale1", "--steps=4")


def run(*arguments):
    return cli.main(["main.py", *arguments])


def result_of(message="ok", pixels=None):
    """A result as `transfer` makes it."""
    history = {"run": {"message": message, "losses": {"total": float("nan")}}, "steps": [{"total": 1.0}]}
    pixels = picture(12, 16) if pixels is None else pixels
    return Result(pixels, history, lambda pixels: None, Status.of(message), message)


@pytest.fixture
def saver(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Saver(
        "o.png", "h.json", alpha=np.full((12, 16), 0.5, np.float32), settings={"config": {"steps": 3}}
    )


def full(path, pixels, **rest):
    raise FileError(f"{path}: cannot be written (No space left on device)")


def test_what_the_run_did_is_in_the_file_and_its_history(saver):
    saver.save_result(result_of())
    assert (saver.path, saver.has_failed) == ("o.png", False)
    saved = load_settings("o.png")
    assert saved["config"] == {"steps": 3}
    assert saved["run"] == {"message": "ok", "losses": {"total": None}}
    np.testing.assert_allclose(load_picture("o.png").alpha, 0.5, atol=1 / 255)
    assert json.loads(Path("h.json").read_text())["steps"] == [{"total": 1.0}]


def test_measures_are_added_to_the_picture_and_its_history(saver):
    result = result_of()
    saver.save_result(result)
    before = load_picture("o.png")
    assert saver.save_measures(result) == {}  # not asked for
    seen = []
    saver._measure = lambda pixels: seen.append(pixels) or {"clipped": 0.5, "content_ssim": float("nan")}
    assert saver.save_measures(result)["clipped"] == 0.5
    np.testing.assert_array_equal(seen[0], before.pixels)  # of the file
    for run in (load_settings("o.png")["run"], json.loads(Path("h.json").read_text())["run"]):
        assert run["measures"] == {"clipped": 0.5, "content_ssim": None}
        assert run["message"] == "ok"
    np.testing.assert_array_equal(load_picture("o.png").pixels, before.pixels)
    np.testing.assert_array_equal(load_picture("o.png").alpha, before.alpha)
    assert not saver.has_failed


def test_measures_that_cannot_be_saved_are_told_and_lose_nothing(saver, monkeypatch, capsys):
    saver.save_result(result_of())
    before = Path("o.png").read_bytes()
    monkeypatch.setattr(saving, "save_image", full)
    saver._measure = lambda pixels: {"clipped": 0.5}
    assert saver.save_measures(result_of()) == {"clipped": 0.5}
    assert "the picture is saved, but without its measures" in capsys.readouterr().err
    assert Path("o.png").read_bytes() == before
    assert saver.has_failed


def test_what_is_saved_during_the_run_says_at_which_step(saver):
    entries = {0: [{"step": 2, "total": 5.0}, {"step": 3, "total": float("inf")}]}
    saver.save_during(Progress((0,), 0, 1, 3, 9, 16, entries, lambda item=None: picture(12, 16)))
    expected = {"message": "saved at step 3 of 9", "last": {"step": 3, "total": None}}
    assert load_settings("o.png")["run"] == expected
    assert not Path("h.json").exists()


def test_the_picture_of_an_exception_is_saved(saver, capsys):
    saver.rescue(KeyboardInterrupt())
    assert not list(Path().iterdir())
    error = RuntimeError()
    error.result = result_of("stopped after step 3")
    saver.rescue(error)
    assert load_image("o.png").shape == (12, 16, 3)
    assert (
        capsys.readouterr().err == "jax_nst: stopped after step 3; the picture so far is saved as o.png\n"
    )
    before = Path("o.png").read_bytes()
    error.result = result_of("stopped after step 4", picture(12, 16, 9))
    saver.rescue(error)
    assert Path("o.png").read_bytes() == before


def test_a_picture_of_an_exception_that_cannot_be_saved_hides_no_error(saver, monkeypatch, capsys):
    monkeypatch.setattr(saving, "save_image", full)
    error = RuntimeError()
    error.result = result_of()
    saver.rescue(error)
    assert (saver.path, capsys.readouterr().err) == ("", "")


def test_a_second_signal_waits_for_a_picture_that_is_at_hand(saver, capsys):
    threading.Timer(0.1, saver.save_result, (result_of(),)).start()
    saver.quit_at_once()
    assert capsys.readouterr().err == "jax_nst: interrupted, o.png is saved\n"


def test_a_second_signal_does_not_wait_long(saver, monkeypatch, capsys):
    monkeypatch.setattr(saving, "_GRACE", 0.01)
    saver.quit_at_once()
    assert capsys.readouterr().err == "jax_nst: interrupted, nothing was saved\n"


def test_without_the_working_folder_the_temporary_one_serves(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(saving.tempfile, "gettempdir", lambda: str(tmp_path))

    def save(path, pixels, **rest):
        (save_image if Path(path).parent == tmp_path else full)(path, pixels, **rest)

    monkeypatch.setattr(saving, "save_image", save)
    saver = Saver("o.jpg", None, alpha=None, settings={})
    saver.save_result(result_of())
    (rescued,) = tmp_path.glob("o_rescued_*.png")
    assert (saver.path, saver.has_failed) == (str(rescued), True)
    assert f"the picture is saved as {rescued} instead" in capsys.readouterr().err


# From the command line.


def test_save_every_saves_during_the_run(pair, monkeypatch, capsys):
    saved, original = [], saving.save_image
    monkeypatch.setattr(saving, "save_image", lambda *a, **k: (saved.append(a[0]), original(*a, **k)))
    assert run(*pair, *QUICK, "--output=c_s.png", "--save_every=2") == 0
    assert saved == ["c_s.png"] * 3  # steps 2 and 4, and the end
    capsys.readouterr()


def test_a_save_that_fails_on_the_way_does_not_end_the_run(pair, monkeypatch, capsys):
    monkeypatch.chdir(os.getcwd())
    failed = []

    def save(path, pixels, **rest):
        if not failed:
            failed.append(path)
            raise FileError(f"{path}: cannot be written there (No space left on device)")
        save_image(path, pixels, **rest)

    monkeypatch.setattr(saving, "save_image", save)
    assert run(*pair, *QUICK, "--output=c_s.png", "--save_every=2") == 0
    assert "c_s.png: cannot be written there (No space left on device); painting goes on" in (
        capsys.readouterr().err
    )
    assert load_image("c_s.png").shape == (24, 32, 3)


def test_a_picture_that_cannot_be_saved_is_saved_elsewhere(pair, monkeypatch, tmp_path, capsys):
    """The history is written whatever happens, and the exit status says that something did."""
    (tmp_path / "out").mkdir()

    def save(path, pixels, **rest):
        if Path(path).parent.name == "out":
            raise FileError(f"{path}: cannot be written there (No such file or directory)")
        save_image(path, pixels, **rest)

    monkeypatch.setattr(saving, "save_image", save)
    assert run(*pair, *QUICK, "--output=out/p.png", "--history=h.json") == 1
    out, err = capsys.readouterr()
    (rescued,) = tmp_path.glob("p_rescued_*.png")
    assert out == f"{rescued}\n"
    assert (
        f"out/p.png: cannot be written there (No such file or directory); the picture is saved as {rescued}"
        in err
    )
    assert load_image(rescued).shape == (24, 32, 3)
    assert json.loads(Path("h.json").read_text())["steps"]


def test_a_picture_that_can_be_saved_nowhere_leaves_its_history(pair, monkeypatch, capsys):
    def save(path, pixels, **rest):
        raise FileError(f"{path}: cannot be written there (No space left on device)")

    monkeypatch.setattr(saving, "save_image", save)
    assert run(*pair, *QUICK, "--output=c_s.png", "--history=h.json") == 1
    assert "jax_nst: c_s.png: cannot be written there (No space left on device)" in capsys.readouterr().err
    assert json.loads(Path("h.json").read_text())["steps"]


def test_a_history_that_cannot_be_written_does_not_hide_the_picture(pair, monkeypatch, tmp_path, capsys):
    (tmp_path / "gone").mkdir()

    def save(path, pixels, **rest):
        (tmp_path / "gone").rmdir()
        save_image(path, pixels, **rest)

    monkeypatch.setattr(saving, "save_image", save)
    assert run(*pair, *QUICK, "--output=c_s.png", "--history=gone/h.json") == 1
    out, err = capsys.readouterr()
    assert out == "c_s.png\n"
    assert "jax_nst: gone/h.json: cannot be written" in err
    assert "saved after 4 steps at 32 px" in err
    assert load_image("c_s.png").shape == (24, 32, 3)


def test_a_second_interrupt_says_what_there_is(pair, tmp_path):
    (tmp_path / "twice.py").write_text(TWICE)
    command = [sys.executable, "twice.py", *pair, *QUICK, "--output=c_s.png", "--save_every=1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 130
    assert "jax_nst: interrupted, c_s.png is saved" in done.stderr
    assert os.path.exists("c_s.png")


TWICE = """
import os, signal, sys, time
from jax_nst.cli import main

def twice(bar, progress):
    if progress.step >= 2:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)

main.show_steps = twice
sys.exit(main.main())
"""


def test_a_run_that_diverged_says_so(tmp_path, capsys):
    saver = Saver(str(tmp_path / "o.png"), None, alpha=None, settings={})
    message = "diverged at step 1; the best before is kept"
    saver.save_result(result_of(message)._replace(status=Status.DIVERGED))
    assert f"jax_nst: warning: {message}. Make the learning rate" in capsys.readouterr().err


def test_a_picture_is_rescued_where_the_working_folder_is_gone(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    monkeypatch.setattr(saving.tempfile, "gettempdir", lambda: str(tmp_path))
    saver = Saver(f"{'n' * 240}.png", None, alpha=None, settings={})
    (tmp_path / "gone").rmdir()
    saver.save_result(result_of())
    monkeypatch.chdir(tmp_path)
    (rescued,) = tmp_path.glob("n*_rescued_*.png")
    assert saver.path == str(rescued)
    capsys.readouterr()
