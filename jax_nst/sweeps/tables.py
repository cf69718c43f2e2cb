"""The tables of a sweep: `results.csv`, a row an item, and `history.npz`, the losses of every step."""

import csv
import io
import itertools
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jax_nst.metrics import METRICS
from jax_nst.runtime import distributed
from jax_nst.sweeps.entries import Entry, cell, loss_names, varied
from jax_nst.sweeps.job import HISTORY, RESULTS
from jax_nst.sweeps.labels import column_of
from jax_nst.sweeps.records import Record, set_aside, write_file
from jax_nst.transfer.outcome import Outcome, Status, failed

# Bytes of the message of one item that one process sends to the others.
_LONGEST_MESSAGE = 400
_MOST_LINES = 20
_MOST_RANGES = 8


def make_row(
    key: str,
    entry: Entry,
    record: Record,
    columns: Sequence[str],
    measures: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """A line of the table, with its losses only.

    Args:
      key: of the item.
      entry: what the folder knows of it.
      record: how its run ended.
      columns: the settings that vary, see `varied`.
      measures: of its picture, if there are any.
    """
    outcome = record.outcome
    losses = dict.fromkeys(loss_columns(entry.losses), math.nan)
    if record.has_picture:
        losses |= zip(loss_columns(record.names), map(float, outcome.best), strict=True)
    return {
        "item": "" if entry.item is None else entry.item,
        "key": key,
        **{column_of(name): cell(entry, name) for name in columns},
        **{name: value if math.isfinite(value) else "" for name, value in losses.items()},
        **measure_cells(measures or {}),
        "steps": max(0, len(outcome.losses) - 1),
        "best_step": _best_step(outcome.losses[:, 0]) if record.has_picture else "",
        "seconds": round(outcome.seconds, 3),
        "batch": record.batch or "",
        "devices": record.devices if record.batch else "",
        "file": record.file if record.has_picture else "",
        "status": outcome.message,
    }


def make_rows(
    entries: Mapping[str, Entry],
    records: Mapping[str, Record],
    measures: Mapping[str, Mapping[str, float]],
) -> dict[str, dict[str, Any]]:
    """Key -> line of the table, of the items that have a record; `measures` are by file of a picture."""
    columns = varied(entries.values())
    return {
        key: make_row(key, entries[key], record, columns, measures.get(record.file))
        for key, record in records.items()
        if key in entries
    }


def measure_cells(measures: Mapping[str, float]) -> dict[str, Any]:
    """Measures as they stand in the table: six digits, and nothing for what could not be measured."""
    return {name: float(f"{value:.6g}") if math.isfinite(value) else "" for name, value in measures.items()}


def loss_columns(names: Sequence[str]) -> list[str]:
    """The columns of the losses: `total_loss`, `content_loss` and so on."""
    return [f"{name}_loss" for name in names]


def _best_step(totals: np.ndarray) -> int | str:
    """Number of the evaluation whose picture is kept; nothing if none is finite."""
    finite = np.isfinite(totals)
    return int(np.argmin(np.where(finite, totals, np.inf))) if finite.any() else ""


def write_results(
    folder: Path, entries: Mapping[str, Entry], rows: Mapping[str, Mapping[str, Any]]
) -> None:
    """Writes the table of the items that were reached, in the order of the entries.

    It has columns for measures if an item was measured.
    """
    write_file(folder / RESULTS, _csv(entries, [rows[key] for key in entries if key in rows]).encode())


def keep_edited_results(
    folder: Path,
    entries: Mapping[str, Entry],
    batches: Sequence[Mapping[str, Record]],
    measures: Mapping[str, Mapping[str, float]],
) -> None:
    """Sets the table aside, with a warning, if it has a line that is not of these records and measures."""
    path = folder / RESULTS
    rows = [row for batch in batches for row in make_rows(entries, batch, {}).values()]
    measured = [row for batch in batches for row in make_rows(entries, batch, measures).values()]
    # An item may have been written before it was measured.
    tables = [_csv(entries, rows), _csv(entries, measured + rows)]
    lines = {line for table in tables for line in table.encode().splitlines()}
    if not path.exists() or set(path.read_bytes().splitlines()) <= lines:
        return
    kept = set_aside(path)
    warnings.warn(
        f"{path}: differs from the records of the sweep; kept as {kept.name}, and written again",
        UserWarning,
        stacklevel=2,
    )


def _csv(entries: Mapping[str, Entry], rows: Sequence[Mapping[str, Any]]) -> str:
    last = ["steps", "best_step", "seconds", "batch", "devices", "file", "status"]
    text = io.StringIO(newline="")
    measures = [name for name in METRICS if any(name in row for row in rows)]
    losses = loss_columns(loss_names(entries.values()))
    columns = ["item", "key", *map(column_of, varied(entries.values())), *losses, *measures, *last]
    table = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()


def told(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each message of items that did not end well, with all items that have it."""
    items: dict[str, list[int]] = {}
    for row in rows:
        if Status.of(row["status"]) is not Status.FINISHED:
            message = re.sub(r", rank \d+ of \d+", "", row["status"])  # of items that were halted
            items.setdefault(message, []).append(int(row["item"]))
    lines = [f"{_items(numbers)}: {message}" for message, numbers in items.items()]
    if len(lines) <= _MOST_LINES:
        return lines
    left = len(lines) - _MOST_LINES + 1
    return [*lines[: _MOST_LINES - 1], f"and {left} other messages, see the column status of {RESULTS}"]


def _items(numbers: Sequence[int]) -> str:
    """`item 3`, or `items 0-4, 7`."""
    ranges = []
    for _, group in itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        (_, first), *rest = group
        ranges.append(f"{first}-{rest[-1][1]}" if rest else str(first))
    shown = ", ".join(ranges[:_MOST_RANGES]) + (", ..." if len(ranges) > _MOST_RANGES else "")
    several = f" ({len(numbers)} of them)" if len(ranges) > 1 else ""
    return f"items {shown}{several}" if len(numbers) > 1 else f"item {shown}"


def write_history(folder: Path, entries: Mapping[str, Entry], records: Mapping[str, Record]) -> None:
    """Writes the losses of every step: `[items, steps + 1]` for each name, NaN for what was not run.

    The items are those of the entries, in their order, with their keys in `key` and the names of their
    pictures in `picture`.
    """
    names = loss_names(entries.values())
    evaluations = 1 + max((entry.steps for entry in entries.values()), default=0)
    history = {name: np.full((len(entries), evaluations), np.nan, np.float32) for name in names}
    for row, key in enumerate(entries):
        if key in records:
            losses = records[key].outcome.losses
            for name, curve in zip(records[key].names, losses.T, strict=True):
                history[name][row, : len(curve)] = curve
    arrays: dict[str, Any] = {
        **history,
        "key": np.array(list(entries)),
        "picture": np.array([entry.file for entry in entries.values()]),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_file(folder / HISTORY, buffer.getvalue())


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
