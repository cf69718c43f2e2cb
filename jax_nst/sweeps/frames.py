"""Reading the tables of a sweep back, with types: `results.csv` and `history.npz`."""

import contextlib
import csv
import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jax_nst.runtime.files import FileError
from jax_nst.sweeps.job import HISTORY, RESULTS, SETTINGS

if TYPE_CHECKING:
    import pandas as pd

_INTEGERS = ("item", "steps", "best_step", "batch", "devices")
_STRINGS = ("key", "file", "status")
_PICTURES = ("content", "style", "init", "mask")  # their labels may look like numbers
_INTEGER = re.compile(r"[+-]?\d+")


class Column(NamedTuple):
    """A column of the table of a sweep."""

    kind: str
    """`integer`, `number`, `category` or `string`."""
    values: list[Any]
    """One for each item; None for an empty cell."""


class SweepTables(NamedTuple):
    """The tables of a sweep, as `read_sweep` returns them."""

    items: "pd.DataFrame"
    """A row for each item that was reached."""
    curves: "pd.DataFrame"
    """A row for each loss of each step of each item."""


def read_sweep(folder: str | os.PathLike[str]) -> SweepTables:
    """Reads the tables of a sweep as DataFrames of pandas (extra `tables`).

    The sweep may still be running: `items` then has the batches that have ended, and `curves` those of the
    last run that came to its end.

    Args:
      folder: of a sweep.

    Returns:
      `items` has the columns of `results.csv`, see docs/sweeps.md, and `path`, the absolute path of the
      picture. Settings that are numbers are numbers, others categories in the order of the table. `curves`
      has the columns `item`, `key` (where the table has one), `step`, `loss` (`total`, `content` and so on)
      and `value`; evaluations that were not made, or are not finite, are left out.

    Raises:
      FileError: the folder holds no sweep, or a table cannot be read.
      ImportError: pandas is not installed.

    Example:
      >>> import numpy as np
      >>> from jax_nst import Config, Grid, read_sweep, sweep
      >>> content, style = np.random.default_rng(0).random((2, 32, 40, 3), np.float32)
      >>> config = Config(
      ...     features="wavelet", content_layers=("luma1",), style_layers=("scale1",), steps=2
      ... )
      >>> _ = sweep(
      ...     content, style, grid=Grid(style_weight=(100.0, 1000.0)), config=config, folder="my_sweep"
      ... )
      >>> items, curves = read_sweep("my_sweep")
      >>> items.groupby("style_weight").total_loss.mean().index.tolist()
      [100.0, 1000.0]
      >>> curves[curves.loss == "total"].groupby("item").value.size().tolist()
      [3, 3]
    """
    pd = _pandas()
    folder = Path(folder)
    columns = read_columns(folder)
    items = pd.DataFrame({name: _series(pd, column) for name, column in columns.items()})
    items["path"] = _series(pd, Column("string", [_path(folder, file) for file in columns["file"].values]))
    return SweepTables(items, _curves(pd, folder, columns))


def read_columns(folder: Path) -> dict[str, Column]:
    """The columns of `results.csv` with their types; without rows if no batch has ended yet.

    Raises:
      FileError: the folder holds no sweep, or the table cannot be read.
    """
    texts = read_texts(folder, needed=(*_INTEGERS, "file", "status"))
    if not texts and not (folder / SETTINGS).exists():
        raise FileError(f"{folder}: holds no sweep; name the folder of one")
    texts = texts or {name: [] for name in (*_INTEGERS, "seconds", "file", "status")}
    with _told(folder / RESULTS):
        return {name: _typed(name, of_column) for name, of_column in texts.items()}


def read_texts(folder: Path, *, needed: Sequence[str] = ()) -> dict[str, list[str]]:
    """The columns of `results.csv` as they are written; none if no batch has ended yet.

    Items outside the grid come last. Cells that a row lacks are empty.

    Args:
      folder: of a sweep.
      needed: columns that the table must have, even without rows.

    Raises:
      FileError: the table cannot be read.
    """
    path = folder / RESULTS
    if not path.exists():
        return {}
    with _told(path):
        text = io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")
        table = csv.DictReader(text, strict=True)
        names = list(table.fieldnames or ())
        if not set(needed) <= set(names):
            raise ValueError("other columns")
        rows = sorted(table, key=lambda row: int(row["item"] or sys.maxsize))
        return {name: [row[name] or "" for row in rows] for name in names}


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Says in a sentence that a table cannot be read."""
    try:
        yield
    except (OSError, ValueError, LookupError, csv.Error) as error:
        raise FileError(
            f"{path}: cannot be read, or is no table of a sweep; delete it and go on with --resume"
        ) from error


def _typed(name: str, texts: Sequence[str]) -> Column:
    """A column; one that is not known by its name is of the narrowest kind that all cells have."""
    given = [text for text in texts if text]
    if name in _STRINGS:
        kind = "string"
    elif name in _PICTURES:
        kind = "category"
    elif name in _INTEGERS or (given and all(map(_INTEGER.fullmatch, given))):
        kind = "integer"
    else:
        kind = "number" if all(map(_is_number, given)) else "category"
    parse: Callable[[str], Any] = {"integer": int, "number": float}.get(kind, str)
    return Column(kind, [parse(text) if text else None for text in texts])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _path(folder: Path, file: str | None) -> str | None:
    return os.path.join(os.path.abspath(folder), file) if file else None


def _series(pd: Any, column: Column) -> Any:
    if column.kind == "category":
        known = list(dict.fromkeys(value for value in column.values if value is not None))
        return pd.Categorical(column.values, categories=known)
    dtypes = {"integer": "Int64", "number": "float64", "string": "string"}
    return pd.Series(column.values, dtype=dtypes[column.kind])


def _curves(pd: Any, folder: Path, columns: dict[str, Column]) -> Any:
    """The history as a long table; empty if there is none yet."""
    arrays = _read_history(folder / HISTORY)
    losses = {name: array for name, array in arrays.items() if array.ndim == 2}  # others name the rows
    found = [np.nonzero(np.isfinite(array)) for array in losses.values()]
    rows, steps = np.concatenate([np.empty((2, 0), int), *(np.stack(pair) for pair in found)], axis=1)
    values = [array[pair] for array, pair in zip(losses.values(), found, strict=True)]
    codes = np.repeat(np.arange(len(losses)), [len(part) for part in values])
    keys = arrays.get("key")
    return pd.DataFrame(
        {
            "item": _items(pd, columns, keys, rows),
            **({} if keys is None else {"key": pd.Series(keys.astype(str)[rows], dtype="string")}),
            "step": steps,
            "loss": pd.Categorical.from_codes(codes, categories=list(losses)),
            "value": np.concatenate([np.empty(0, np.float32), *values]),
        }
    )


def _items(pd: Any, columns: dict[str, Column], keys: np.ndarray | None, rows: np.ndarray) -> Any:
    """The numbers of the items of rows of the history: by their keys, or else their places."""
    if keys is None or "key" not in columns:
        return pd.Series(rows, dtype="Int64")
    number = dict(zip(columns["key"].values, columns["item"].values, strict=True))
    of_row = np.array([number.get(str(key)) for key in keys], object)
    return pd.Series(of_row[rows], dtype="Int64")


def _read_history(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            return dict(arrays)
    except FileNotFoundError:
        return {}
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds
        if isinstance(error, MemoryError):
            raise
        raise FileError(
            f"{path}: cannot be read, or is no history of a sweep; delete it and go on with --resume"
        ) from error


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            "read_sweep needs pandas; install it with pip install pandas, or jax_nst with its extra tables"
        ) from error
    return pandas
