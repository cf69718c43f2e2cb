"""Runs within limits of memory, which the user or the system sets."""

import contextlib
import os
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
MEGABYTE = 2**20

PEAK = """
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
"""

# Runs the program and prints its peak, in bytes, as its last line; joins a group of processes first.
CODE = f"""
import os, sys
from pathlib import Path
{PEAK}
group = sys.argv.pop(1)
if group:
    Path(group).write_text(str(os.getpid()))
from jax_nst.cli.main import main

status = main()
print(peak())
sys.exit(status)
"""

# Reads a picture and writes it, and prints by how much the peak rose.
IN_AND_OUT = f"""
import sys
from pathlib import Path
{PEAK}
from jax_nst import load_image, save_image

before = peak()
save_image(sys.argv[2], load_image(sys.argv[1]))
print(peak() - before)
"""

needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")


def paint(folder, *flags, group=""):
    """One step at 768 pixels, of 1.5 GB where there are: (peak in bytes, standard error)."""
    examples = ROOT / "examples"
    command = [
        sys.executable, "-c", CODE, group, f"--content={examples / 'cat.jpg'}", "--features=wavelet",
        f"--style={examples / 'cypresses.jpg'}", "--size=768", "--scales=1", "--steps=1",
        f"--output={folder / 'o.png'}", *flags,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.splitlines()[-1]), done.stderr


@contextlib.contextmanager
def limited_group(num_bytes):
    """A control group of the system, version 2 or 1, with a limit; yields the file that takes processes."""
    name = f"jax_nst_{uuid.uuid4().hex}"
    for root, limit in (("", "memory.max"), ("memory", "memory.limit_in_bytes")):
        group = Path("/sys/fs/cgroup", root, name)
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if (group / limit).exists() and os.access(group / limit, os.W_OK):
                (group / limit).write_text(str(num_bytes))
                yield str(group / "cgroup.procs")
                return
        finally:
            group.rmdir()
    pytest.skip("the system lets nobody make a control group here")


@needs_proc
@pytest.mark.slow
def test_the_peak_of_a_process_is_within_the_limit_that_the_user_gives(tmp_path):
    peak, err = paint(tmp_path, "--memory=900MB")
    assert "plan: 768 x 510, " in err
    assert peak <= 1.1 * 900 * MEGABYTE


@needs_proc
@pytest.mark.slow
def test_the_limit_of_a_control_group_is_found_and_kept(tmp_path):
    """The system ends a process that takes more, libraries that other processes share not counted."""
    with limited_group(1000 * MEGABYTE) as group:
        peak, err = paint(tmp_path, group=group)
    assert "plan: 768 x 510, " in err
    assert peak <= 1.1 * 1000 * MEGABYTE


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_50_megapixels_are_read_and_written_within_a_few_copies(tmp_path, suffix):
    """Copies in float32."""
    across, down = np.linspace(0, 255, 8192, dtype=np.uint8), np.linspace(0, 255, 6144, dtype=np.uint8)
    levels = np.stack(np.broadcast_arrays(across, down[:, None], np.uint8(99)), axis=-1)
    given, made = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    Image.fromarray(levels).save(given)
    command = [sys.executable, "-c", IN_AND_OUT, given, made]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) <= 3.5 * 4 * levels.size
    with Image.open(made) as image:
        assert image.size == (8192, 6144)
        assert image.getpixel((8191, 6143)) == pytest.approx((255, 255, 99), abs=3)
