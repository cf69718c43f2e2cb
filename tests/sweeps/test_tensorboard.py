"""Event files for TensorBoard, read back record by record."""

import csv
import io
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from PIL import Image
from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from jax_nst import load_image
from jax_nst.cli import main as cli
from jax_nst.runtime.files import FileError
from jax_nst.sweeps.tensorboard import Run, open_board, settings_of

QUICK = ("--features=wavelet", "--content_layers=luma1", "--style_layers=scale1", "--optimizer=adam")
QUICK += ("--size=16", "--quiet")


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def events_of(folder):
    """The events of a run, in order; the check sums of their records are compared."""
    events = []
    for path in sorted(Path(folder).glob("events.out.tfevents.*")):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            assert struct.unpack("<I", data[8:12]) == (masked(data[:8]),)
            record, data = data[12 : 12 + length], data[12 + length :]
            assert struct.unpack("<I", data[:4]) == (masked(record),)
            events.append(Event.FromString(record))
            data = data[4:]
    return events


def scalars_of(events):
    """Tag -> step -> value."""
    found = {}
    for event in events:
        for value in event.summary.value:
            if value.WhichOneof("value") == "simple_value":
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def pictures_of(events):
    values = (value for event in events for value in event.summary.value if value.tag == "picture")
    return [np.asarray(Image.open(io.BytesIO(value.image.encoded_image_string))) for value in values]


def hparams_of(events):
    for event in events:
        for value in event.summary.value:
            if value.tag == "_hparams_/session_start_info":
                data = HParamsPluginData.FromString(value.metadata.plugin_data.content)
                given = data.session_start_info.hparams
                return {name: x.string_value or x.number_value for name, x in given.items()}
    return {}


def test_a_run_holds_its_losses_picture_settings_and_results(tmp_path):
    pixels = picture(6, 5)
    run = Run(tmp_path / "run")
    run.add_losses([{"step": 0, "size": 8, "seconds": 0.1, "total": 4.0, "style": 3.0}])
    run.add_losses([{"step": 1, "size": 8, "seconds": 0.2, "total": 2.0, "style": 1.0}])
    run.finish(pixels, {"style_weight": 10.0, "style": "waves"}, {"total_loss": 2.0, "clipped": np.nan})
    events = events_of(tmp_path / "run")
    assert events[0].file_version == "brain.Event:2"
    assert scalars_of(events) == {
        "loss/total": {0: 4.0, 1: 2.0}, "loss/style": {0: 3.0, 1: 1.0}, "result/total_loss": {1: 2.0},
    }  # fmt: skip
    (found,) = pictures_of(events)
    np.testing.assert_array_equal(found, np.rint(255 * pixels))
    assert hparams_of(events) == {"style_weight": 10.0, "style": "waves"}


def test_a_run_that_goes_on_replaces_its_later_steps(tmp_path):
    """TensorBoard forgets what it has of a step where a session starts, and of later ones."""
    run = Run(tmp_path)
    run.add_losses([{"step": 7, "total": 1.0}])
    run.finish(picture(6, 5), {}, {})
    starts = [e.step for e in events_of(tmp_path) if e.session_log.status == SessionLog.START]
    assert starts == [7]


def test_a_run_without_losses_writes_nothing(tmp_path):
    Run(tmp_path / "run").finish(picture(6, 5), {}, {})
    assert not (tmp_path / "run").exists()


def test_settings_are_numbers_and_texts_without_folders():
    config = {"style_weight": 3.0, "size": None, "weights": "/a/b/w.h5", "style_layers": ["x", "y"]}
    assert settings_of(config) == {"style_weight": 3.0, "weights": "w.h5", "style_layers": "x,y"}


def test_a_sweep_from_the_command_line_writes_a_run_for_each_picture(pair):
    arguments = (*pair, *QUICK, "--steps=3", "--style_weight=10,1000", "--measure", "--tensorboard=board")
    assert cli.main(["main.py", *arguments]) == 0
    with Path("sweep/results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(path.name for path in Path("board").iterdir()) == sorted(
        Path(row["file"]).stem for row in rows
    )
    with np.load("sweep/history.npz") as history:
        totals = history["total"]
    for row, total in zip(rows, totals, strict=True):
        events = events_of(Path("board") / Path(row["file"]).stem)
        scalars = scalars_of(events)
        assert list(scalars["loss/total"].values()) == total.tolist()
        for name in ("total_loss", "style_loss", "content_ssim"):
            assert list(scalars[f"result/{name}"].values()) == [pytest.approx(float(row[name]))]
        assert hparams_of(events) == {"style_weight": float(row["style_weight"])}
        (pixels,) = pictures_of(events)
        np.testing.assert_array_equal(pixels, 255 * load_image(Path("sweep") / row["file"]))


def test_one_picture_writes_all_steps_while_it_is_painted(pair):
    arguments = (*pair, *QUICK, "--steps=3", "--scales=2", "--output=out.png", "--tensorboard=a/board")
    assert cli.main(["main.py", *arguments]) == 0
    events = events_of("a/board/out")
    scalars = scalars_of(events)
    assert sorted(scalars["loss/total"]) == [*range(6)]  # one step at the smaller size
    assert len(scalars["result/style_loss"]) == len(pictures_of(events)) == 1
    settings = hparams_of(events)
    assert (settings["style"], settings["steps"], settings["optimizer"]) == ("s.png", 3, "adam")


def test_without_tensorboardx_one_sentence(pair, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert cli.main(["main.py", *pair, *QUICK, "--tensorboard=board"]) == 1
    assert "--tensorboard needs tensorboardX; install it with" in capsys.readouterr().err
    assert not Path("board").exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="name another folder for --tensorboard"):
        open_board(str(tmp_path / "file" / "board"))
    assert open_board(None) is None
