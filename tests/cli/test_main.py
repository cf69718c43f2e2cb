"""The command line, in this process and as a real one."""

import dataclasses
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from conftest import EXAMPLES, ROOT, picture
from PIL import Image

from jax_nst import Config, Grid, images, load_image, save_image
from jax_nst.cli import main as cli

stylize = importlib.import_module("jax_nst.transfer.transfer")  # the package's name is the function's

QUICK = (
    "--features=wavelet",
    "--content_layers=luma2",
    "--style_layers=scale1,scale2",
    "--steps=4",
)


@pytest.fixture
def pair(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_image("c.png", picture(24, 32, 1))
    save_image("s.png", picture(28, 20, 2))
    return "--content=c.png", "--style=s.png"


def run(*arguments):
    return cli.main(["main.py", *arguments])


def parse(*arguments):
    parser = flags.FlagValues()
    cli.define_flags(parser)
    parser(["main.py", *arguments])
    return parser.flag_values_dict()


# Flags.


def test_defaults_are_those_of_config():
    job = cli.to_job(parse("--content=c.png", "--style=s.png"))
    assert (job.config, len(job.items)) == (Config(), 1)


def test_every_setting_round_trips():
    config = Config(
        size=100, style_scale=0.5, features="vgg16", weights="w.h5", recipe="sushant097", optimizer="adam",
        steps=7, learning_rate=0.5, content_weight=2.0, style_weight=3.0, tv_weight=4.0,
        content_layers=("relu1_1",), style_layers=("relu1_2", "relu2_1"), style_layer_weights=(0.25, 0.75),
        pooling="average", init="noise", seed=5, save_every=6, scales="3", tolerance=0.1,
        precision="tf32", remat="all",
    )  # fmt: skip
    changed = {name: value for name, value in dataclasses.asdict(config).items() if name != "style_size"}
    assert all(changed[name] != getattr(Config(), name) for name in changed)
    assert cli.to_job(parse("--content=c.png", "--style=s.png", "--style_size=7")).config.style_size == 7
    texts = {k: ",".join(map(str, v)) if isinstance(v, tuple) else str(v) for k, v in changed.items()}
    pictures = ("--content=c.png", "--style=s.png")
    job = cli.to_job(parse(*pictures, *(f"--{name}={text}" for name, text in texts.items())))
    assert job.config == job.items[0].config == config
    spaced = [part for name, text in texts.items() for part in (f"--{name}", text)]
    assert cli.to_job(parse(*pictures, *spaced)).config == config


def test_several_values_make_a_sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (
        "a.png",
        "b.jpg",
        "with,comma.png",
        "paintings/x.webp",
        "paintings/y.PNG",
        "paintings/z.txt",
    ):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    job = cli.to_job(
        parse(
            "--content=a.png,b.jpg", "--style=paintings", "--style=with,comma.png", "--style=?.jpg",
            "--style_weight=1,1e3", "--style_weight=5", "--seed=1,2", "--init=noise,a.png",
            "--style_layer_weights=1,2,3,4,5", "--style_layer_weights=5,4,3,2,1", "--tv_weight=7",
        )
    )  # fmt: skip
    assert job.contents == ("a.png", "b.jpg")
    assert job.styles == ("paintings/x.webp", "paintings/y.PNG", "with,comma.png", "b.jpg")
    assert job.grid == Grid(
        style_weight=(1.0, 1000.0, 5.0),
        seed=(1, 2),
        init=("noise", "a.png"),
        style_layer_weights=((1, 2, 3, 4, 5), (5, 4, 3, 2, 1)),
    )
    assert job.config.tv_weight == 7
    assert len(job.items) == 2 * 4 * 3 * 2 * 2 * 2


def test_blend_and_zip():
    pictures = ("--content=c.png", "--style=s.png,t.png")
    job = cli.to_job(parse(*pictures, "--blend=0.7,0.3"))
    assert (len(job.items), job.items[0].shares) == (1, (0.7, 0.3))
    assert len(cli.to_job(parse(*pictures, "--blend=0.7,0.3", "--blend=1,1")).items) == 2
    assert len(cli.to_job(parse(*pictures, "--seed=1,2", "--zip")).items) == 2


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
        (("--seed=1,x",), "seed takes numbers separated by commas"),
        (("--batch=none", "--seed=1,2"), "batch must be auto, or a number from 1, not 'none'"),
        (("--zip",), "--zip has no use here: there is only one picture to make"),
        (("--batch=3",), "--batch has no use here"),
        (("--seed=1,2", "--history=h.json"), "--history has no use here: a sweep writes history.npz"),
        (("--seed=1,2", "--save_every=3"), "--save_every has no use here"),
        (("--process_id=1",), "--process_id has no use without --distributed"),
        (("--blend=1,2,3",), "blend has 3 shares for 1 styles"),
        (("--seed=1,2", "--content_weight=1,2,3", "--zip"), "zip pairs values, but there are"),
        (("--seed=1,-2",), "seed must be 0 or more"),
        (("--style=nothing*.png",), "nothing*.png: no file matches this pattern"),
        (("--style=empty",), "empty: the folder contains no images"),
    ],
)
def test_wrong_flags_get_one_line_and_status_2(arguments, message, pair, capsys):
    Path("empty").mkdir()
    given = pair if arguments and arguments[0].split("=")[0] in RECOGNISED else ()
    assert run(*given, *arguments) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert err.startswith("jax_nst: ")
    assert (out, err.count("\n")) == ("", 1)


RECOGNISED = (
    "--steps", "--recipe", "--optimizer", "--style_layer_weights", "--seed", "--batch", "--zip",
    "--process_id", "--blend", "--style",
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
    assert "out: holds a sweep already; add --resume" in capsys.readouterr().err
    resumed = (
        *pair,
        "--style=t.png",
        *QUICK,
        "--style_weight=10,1000",
        "--output=out",
        "--resume",
        "--quiet",
    )
    assert run(*resumed) == 0
    assert capsys.readouterr() == ("out\n", "")


def test_a_sweep_with_a_bad_file_says_which_and_paints_the_rest(pair, capsys):
    Path("bad.png").write_bytes(b"no picture")
    assert run(*pair, "--style=bad.png", *QUICK) == 1
    err = capsys.readouterr().err
    assert re.search(r"^jax_nst: item 1: failed: bad\.png: is not a JPEG", err, re.MULTILINE)
    assert "1 of 2 pictures" in err
    assert len(list(Path("sweep").glob("style=*.png"))) == 1


def test_several_pictures_need_a_folder(pair, capsys):
    assert run(*pair, *QUICK, "--seed=1,2", "--output=out.png") == 1
    assert "out.png: 2 pictures need a folder" in capsys.readouterr().err


def test_a_sweep_never_writes_over_its_inputs(pair, capsys):
    Path("out").mkdir()
    Path("c.png").rename("out/seed=1.png")
    before = Path("out/seed=1.png").read_bytes()
    assert run("--content=out/seed=1.png", "--style=s.png", *QUICK, "--seed=1,2", "--output=out") == 1
    assert "is read or written already" in capsys.readouterr().err
    assert Path("out/seed=1.png").read_bytes() == before


def test_a_sweep_never_writes_its_report_over_its_inputs(pair, capsys):
    Path("out").mkdir()
    Path("c.png").rename("out/contact_sheet.png")
    content = "--content=out/contact_sheet.png"
    assert run(content, "--style=s.png", *QUICK, "--seed=1,2", "--output=out") == 1
    assert "is read or written already" in capsys.readouterr().err


def test_a_long_list_of_files(pair, capsys):
    styles = ",".join(f"{'painting' * 8}{index}.jpg" for index in range(100))
    assert run(pair[0], f"--style={styles}", *QUICK, "--output=out") == 1
    assert f"{'painting' * 8}0.jpg: no such image file" in capsys.readouterr().err
    assert run(*pair, *QUICK, f"--init={styles}") == 1
    capsys.readouterr()


def test_a_blend_is_one_picture(pair, capsys):
    save_image("t.png", picture(20, 20, 3))
    assert run(*pair, "--style=t.png", *QUICK, "--blend=0.7,0.3") == 0
    assert capsys.readouterr().out == "c_s_t.png\n"
    settings = images.load_settings("c_s_t.png")
    assert (settings["style"], settings["blend"]) == (["s.png", "t.png"], [0.7, 0.3])


# Files.


def test_the_main_job(pair, capsys):
    assert run(*pair, *QUICK, "--history=h.json") == 0
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
    assert "32 px, loss" in err
    settings = images.load_settings("c_s.png")
    assert settings["config"]["steps"] == 4
    assert (settings["content"], settings["style"]) == ("c.png", "s.png")
    assert "jax" in settings["versions"]


def test_the_folders_of_the_user_do_not_travel_in_the_picture(pair, tmp_path):
    assert run(f"--content={tmp_path / 'c.png'}", pair[1], *QUICK, "--quiet") == 0
    settings = images.load_settings("c_s.png")
    assert settings["content"] == "c.png"
    assert str(tmp_path) not in json.dumps(settings)


def test_quiet_prints_the_path_alone(pair, capsys):
    assert run(*pair, *QUICK, "--quiet", "--output=o.jpg") == 0
    assert capsys.readouterr() == ("o.jpg\n", "")


def test_the_same_command_writes_the_same_bytes(pair):
    contents = []
    for _ in range(2):
        assert run(*pair, *QUICK, "--quiet", "--init=noise", "--seed=9") == 0
        contents.append(Path("c_s.png").read_bytes())
    assert contents[0] == contents[1]


def test_alpha_is_carried_and_resized(pair, capsys):
    alpha = np.zeros((24, 32), np.float32)
    alpha[:, 16:] = 1
    save_image("a.png", picture(24, 32), alpha=alpha)
    assert run("--content=a.png", pair[1], *QUICK, "--size=16") == 0
    read = images.load_picture("a_s.png").alpha
    assert read is not None
    assert read.shape == (12, 16)
    assert read[:, :6].max() < 0.1 < 0.9 < read[:, 10:].min()
    capsys.readouterr()


def test_save_every_saves_on_the_way(pair, monkeypatch, capsys):
    saved, original = [], cli.save_image
    monkeypatch.setattr(cli, "save_image", lambda *a, **k: (saved.append(a[0]), original(*a, **k)))
    assert run(*pair, *QUICK, "--save_every=2") == 0
    assert saved == ["c_s.png"] * 3  # steps 2 and 4, and the end
    capsys.readouterr()


def test_without_weights_a_visible_warning(pair, capsys):
    assert run(*pair, "--size=32", "--style_size=32", "--steps=1") == 0
    err = capsys.readouterr().err
    assert "jax_nst: warning: painting with VGG19-lite, the first three blocks of VGG19" in err


BAD_INPUTS = (
    (("--content=none.png", "--style=s.png"), "none.png: no such image file"),
    (("--content=text.jpg", "--style=s.png"), "text.jpg: is not a JPEG"),
    (("--content=empty.png", "--style=s.png"), "empty.png: is not a JPEG"),
    (("--content=c.png", "--style=half.png"), "half.png: is damaged"),
    (("--content=tiny.png", "--style=s.png"), "the content image is 4 x 3 pixels"),
    (("--content=c.png", "--style=s.png", "--style_size=4"), "give a larger style_size"),
    (("--content=c.png", "--style=s.png", "--output=no/o.png"), "no/o.png: cannot be written"),
    (
        ("--content=c.png", "--style=s.png", "--output=o.bmp"),
        "o.bmp: unsupported image format",
    ),
    (("--content=c.png", "--style=s.png", "--output=c.png"), "c.png: is read or written already"),
    (("--content=c.png", "--style=s.png", "--history=./s.png"), "./s.png: is read or written already"),
    (
        ("--content=c.png", "--style=s.png", "--output=o.png", "--history=o.png"),
        "o.png: is read or written",
    ),
    (("--content=c.png", "--style=s.png", "--output=tiny.png", "--init=tiny.png"), "tiny.png: is read"),
    (("--content=c.png", "--style=s.png", "--history=no/h.json"), "no/h.json: cannot be written"),
    (("--content=c.png", "--style=s.png", "--init=nothing.png"), "nothing.png: no such image file"),
    (("--content=c.png", "--style=s.png", "--style_layers=relu1_1"), "the valid ones are scale1"),
    (("--content=c.png", "--style=s.png", "--features=vgg19", "--weights=text.jpg"), "text.jpg"),
)


@pytest.mark.parametrize(("arguments", "message"), BAD_INPUTS)
def test_bad_input_gets_one_sentence_and_changes_nothing(arguments, message, pair, capsys):
    Path("text.jpg").write_text("Dear Sir")
    Path("empty.png").touch()
    Path("half.png").write_bytes(Path("s.png").read_bytes()[:500])
    save_image("tiny.png", picture(3, 4))
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    given = {argument.split("=")[0] for argument in arguments}
    quick = () if "--features" in given else QUICK[:1] if "--style_layers" in given else QUICK
    assert run(*quick, *arguments) == 1
    out, err = capsys.readouterr()
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert [line for line in err.splitlines() if line.startswith("jax_nst: ")] == [err.splitlines()[-1]]
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == before


def test_the_output_is_checked_before_the_weights_are_read(pair, monkeypatch):
    def never(*arguments, **named):
        raise AssertionError("the network was loaded")

    monkeypatch.setattr(cli, "load_network", never)
    assert run(*pair, "--output=no/o.png") == 1


def test_too_little_memory_is_said(pair, monkeypatch, capsys):
    def full(*arguments, **named):
        raise MemoryError

    monkeypatch.setattr(cli, "run", full)
    assert run(*pair, *QUICK) == 1
    assert "not enough memory for pictures of this size; make --size smaller" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_writes_nothing(pair, capsys):
    save_image("bw.png", (np.random.default_rng(0).random((24, 32, 3)) > 0.5).astype(np.float32))
    assert run(*pair, *QUICK, "--style_weight=1e38", "--init=bw.png") == 1
    assert "loss of the start is not finite" in capsys.readouterr().err
    assert not os.path.exists("c_s.png")


def test_losses_that_are_not_finite_are_null_in_json():
    assert json.dumps(cli._for_json({"a": [1.0, float("nan"), float("inf"), "x", None]})) == (
        '{"a": [1.0, null, null, "x", null]}'
    )


# A real process.


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_saves_the_best_picture(number, pair, tmp_path):
    process = start(*pair, *QUICK[:3], "--steps=100000", "--history=h.json")
    wait_for(process.stderr, "loss")
    time.sleep(0.5)
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


def test_an_interrupt_at_a_smaller_size_computes_nothing_of_the_full_one(pair, monkeypatch, capsys):
    """It may be large, and the one who interrupts is in a hurry."""
    sizes, make_problem = [], stylize.make_problem
    monkeypatch.setattr(
        stylize, "make_problem", lambda *a, **k: sizes.append(k["config"].size) or make_problem(*a, **k)
    )
    monkeypatch.setattr(cli, "_show", lambda bar, progress: os.kill(os.getpid(), signal.SIGINT))
    assert run(*pair, *QUICK, "--scales=2") == 130
    err = capsys.readouterr().err
    assert sizes == [16]
    assert "saved after 0 steps" in err
    assert "scores" not in err
    assert load_image("c_s.png").shape == (24, 32, 3)


@pytest.mark.parametrize(("save_every", "message"), [(1, "c_s.png is saved"), (0, "nothing was saved")])
def test_a_second_interrupt_says_what_there_is(save_every, message, pair, monkeypatch, capsys):
    def twice(bar, progress):
        if progress.step == 2:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(cli, "_show", twice)
    monkeypatch.setattr("jax_nst.transfer.loop.MAX_CHUNK", 1)
    assert run(*pair, *QUICK, f"--save_every={save_every}") == 130
    assert f"jax_nst: interrupted, {message}" in capsys.readouterr().err
    assert os.path.exists("c_s.png") == bool(save_every)


def test_an_interrupt_saves_the_best_pictures_of_a_sweep(pair):
    process = start(*pair, *QUICK[:3], "--steps=100000", "--seed=1,2,3", "--init=noise")
    wait_for(process.stderr, "at work: step 1")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == "sweep\n"
    assert "Traceback" not in err
    assert "jax_nst: item 0: stopped after step" in err
    assert load_image("sweep/seed=1.png").shape == (24, 32, 3)
    assert Path("sweep/index.html").exists()


def test_a_kill_at_any_moment_leaves_whole_files(pair):
    process = start(*pair, *QUICK[:3], "--steps=100000", "--save_every=1")
    wait_for(process.stderr, "loss")
    for _ in range(20):
        time.sleep(0.05)
        if os.path.exists("c_s.png"):
            with Image.open("c_s.png") as image:
                image.load()
    process.kill()
    process.communicate()
    assert load_image("c_s.png").shape == (24, 32, 3)


@pytest.mark.parametrize("delay", [0.1, 0.3, 0.5])
def test_an_early_interrupt_is_quiet(delay, pair):
    process = start(*pair, "--features=wavelet", "--steps=100000")
    time.sleep(delay)  # while modules are imported
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (-signal.SIGINT, 130)
    assert "Traceback" not in err


def test_a_closed_standard_error_is_no_obstacle(pair):
    command = f"{sys.executable} {ROOT / 'main.py'} {' '.join((*pair, *QUICK))} 2>&-"
    done = subprocess.run(command, shell=True, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "c_s.png\n"
    assert load_image("c_s.png").shape == (24, 32, 3)


def test_a_long_name_may_be_written(pair, capsys):
    name = "a" * 240 + ".png"
    assert run(*pair, *QUICK, f"--output={name}") == 0
    assert load_image(name).shape == (24, 32, 3)
    capsys.readouterr()


def test_the_examples_from_the_shell(tmp_path):
    process = start(
        f"--content={EXAMPLES / 'cat.jpg'}", f"--style={EXAMPLES / 'cypresses.jpg'}",
        "--features=wavelet", "--size=100", "--steps=3", f"--output={tmp_path / 'o.png'}",
    )  # fmt: skip
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.strip() == str(tmp_path / "o.png")
    assert load_image(tmp_path / "o.png").shape == (66, 100, 3)
