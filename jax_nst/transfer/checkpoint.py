"""Checkpoints: the state of a run on disk, from which it goes on bit for bit.

A checkpoint is a folder with `checkpoint.json`, which says what run it is of, and the state beside it in an
npz file that the JSON names. Both are written to temporary files and renamed, the JSON last.
"""

import contextlib
import dataclasses
import functools
import json
import os
import shutil
import threading
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jax_nst.optim import State
from jax_nst.runtime.files import FileError, remove_leftovers, replacing
from jax_nst.runtime.memory import available_memory
from jax_nst.runtime.values import as_path, as_real, check_type
from jax_nst.transfer.choices import Choice
from jax_nst.transfer.packing import pack, unpack
from jax_nst.transfer.provenance import differences
from jax_nst.transfer.snapshot import Snapshot
from jax_nst.transfer.spec import Level, Spec

NAME = "checkpoint.json"
_FORMAT = 1
_PARTS = {"number": int, "state": str, "command": dict, "identity": dict, "snapshot": dict}  # of the JSON
_MOST_OF_THE_TIME = 0.05  # that saving may take
_SPARE = 2.0  # times the size of a checkpoint must be free: memory for a copy of the state, and disk


class CheckpointError(FileError):
    """Raised when there is no checkpoint to go on with, or it is damaged or of another run."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Where, and how often, the state of a run is saved.

    Attributes:
      folder: of the checkpoint; made when there is something to save, removed when the run has ended.
      every: seconds between two savings; more where saving takes long.
      after: seconds before the first. A run that ends before leaves nothing.
      anyway: whether to go on where versions, device or cores are others than those of the checkpoint. The
        picture is then the same to rounding only, which L-BFGS magnifies.
      replace: whether a run that begins anew may replace what the folder holds, with a warning.

    Raises:
      ValueError: the folder is no path, or the seconds are none.

    Example:
      >>> from jax_nst import Checkpoint
      >>> checkpoint = Checkpoint("my_run", every=30)  # for stylize(..., checkpoint=checkpoint)
    """

    folder: str | os.PathLike[str]
    every: float = 60.0
    after: float = 0.0
    anyway: bool = False
    replace: bool = False

    def __post_init__(self) -> None:
        if not as_path("folder", self.folder):
            raise ValueError("folder is empty; name the folder of the checkpoint")
        for name, seconds in (("every", self.every), ("after", self.after)):
            if not as_real(name, seconds) >= 0:
                raise ValueError(f"{name} must be zero or more seconds, not {seconds}")


class Saved(NamedTuple):
    """A checkpoint as it is on disk."""

    description: dict[str, Any]
    """The JSON."""
    state: Path
    """The npz file."""

    @property
    def batch(self) -> dict[str, Any]:
        """`items`, `slots`, how many it has room for, and `is_batched`: arrays have a leading axis."""
        return self.description["snapshot"]

    def choices(self, spec: Spec) -> dict[Level, Choice]:
        """How the level at work was computed; anything else could change bits.

        Raises:
          CheckpointError: as `snapshot`.
        """
        now = self.description["snapshot"]
        with self._damaged_unless_read():
            level, named = spec.levels[now["level"]], {choice.name: choice for choice in spec.choices}
            if now["choice"] in named:
                return {level: named[now["choice"]]}
            raise ValueError(now["choice"])

    def snapshot(self, names: tuple[str, ...], state_of: Callable[[int], State]) -> Snapshot:
        """The run where it was saved.

        Args:
          names: of the losses.
          state_of: `(level) -> State` of shapes, those that the state must have.

        Raises:
          CheckpointError: the file is damaged, or of another program.
        """
        with (
            self._damaged_unless_read(),
            self.state.open("rb") as file,
            np.load(file, allow_pickle=False) as arrays,
        ):
            return unpack(self.description["snapshot"], arrays, names, state_of)

    @contextlib.contextmanager
    def _damaged_unless_read(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile) as error:
            message = f"{self.state.parent}: the checkpoint is damaged; delete it to begin anew"
            raise CheckpointError(message) from error


class Store:
    """Saves the state of one run, in the background of its steps."""

    def __init__(self, checkpoint: Checkpoint, *, command: Mapping[str, Any] | None = None) -> None:
        """`command` is kept in the checkpoint: how the run was started."""
        self.folder = Path(checkpoint.folder)
        self.has_saved = False
        self._checkpoint, self._command = checkpoint, dict(command or {})
        self._identity: Callable[[], dict[str, Any]] = dict
        self._began = self._last = time.monotonic()
        self._took = 0.0
        self._thread: threading.Thread | None = None
        self._number = 0
        self._error: Exception | None = None
        self._has_warned = False

    def open(self, identity: Callable[[], dict[str, Any]], *, resume: bool) -> Saved | None:
        """Begins a run of that identity.

        Args:
          identity: gives what decides the picture, ready for JSON; `environment` may differ if the
            checkpoint says so. Asked only where there is something to compare or to save, since large
            pictures take a while to digest.
          resume: whether to go on from what the folder holds.

        Returns:
          What the folder holds; None if that is nothing.

        Raises:
          CheckpointError: the checkpoint is damaged, or of another run; or there is one, and `resume` is
            false.
        """
        self._identity = functools.cache(lambda: json.loads(json.dumps(identity())))
        self._began = self._last = time.monotonic()
        # A state is never written over one that the JSON of another run still names.
        numbers = [file.stem.removeprefix("state_") for file in self._states()]
        self._number = max((int(number) for number in numbers if number.isdecimal()), default=0)
        if not os.path.exists(self.folder / NAME):
            return None
        if not resume and self._checkpoint.replace:
            warnings.warn(
                f"{self.folder}: holds the state of a run that was stopped; go on with that by --resume "
                f"{self.folder}, or this run will replace it",
                UserWarning,
                stacklevel=2,
            )
            return None
        if not resume:
            raise CheckpointError(
                f"{self.folder}: holds the checkpoint of a run; resume that, or delete the folder"
            )
        saved = read_checkpoint(self.folder)
        _check_same(self.folder, saved.description["identity"], self._identity(), self._checkpoint.anyway)
        remove_leftovers(self.folder)
        self.has_saved = True
        return saved

    def keep(self, now: Snapshot, ends: bool) -> None:
        """Saves if the time has come, or if the run ends here before its end; returns before it is done."""
        seconds = time.monotonic()
        wait = max(self._checkpoint.every, self._took / _MOST_OF_THE_TIME)
        is_due = seconds - self._last >= wait and not (self._thread and self._thread.is_alive())
        if seconds - self._began < self._checkpoint.after or not (is_due or ends):
            return
        self.wait()  # for that of the last time, to hear of its failure
        self._last = seconds
        tree, snapshot = pack(now)
        self._number += 1
        description = {
            "format": _FORMAT,
            "number": self._number,
            "state": f"state_{self._number:06d}.npz",
            "command": self._command,
            "identity": self._identity(),
            "snapshot": snapshot,
        }
        num_bytes = sum(getattr(leaf, "nbytes", 8) for leaf in jax.tree.leaves(tree))
        in_background = available_memory() > _SPARE * num_bytes and now.spare > num_bytes
        if in_background:
            # A copy, since the next step is given these arrays for its results.
            tree = jax.tree.map(lambda leaf: np.array(leaf), tree)
        self._thread = threading.Thread(target=self._write, args=(tree, description, num_bytes))
        self._thread.start()
        if not in_background:
            self.wait()

    def wait(self) -> None:
        """Returns once all is written; warns, once, if it cannot be."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None and not self._has_warned:
            self._has_warned = True
            warnings.warn(f"{self._error}; painting goes on", UserWarning, stacklevel=2)

    def remove(self) -> None:
        """Removes the checkpoint of a run that has ended."""
        self.wait()
        if not self.has_saved:
            return
        self.has_saved = False
        (self.folder / NAME).unlink(missing_ok=True)
        for file in self._states():
            file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # it holds something else, or is a link
            self.folder.rmdir()

    def _states(self) -> list[Path]:
        is_there = os.path.isdir(self.folder)  # of a name that is too long `glob` would raise
        return list(self.folder.glob("state_*.npz")) if is_there else []

    def _write(self, tree: Any, description: dict[str, Any], num_bytes: int) -> None:
        began = time.monotonic()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free
            if free < _SPARE * num_bytes:
                raise FileError(
                    f"{self.folder}: no checkpoint is saved, since {num_bytes / 2**30:.1f} GiB would leave "
                    "little space on the disk"
                )
            paths, _ = jax.tree.flatten_with_path(tree)
            with replacing(self.folder / description["state"]) as file:
                arrays: Any = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in paths}
                np.savez(file, **arrays)
            with replacing(self.folder / NAME) as file:
                file.write(json.dumps(description, indent=1).encode())
            self.has_saved = True
            for old in self._states():
                if old.name != description["state"]:
                    old.unlink(missing_ok=True)
        except (OSError, ValueError) as error:
            self._error = error
        self._took = time.monotonic() - began


def read_checkpoint(folder: str | os.PathLike[str]) -> Saved:
    """Reads what a folder holds; the state itself is read when it is asked for.

    Raises:
      CheckpointError: there is no checkpoint, or it is damaged.
    """
    path = Path(folder) / NAME
    if not os.path.isfile(path):
        raise CheckpointError(f"{folder}: holds no checkpoint; name the folder of one, or begin anew")
    try:
        description = json.loads(path.read_text())
        if description["format"] != _FORMAT:
            raise CheckpointError(f"{folder}: is of another version of jax_nst; delete it to begin anew")
        for name, kind in _PARTS.items():
            check_type(name, description[name], kind)
        return Saved(description, path.with_name(Path(description["state"]).name))
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path}: is damaged; delete the folder to begin anew") from error


def _check_same(folder: Path, before: Any, now: Mapping[str, Any], anyway: bool) -> None:
    """Raises CheckpointError unless the run is the one of the checkpoint."""
    before = before if isinstance(before, dict) else {}
    found = differences({**before, "environment": None}, {**now, "environment": None})
    if found:
        raise CheckpointError(f"{folder}: holds the state of another run ({found[0]}); name another folder")
    found = differences(before.get("environment"), now["environment"])
    if found and not anyway:
        raise CheckpointError(
            f"{folder}: was written elsewhere ({', '.join(found)}), so the picture would not be the same "
            "to the bit; add --resume_anyway, in Python anyway=True, to go on"
        )
