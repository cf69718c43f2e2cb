"""Runs within limits of memory, which the user or the system sets."""

import contextlib
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MEGABYTE = 2**20

# Runs the program and prints its peak, in bytes, as its last line; joins a group of processes first.
CODE = """
import os, sys
from pathlib import Path

group = sys.argv.pop(1)
if group:
    Path(group).write_text(str(os.getpid()))
from jax_nst.cli.main import main

status = main()
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(1024 * int(peak.split()[1]))
sys.exit(status)
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
