"""Lists of points, each a dictionary of settings, from Python, pandas or a CSV file."""

import csv
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jax_nst.runtime.files import FileError
from jax_nst.runtime.values import shown
from jax_nst.transfer.conversion import from_text

PointsLike = Iterable[Mapping[str, Any]] | str | os.PathLike[str] | Any
"""Dictionaries, a DataFrame of pandas, or the path of a CSV file."""


class Point(NamedTuple):
    """One item of a sweep as a list or a table has it."""

    where: str
    """Its place, for messages."""
    values: dict[str, Any]
    """Column -> value; None where the table has nothing."""


def read_points(points: PointsLike) -> list[Point]:
    """The points of a list, a DataFrame or a CSV file; in that, cells are read as flags are.

    Raises:
      TypeError: it is none of these.
      ValueError: there is no point, or a cell cannot be read; the message names it.
      FileError: the file cannot be read.
    """
    if isinstance(points, str | os.PathLike):
        found = _of_file(Path(points))
    elif hasattr(points, "notna") and hasattr(points, "to_dict"):
        found = _of_frame(points)
    else:
        found = _of_list(points)
    if not found:
        raise ValueError("there are no points to paint; give one at least")
    return found


def _of_list(points: Any) -> list[Point]:
    message = f"grid must be a Grid, a list of dictionaries, a DataFrame or a path, not {shown(points)}"
    if isinstance(points, Mapping) or not isinstance(points, Iterable):
        raise TypeError(message)
    found = list(points)
    if not all(isinstance(point, Mapping) for point in found):
        raise TypeError(message)
    return [Point(f"point {number}", dict(point)) for number, point in enumerate(found)]


def _of_frame(frame: Any) -> list[Point]:
    """Each row of a DataFrame; what is not available is None."""
    records = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [
        Point(f"row {label} of the table", values)
        for label, values in zip(frame.index, records, strict=True)
    ]


def _of_file(path: Path) -> list[Point]:
    """Each line of a CSV file after its head; an empty cell is None."""
    try:
        table = csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), strict=True)
        head = [name.strip() for name in next(table, [])]
        lines = [(table.line_num, line) for line in table if any(cell.strip() for cell in line)]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"{path}: cannot be read as a table ({reason}); name a CSV file") from error
    if len(set(head)) < len(head):
        raise ValueError(f"{path}: has two columns of one name; name each setting once")
    points = []
    for number, cells in lines:
        where = f"{path}, line {number}"
        if len(cells) > len(head):
            raise ValueError(f"{where}: has {len(cells)} cells, but the table has {len(head)} columns")
        try:
            own = {name: _read(name, cell.strip()) for name, cell in zip(head, cells, strict=False)}
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        points.append(Point(where, dict.fromkeys(head) | own))
    return points


def _read(name: str, cell: str) -> Any:
    if name in ("content", "style"):  # an index, or the path of a picture
        return int(cell) if cell.isdecimal() else cell or None
    return from_text(name, cell) if cell else None


def pictures_of(name: str, points: list[Point]) -> tuple[list[str], list[Point]]:
    """The pictures that a column names by path, each once, and the points with their indices instead.

    Of points without that column there are none, and they are left as they are.
    """
    if not any(name in point.values for point in points):
        return [], points
    paths = [None if point.values.get(name) is None else str(point.values[name]) for point in points]
    indices = {path: index for index, path in enumerate(dict.fromkeys(path for path in paths if path))}
    own = [
        {**point.values, name: path and indices[path]} for point, path in zip(points, paths, strict=True)
    ]
    return list(indices), [Point(point.where, values) for point, values in zip(points, own, strict=True)]
