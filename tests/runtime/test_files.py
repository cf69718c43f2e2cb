import hashlib
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jax_nst.runtime.files import (
    FileError,
    cache_folder,
    check_replaceable,
    remove_leftovers,
    replacing,
    sha256,
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


def test_remove_leftovers_spares_other_files(tmp_path):
    names = {"sub/x.png", "sub/.jax_nst.kept", "sub/.jax_nst.abc.tmp", ".jax_nst.abc.tmp"}
    (tmp_path / "sub").mkdir()
    for name in names:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert {path.name for path in (tmp_path / "sub").iterdir()} == {"x.png", ".jax_nst.kept"}
    assert {path.name for path in tmp_path.iterdir()} == {"sub"}


def test_sha256_is_that_of_the_content(tmp_path):
    (tmp_path / "x").write_bytes(b"content" * 10**6)
    assert sha256(tmp_path / "x") == hashlib.sha256(b"content" * 10**6).hexdigest()


def test_cache_folder_is_the_one_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == Path(tmp_path / "jax_nst")
