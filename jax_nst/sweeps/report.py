"""The report of a sweep, made from its folder alone: the contact sheet and the page."""

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import PngImagePlugin

from jax_nst.images import save_image, shrink
from jax_nst.metrics import METRICS
from jax_nst.runtime.files import FileError, replacing
from jax_nst.sweeps.card import Card, axes_of
from jax_nst.sweeps.contact_sheet import contact_sheets
from jax_nst.sweeps.entries import Entry, read_entries
from jax_nst.sweeps.frames import read_texts
from jax_nst.sweeps.grid import COLUMNS as VARIED
from jax_nst.sweeps.inputs import largest
from jax_nst.sweeps.job import INPUTS, PAGE, PROGRESS, SETTINGS, Job, sheet_name
from jax_nst.sweeps.labels import column_of, number_labels, picture_labels, safe
from jax_nst.sweeps.page import page
from jax_nst.sweeps.records import batch_files, read_batch
from jax_nst.sweeps.seeds import Deviation, Group, group_seeds, make_deviation
from jax_nst.sweeps.settings import read_settings
from jax_nst.sweeps.thumbnails import Thumbnail, make_thumbnail
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


def make_report(folder: Path, *, running: str = "", axes: Mapping[str, Sequence[str]] = {}) -> None:
    """Writes the contact sheet and the page of a sweep from what is in its folder.

    Its settings, table, pictures and inputs are read, and its records if there are any; neither the
    original inputs nor the weights are needed. Pictures are read one after the other, and only those that
    have no thumbnail yet.

    Args:
      folder: of a sweep, finished or not.
      running: what tells a run of the sweep apart that is only beginning, whose page `LivePage` keeps up
        to date; the contact sheet and the spread over seeds are left to its end.
      axes: name of each varied setting -> its labels, of items to come.

    Raises:
      FileError: the folder holds no sweep, or its settings or table cannot be read.
    """
    sweep = _read_sweep(folder / SETTINGS)
    columns = read_texts(folder)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    cards = _cards(rows, _read_curves(folder), read_entries(folder))
    thumbnails = [make_card_thumbnail(folder, card) for card in cards]
    inputs = _read_inputs(folder)
    if not running:
        small = {name: thumbnail for name, (_, thumbnail) in inputs.items()}
        _write_sheets(folder, sweep, cards, thumbnails, small)
    reached = sum(not card.outside for card in cards)
    title = sweep.title if running or reached == sweep.items else f"{sweep.title}: {reached} so far"
    groups = [] if running else [(group, _deviation(folder, cards, group)) for group in group_seeds(cards)]
    known = axes_of(cards)
    for name, labels in axes.items():
        known[name] = list(dict.fromkeys([*labels, *known.get(name, ())]))
    text = page(
        title,
        known,
        cards,
        thumbnails,
        inputs,
        groups=groups,
        paired=sweep.paired,
        running=running,
    )
    with replacing(folder / PAGE) as file:
        file.write(text.encode())
    if not running:
        (folder / PROGRESS).unlink(missing_ok=True)


def make_card_thumbnail(folder: Path, card: Card) -> Thumbnail | None:
    """The thumbnail of an item, named after its key or else its picture; None if there is no picture."""
    return make_thumbnail(folder, card.file, card.key or Path(card.file).stem) if card.file else None


def _write_sheets(
    folder: Path,
    sweep: "_Sweep",
    cards: Sequence[Card],
    thumbnails: Sequence[Thumbnail | None],
    inputs: Mapping[str, Thumbnail],
) -> None:
    """Writes the contact sheet of the items of the grid, and removes pages of an earlier, longer one."""
    kept = [pair for pair in zip(cards, thumbnails, strict=True) if not pair[0].outside]
    inside, small = [card for card, _ in kept], [thumbnail for _, thumbnail in kept]
    number = 0
    sheets = contact_sheets(folder, inside, small, inputs, paired=sweep.paired) if inside else ()
    for number, sheet in enumerate(sheets, 1):
        settings = PngImagePlugin.PngInfo()
        settings.add_text("jax_nst", json.dumps({"sweep": sweep.title}))
        with replacing(folder / sheet_name(number)) as file:
            sheet.save(file, format="PNG", pnginfo=settings)
    while (left := folder / sheet_name(number := number + 1)).exists():
        left.unlink()


def _deviation(folder: Path, cards: Sequence[Card], group: Group) -> Deviation | None:
    first = cards[group.members[0]]
    name = f"deviation_{first.key or Path(first.file).stem}"
    return make_deviation(folder, [cards[number].file for number in group.members], name)


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
    labels = {name: label_texts(name, [row[name] for row in rows]) for name in columns if name in _AXES}
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
                thinned(curves[key], points) if key in curves else [],
                [given["key"] for given in entries[key].inputs] if key in entries else [],
                {name: value for name in METRICS if (value := _number(row.get(name, ""))) is not None},
                key,
                is_outside,
            )
        )
        free += is_outside
    return cards


def label_texts(name: str, texts: Sequence[str]) -> dict[str, str]:
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


def thinned(curve: np.ndarray, points: int) -> list[tuple[int, float]]:
    """Samples at most `points` pairs of step and loss, always with the first and the last step."""
    steps = np.flatnonzero(np.isfinite(curve))
    chosen = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), points)).astype(int))
    return [(int(step), float(f"{curve[step]:.5g}")) for step in steps[chosen]]


def _read_inputs(folder: Path) -> dict[str, tuple[str, Thumbnail]]:
    """`content 0`, `style 1` and so on -> name of the file in the folder, and its thumbnail."""
    inputs = {}
    for path in sorted((folder / INPUTS).glob("*.png")):
        found = re.match(r"(content|style)_(\d+)_", path.name)
        file = f"{INPUTS}/{path.name}"
        thumbnail = make_thumbnail(folder, file, f"{INPUTS}_{path.stem}") if found else None
        if found and thumbnail:
            inputs[f"{found[1]} {found[2]}"] = file, thumbnail
    return inputs
