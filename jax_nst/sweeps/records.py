"""Records of a sweep: how the run of each item ended, in a file for each batch.

The tables are made from them, so that the work of a batch does not grow with the sweep, and a table that is
damaged or edited loses nothing. They belong to the keys of the items, so that they outlast a change of the
grid.
"""

import io
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jax_nst.runtime.files import replacing
from jax_nst.sweeps.job import BATCHES
from jax_nst.transfer.outcome import Outcome, Status, failed


class Record(NamedTuple):
    """How the run of an item ended."""

    outcome: Outcome
    """Without its picture. Its number is that of the grid it was run in, or -1."""
    batch: int
    """Slots of its batch; 0 if it could not begin."""
    devices: int
    """Devices that the slots were spread over."""
    names: tuple[str, ...]
    """Of its losses."""
    file: str
    """Name of its picture."""

    @property
    def has_picture(self) -> bool:
        """Whether there is one."""
        return self.outcome.status is not Status.FAILED


Records = dict[str, Record]
"""Key of an item -> record."""


def write_batch(folder: Path, records: Mapping[str, Record]) -> None:
    """Writes the records of a batch, by the keys of its items, to a file of their own."""
    outcomes = [record.outcome for record in records.values()]
    evaluations = [len(outcome.losses) for outcome in outcomes]
    most = max((len(record.names) for record in records.values()), default=0)
    losses = np.full((len(records), max(evaluations, default=0), most), np.nan, np.float32)
    for row, outcome in zip(losses, outcomes, strict=True):
        row[: len(outcome.losses), : outcome.losses.shape[1]] = outcome.losses[:, :most]
    names = [[*record.names, *[""] * (most - len(record.names))] for record in records.values()]
    arrays = {
        "key": np.array(list(records)),
        "picture": np.array([record.file for record in records.values()]),
        "status": np.array([outcome.message for outcome in outcomes]),
        "seconds": np.array([outcome.seconds for outcome in outcomes]),
        "batch": np.array([record.batch for record in records.values()]),
        "devices": np.array([record.devices for record in records.values()]),
        "evaluations": np.array(evaluations),
        "losses": losses,
        "names": np.array(names),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    number = 1 + max((int(path.stem) for path in batch_files(folder)), default=0)
    write_file(folder / BATCHES / f"{number:05d}.npz", buffer.getvalue())


def read_batches(folder: Path) -> list[Records]:
    """The records of each batch, in the order of their files.

    A file that cannot be read is set aside with a warning.
    """
    batches = []
    for path in batch_files(folder):
        try:
            batches.append(read_batch(path))
        except Exception as error:  # zipfile, zlib and NumPy raise many kinds
            if isinstance(error, MemoryError):
                raise
            kept = set_aside(path)
            warnings.warn(
                f"{path}: is damaged, or not of this sweep; kept as {kept.name}, and its items are painted "
                "again",
                UserWarning,
                stacklevel=2,
            )
    return batches


def read_batch(path: Path) -> Records:
    """The records of a file; raises whatever Zip and NumPy raise if it is damaged."""
    with path.open("rb") as file, np.load(file) as arrays:
        return _unpack(dict(arrays))


def batch_files(folder: Path) -> list[Path]:
    """The files with the records of a sweep, in order."""
    return sorted(path for path in (folder / BATCHES).glob("*.npz") if path.stem.isdecimal())


def merged(batches: Iterable[Mapping[str, Record]]) -> Records:
    """The last record of each item."""
    return {key: record for batch in batches for key, record in batch.items()}


def write_file(path: Path, content: bytes) -> None:
    """Writes a file, whole or not at all."""
    with replacing(path) as file:
        file.write(content)


def set_aside(path: Path) -> Path:
    """Renames a file or folder to `NAME.old`, `NAME.old2` and so on; returns its new path."""
    number = 1
    while (aside := path.with_name(f"{path.name}.old{number if number > 1 else ''}")).exists():
        number += 1
    os.replace(path, aside)
    return aside


def _unpack(arrays: Mapping[str, Any]) -> Records:
    records = {}
    for row, key in enumerate(arrays["key"].tolist()):
        names = tuple(name for name in arrays["names"][row].tolist() if name)
        message = str(arrays["status"][row])
        losses = arrays["losses"][row, : arrays["evaluations"][row], : len(names)]
        outcome = failed(-1, "", names)._replace(
            status=Status.of(message), message=message, losses=losses, seconds=float(arrays["seconds"][row])
        )
        file = Path(str(arrays["picture"][row])).name
        slots = int(arrays["batch"][row]), int(arrays["devices"][row])
        records[str(key)] = Record(outcome, *slots, names, file)
    return records
