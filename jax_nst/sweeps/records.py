"""Records of a sweep: how the run of each item ended, in a file for each batch.

The tables are made from them, so that the work of a batch does not grow with the sweep, and a table that is
damaged or edited loses nothing.
"""

import io
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jax_nst.runtime.files import replacing
from jax_nst.sweeps.job import BATCHES, Job
from jax_nst.transfer.outcome import Outcome, Status, failed


class Record(NamedTuple):
    """How the run of an item ended."""

    outcome: Outcome
    """Without its picture."""
    batch: int
    """Slots of its batch; 0 if it could not begin."""
    devices: int
    """Devices that the slots were spread over."""


def write_batch(folder: Path, job: Job, records: Sequence[Record], names: Sequence[str]) -> None:
    """Writes the records of a batch to a file of their own; `names` are those of the losses."""
    outcomes = [record.outcome for record in records]
    evaluations = [len(outcome.losses) for outcome in outcomes]
    losses = np.full((len(records), max(evaluations, default=0), len(names)), np.nan, np.float32)
    for row, outcome in zip(losses, outcomes, strict=True):
        row[: len(outcome.losses)] = outcome.losses
    arrays = {
        "item": np.array([outcome.item for outcome in outcomes]),
        "picture": np.array([job.files[outcome.item] for outcome in outcomes]),
        "status": np.array([outcome.message for outcome in outcomes]),
        "seconds": np.array([outcome.seconds for outcome in outcomes]),
        "batch": np.array([record.batch for record in records]),
        "devices": np.array([record.devices for record in records]),
        "evaluations": np.array(evaluations),
        "losses": losses,
        "names": np.array(names),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    number = 1 + max((int(path.stem) for path in _files(folder)), default=0)
    write_file(folder / BATCHES / f"{number:05d}.npz", buffer.getvalue())


def read_batches(folder: Path, job: Job, names: Sequence[str]) -> list[dict[int, Record]]:
    """The records of each batch, by item, in the order of their files.

    A file that cannot be read is set aside with a warning.
    """
    batches = []
    for path in _files(folder):
        try:
            with path.open("rb") as file, np.load(file) as arrays:
                batches.append(_unpack(dict(arrays), job, names))
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


def merged(batches: Iterable[Mapping[int, Record]]) -> dict[int, Record]:
    """The last record of each item."""
    return {item: record for batch in batches for item, record in batch.items()}


def stack_history(job: Job, records: Mapping[int, Record], names: Sequence[str]) -> np.ndarray:
    """`[items, evaluations, names]`, the losses at the full size; NaN for what was not run."""
    history = np.full(
        (len(job.items), 1 + max(item.config.steps for item in job.items), len(names)), np.nan, np.float32
    )
    for item, record in records.items():
        history[item, : len(record.outcome.losses)] = record.outcome.losses
    return history


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


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / BATCHES).glob("*.npz") if path.stem.isdecimal())


def _unpack(arrays: Mapping[str, Any], job: Job, names: Sequence[str]) -> dict[int, Record]:
    if list(arrays["names"]) != list(names):
        raise ValueError("it has other losses")
    records = {}
    for row, item in enumerate(arrays["item"].tolist()):
        if item < 0 or job.files[item] != arrays["picture"][row]:
            raise ValueError("it has other items")
        message, losses = str(arrays["status"][row]), arrays["losses"][row, : arrays["evaluations"][row]]
        if len(losses) > 1 + max(item.config.steps for item in job.items):
            raise ValueError("it has other steps")
        outcome = failed(item, "", names)._replace(
            status=Status.of(message), message=message, losses=losses, seconds=float(arrays["seconds"][row])
        )
        records[item] = Record(outcome, int(arrays["batch"][row]), int(arrays["devices"][row]))
    return records
