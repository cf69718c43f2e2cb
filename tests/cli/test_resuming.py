"""Runs that were stopped and go on, from the command line."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from conftest import ROOT

from jax_nst.cli import main as cli
from jax_nst.cli.flags import define_flags, to_job
from jax_nst.cli.resuming import checkpoint_of, command_of, fill_in
from jax_nst.runtime.files import FileError
from jax_nst.sweeps.commands import read_command

QUICK = ("--features=wavelet", "--content_layers=luma1", "--style_layers=scale1", "--steps=12", "--quiet")


def run(*arguments):
    return cli.main(["main.py", *map(str, arguments)])


def parsed(*arguments):
    parser = flags.FlagValues()
    define_flags(parser)
    parser(["main.py", *arguments])
    return parser


def stop_at(monkeypatch, step, *, of="show_steps", number=signal.SIGTERM, when=lambda progress: True):
    """Sends this process a signal once a step is shown."""

    def show(bar, progress, *rest):
        if progress.step >= step and when(progress):
            os.kill(os.getpid(), number)

    monkeypatch.setattr(cli, of, show)


def losses_of(path):
    """The history without what differs from run to run: the times."""
    return [
        {k: v for k, v in step.items() if k != "seconds"} for step in json.loads(path.read_text())["steps"]
    ]


# One picture.


@pytest.mark.parametrize(("optimizer", "scales"), [("lbfgs", 1), ("adam", 2)])
def test_a_stopped_run_goes_on_bit_for_bit_from_its_folder_alone(
    optimizer, scales, pair, tmp_path, monkeypatch, capsys
):
    """In another working folder; the folder of the state goes when the run has ended."""
    given = (*pair, *QUICK, f"--scales={scales}", f"--optimizer={optimizer}")
    assert run(*given, "--output=whole.png", "--history=whole.json") == 0
    with monkeypatch.context() as patch:
        stop_at(patch, 3)
        stopped = (*given, "--output=o.png", "--history=h.json", "--checkpoint=ck", "--checkpoint_every=0")
        assert run(*stopped) == 128 + signal.SIGTERM
        stop_at(patch, 9)
        patch.chdir(tmp_path.parent)
        assert run("--resume", tmp_path / "ck", "--quiet") == 128 + signal.SIGTERM
    assert "jax_nst: go on with --resume" in capsys.readouterr().err
    assert Path("o.png").exists()
    assert 1 < len(losses_of(Path("h.json"))) < len(losses_of(Path("whole.json")))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert run("--resume=../ck", "--quiet") == 0
    assert capsys.readouterr().out == f"{tmp_path / 'o.png'}\n"
    assert not list(Path().iterdir())
    monkeypatch.chdir(tmp_path)
    assert losses_of(Path("h.json")) == losses_of(Path("whole.json"))
    assert Path("o.png").read_bytes() == Path("whole.png").read_bytes()
    assert not Path("ck").exists()


def test_one_command_begins_and_goes_on(pair, monkeypatch):
    """Also where the folder is there, but empty."""
    Path("ck").mkdir()
    given = (*pair, *QUICK, "--output=o.png", "--checkpoint=ck", "--resume=ck")
    with monkeypatch.context() as patch:
        stop_at(patch, 3)
        assert run(*given) == 143
    assert run(*given) == 0
    assert run(*given) == 0


def test_one_command_begins_a_sweep_and_goes_on(pair):
    given = (*pair, *QUICK, "--style_weight=1,10", "--output=out", "--resume=out")
    for _ in range(2):
        assert run(*given) == 0
    assert len(list(Path("out").glob("style_weight=*.png"))) == 2


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--resume=nowhere",), 1, "nowhere: holds no checkpoint; name the folder of one, or begin anew"),
        (("--resume=c.png",), 1, "c.png: holds no checkpoint"),
        (("--resume=ck", "--checkpoint=other"), 2, "--checkpoint other has no use with --resume ck"),
        (("--output=o.png", "--resume=o.png"), 1, "o.png: holds no checkpoint"),
        (("--resume=",), 2, "--resume needs a value; name the folder of a checkpoint, or of a sweep"),
        (("--resume", "--quiet"), 2, "--resume needs a value; name the folder"),
        (("--resume_anyway",), 2, "--resume_anyway has no use without --resume"),
        (("--checkpoint_every=-1",), 2, "--checkpoint_every must be zero or more, not -1.0"),
        (("--checkpoint=",), 2, "--checkpoint is empty"),
        (
            ("--style_weight=1,2", "--checkpoint=ck"),
            2,
            "--checkpoint has no use here: a sweep keeps its own",
        ),
    ],
)
def test_flags_of_resuming_that_are_wrong_get_a_sentence(arguments, status, message, pair, capsys):
    before = sorted(Path().iterdir())
    assert run(*pair, *QUICK[:-1], *arguments) == status
    out, err = capsys.readouterr()
    assert err.startswith(f"jax_nst: {message}")
    assert (out, err.count("\n")) == ("", 1)
    assert sorted(Path().iterdir()) == before


@pytest.fixture
def stopped(pair, monkeypatch, capsys):
    """The folder of a run that was stopped."""
    with monkeypatch.context() as patch:
        stop_at(patch, 3)
        assert run(*pair, *QUICK, "--output=o.png", "--checkpoint=ck") == 143
    capsys.readouterr()
    return Path("ck")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--style_weight=3",), "ck: holds the state of another run (style_weight: "),
        (("--steps=13",), "ck: holds the state of another run (steps: 12 there, 13 here)"),
        (("--content=s.png",), "ck: holds the state of another run (content: another one)"),
    ],
)
def test_the_state_of_another_run_is_refused(change, message, stopped, capsys):
    before = Path("o.png").read_bytes()
    assert run("--resume=ck", "--quiet", *change) == 1
    assert capsys.readouterr().err.startswith(f"jax_nst: {message}")
    assert Path("o.png").read_bytes() == before
    assert run("--resume=ck", "--quiet", "--output=other.png") == 0
    assert Path("o.png").read_bytes() == before


def test_a_checkpoint_is_not_overwritten(stopped, pair, capsys):
    assert run(*pair, *QUICK, "--output=o.png", "--checkpoint=ck") == 1
    assert "ck: holds the checkpoint of a run; resume that, or delete the folder" in capsys.readouterr().err


def test_another_environment_is_refused_unless_told(stopped, capsys):
    path = stopped / "checkpoint.json"
    path.write_text(re.sub(r'"jaxlib": "[^"]+"', '"jaxlib": "0.0.1"', path.read_text()))
    assert run("--resume=ck", "--quiet") == 1
    err = capsys.readouterr().err
    assert "ck: was written elsewhere (jaxlib: " in err
    assert "add --resume_anyway" in err
    assert run("--resume=ck", "--resume_anyway", "--quiet") == 0


def test_a_torn_checkpoint_gets_a_sentence(stopped, capsys):
    state = next(stopped.glob("state_*.npz"))
    state.write_bytes(state.read_bytes()[:-200])
    assert run("--resume=ck", "--quiet") == 1
    assert "ck: the checkpoint is damaged; delete it to begin anew" in capsys.readouterr().err
    (stopped / "checkpoint.json").write_text("{")
    assert run("--resume=ck", "--quiet") == 1
    assert "is damaged; delete the folder to begin anew" in capsys.readouterr().err


# Sweeps.


def pictures_of(folder):
    return {path.name: path.read_bytes() for path in Path(folder).glob("style_weight=*.png")}


def test_a_stopped_sweep_goes_on_within_its_batch_bit_for_bit(pair, tmp_path, monkeypatch, capsys):
    given = (*pair, *QUICK, "--style_weight=1,10,100", "--batch=1", "--checkpoint_every=0")
    assert run(*given, "--output=whole") == 0
    with monkeypatch.context() as patch:
        stop_at(patch, 4, of="show_items", number=signal.SIGINT, when=lambda progress: progress.items_done)
        assert run(*given, "--output=sweep") == 130
    assert "jax_nst: go on with --resume sweep" in capsys.readouterr().err
    assert Path("sweep/checkpoint/checkpoint.json").exists()
    assert len(pictures_of("sweep")) == 2
    assert read_command(Path("sweep"))["steps"] == ["12"]
    steps = []
    monkeypatch.setattr(cli, "show_items", lambda bar, progress, items: steps.append(progress.step))
    monkeypatch.chdir(tmp_path.parent)
    assert run("--resume", tmp_path / "sweep", "--quiet") == 0
    monkeypatch.chdir(tmp_path)
    assert 4 <= steps[0] < 12  # not from the start of its item
    assert pictures_of("sweep") == pictures_of("whole")
    with np.load("sweep/history.npz") as found, np.load("whole/history.npz") as expected:
        np.testing.assert_array_equal(found["total"], expected["total"])
    assert not Path("sweep/checkpoint").exists()
    capsys.readouterr()
    assert run("--resume=sweep", "--quiet") == 1
    assert capsys.readouterr().err.startswith("jax_nst: sweep: holds a sweep that is finished")
    assert run("--resume=sweep", "--output=other", "--quiet") == 2
    assert "--resume sweep is a sweep, but --output names another" in capsys.readouterr().err


def test_a_stopped_sweep_takes_more_values_with_its_other_flags(pair, monkeypatch, capsys):
    given = (*pair, *QUICK, "--batch=1")
    with monkeypatch.context() as patch:
        stop_at(patch, 1, of="show_items", number=signal.SIGINT, when=lambda progress: progress.items_done)
        assert run(*given, "--style_weight=1,10,100", "--output=sweep") == 130
    before = pictures_of("sweep")
    assert len(before) == 2
    assert run("--resume=sweep", "--style_weight=0.5,1,10,100") == 0
    assert pictures_of("sweep")["style_weight=1.png"] == before["style_weight=1.png"]
    assert len(pictures_of("sweep")) == 4
    capsys.readouterr()
    assert run("--resume=sweep", "--style_weight=1,7") == 1
    assert "finished, or was begun from Python; give all its flags to extend it" in capsys.readouterr().err
    assert run(*given, "--resume=sweep", "--style_weight=1,7") == 0
    assert len(pictures_of("sweep")) == 5


def test_the_report_of_a_sweep_is_made_alone(pair, monkeypatch, capsys):
    assert run(*pair, *QUICK, "--style_weight=1,10") == 0
    for name in ("index.html", "contact_sheet.png"):
        Path("sweep", name).unlink()
    Path("c.png").unlink()
    monkeypatch.setattr(cli, "load_network", None)
    capsys.readouterr()
    assert run("--report=sweep") == 0
    assert capsys.readouterr() == ("sweep/index.html\n", "")
    assert all(Path("sweep", name).exists() for name in ("index.html", "contact_sheet.png"))
    assert run("--report=nowhere") == 1
    assert "nowhere: holds no sweep (settings.json is missing)" in capsys.readouterr().err
    for path in ("sweep/settings.json", "sweep/batches/settings.json"):
        Path(path).write_text("{")
    assert run("--report=sweep") == 1
    assert "settings.json: cannot be read, or holds no settings of a sweep" in capsys.readouterr().err


# Its parts.


def test_a_command_is_kept_with_full_paths_and_without_what_is_of_the_process(pair, tmp_path):
    parser = parsed(*pair, *QUICK, "--init=s.png", "--history=h.json", "--checkpoint=ck", "--no_clobber")
    values = parser.flag_values_dict()
    command = json.loads(json.dumps(command_of(values, to_job(values), "o.png")))
    assert (command["content"], command["output"]) == ([str(tmp_path / "c.png")], str(tmp_path / "o.png"))
    assert (command["init"], command["history"]) == ([str(tmp_path / "s.png")], str(tmp_path / "h.json"))
    assert (command["steps"], command["features"], command["weights"]) == (["12"], "wavelet", None)
    assert not {"quiet", "resume", "checkpoint", "no_clobber", "batch_size", "help"} & set(command)


def test_flags_that_are_given_come_before_those_of_the_run(stopped):
    parser = parsed("--resume=ck", "--output=other.png")
    fill_in(parser)
    assert (parser["steps"].value, parser["output"].value) == (["12"], "other.png")
    parser = parsed("--steps=3")
    fill_in(parser)
    assert (parser["steps"].value, parser["content"].value) == (["3"], None)


@pytest.mark.parametrize(
    ("arguments", "folder", "after"),
    [
        ((), "o.png.checkpoint", 120),
        (("--checkpoint_every=300",), "o.png.checkpoint", 300),
        (("--checkpoint=off",), "o.png.checkpoint", float("inf")),
        (("--checkpoint=ck",), "ck", 0),
        (("--resume=ck",), "ck", 0),
    ],
)
def test_where_and_when_the_state_is_saved(arguments, folder, after):
    found = checkpoint_of(parsed(*arguments).flag_values_dict(), "o.png")
    assert (str(found.folder), found.after) == (folder, after)
    assert found.replace == (folder != "ck")


# Real processes.


def start(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, str(ROOT / "main.py"), *map(str, arguments)], stderr=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}, **options,
    )  # fmt: skip


def ended(process):
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err
    return process.returncode, out, err


def stop_when(process, pattern, number):
    """Sends a signal once standard error has that."""
    read = ""
    while not re.search(pattern, read):
        piece = process.stderr.read(1)
        assert piece, read
        read += piece
    process.send_signal(number)
    return ended(process)


@pytest.mark.slow
def test_a_terminated_process_leaves_picture_and_state_and_goes_on(pair, tmp_path):
    long = (*pair, *QUICK[:3], "--steps=4000", "--history=h.json", "--checkpoint=ck")
    assert ended(start(*long, "--output=whole.png"))[0] == 0
    Path("h.json").rename("whole.json")
    status, out, err = stop_when(start(*long, "--output=o.png"), r"step [1-9]\d*/4000", signal.SIGTERM)
    assert (status, out) == (143, "o.png\n")
    assert "jax_nst: go on with --resume ck" in err
    assert Path("o.png").exists()
    assert 1 < len(losses_of(Path("h.json"))) < 4001
    (tmp_path / "elsewhere").mkdir()
    status, out, _ = ended(start("--resume=../ck", "--quiet", cwd=tmp_path / "elsewhere"))
    assert (status, out) == (0, f"{tmp_path / 'o.png'}\n")
    assert Path("o.png").read_bytes() == Path("whole.png").read_bytes()
    assert losses_of(Path("h.json")) == losses_of(Path("whole.json"))
    assert not Path("ck").exists()


@pytest.mark.slow
def test_a_sweep_killed_within_a_batch_goes_on_bit_for_bit(pair, tmp_path):
    """SIGKILL once a state is saved: what is saved is there."""
    long = (*pair, *QUICK[:3], "--steps=1500", "--style_weight=1,10", "--checkpoint_every=0")
    assert ended(start(*long, "--output=whole"))[0] == 0
    process = start(*long, "--output=sweep")
    while not Path("sweep/checkpoint/checkpoint.json").exists():
        assert process.poll() is None
    process.kill()
    process.communicate()
    assert not pictures_of("sweep")
    status, _, err = ended(start("--resume=sweep"))
    assert (status, "2 of 2 pictures" in err) == (0, True)
    assert pictures_of("sweep") == pictures_of("whole")


def test_a_signal_while_a_level_compiles_ends_the_program(pair, tmp_path):
    """It waits for no compilation, and plans no second level."""
    (tmp_path / "compiling.py").write_text(COMPILING)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_ENABLE_COMPILATION_CACHE": "0"}
    command = [sys.executable, "compiling.py", *pair, "--features=wavelet", "--size=128", "--scales=2"]
    command += ["--output=o.png", "--compilation_cache=off", "--style_size=128"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 143, done.stderr
    assert re.findall(r"^planned (\d+)$", done.stdout, re.MULTILINE) == ["64"]
    assert "jax_nst: stopped before the first step; nothing was written" in done.stderr
    assert "Traceback" not in done.stderr
    assert not Path("o.png").exists()


COMPILING = """
import os, signal, sys, threading
from jax_nst.cli import main
from jax_nst_command import start

def compiling(bar, size):
    print("planned", size, flush=True)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()

main.show_compiling = compiling
sys.exit(start())
"""


def _checkpoint_with(folder, **command):
    folder.mkdir()
    found = {"format": 1, "number": 1, "state": "s.npz", "identity": {}, "snapshot": {}}
    found |= {"command": command}
    (folder / "checkpoint.json").write_text(json.dumps(found))
    return folder


def _filled(*arguments):
    parser = flags.FlagValues()
    define_flags(parser)
    parser(["main.py", *arguments])
    fill_in(parser)
    return parser


def test_flags_of_a_checkpoint_are_taken_if_they_are_of_their_kind(tmp_path):
    folder = _checkpoint_with(
        tmp_path / "k", save_every=7, style=["s.png"], checkpoint_every=1, sparkle=True
    )
    parser = _filled(f"--resume={folder}")
    assert (parser["save_every"].value, parser["style"].value, parser["checkpoint_every"].value) == (
        7,
        ["s.png"],
        1,
    )


@pytest.mark.parametrize(
    "command", [{"save_every": "many"}, {"steps": 5}, {"style": 5}, {"style": [5]}, {"zip": "yes"}], ids=str
)
def test_flags_of_another_kind_are_damage(command, tmp_path):
    folder = _checkpoint_with(tmp_path / "k", **command)
    with pytest.raises(FileError, match=f"the checkpoint is damaged, in its {next(iter(command))}; delete"):
        _filled(f"--resume={folder}")


def test_a_checkpoint_beside_that_to_go_on_with_is_refused(tmp_path):
    folder = _checkpoint_with(tmp_path / "k")
    with pytest.raises(ValueError, match=r"--checkpoint j has no use with --resume .*k, where the state"):
        _filled(f"--resume={folder}", "--checkpoint=j")
    assert _filled(f"--resume={folder}", f"--checkpoint={tmp_path}/./k")


@pytest.mark.parametrize("name", ["l", "n" * 300])
def test_what_cannot_be_a_folder_holds_no_checkpoint(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("l").symlink_to("l")
    with pytest.raises(FileError, match="holds no checkpoint"):
        _filled(f"--resume={name}")


def test_a_sweep_of_a_table_goes_on_from_anywhere(pair, tmp_path, monkeypatch, capsys):
    """The table and the pictures are kept by their full paths, except those that the table names."""
    del pair
    Path("points.csv").write_text("content,tv_weight\nc.png,1\nc.png,2\n")
    given = ("--points=points.csv", "--style=s.png", *QUICK, "--batch=1")
    job = to_job(parsed(*given).flag_values_dict())
    command = command_of(parsed(*given).flag_values_dict(), job, "out")
    assert command["points"] == str(tmp_path / "points.csv")
    assert (command["content"], command["style"]) == (None, [str(tmp_path / "s.png")])
    with monkeypatch.context() as patch:
        stop_at(patch, 4, of="show_items", number=signal.SIGINT, when=lambda progress: progress.items_done)
        assert run(*given, "--output=sweep") == 130
    assert run("--resume=sweep", "--quiet") == 0
    assert len(list(Path("sweep").glob("tv_weight=*.png"))) == 2
