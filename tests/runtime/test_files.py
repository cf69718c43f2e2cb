import hashlib
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from jax_nst.runtime import files
from jax_nst.runtime.files import (
    FileError,
    cache_folder,
    check_replaceable,
    remove_leftovers,
    replacing,
    sha256,
    why_unreadable,
)


def write(path, content=b"new"):
    with replacing(path) as file:
        file.write(content)


def run_out_of_space(path):
    with replacing(path) as file:
        file.write(b"half")
        raise OSError(28, "No space left on device")


def test_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"precious")
    with pytest.raises(FileError, match=r"x: cannot be written \(No space left on device\)"):
        run_out_of_space(path)
    with pytest.raises(ZeroDivisionError), replacing(path):
        raise ZeroDivisionError
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_are_those_of_an_ordinary_new_file(tmp_path):
    write(tmp_path / "x")
    (tmp_path / "y").touch()
    modes = [stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in "xy"]
    assert modes[0] == modes[1]


def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path):
    for mode in (0o600, 0o640, 0o664, 0o755):
        (tmp_path / "x").touch()
        (tmp_path / "x").chmod(mode)
        write(tmp_path / "x")
        assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == mode
        assert (tmp_path / "x").read_bytes() == b"new"


@pytest.mark.parametrize("durable", [True, False])
def test_only_what_is_to_be_durable_waits_for_the_disk(durable, tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr(os, "fsync", waits.append)
    with replacing(tmp_path / "file", durable=durable) as file:
        file.write(b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
    assert len(waits) == durable


def test_what_is_no_file_is_not_replaced(tmp_path):
    """A rename over a device or a pipe would put an ordinary file in its place."""
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path / "pipe", "is a named pipe; name a file"),
        (Path("/dev/null"), "is a device; name a file"),
        ("", "is not a valid path"),
        ("a\0b", "is not a valid path"),
    ):
        for attempt in (check_replaceable, write):
            with pytest.raises(FileError, match=message):
                attempt(path)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_symbolic_link_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "x").symlink_to(tmp_path / "real" / "x")
    write(tmp_path / "x")
    assert (tmp_path / "x").is_symlink()
    assert (tmp_path / "real" / "x").read_bytes() == b"new"


WRITER = """
import itertools, sys
from jax_nst.runtime.files import replacing
for index in itertools.count():
    with replacing(sys.argv[1]) as file:
        for _ in range(2000):
            file.write(bytes([index % 256]) * 1000)
        if index == 0:
            print("ready", flush=True)
"""


def test_killed_write_leaves_no_partial_file(tmp_path):
    path = tmp_path / "x"

    def assert_complete():
        content = path.read_bytes()
        assert content == content[:1] * 2_000_000

    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
    process.stdout.readline()
    for delay in (0.03, 0.2, 0.31):  # read while the file is being replaced again and again
        time.sleep(delay)
        if path.exists():
            assert_complete()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    if path.exists():
        assert_complete()
    remove_leftovers(tmp_path)
    assert set(tmp_path.iterdir()) <= {path}


def test_check_replaceable_neither_creates_nor_changes_a_file(tmp_path):
    check_replaceable(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old").write_bytes(b"precious")
    check_replaceable(tmp_path / "old")
    assert (tmp_path / "old").read_bytes() == b"precious"
    with pytest.raises(FileError, match="is a folder; name a file to write"):
        check_replaceable(tmp_path)
    with pytest.raises(FileError, match=r"x: cannot be written \(No such file or directory\)"):
        check_replaceable(tmp_path / "none" / "x")


def leave_behind(folder, pid, *, host=None, age=0.0):
    """A temporary file as `replacing` names it."""
    names = []
    with replacing(folder / "named") as file:
        names.append(Path(file.name).name)
    (folder / "named").unlink()
    prefix, own_host, _, rest, suffix = names[0].rsplit(".", 4)
    path = folder / ".".join((prefix, host or own_host, str(pid), rest, suffix))
    path.write_bytes(b"half")
    os.utime(path, times=(time.time() - age,) * 2)
    return path


@pytest.fixture
def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


DAY = 24 * 3600


def test_leftovers_of_the_dead_are_removed_and_other_files_spared(tmp_path, dead_pid):
    (tmp_path / "sub").mkdir()
    for name in ("sub/x.png", "sub/.jax_nst.kept", "sub/.jax_nst.abc.tmp", ".jax_nst.abc.tmp"):
        (tmp_path / name).touch()
    dead = [leave_behind(tmp_path / "sub", dead_pid), leave_behind(tmp_path, dead_pid)]
    dead.append(leave_behind(tmp_path, os.getpid(), age=2 * DAY))  # the number has been given again
    dead.append(leave_behind(tmp_path, os.getpid(), host="elsewhere", age=2 * DAY))
    alive = [
        leave_behind(tmp_path / "sub", os.getpid()),
        leave_behind(tmp_path, dead_pid, host="elsewhere"),
    ]
    assert len({path.name for path in (*dead, *alive)}) == len(dead) + len(alive)
    remove_leftovers(tmp_path)
    assert not [path for path in dead if path.exists()]
    assert {path.name for path in (tmp_path / "sub").iterdir()} == {
        "x.png",
        ".jax_nst.kept",
        alive[0].name,
    }
    assert {path.name for path in tmp_path.iterdir()} == {"sub", alive[1].name}


def test_a_program_that_looks_whether_it_can_write_removes_leftovers_there(tmp_path, dead_pid):
    (tmp_path / "sub").mkdir()
    dead, below = leave_behind(tmp_path, dead_pid), leave_behind(tmp_path / "sub", dead_pid)
    alive = leave_behind(tmp_path, os.getpid())
    check_replaceable(tmp_path / "x.png")
    assert (dead.exists(), below.exists(), alive.exists()) == (False, True, True)


@pytest.fixture
def odd_files(tmp_path):
    """Name -> how it is told that it cannot be read."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "broken").symlink_to(tmp_path / "none")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
    return {
        str(tmp_path / "pipe"): "is a named pipe, not an image file; copy what it holds to a file",
        str(tmp_path / "socket"): "is a socket, not an image file",
        "/dev/zero": "is a device, not an image file",
        str(tmp_path / "folder"): "is a folder; name an image file in it",
        str(tmp_path / "loop"): "is a symbolic link that leads back to itself",
        str(tmp_path / "broken"): "is a symbolic link to a file that does not exist",
        str(tmp_path / "none"): "no such image file",
        str(tmp_path / "file" / "x"): "no such image file",
        "~/none.jpg": "no such image file; ~ stands for your home folder only in a shell",
        "https://example.org/x.jpg": "is a URL; download the file",
        "x" * 5000: "is not a valid path (File name too long)",
        "a\0b": "is not a valid path (embedded null byte)",
    }


def test_what_cannot_be_read_is_told_why(odd_files, tmp_path):
    for path, message in odd_files.items():
        assert why_unreadable(path, "an image file").startswith(f"{path}: {message}"), path
    assert why_unreadable("", "an image file") == "the path of an image file is empty"
    assert why_unreadable(None, "an image file") == "expected the path of an image file, not NoneType"
    assert why_unreadable(tmp_path / "file", "an image file") == ""
    assert not re.search("Errno", "".join(why_unreadable(path, "a weight file") for path in odd_files))


def test_sha256_is_that_of_the_content(tmp_path):
    (tmp_path / "x").write_bytes(b"content" * 10**6)
    assert sha256(tmp_path / "x") == hashlib.sha256(b"content" * 10**6).hexdigest()


def test_cache_folder_is_the_one_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == Path(tmp_path / "jax_nst")


@pytest.mark.parametrize("name", ["d/", "d/.", "d/..", "loop"])
def test_a_path_that_cannot_be_a_file_is_not_replaced(name, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    path = f"{tmp_path}/{name}"
    with pytest.raises(FileError, match=r"name (a|another) file"):
        check_replaceable(path)


def test_what_cannot_be_written_says_what_to_do(tmp_path):
    with pytest.raises(FileError, match="make its folder, or name another file"):
        check_replaceable(tmp_path / "no" / "o.png")
    (tmp_path / "f").touch()
    with pytest.raises(FileError, match=r"\(Not a directory\); name another file"):
        check_replaceable(tmp_path / "f" / "o.png")


def test_leftovers_of_zombies_are_removed(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    leftover = tmp_path / f".jax_nst.{files._host()}.{process.pid}.x.tmp"
    leftover.touch()
    remove_leftovers(tmp_path)
    assert not leftover.exists()
    process.wait()
