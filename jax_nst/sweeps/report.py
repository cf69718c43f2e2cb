"""The report of a sweep, made from its folder alone: the contact sheet and the page."""

import contextlib
import csv
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import PngImagePlugin

from jax_nst.images import ImageError, jpeg_of, load_image, save_image, shrink
from jax_nst.metrics import METRICS
from jax_nst.runtime.files import FileError, replacing
from jax_nst.sweeps.card import Card, thumbnail_size
from jax_nst.sweeps.contact_sheet import contact_sheet
from jax_nst.sweeps.entries import Entry, read_entries
from jax_nst.sweeps.grid import COLUMNS as VARIED
from jax_nst.sweeps.inputs import largest
from jax_nst.sweeps.job import CONTACT_SHEET, INPUTS, PAGE, RESULTS, SETTINGS, Job
from jax_nst.sweeps.labels import column_of, number_labels, picture_labels, safe
from jax_nst.sweeps.page import page
from jax_nst.sweeps.records import batch_files, read_batch
from jax_nst.sweeps.settings import read_settings
from jax_nst.transfer.pictures import load_style, read_content
from jax_nst.transfer.spec import picture_size

_CURVE_POINTS = 100_000  # of all curves together
_AXES = tuple(map(column_of, VARIED))  # columns of the table that may vary


def save_inputs(folder: Path, job: Job, entries: Iterable[Entry]) -> None:
    """Saves the contents and styles of some items of the grid as the sweep uses them, for its report.

    What is there already is kept; what cannot be read is left out.
    """
    (folder / INPUTS).mkdir(exist_ok=True)
    saved = {" ".join(path.name.split("_")[:2]) for path in (folder / INPUTS).iterdir()}
    config = largest(job)
    labels = {
        kind: dict(zip(paths, picture_labels(paths), strict=True))
        for kind, paths in (("content", job.contents), ("style", job.styles))
    }
    for entry in entries:
        assert entry.item is not None
        item = job.items[entry.item]
        paths = [job.contents[item.content], *(job.styles[index] for index in item.styles)]
        for path, given in zip(paths, entry.inputs, strict=True):
            if given["key"] in saved:
                continue
            saved.add(given["key"])
            kind, number = given["key"].split(" ")
            try:
                read = read_content if kind == "content" else load_style
                pixels = read(job.picture(path), config)
            except ValueError:
                continue
            file = folder / INPUTS / f"{kind}_{number}_{safe(labels[kind][path])[:100]}.png"
            save_image(file, shrink(pixels, picture_size(config, pixels.shape)))


def make_report(folder: Path) -> None:
    """Writes the contact sheet and the page of a sweep from what is in its folder.

    Its settings, table, pictures and inputs are read, and its records if there are any; neither the
    original inputs nor the weights are needed. Pictures are read one after the other.

    Args:
      folder: of a sweep, finished or not.

    Raises:
      FileError: the folder holds no sweep, or its settings or table cannot be read.
    """
    sweep = _read_sweep(folder / SETTINGS)
    rows = _read_rows(folder / RESULTS)
    cards = _cards(rows, _read_curves(folder), read_entries(folder))
    side = thumbnail_size(len(cards))
    thumbnails = [_thumbnail(folder / card.file, side) if card.file else None for card in cards]
    inputs = _read_inputs(folder, side)
    axes: dict[str, list[str]] = {}
    for name in cards[0].labels if cards else ():
        axes[name] = list(dict.fromkeys(card.labels[name] for card in cards))
    small = {name: jpeg for name, (_, jpeg) in inputs.items()}
    sheet = contact_sheet(axes, cards, thumbnails, small, paired=sweep.paired)
    settings = PngImagePlugin.PngInfo()
    settings.add_text("jax_nst", json.dumps({"sweep": sweep.title}))
    with replacing(folder / CONTACT_SHEET) as file:
        sheet.save(file, format="PNG", pnginfo=settings)
    reached = sum(not card.outside for card in cards)
    title = sweep.title if reached == sweep.items else f"{sweep.title}: {reached} so far"
    text = page(title, axes, cards, thumbnails, inputs, paired=sweep.paired)
    with replacing(folder / PAGE) as file:
        file.write(text.encode())


class _Sweep(NamedTuple):
    """What the settings of a sweep say about its items."""

    title: str
    items: int
    paired: bool


def _read_sweep(path: Path) -> _Sweep:
    try:
        settings = read_settings(path.parent) or json.loads(path.read_text())
        items = int(settings["items"])
        steps = "" if settings["grid"].get("steps") else f", {settings['config']['steps']} steps"
        title = f"{items} pictures{steps}, {settings['features']}"
        return _Sweep(title, items, bool(settings["grid"]["zip"]))
    except FileNotFoundError as error:
        raise FileError(
            f"{path.parent}: holds no sweep ({path.name} is missing); name the folder of one"
        ) from error
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise FileError(
            f"{path}: cannot be read, or holds no settings of a sweep; name another folder"
        ) from error


def _read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of the table, those outside the grid last; none if there is no table yet."""
    if not path.exists():
        return []
    try:
        rows = csv.DictReader(StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
        return sorted(
            ({k: v or "" for k, v in row.items() if k} for row in rows),
            key=lambda row: int(row["item"] or sys.maxsize),
        )
    except (OSError, ValueError, LookupError, csv.Error) as error:
        raise FileError(
            f"{path}: cannot be read, or is no table of a sweep; delete it and go on with --resume"
        ) from error


def _read_curves(folder: Path) -> dict[str, np.ndarray]:
    """Key -> `[evaluations]`, its total loss, from the records; those that are damaged are left out."""
    curves: dict[str, np.ndarray] = {}
    for path in batch_files(folder):
        with contextlib.suppress(Exception):
            curves |= {key: record.outcome.losses[:, 0] for key, record in read_batch(path).items()}
    return curves


def _cards(
    rows: Sequence[Mapping[str, str]], curves: Mapping[str, np.ndarray], entries: Mapping[str, Entry]
) -> list[Card]:
    columns = list(rows[0]) if rows else []
    points = max(30, min(200, _CURVE_POINTS // max(1, len(rows))))
    labels = {name: _labels(name, [row[name] for row in rows]) for name in columns if name in _AXES}
    losses = [name for name in columns if name.endswith("_loss")]
    free = 1 + max((int(row["item"]) for row in rows if row["item"]), default=-1)
    cards = []
    for row in rows:
        key, is_outside = row.get("key", ""), not row["item"]
        cards.append(
            Card(
                free if is_outside else int(row["item"]),
                {name: of_axis[row[name]] for name, of_axis in labels.items()},
                Path(row.get("file", "")).name,
                {name: value for name in losses if (value := _number(row[name])) is not None},
                row.get("status", ""),
                _number(row.get("seconds", "")) or 0.0,
                _thinned(curves[key], points) if key in curves else [],
                [given["key"] for given in entries[key].inputs] if key in entries else [],
                {name: value for name in METRICS if (value := _number(row.get(name, ""))) is not None},
                key,
                is_outside,
            )
        )
        free += is_outside
    return cards


def _labels(name: str, texts: Sequence[str]) -> dict[str, str]:
    """What the table says of a setting -> its label."""
    distinct = [text for text in dict.fromkeys(texts) if text]
    known = {"": "default"}
    if name in ("content", "style", "color", "init"):
        return known | dict(zip(distinct, distinct, strict=True))
    read: Callable[[str], Any] = int if name == "seed" else float
    try:
        values = [tuple(map(read, text.split(","))) for text in distinct]
    except ValueError:
        return known | dict(zip(distinct, distinct, strict=True))
    return known | dict(zip(distinct, number_labels(values), strict=True))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _thinned(curve: np.ndarray, points: int) -> list[tuple[int, float]]:
    """Samples at most `points` pairs of step and loss, always with the first and the last step."""
    steps = np.flatnonzero(np.isfinite(curve))
    chosen = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), points)).astype(int))
    return [(int(step), float(f"{curve[step]:.5g}")) for step in steps[chosen]]


def _thumbnail(path: Path, side: int) -> bytes | None:
    """A JPEG; None if the file is missing or damaged."""
    try:
        return jpeg_of(load_image(path), side)
    except ImageError:
        return None


def _read_inputs(folder: Path, side: int) -> dict[str, tuple[str, bytes]]:
    """`content 0`, `style 1` and so on -> name of the file in the folder, and JPEG."""
    inputs = {}
    for path in sorted((folder / INPUTS).glob("*.png")):
        found = re.match(r"(content|style)_(\d+)_", path.name)
        jpeg = _thumbnail(path, side) if found else None
        if found and jpeg:
            inputs[f"{found[1]} {found[2]}"] = f"{INPUTS}/{path.name}", jpeg
    return inputs
