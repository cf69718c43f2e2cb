"""The tables of a sweep: `results.csv`, a row an item, and `history.npz`, the losses of every step."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jax_nst.runtime import distributed
from jax_nst.runtime.files import replacing
from jax_nst.sweeps.job import HISTORY, RESULTS, Job
from jax_nst.sweeps.labels import item_labels
from jax_nst.transfer.outcome import Outcome, Status, failed

# Bytes of the message of one item that one process sends to the others.
_LONGEST_MESSAGE = 400


def make_row(job: Job, outcome: Outcome, names: Sequence[str]) -> dict[str, Any]:
    """A line of the table; `names` are those of the losses."""
    losses = zip(loss_columns(names), map(float, outcome.best), strict=True)
    return {
        "item": outcome.item,
        **_values(job, outcome.item),
        **{name: value if math.isfinite(value) else "" for name, value in losses},
        "steps": max(0, len(outcome.losses) - 1),
        "seconds": round(outcome.seconds, 3),
        "file": "" if outcome.status is Status.FAILED else job.files[outcome.item],
        "status": outcome.message,
    }


def loss_columns(names: Sequence[str]) -> list[str]:
    """The columns of the losses: `total_loss`, `content_loss` and so on."""
    return [f"{name}_loss" for name in names]


def _values(job: Job, index: int) -> dict[str, Any]:
    """What varies, in full: labels of pictures, but numbers with all their digits."""
    item = job.items[index]
    values = item_labels(item, job.axes)
    for name, value in item.values.items():
        if name not in ("content", "style", "init"):
            values[name] = ",".join(map(str, value)) if isinstance(value, tuple) else value
    return values


def is_finished(folder: Path, row: Mapping[str, Any]) -> bool:
    """Whether the item of a row need not be run again."""
    done = Status.of(row["status"]) in (Status.FINISHED, Status.DIVERGED, Status.UNCHANGED)
    return done and (folder / row["file"]).is_file()


def write_results(
    folder: Path, job: Job, rows: Mapping[int, Mapping[str, Any]], names: Sequence[str]
) -> None:
    """Writes the table of the items that were reached."""
    columns = ["item", *job.axes, *loss_columns(names), "steps", "seconds", "file", "status"]
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows[index] for index in sorted(rows))
    write_file(folder / RESULTS, text.getvalue().encode())


def read_results(folder: Path, job: Job) -> dict[int, dict[str, Any]]:
    """The rows of an earlier run, by item."""
    path = folder / RESULTS
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = {int(row["item"]): dict(row) for row in csv.DictReader(file)}
    return {index: row for index, row in rows.items() if index < len(job.items)}


def write_history(folder: Path, job: Job, history: np.ndarray, names: Sequence[str]) -> None:
    """Writes `[items, evaluations, names]`, an array for each name."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = dict(zip(names, np.moveaxis(history, -1, 0), strict=True))
    np.savez_compressed(buffer, **arrays, picture=np.array(job.files))
    write_file(folder / HISTORY, buffer.getvalue())


def read_history(folder: Path, job: Job, names: Sequence[str]) -> np.ndarray:
    """`[items, evaluations, names]`; NaN for what has not been run."""
    history = np.full((len(job.items), job.config.steps + 1, len(names)), np.nan, np.float32)
    path = folder / HISTORY
    if path.exists():
        with np.load(path) as before:
            stacked = np.stack([before[name] for name in names], axis=-1)
        if stacked.shape == history.shape:
            return stacked
    return history


def write_file(path: Path, content: bytes) -> None:
    """Writes a file, whole or not at all."""
    with replacing(path) as file:
        file.write(content)


def gather_outcomes(
    chosen: Sequence[int], outcomes: Sequence[Outcome], evaluations: int, names: Sequence[str]
) -> list[Outcome]:
    """The outcomes of all processes, without their pictures; a collective, called by each process."""
    if distributed.num_processes() == 1:
        return list(outcomes)
    numbers = np.full((len(chosen), 3 + evaluations * len(names)), np.nan, np.float32)
    texts = np.zeros((len(chosen), _LONGEST_MESSAGE), np.uint8)
    for outcome in outcomes:
        row = chosen.index(outcome.item)
        numbers[row, :3] = 1, outcome.seconds, len(outcome.losses)
        numbers[row, 3 : 3 + outcome.losses.size] = outcome.losses.ravel()
        message = outcome.message.encode()[:_LONGEST_MESSAGE]
        texts[row, : len(message)] = list(message)
    everyones = zip(distributed.gather(numbers), distributed.gather(texts), strict=True)
    return [
        _unpacked(chosen[row], number, bytes(text).rstrip(b"\0").decode(errors="ignore"), names)
        for numbers, texts in everyones
        for row, (number, text) in enumerate(zip(numbers, texts, strict=True))
        if number[0] == 1
    ]


def _unpacked(item: int, number: np.ndarray, message: str, names: Sequence[str]) -> Outcome:
    losses = number[3 : 3 + int(number[2]) * len(names)].reshape(-1, len(names))
    return failed(item, "", names)._replace(
        status=Status.of(message), message=message, losses=losses, seconds=float(number[1])
    )
