"""Files that are written whole or not at all, and the user's cache folder."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO


class FileError(ValueError):
    """A file cannot be read or written; the message says which, why, and what to do."""


def cache_folder() -> Path:
    """The user's cache folder of this program."""
    import pooch

    return Path(pooch.os_cache("jax_nst"))


def check_replaceable(path: str | os.PathLike[str]) -> None:
    """Raises FileError if no file of any kind could be written at `path`."""
    if Path(path).is_dir():
        raise FileError(f"{path}: is a folder; name a file to write")
    try:
        with _temporary(path):
            pass
    except OSError as error:
        raise _unwritable(path, error) from error


@contextlib.contextmanager
def _temporary(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A new file beside `path`, removed at the end if it is still there."""
    folder = Path(os.path.realpath(path)).parent
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".jax_nst.", suffix=".tmp", delete=False) as file:
        try:
            yield file
        finally:
            Path(file.name).unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary files that a killed program left in a folder of its own."""
    for file in folder.rglob(".jax_nst.*.tmp"):
        file.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A file to write to that takes the place of `path` once it is whole.

    Raises:
      FileError: it cannot be written.
    """
    try:
        with _temporary(path) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            file.close()
            # A temporary file is its owner's alone; the picture gets the usual permissions.
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(file.name, 0o666 & ~umask)
            os.replace(file.name, os.path.realpath(path))
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: str | os.PathLike[str], error: OSError) -> FileError:
    return FileError(f"{path}: cannot be written there ({error.strerror or error})")
