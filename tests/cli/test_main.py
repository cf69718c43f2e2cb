"""The command line, in this process and as a real one."""

import csv
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES, ROOT, picture
from PIL import Image

from jax_nst import METRICS, Config, images, load_image, measure_picture, save_image
from jax_nst.cli import main as cli
from jax_nst.losses import STYLE_TERMS
from jax_nst.transfer import plan
from jax_nst.transfer.provenance import for_json

QUICK = (
    "--features=wavelet",
    "--content_layers=luma1",
    "--style_layers=scale1",
    "--steps=4",
    "--optimizer=adam",
)


def run(*arguments):
    return cli.main(["main.py", *arguments])


# Flags.


def test_help_shows_every_flag_with_its_default(capsys):
    assert run("--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    for field in dataclasses.fields(Config):
        assert f"--{field.name} " in text
    for name in ("content", "style", "output", "history", "quiet", "help"):
        assert f"--{name}" in text
    assert "(default: 80)" in text
    assert "in pixels" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--content is missing"),
        (("--content=c.png",), "--style is missing"),
        (("--contents=c.png",), "Unknown command line flag 'contents'. Did you mean: content"),
        (("c.png", "s.png"), "unexpected argument 'c.png'"),
        (("--steps=many",), "steps"),
        (("--steps=0",), "steps must be 1 or more"),
        (("--recipe=soup",), "the valid ones are normalized, gatys2015"),
        (("--optimizer=sgd",), "the valid ones are lbfgs, adam"),
        (("--style_layer_weights=1,two",), "style_layer_weights takes numbers separated by commas"),
        (("--seed=1,x",), "seed takes whole numbers separated by commas"),
        (("--batch=none", "--tv_weight=1,2"), "batch must be auto, or a number from 1, not 'none'"),
        (("--zip",), "--zip has no use here: there is only one picture to make"),
        (("--batch=3",), "--batch has no use here"),
        (
            ("--seed=1,2", "--init=noise", "--history=h.json"),
            "--history has no use here: a sweep writes history.npz",
        ),
        (("--seed=1,2", "--init=noise", "--save_every=3"), "--save_every has no use here"),
        (("--process_id=1",), "--process_id has no use without --distributed"),
        (("--blend=1,2,3",), "blend has 3 shares for 1 styles"),
        (("--seed=1,2", "--content_weight=1,2,3", "--zip"), "zip pairs values, but there are"),
        (("--seed=1,-2",), "seed must be 0 or more"),
        (
            ("--seed=3",),
            "--seed has no use here: only --init noise, --init_noise and --noise use it; leave it out",
        ),
        (
            ("--seed=3", "--style_weight=1,2"),
            "--seed has no use here: only --init noise, --init_noise and --noise use it",
        ),
        (
            ("--seed=1,2", "--init=noise", "--no_clobber"),
            "--no_clobber has no use here: a sweep",
        ),
        (("--output=",), "--output is empty; give it a value, or leave it out"),
        (("--history=",), "--history is empty; give it a value, or leave it out"),
        (("--compilation_cache=",), "--compilation_cache is empty; give it a value, or leave it out"),
        (("--output=-",), "--output cannot be standard output, which gets the path of the picture"),
        (("--history=-",), "--history cannot be standard output, which gets the path of the picture"),
    ],
)
def test_wrong_flags_get_one_line_and_status_2(arguments, message, pair, capsys):
    given = pair if arguments and arguments[0].split("=")[0] in RECOGNISED else ()
    assert run(*given, *arguments) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert err.startswith("jax_nst: ")
    assert (out, err.count("\n")) == ("", 1)


RECOGNISED = (
    "--steps", "--recipe", "--optimizer", "--style_layer_weights", "--seed", "--batch", "--zip",
    "--process_id", "--blend", "--output", "--history", "--compilation_cache",
)  # fmt: skip


# Sweeps.


def test_a_sweep_from_the_command_line(pair, capsys):
    save_image("t.png", picture(20, 20, 3))
    assert run(*pair, "--style=t.png", *QUICK, "--style_weight=10,1000", "--output=out") == 0
    out, err = capsys.readouterr()
    assert out == "out\n"
    assert "4 of 4 pictures; open out/index.html" in err
    assert len(list(Path("out").glob("style=*.png"))) == 4
    assert run(*pair, "--style=t.png", *QUICK, "--style_weight=10,1000", "--output=out") == 1
    assert "out: holds a sweep already; go on with it by --resume out" in capsys.readouterr().err
    resumed = (
        *pair,
        "--style=t.png",
        *QUICK,
        "--style_weight=10,1000",
        "--resume=out",
        "--quiet",
    )
    assert run(*resumed) == 0
    assert capsys.readouterr() == ("out\n", "")


def test_style_losses_of_a_sweep_have_columns(pair):
    assert run(*pair, *QUICK, "--style_loss=gram:2,moments", "--style_weight=10,1000", "--quiet") == 0
    names = ["total", "content", "gram", "moments", "tv"]
    with Path("sweep/results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [name for name in rows[0] if name.endswith("_loss")] == [f"{name}_loss" for name in names]
    assert all(float(row["moments_loss"]) > 0 for row in rows)
    with np.load("sweep/history.npz") as history:
        assert set(history) == {*names, "key", "picture"}


@pytest.mark.slow
def test_a_sweep_is_measured_and_stays_so_when_it_is_resumed(pair):
    """Of two pictures, one is missing; the flags are those of the sweep."""
    flags = (*pair, *QUICK, "--style_weight=10,1000", "--quiet")
    assert run(*flags, "--measure") == 0

    def rows():
        with Path("sweep/results.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    before = rows()
    assert all(0 < float(row["style_distance_vgg"]) < 1 for row in before)
    assert all(-1 <= float(row[name]) <= 1 for row in before for name in ("content_ssim", "content_edges"))
    Path("sweep", before[0]["file"]).unlink()
    assert run(*flags, "--resume=sweep", "--measure") == 0
    assert [row["content_ssim"] for row in rows()] == [row["content_ssim"] for row in before]


def test_a_sweep_with_a_bad_file_names_it_and_paints_the_rest(pair, capsys):
    Path("bad.png").write_bytes(b"no picture")
    assert run(*pair, "--style=bad.png", *QUICK) == 1
    err = capsys.readouterr().err
    assert re.search(r"^jax_nst: item 1: failed: bad\.png: is not a JPEG", err, re.MULTILINE)
    assert "1 of 2 pictures" in err
    assert len(list(Path("sweep").glob("style=*.png"))) == 1


def test_one_bad_file_of_a_sweep_is_told_once(pair, capsys):
    Path("bad.png").write_bytes(b"no picture")
    assert run("--content=bad.png", pair[1], *QUICK, "--style_weight=1,2,3,4,5") == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "bad.png" in line]
    assert len(lines) == 1
    assert lines[0].startswith("jax_nst: items 0-4: failed: bad.png: ")


def test_a_sweep_that_is_stopped_before_its_first_step_writes_no_picture(pair, monkeypatch, capsys):
    monkeypatch.setattr(cli, "show_items", lambda *arguments: os.kill(os.getpid(), signal.SIGINT))
    assert run(*pair, *QUICK, "--style_weight=1,2") == 130
    assert "jax_nst: stopped before the first step; no picture was written" in capsys.readouterr().err
    assert not list(Path("sweep").glob("*.png"))
    monkeypatch.undo()


def test_several_pictures_need_a_folder(pair, capsys):
    assert run(*pair, *QUICK, "--tv_weight=1,2", "--output=out.png") == 2
    assert "out.png: 2 pictures need a folder" in capsys.readouterr().err


def test_a_sweep_never_overwrites_its_inputs(pair, capsys):
    Path("out").mkdir()
    Path("c.png").rename("out/tv_weight=1.png")
    before = Path("out/tv_weight=1.png").read_bytes()
    arguments = ("--content=out/tv_weight=1.png", "--style=s.png", "--tv_weight=1,2", "--output=out")
    assert run(*arguments, *QUICK) == 2
    assert "is read or written already" in capsys.readouterr().err
    assert Path("out/tv_weight=1.png").read_bytes() == before


def test_the_report_of_a_sweep_never_overwrites_its_inputs(pair, capsys):
    Path("out").mkdir()
    Path("c.png").rename("out/contact_sheet.png")
    content = "--content=out/contact_sheet.png"
    assert run(content, "--style=s.png", *QUICK, "--tv_weight=1,2", "--output=out") == 2
    assert "is read or written already" in capsys.readouterr().err


def test_a_long_list_of_files(pair, capsys):
    styles = ",".join(f"{'painting' * 8}{index}.jpg" for index in range(100))
    assert run(pair[0], f"--style={styles},s.png", *QUICK, "--output=out") == 1
    assert f"{'painting' * 8}0.jpg: no such image file" in capsys.readouterr().err
    assert run(*pair, *QUICK, f"--init={styles}") == 1
    capsys.readouterr()


def test_a_blend_is_one_picture(pair, capsys):
    save_image("t.png", picture(20, 20, 3))
    assert run(*pair, "--style=t.png", *QUICK, "--output=c_s_t.png", "--blend=0.7,0.3") == 0
    assert capsys.readouterr().out == "c_s_t.png\n"
    settings = images.load_settings("c_s_t.png")
    assert [settings["inputs"][name]["name"] for name in ("style 1", "style 2")] == ["s.png", "t.png"]
    assert settings["blend"] == [0.7, 0.3]


# Files.


def test_one_picture_from_the_command_line(pair, capsys):
    assert run(*pair, *QUICK, "--output=c_s.png", "--history=h.json") == 0
    out, err = capsys.readouterr()
    assert out == "c_s.png\n"
    assert load_image("c_s.png").shape == (24, 32, 3)
    history = json.loads(Path("h.json").read_text())
    assert len(history["steps"]) == 5
    assert set(history) >= {"config", "versions", "device", "weights_sha256", "compile_seconds", "steps"}
    # The last line scores the file: as near to the best step as rounding allows.
    last = err.strip().splitlines()[-1]
    total = float(re.search(r"the file scores total ([\d.e+-]+)", last).group(1))  # pyright: ignore
    assert total == pytest.approx(min(step["total"] for step in history["steps"]), rel=0.05)
    assert "100%" in err
    assert "step 4/4 at 32 px, loss" in err
    settings = images.load_settings("c_s.png")
    assert settings["config"]["steps"] == 4
    assert {role: file["name"] for role, file in settings["inputs"].items()} == {
        "content": "c.png",
        "style": "s.png",
    }
    assert "jax" in settings["versions"]


@pytest.mark.parametrize("more", [(), ("--output={content}_{style}_{style_weight}.jpg",)])
def test_another_setting_never_replaces_the_picture(more, pair, capsys):
    for weight in (300, 1000):
        assert run(*pair, *QUICK[:3], "--steps=1", f"--style_weight={weight}", "--quiet", *more) == 0
    outputs = capsys.readouterr().out.splitlines()
    assert len(set(outputs)) == 2
    assert all(load_image(path).shape == (24, 32, 3) for path in outputs)
    assert outputs[1] == ("c_s_1000.jpg" if more else outputs[0].replace("300", "1000"))


def test_style_losses_are_in_history_and_verdict(pair, capsys):
    assert run(*pair, *QUICK, "--style_loss=gram:2,moments", "--history=h.json") == 0
    names = ["total", "content", "gram", "moments", "tv"]
    history = json.loads(Path("h.json").read_text())
    assert list(history["steps"][0]) == ["step", "size", "seconds", *names]
    assert history["config"]["style_loss"] == ["gram:2", "moments"]
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.search(r"scores " + ", ".join(rf"{name} [\d.e+-]+" for name in names), last)


def test_measures_are_printed_in_lines_and_kept(pair, capsys):
    assert run(*pair, *QUICK, "--measure", "--history=h.json", "--output=o.png") == 0
    out, err = capsys.readouterr()
    assert out == "o.png\n"
    lines = err[err.index("saved after") :].splitlines()[1:]
    assert lines[0].startswith("style_distance_vgg")
    kept = json.loads(Path("h.json").read_text())["run"]["measures"]
    assert kept == images.load_settings("o.png")["run"]["measures"]
    assert list(kept) == [line.split()[0] for line in lines] == list(METRICS)
    assert len({line.index(line.split()[1]) + len(line.split()[1]) for line in lines}) == 1  # aligned
    for line in lines:
        name, value, *better = line.split()
        assert float(value) == pytest.approx(kept[name], abs=1e-4)
        assert " ".join(better) in ("lower is better", "higher is better", "near 1")
    styles, content = images.load_image("s.png"), images.load_image("c.png")
    expected = measure_picture(images.load_image("o.png"), content, styles, painted=("scale1",))
    assert kept == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("soup", f"unknown style_loss 'soup'; the valid ones are {', '.join(STYLE_TERMS)}"),
        ("gram,gram", "style_loss names gram twice; name each loss once"),
        ("gram:0", "the share of gram in style_loss must be above zero, not '0'"),
        ("", f"style_loss must name one of {', '.join(STYLE_TERMS)}, or several"),
    ],
)
@pytest.mark.parametrize("more", [(), ("--tv_weight=1,2",)], ids=["picture", "sweep"])
def test_an_invalid_style_loss_gets_one_sentence(flag, message, more, pair, capsys):
    assert run(*pair, *QUICK, *more, f"--style_loss={flag}") == 2
    out, err = capsys.readouterr()
    assert (out, err.strip()) == ("", f"jax_nst: {message}")
    assert sorted(path.name for path in Path().iterdir()) == ["c.png", "s.png"]


def test_settings_in_the_picture_name_no_folders(pair, tmp_path):
    assert run(f"--content={tmp_path / 'c.png'}", pair[1], *QUICK, "--output=c_s.png", "--quiet") == 0
    settings = images.load_settings("c_s.png")
    assert settings["inputs"]["content"]["name"] == "c.png"
    assert str(tmp_path) not in json.dumps(settings)


def test_quiet_prints_only_the_path(pair, capsys):
    assert run(*pair, *QUICK, "--quiet", "--output=o.jpg") == 0
    assert capsys.readouterr() == ("o.jpg\n", "")


def test_the_same_command_writes_the_same_bytes(pair):
    contents = []
    for _ in range(2):
        assert run(*pair, *QUICK, "--output=c_s.png", "--quiet", "--init=noise", "--seed=9") == 0
        contents.append(Path("c_s.png").read_bytes())
    assert contents[0] == contents[1]


def test_alpha_is_carried_and_resized(pair, capsys):
    alpha = np.zeros((24, 32), np.float32)
    alpha[:, 16:] = 1
    save_image("a.png", picture(24, 32), alpha=alpha)
    assert run("--content=a.png", pair[1], *QUICK, "--output=a_s.png", "--size=16") == 0
    read = images.load_picture("a_s.png").alpha
    assert read is not None
    assert read.shape == (12, 16)
    assert read[:, :6].max() < 0.1 < 0.9 < read[:, 10:].min()
    capsys.readouterr()


def test_colours_are_kept_and_alpha_is_untouched(pair, capsys):
    content, alpha = picture(24, 32, 1), picture(24, 32, 2)[..., 0]
    save_image("a.png", content, alpha=alpha)
    assert run("--content=a.png", pair[1], *QUICK, "--color=keep", "--output=o.png") == 0
    assert "; the luminance of the file scores total" in capsys.readouterr().err
    found = images.load_picture("o.png")
    np.testing.assert_array_equal(found.alpha, images.load_picture("a.png").alpha)
    difference = found.pixels - images.load_picture("a.png").pixels
    inside = (found.pixels.min(-1) > 0.02) & (found.pixels.max(-1) < 0.98)
    assert np.ptp(difference[inside], axis=-1).max() < 0.02  # of the luminance only
    assert np.abs(difference).mean() > 0.01


def test_a_jpeg_of_a_content_with_alpha_says_that_it_is_composited(pair, capsys):
    save_image("a.png", picture(24, 32, 1), alpha=np.full((24, 32), 0.5, np.float32))
    assert run("--content=a.png", "--style=s.png", *QUICK, "--output=o.jpg") == 0
    assert "the file (composited over white) scores total" in capsys.readouterr().err
    assert run("--content=a.png", "--style=s.png", *QUICK, "--output=o.png") == 0
    assert "; the file scores total" in capsys.readouterr().err


@pytest.mark.slow
def test_without_weights_a_visible_warning(pair, capsys):
    assert run(*pair, "--size=32", "--style_size=32", "--steps=1") == 0
    err = capsys.readouterr().err
    assert "jax_nst: warning: painting with VGG19-lite, the first three blocks of VGG19" in err


BAD_FILES = (
    (("--content=none.png", "--style=s.png"), "none.png: no such image file"),
    (("--content=text.jpg", "--style=s.png"), "text.jpg: is not a JPEG"),
    (("--content=empty.png", "--style=s.png"), "empty.png: is not a JPEG"),
    (("--content=c.png", "--style=half.png"), "half.png: is damaged"),
    (("--content=c.png", "--style=nothing*.png"), "nothing*.png: no file matches this pattern"),
    (("--content=c.png", "--style=empty"), "empty: the folder contains no images"),
    (("--content=c.png", "--style=Dear, Sir.jpg"), "Dear, Sir.jpg: no such image file"),
    (
        ("--content=c.png", "--style=Dear.jpg,Sir.jpg"),
        "--style Dear.jpg,Sir.jpg: no such image file; nor is there one of the files that its commas",
    ),
    (("--content=c.png", "--style=s.png", "--output=no/o.png"), "no/o.png: cannot be written"),
    (("--content=c.png", "--style=s.png", "--history=no/h.json"), "no/h.json: cannot be written"),
    (("--content=c.png", "--style=s.png", "--init=nothing.png"), "nothing.png: no such image file"),
    (("--content=c.png", "--style=s.png", "--features=vgg19", "--weights=text.jpg"), "text.jpg"),
    (
        ("--content=c.png", "--style=s.png", "--output=tiny.png", "--no_clobber"),
        "tiny.png: exists, and --no_clobber is given",
    ),
    (
        ("--content=c.png", "--style=s.png", "--history=text.jpg", "--no_clobber"),
        "text.jpg: exists, and --no_clobber is given",
    ),
)
BAD_VALUES = (
    (("--content=tiny.png", "--style=s.png"), "the content image is 4 x 3 pixels"),
    (("--content=c.png", "--style=s.png", "--style_size=4"), "give a larger style_size"),
    (("--content=c.png", "--style=s.png", "--output=o.bmp"), "o.bmp: unsupported image format"),
    (("--content=c.png", "--style=s.png", "--output=c.png"), "c.png: is read or written already"),
    (("--content=c.png", "--style=s.png", "--history=./s.png"), "./s.png: is read or written already"),
    (
        ("--content=c.png", "--style=s.png", "--output=o.png", "--history=o.png"),
        "o.png: is read or written",
    ),
    (("--content=c.png", "--style=s.png", "--output=tiny.png", "--init=tiny.png"), "tiny.png: is read"),
    (("--content=c.png", "--style=s.png", "--style_layers=relu1_1"), "the valid ones are scale1"),
    (("--content=c.png", "--style=s.png", "--output={size_}.png"), "has the unknown field {size_}"),
)


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [*((*case, 1) for case in BAD_FILES), *((*case, 2) for case in BAD_VALUES)],
)
def test_bad_input_gets_one_sentence_and_changes_nothing(arguments, message, status, pair, capsys):
    Path("text.jpg").write_text("Dear Sir")
    Path("empty.png").touch()
    Path("empty").mkdir()
    Path("half.png").write_bytes(Path("s.png").read_bytes()[:500])
    save_image("tiny.png", picture(3, 4))
    before = {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    given = {argument.split("=")[0] for argument in arguments}
    quick = () if "--features" in given else QUICK[:1] if "--style_layers" in given else QUICK
    assert run(*quick, *arguments) == status
    out, err = capsys.readouterr()
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert [line for line in err.splitlines() if line.startswith("jax_nst: ")] == [err.splitlines()[-1]]
    assert {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file()} == before


def test_the_output_is_checked_before_the_weights_are_read(pair, monkeypatch):
    def never(*arguments, **named):
        raise AssertionError("the network was loaded")

    monkeypatch.setattr(cli, "load_network", never)
    assert run(*pair, "--output=no/o.png") == 1


def test_too_little_memory_gets_one_sentence(pair, monkeypatch, capsys):
    def full(*arguments, **named):
        raise MemoryError

    monkeypatch.setattr(cli, "run", full)
    assert run(*pair, *QUICK) == 1
    assert "not enough memory for pictures of this size; make --size smaller" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_writes_nothing(pair, capsys):
    save_image("bw.png", (np.random.default_rng(0).random((24, 32, 3)) > 0.5).astype(np.float32))
    assert run(*pair, *QUICK, "--output=c_s.png", "--style_weight=1e38", "--init=bw.png") == 1
    assert "loss of the start is not finite" in capsys.readouterr().err
    assert not os.path.exists("c_s.png")


def test_losses_that_are_not_finite_are_null_in_json():
    assert json.dumps(for_json({"a": [1.0, float("nan"), float("inf"), "x", None]})) == (
        '{"a": [1.0, null, null, "x", null]}'
    )


# A real process.


@pytest.mark.parametrize(
    ("variable", "optimizer"),
    [
        pytest.param("JAX_ENABLE_X64", "lbfgs", marks=pytest.mark.slow),
        ("JAX_ENABLE_X64", "adam"),
        pytest.param("JAX_DISABLE_JIT", "adam", marks=pytest.mark.slow),
    ],
)
def test_it_paints_the_same_whatever_jax_is_told(variable, optimizer, pair):
    """From noise, whose bits are asked of JAX, too."""
    last = "--style_layers=scale1", "--steps=2", "--init=noise", f"--optimizer={optimizer}", "--quiet"
    assert run(*pair, *QUICK[:2], *last, "--output=a.png") == 0
    command = [sys.executable, str(ROOT / "main.py"), *pair, *QUICK[:2], *last, "--output=b.png"]
    subprocess.run(command, env={**os.environ, variable: "1"}, check=True, capture_output=True)
    assert np.abs(load_image("a.png") - load_image("b.png")).max() <= 1 / 255


def test_a_device_that_is_not_there_gets_one_line(pair):
    command = [sys.executable, str(ROOT / "main.py"), *pair, *QUICK]
    done = subprocess.run(
        command, env={**os.environ, "JAX_PLATFORMS": "cuda"}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("jax_nst: JAX cannot use cuda, which JAX_PLATFORMS names")


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, str(ROOT / "main.py"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def wait_for(stream, text):
    """Reads until `text` has come, or fails after the end of the stream."""
    read = ""
    while text not in read:
        piece = stream.read(1)
        assert piece, read
        read += piece
    return read


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_an_interrupt_saves_the_best_picture(number, pair, tmp_path):
    process = start(*pair, *QUICK[:3], "--output=c_s.png", "--steps=100000", "--history=h.json")
    read = wait_for(process.stderr, "loss")
    while not re.search(r"step [1-9]\d*/100000", read):  # a step was made
        read += wait_for(process.stderr, "loss")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert out == "c_s.png\n"
    assert "stopping after this step" in err
    assert "Traceback" not in err
    assert load_image("c_s.png").shape == (24, 32, 3)
    steps = json.loads(Path("h.json").read_text())["steps"]
    assert 1 < len(steps) < 100000
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".tmp") == []


def test_an_interrupt_at_a_coarse_level_computes_nothing_of_the_full_size(pair, monkeypatch, capsys):
    """It may be large, and whoever interrupts is in a hurry."""
    planned, plan_one = [], plan.plan_one

    def noted(network, spec, level, *rest):
        planned.append(level.size)
        return plan_one(network, spec, level, *rest)

    def interrupt(bar, progress):
        if progress.step >= 1:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(plan, "plan_one", noted)
    monkeypatch.setattr(cli, "show_steps", interrupt)
    assert run(*pair, *QUICK[:3], "--optimizer=adam", "--output=c_s.png", "--steps=80", "--scales=2") == 130
    err = capsys.readouterr().err
    assert planned == [16]
    assert re.search(r"saved after [1-9]\d* steps", err)
    assert "scores" not in err
    assert load_image("c_s.png").shape == (24, 32, 3)


def test_an_interrupt_before_the_first_step_keeps_the_finished_picture(pair, monkeypatch, capsys):
    Path("c_s.png").write_bytes(b"finished before")
    monkeypatch.setattr(cli, "show_steps", lambda bar, progress: os.kill(os.getpid(), signal.SIGINT))
    assert run(*pair, *QUICK, "--output=c_s.png") == 130
    assert Path("c_s.png").read_bytes() == b"finished before"
    out, err = capsys.readouterr()
    assert out == ""
    assert "stopped before the first step; nothing was written" in err


def test_a_run_that_improves_nothing_says_so(pair, capsys):
    assert run(*pair, *QUICK[:3], "--optimizer=adam", "--learning_rate=1e6", "--steps=3") == 0
    assert "jax_nst: warning: unchanged: no step lowered the loss; the picture is its start" in (
        capsys.readouterr().err
    )


def test_the_version_is_shown(capsys):
    import jax_nst

    assert run("--version") == 0
    assert capsys.readouterr().out == f"jax_nst {jax_nst.__version__}\n"
    command = [sys.executable, "-m", "jax_nst", "--version"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"jax_nst {jax_nst.__version__}\n"


def test_without_the_packages_one_sentence(tmp_path):
    command = [sys.executable, "-S", "-E", str(ROOT / "main.py"), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("jax_nst: No module named ")
    assert "pip install -e ." in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_or_broken_stream_ends_nothing(pair):
    command = [sys.executable, str(ROOT / "main.py"), *pair, *QUICK, "--output=c_s.png"]
    with open("/dev/full", "w") as full:
        assert subprocess.run(command, stdout=full, stderr=full, check=False).returncode == 0
    assert load_image("c_s.png").shape == (24, 32, 3)
    os.remove("c_s.png")
    reader, writer = os.pipe()
    os.close(reader)
    assert subprocess.run(command, stdout=writer, stderr=writer, check=False).returncode == 0
    os.close(writer)
    assert load_image("c_s.png").shape == (24, 32, 3)


def test_a_name_that_stdout_cannot_encode_is_escaped(pair):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, str(ROOT / "main.py"), *pair, *QUICK, "--output=ü.png", "--quiet"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "\\xfc.png\n")
    assert os.path.exists("ü.png")


@pytest.mark.slow
def test_an_interrupt_saves_the_best_pictures_of_a_sweep(pair):
    process = start(*pair, *QUICK[:3], "--steps=100000", "--seed=1,2,3", "--init=noise")
    wait_for(process.stderr, "at work: step 1")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == "sweep\n"
    assert "Traceback" not in err
    assert re.search(r"jax_nst: items? 0.*: stopped after step", err)
    assert load_image("sweep/seed=1.png").shape == (24, 32, 3)
    assert Path("sweep/index.html").exists()


@pytest.mark.slow
def test_a_killed_program_leaves_a_whole_picture(pair):
    """Read again and again while it is saved at every step, and after SIGKILL."""
    process = start(*pair, *QUICK[:3], "--output=c_s.png", "--steps=100000", "--save_every=1")
    versions = set()
    while len(versions) < 20:
        assert process.poll() is None
        wait_for(process.stderr, "loss")
        if os.path.exists("c_s.png"):
            versions.add(Path("c_s.png").read_bytes())
            with Image.open("c_s.png") as image:
                image.load()
    process.kill()
    process.communicate()
    assert load_image("c_s.png").shape == (24, 32, 3)


@pytest.mark.parametrize(
    ("program", "module"),
    [
        ("main.py", "jax"),
        ("jax-nst", "jax_nst.cli.main"),
        pytest.param("main.py", "jax_nst.transfer.network", marks=pytest.mark.slow),
        pytest.param("main.py", "jax_nst.cli.main", marks=pytest.mark.slow),
        pytest.param("jax-nst", "jax", marks=pytest.mark.slow),
    ],
)
def test_an_interrupt_during_imports_is_quiet(program, module, pair, tmp_path):
    """Raised where a module is looked for, as Ctrl-C at that moment would."""
    script = ROOT / "main.py"
    if program == "jax-nst":
        script = tmp_path / "jax-nst"
        home, _, function = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"][
            program
        ].partition(":")
        script.write_text(f"import sys\nfrom {home} import {function}\nsys.exit({function}())\n")
    (tmp_path / "sitecustomize.py").write_text(INTERRUPT)
    path = os.pathsep.join(filter(None, (str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, "INTERRUPT_AT": module}
    command = [sys.executable, str(script), *pair, *QUICK]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert "interrupted at " + module in done.stdout
    assert done.returncode in (-signal.SIGINT, 130)
    assert "Traceback" not in done.stderr


INTERRUPT = """
import os, signal, sys


class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["INTERRUPT_AT"]:
            sys.meta_path.remove(self)
            print("interrupted at", name, flush=True)
            os.kill(os.getpid(), signal.SIGINT)


sys.meta_path.insert(0, Finder())
"""


def test_it_runs_with_standard_error_closed(pair):
    command = f"{sys.executable} {ROOT / 'main.py'} {' '.join((*pair, *QUICK, '--output=c_s.png'))} 2>&-"
    done = subprocess.run(command, shell=True, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "c_s.png\n"
    assert load_image("c_s.png").shape == (24, 32, 3)


def test_a_long_file_name_can_be_written(pair, capsys):
    name = "a" * 240 + ".png"
    assert run(*pair, *QUICK, f"--output={name}") == 0
    assert load_image(name).shape == (24, 32, 3)
    capsys.readouterr()


@pytest.mark.slow
def test_the_examples_from_the_shell(tmp_path):
    process = start(
        f"--content={EXAMPLES / 'cat.jpg'}", f"--style={EXAMPLES / 'cypresses.jpg'}",
        "--features=wavelet", "--size=100", "--steps=3", f"--output={tmp_path / 'o.png'}",
    )  # fmt: skip
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.strip() == str(tmp_path / "o.png")
    assert load_image(tmp_path / "o.png").shape == (66, 100, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--report=",), "--report is empty; name the folder of a sweep"),
        (("--report=d", "--size=9"), "--size has no use with --report, which paints nothing; leave it out"),
        (("--report=d", "a.png"), "unexpected argument 'a.png'"),
    ],
)
def test_a_report_takes_a_folder_only(arguments, message, capsys):
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err


def test_help_does_not_look_for_the_run_to_go_on_with(capsys):
    assert run("--help", "--resume=none") == 0
    assert "--content" in capsys.readouterr().out


@pytest.mark.parametrize("output", ["d.png/", "o.png/.", "l.png"])
def test_an_output_that_cannot_be_a_file_is_found_before_the_run(output, pair, capsys):
    Path("l.png").symlink_to("l.png")
    assert run(*pair, *QUICK, f"--output={output}") == 1
    err = capsys.readouterr().err
    assert err.startswith(f"jax_nst: {output}: ")
    assert err.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir()) == ["c.png", "l.png", "s.png"]


def test_names_as_long_as_the_system_allows(pair, capsys):
    """The folder of the checkpoint beside the picture would be longer."""
    assert run(*pair, *QUICK, f"--output={'n' * 251}.png") == 0
    capsys.readouterr()


def test_a_content_whose_name_is_no_text(pair, capsys):
    Path("c.png").rename("c\udcff.png")
    assert run("--content=c\udcff.png", pair[1], *QUICK, "--quiet") == 0
    assert capsys.readouterr().out.startswith("c\\udcff_s_")


def test_a_working_folder_that_is_gone_is_told(pair, tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert run(*pair, *QUICK) == 1
    assert capsys.readouterr().err.startswith("jax_nst: the working folder is no more; change to one")
    monkeypatch.chdir(tmp_path)


def test_a_switch_of_jax_that_is_none_is_told(pair):
    command = [sys.executable, str(ROOT / "main.py"), *pair, *QUICK]
    environment = {**os.environ, "JAX_ENABLE_X64": "perhaps"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("jax_nst: cannot start (invalid truth value 'perhaps' for environment")
