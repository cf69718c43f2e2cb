"""Definition of a sweep on disk."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jax_nst.sweeps.grid import Grid, GridItem, make_items
from jax_nst.sweeps.labels import axis_labels, file_names
from jax_nst.transfer.config import Config
from jax_nst.transfer.pictures import PictureLike

RESULTS, SETTINGS, HISTORY = "results.csv", "settings.json", "history.npz"
PARQUET = "results.parquet"
CONTACT_SHEET, PAGE = "contact_sheet.png", "index.html"
SWEEP = "sweep"
"""Name of the folder, unless it is given."""
INPUTS, BATCHES, CHECKPOINT, THUMBNAILS = "inputs", "batches", "checkpoint", "thumbnails"  # folders
PROGRESS = "progress.js"
"""What the page of a running sweep reads; removed at the end."""
REPORTS = (RESULTS, PARQUET, SETTINGS, HISTORY, CONTACT_SHEET, PAGE, PROGRESS)
"""Files of a sweep beside its pictures, and further pages of the contact sheet: see `is_report`."""


def sheet_name(number: int) -> str:
    """File name of a page of the contact sheet, from 1."""
    return CONTACT_SHEET if number == 1 else f"contact_sheet_{number}.png"


def is_report(name: str) -> bool:
    """Whether a file of this name is written beside the pictures of a sweep."""
    return name in REPORTS or bool(re.fullmatch(r"contact_sheet_[1-9][0-9]*\.png", name))


class Job(NamedTuple):
    """Definition of a sweep on disk."""

    contents: tuple[str, ...]
    """Paths, or names in `pictures`."""
    styles: tuple[str, ...]
    """Paths, or names in `pictures`."""
    pictures: Mapping[str, Any]
    """Name -> picture, of those that are not files."""
    grid: Grid
    config: Config
    items: list[GridItem]
    axes: dict[str, dict[Any, str]]
    """Name of each varied setting -> value -> label."""
    files: list[str]
    """Name of the picture of each item."""

    def picture(self, name: str) -> PictureLike:
        """The picture of a name: in memory, or its path."""
        return self.pictures.get(name, name)


def make_job(
    contents: Sequence[PictureLike], styles: Sequence[PictureLike], grid: Grid, config: Config
) -> Job:
    """A path given twice counts once, unless values are paired or shares belong to it.

    Raises:
      ValueError: as `make_items`.
    """
    pictures: dict[str, Any] = {}
    content_names, style_names = (
        [_named(kind, number, picture, pictures) for number, picture in enumerate(given)]
        for kind, given in (("content", contents), ("style", styles))
    )
    if not grid.zip:
        content_names = list(dict.fromkeys(content_names))
        style_names = style_names if grid.blend else list(dict.fromkeys(style_names))
    items = make_items(grid, len(content_names), len(style_names), config)
    axes = axis_labels(items, content_names, style_names)
    files = file_names(items, axes)
    return Job(tuple(content_names), tuple(style_names), pictures, grid, config, items, axes, files)


def _named(kind: str, number: int, picture: Any, pictures: dict[str, Any]) -> str:
    """The name of a picture: its path, or one such as `content_0`, by which it is then in `pictures`."""
    if isinstance(picture, str | os.PathLike):
        return os.fspath(picture)
    name = f"{kind}_{number}"
    pictures[name] = picture
    return name
