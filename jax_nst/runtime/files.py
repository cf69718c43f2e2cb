"""Atomic writes, why a file cannot be read, file digests, and the user's cache folder."""

import contextlib
import errno
import hashlib
import os
import platform
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

_DAY = 24 * 60 * 60  # seconds
_LEFTOVERS = ".jax_nst.*.tmp"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_SPECIAL = ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"))


class FileError(ValueError):
    """Raised when a file cannot be read or written; names the file, the reason and the remedy."""


def cache_folder() -> Path:
    """Returns the user's cache folder for this program; it may not exist yet."""
    import pooch

    return Path(pooch.os_cache("jax_nst"))


def sha256(path: str | os.PathLike[str]) -> str:
    """Returns the SHA-256 digest of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def why_unreadable(path: Any, what: str) -> str:
    """Says in a sentence why a file cannot be read; empty if it can be opened.

    Only regular files are read: a pipe or a device could be without an end.

    Args:
      path: what was given as the path of a file.
      what: what the file should be, such as "an image file".
    """
    if not isinstance(path, str | os.PathLike):
        return f"expected the path of {what}, not {type(path).__name__}"
    name = os.fspath(path)
    if not name:
        return f"the path of {what} is empty"
    if is_url(name):
        return f"{name}: is a URL; download the file, and name it"
    try:
        mode = os.stat(name).st_mode
    except (OSError, ValueError) as error:
        return f"{name}: {_why_not_found(name, error, what)}"
    if stat.S_ISDIR(mode):
        return f"{name}: is a folder; name {what} in it"
    if not stat.S_ISREG(mode):
        return f"{name}: is {_special(mode)}, not {what}; copy what it holds to a file, and name that"
    return "" if os.access(name, os.R_OK) else f"{name}: permission denied; make the file readable"


def is_url(path: Any) -> bool:
    """Whether a path looks like `https://...`."""
    return isinstance(path, str) and bool(_URL.match(path))


def _why_not_found(name: str, error: OSError | ValueError, what: str) -> str:
    """Says why a file has no status."""
    number = getattr(error, "errno", None)
    if number == errno.ELOOP:
        return "is a symbolic link that leads back to itself; name the file itself"
    if number == errno.EACCES:
        return "permission denied; make its folder readable"
    if number in (errno.ENOENT, errno.ENOTDIR):
        if os.path.islink(name):
            return "is a symbolic link to a file that does not exist; name the file itself"
        home = "; ~ stands for your home folder only in a shell, so write that out"
        return f"no such {what.partition(' ')[2]}{home if name[:1] == '~' else ''}"
    return f"is not a valid path ({_reason(error)}); name {what}"


def _special(mode: int) -> str:
    """What a file is that is neither regular nor a folder."""
    return next((words for is_kind, words in _SPECIAL if is_kind(mode)), "a device")


def check_working_folder() -> None:
    """Raises FileError if the working folder has been removed."""
    try:
        os.getcwd()
    except OSError as error:
        raise FileError("the working folder is no more; change to one that exists, with cd") from error


def check_replaceable(path: str | os.PathLike[str]) -> None:
    """Raises FileError unless a file can be written at `path`.

    Creates no file; temporary files of killed programs in its folder are removed.
    """
    try:
        _check_regular(path)
        with _temporary(path):
            pass
    except OSError as error:
        remedy = "make its folder, or " if error.errno == errno.ENOENT else ""
        raise FileError(f"{_unwritable(path, error)}; {remedy}name another file") from error
    _remove_dead(Path(os.path.realpath(path)).parent.glob(_LEFTOVERS))


def _check_regular(path: str | os.PathLike[str]) -> None:
    """Raises FileError if what `path` names is there, and not a file that may be replaced."""
    if not os.fspath(path) or "\0" in str(path):
        raise FileError(f"{str(path)!r} is not a valid path; name a file to write")
    if os.path.basename(path) in ("", ".", ".."):
        raise FileError(f"{path}: is the path of a folder; name a file to write")
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise FileError(f"{path}: is a folder; name a file to write")
    if not stat.S_ISREG(mode):
        raise FileError(f"{path}: is {_special(mode)}; name a file to write")


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], *, durable: bool = True) -> Iterator[IO[bytes]]:
    """Yields a temporary file that replaces `path` when the context ends without an exception.

    The replacement is atomic: readers, and a program killed at any moment, see the old file or the new
    one, never a part of it. A file that is replaced keeps its permissions.

    Args:
      path: of the file.
      durable: wait until the disk has the file. Without that it may be lost or damaged if the power
        fails, which suits a file that can be made again.

    Raises:
      FileError: the file cannot be written.
    """
    try:
        _check_regular(path)
        with _temporary(path) as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
            file.close()
            target = os.path.realpath(path)
            os.chmod(file.name, _permissions(target))
            os.replace(file.name, target)
    except OSError as error:
        raise _unwritable(path, error) from error


def _permissions(path: str) -> int:
    """Permissions of the file at `path`, or else of an ordinary new file; temporary files have 600."""
    with contextlib.suppress(FileNotFoundError):
        return stat.S_IMODE(os.stat(path).st_mode)
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


_temporaries: set[str] = set()


def remove_temporaries() -> None:
    """Removes the temporary files of this process, before it ends without unwinding."""
    for name in tuple(_temporaries):
        Path(name).unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Removes temporary files left under `folder` by programs that were killed while writing."""
    _remove_dead(folder.rglob(_LEFTOVERS))


def _remove_dead(files: Iterator[Path]) -> None:
    """Removes temporary files, other than those that a living program may be writing."""
    with contextlib.suppress(OSError):  # a folder that cannot be listed, or that vanishes meanwhile
        for file in list(files):
            with contextlib.suppress(OSError):
                if not _may_be_alive(file):
                    file.unlink()


def _may_be_alive(file: Path) -> bool:
    """Whether a program may be writing a temporary file: by its name, and on another machine by its age."""
    import psutil

    *_, host, pid, _, _ = ("", "", *file.name.split("."))
    if not pid.isdecimal() or time.time() - file.stat().st_mtime > _DAY:
        return False
    try:
        return host != _host() or psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _host() -> str:
    """The name of this machine, as it stands in the names of temporary files."""
    return re.sub(r"[^A-Za-z0-9-]", "-", platform.node())[:64] or "-"


@contextlib.contextmanager
def _temporary(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Yields a new file in the folder of `path`, and removes it at the end if it still exists.

    Its name holds the machine and the process that write it, for `remove_leftovers`.
    """
    folder = Path(os.path.realpath(path)).parent
    prefix = f".jax_nst.{_host()}.{os.getpid()}."
    with tempfile.NamedTemporaryFile(dir=folder, prefix=prefix, suffix=".tmp", delete=False) as file:
        _temporaries.add(file.name)
        try:
            yield file
        finally:
            Path(file.name).unlink(missing_ok=True)
            _temporaries.discard(file.name)


def _unwritable(path: str | os.PathLike[str], error: OSError) -> FileError:
    return FileError(f"{path}: cannot be written ({_reason(error)})")


def _reason(error: OSError | ValueError) -> str:
    """An error of the system, without its number."""
    return getattr(error, "strerror", None) or str(error)
