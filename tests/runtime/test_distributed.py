"""Two processes over loopback, and the death of one of them."""

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, picture

from jax_nst import load_image, save_image
from jax_nst.runtime import distributed
from jax_nst.runtime.locking import locked


def command(folder, inputs, steps, *more):
    return [
        sys.executable, str(ROOT / "main.py"), "--content", str(inputs / "c.png"),
        "--style", f"{inputs / 's0.png'},{inputs / 's1.png'}", "--style_weight", "10,1000,5000",
        "--features", "wavelet", "--content_layers", "luma1", "--style_layers", "scale1",
        "--optimizer", "adam",
        "--steps", str(steps), "--size", "24", "--batch", "2", "--output", str(folder), *more,
    ]  # fmt: skip


def free_port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def start_both(folder, inputs, steps, *more, each=((), ()), changed=None):
    """Starts two processes, of the same inputs or each of its own; `each` are flags of one of them."""
    changed = changed or {}
    inputs = inputs if isinstance(inputs, tuple) else (inputs, inputs)
    address = f"localhost:{free_port()}"
    shared = ("--distributed", "--coordinator_address", address, "--num_processes", "2", *more)
    return [
        subprocess.Popen(
            [
                changed.get(x, x)
                for x in command(
                    folder, inputs[number], steps, *shared, *each[number], "--process_id", str(number)
                )
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    save_image(folder / "c.png", picture(24, 20, 0))
    for index in range(2):
        save_image(folder / f"s{index}.png", picture(28, 24, index + 1))
    return folder


def table(folder):
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_two_processes_share_a_sweep(tmp_path, inputs):
    processes = start_both(tmp_path / "two", inputs, 3, "--measure")
    said = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    subprocess.run(command(tmp_path / "one", inputs, 3, "--measure"), check=True, capture_output=True)
    two, one = table(tmp_path / "two"), table(tmp_path / "one")
    assert [(row["file"], row["status"]) for row in two] == [(row["file"], "ok") for row in one]
    for name in ("total_loss", "content_loss", "style_loss", "tv_loss", "style_distance_vgg"):
        np.testing.assert_allclose(
            [float(row[name]) for row in two], [float(row[name]) for row in one], rtol=1e-3
        )
    for row in one:
        pictures = [load_image(tmp_path / folder / row["file"]) for folder in ("one", "two")]
        np.testing.assert_allclose(*pictures, atol=3 / 255)
    assert (tmp_path / "two" / "index.html").exists()


@pytest.mark.slow
def test_the_devices_of_each_process_share_the_rows_of_its_picture(tmp_path, inputs):
    """Two items, of a network with params, and a coarse level whose few rows one device has."""
    changed = {"wavelet": "vgg19-lite", "luma1": "relu3_1", "scale1": "relu1_1,relu2_1", "24": "200"}
    changed |= {"10,1000,5000": "100"}
    flags = "--style_loss=gram", "--scales=2"
    processes = start_both(tmp_path / "two", inputs, 3, *flags, changed=changed)
    said = [process.communicate(timeout=240)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    alone = [changed.get(x, x) for x in command(tmp_path / "one", inputs, 3, *flags)]
    subprocess.run(alone, check=True, capture_output=True)
    losses = [[float(row["total_loss"]) for row in table(tmp_path / name)] for name in ("two", "one")]
    assert len(losses[0]) == 2
    np.testing.assert_allclose(*losses, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_death_of_a_process_ends_the_other_and_the_sweep_resumes(victim, tmp_path, inputs):
    """One process is killed in the second batch of three; the other reports it within seconds."""
    folder = tmp_path / "sweep"
    processes = start_both(folder, inputs, 500)
    while not (folder / "results.csv").exists():
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)
    processes[victim].send_signal(signal.SIGKILL)
    survivor = processes[1 - victim]
    _, said = survivor.communicate(timeout=60)
    processes[victim].communicate()
    assert survivor.returncode != 0
    if victim == 1:
        assert survivor.returncode == 1
        last = said.strip().splitlines()[-1]
        assert last.startswith("jax_nst: another process has died or cannot be reached")
        assert "--resume" in last
        assert "Traceback" not in said
    else:  # JAX itself ends processes that lose their coordinator
        assert "another task died" in said
    finished = {row["file"] for row in table(folder)}
    assert 0 < len(finished) < 6
    before = {file: (folder / file).stat().st_mtime_ns for file in finished}
    subprocess.run(command(folder, inputs, 500, "--resume", str(folder)), check=True, capture_output=True)
    assert {row["status"] for row in table(folder)} == {"ok"}
    assert len(table(folder)) == 6
    assert before == {file: (folder / file).stat().st_mtime_ns for file in finished}


def last_lines(processes):
    """What each said last; all end with an error."""
    said = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [1] * len(processes), said
    assert not any("Traceback" in text for text in said)
    return [text.strip().splitlines()[-1] for text in said]


def test_error_in_process_0_is_told_by_both(tmp_path, inputs):
    """Process 0 finds a file in the folder already."""
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "index.html").write_text("mine")
    first, second = last_lines(start_both(tmp_path / "sweep", inputs, 3))
    assert first.startswith("jax_nst: ")
    assert "index.html: exists but belongs to no sweep" in first
    assert second == first.replace("jax_nst: ", "jax_nst: process 0: ")


def test_processes_with_other_files_of_one_name_are_told(tmp_path, inputs):
    """One machine has another picture at the same place."""
    shutil.copytree(inputs, tmp_path / "other")
    save_image(tmp_path / "other" / "s1.png", picture(28, 24, 9))
    said = last_lines(start_both(tmp_path / "sweep", (inputs, tmp_path / "other"), 3))
    for line, beginning in zip(said, ("jax_nst: process 1: ", "jax_nst: "), strict=True):
        assert line == (
            f"{beginning}the processes do not share one sweep (styles: the contents of s1.png differ); "
            "give each the same flags and files"
        )
    assert not (tmp_path / "sweep").exists()


def test_processes_with_other_values_of_an_axis_are_told(tmp_path, inputs):
    more = (("--content_weight", "1,2"), ("--content_weight", "1,3"))
    said = last_lines(start_both(tmp_path / "sweep", inputs, 3, each=more))
    assert all("grid.content_weight[1]: 2.0 in process 0, 3.0 in this one" in line for line in said)
    assert not (tmp_path / "sweep").exists()


def test_processes_with_other_batches_are_told(tmp_path, inputs):
    """They would compile other programs, and wait for each other without end."""
    said = last_lines(start_both(tmp_path / "sweep", inputs, 3, each=((), ("--batch", "3"))))
    assert all("batch: 2 in process 0, 3 in this one" in line for line in said)


def test_two_sweeps_in_one_folder_are_refused_by_both_processes(tmp_path, inputs):
    with locked(tmp_path / "sweep"):
        said = last_lines(start_both(tmp_path / "sweep", inputs, 3))
    assert all(f"another run (process {os.getpid()}) is at work in it" in line for line in said)


def test_processes_that_cannot_connect_are_an_error(tmp_path, inputs):
    alone = command(tmp_path / "sweep", inputs, 3, "--distributed")
    done = subprocess.run(alone, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("jax_nst: the processes cannot connect")
    assert len(done.stderr.splitlines()) == 1


def test_collectives_of_a_single_process_are_the_identity():
    array = np.arange(3)
    assert distributed.is_first()
    assert distributed.num_processes() == 1
    assert distributed.from_first(array) is array
    assert distributed.gather(array).shape == (1, 3)
    assert distributed.object_of_first(found := {"a": [1]}) is found
    with pytest.raises(ValueError, match=r"^mine$"), distributed.errors_of_all():
        raise ValueError("mine")


@pytest.mark.parametrize("address", ["", "localhost", ":::", "a b:1", "localhost:port"])
def test_an_address_that_is_none_is_refused_at_once(address):
    with pytest.raises(ValueError, match="--coordinator_address must be HOST:PORT"):
        distributed.initialize(address, 2, 0)


@pytest.mark.slow
def test_two_processes_share_the_rows_of_one_picture(tmp_path, inputs):
    """At a size with a coarser level, where each has fewer rows than a device of one process would."""
    one_style = {f"{inputs / 's0.png'},{inputs / 's1.png'}": f"{inputs / 's0.png'}", "10,1000,5000": "100"}

    def arguments(name, *more):
        given = command(tmp_path / f"{name}.png", inputs, 3, "--history", str(tmp_path / f"{name}.json"))
        changed = {**one_style, "24": "67", "2": "auto"}
        return [changed.get(x, x) for x in given] + ["--scales", "2", *more]

    shared = ("--distributed", "--coordinator_address", f"localhost:{free_port()}", "--num_processes", "2")
    commands = [arguments("two", *shared, "--process_id", str(number)) for number in range(2)]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(own, **pipes) for own in commands]
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    path = str(tmp_path / "two.png")  # beside lines of the library that exchanges arrays
    assert [path in out.splitlines() for out, _ in said] == [True, False]
    subprocess.run(arguments("one"), check=True, capture_output=True)
    two, one = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("two", "one"))
    for entry, expected in zip(two["steps"], one["steps"], strict=True):
        assert entry["total"] == pytest.approx(expected["total"], rel=1e-4)
    pictures = [load_image(tmp_path / f"{name}.png") for name in ("one", "two")]
    assert np.abs(pictures[0] - pictures[1]).mean() < 0.1 / 255
