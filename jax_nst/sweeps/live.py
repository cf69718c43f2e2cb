"""The page of a sweep while it runs.

A page that is opened from disk may not fetch a file, but it may run a script beside it. `progress.js` has
a call for each batch, with what is to be known of its items; the page runs it every few seconds. Each batch
is appended, so that its cost does not grow with those before it.
"""

import contextlib
import json
import secrets
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jax_nst.metrics import METRICS
from jax_nst.runtime.files import FileError
from jax_nst.sweeps.card import Card
from jax_nst.sweeps.entries import Entry, cell, varied
from jax_nst.sweeps.job import PROGRESS
from jax_nst.sweeps.labels import column_of
from jax_nst.sweeps.page import item_data
from jax_nst.sweeps.records import Record, write_file
from jax_nst.sweeps.report import label_texts, make_card_thumbnail, make_report, thinned

_POINTS = 100  # of the curve of an item, until the page is complete


class LivePage:
    """Shows each batch of a run on the page of its sweep.

    Args:
      folder: of the sweep, which is open; its page is written.
      entries: of the items, those outside the grid too.
      todo: how many items the run is to make.

    Raises:
      FileError: the page cannot be written.
    """

    def __init__(self, folder: Path, entries: Mapping[str, Entry], todo: int) -> None:
        self._path, self._folder, self._entries = folder / PROGRESS, folder, entries
        self._run, self._todo, self._done, self._batches = secrets.token_hex(4), todo, 0, 0
        self._count = sum(entry.item is not None for entry in entries.values())
        self._begin = time.monotonic()
        # A page of an earlier run, that is open, is read anew once it finds another run here.
        write_file(self._path, self._call(()))
        self._labels: dict[str, dict[str, str]] = {}
        for name in varied(entries.values()):
            texts = [str(cell(entry, name)) for entry in entries.values()]
            self._labels[column_of(name)] = label_texts(column_of(name), texts)
        axes = {
            column: list(dict.fromkeys(labels[text] for text in labels if text))
            for column, labels in self._labels.items()
        }
        make_report(folder, running=self._run, axes=axes)

    def add(self, records: Mapping[str, Record], rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Appends the items of a batch, whose pictures are in their files.

        A disk that is full is told of by what the sweep itself writes; the page alone does not end it.

        Args:
          records: of the items, by key.
          rows: of the table, by key, with their measures if there are any.
        """
        cards = [self._card(key, record, rows[key]) for key, record in records.items()]
        self._done, self._batches = self._done + len(cards), self._batches + 1
        with contextlib.suppress(OSError, FileError):
            call = self._call(cards)
            with self._path.open("ab") as file:
                file.write(call)

    def _call(self, cards: Iterable[Card]) -> bytes:
        taken = time.monotonic() - self._begin
        said = {
            "run": self._run,
            "batch": self._batches,
            "done": self._count - self._todo + self._done,
            "of": self._count,
            "secondsLeft": round(taken / self._done * (self._todo - self._done), 1) if self._done else None,
            "at": round(time.time()),
            "items": [item_data(card, make_card_thumbnail(self._folder, card)) for card in cards],
        }
        return f"progress({json.dumps(said, separators=(',', ':'))});\n".encode()

    def _card(self, key: str, record: Record, row: Mapping[str, Any]) -> Card:
        """Summary of an item that has just ended; `report` makes the same from the table."""
        outcome, entry = record.outcome, self._entries[key]
        values = {name: float(value) for name, value in row.items() if _is_number(value)}
        return Card(
            outcome.item,
            {column: labels[str(row[column])] for column, labels in self._labels.items()},
            row["file"],
            {name: value for name, value in values.items() if name.endswith("_loss")},
            outcome.message,
            round(outcome.seconds, 3),
            thinned(outcome.losses[:, 0], _POINTS),
            [given["key"] for given in entry.inputs],
            {name: value for name, value in values.items() if name in METRICS},
            key,
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
