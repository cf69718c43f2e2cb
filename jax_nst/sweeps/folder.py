"""A sweep on disk: pictures, tables and settings in one folder, which a later run can continue."""

import csv
import dataclasses
import io
import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jax_nst.images import (
    ImageError,
    load_image,
    read_head,
    save_image,
    shrink,
)
from jax_nst.losses.terms import Losses
from jax_nst.runtime import distributed
from jax_nst.runtime.files import check_replaceable, remove_leftovers, replacing, sha256
from jax_nst.sweeps.batch import DIVERGED, FAILED, OK, Outcome, Source
from jax_nst.sweeps.card import THUMBNAIL, Card
from jax_nst.sweeps.contact_sheet import contact_sheet
from jax_nst.sweeps.grid import Grid, Item, make_items
from jax_nst.sweeps.labels import axis_labels, file_names, item_labels, safe
from jax_nst.sweeps.page import page
from jax_nst.sweeps.sweeping import SweepCallback, run_sweep
from jax_nst.transfer.config import INITS, Config
from jax_nst.transfer.network import Network
from jax_nst.transfer.problem import content_shape, load_content, picture_size
from jax_nst.transfer.provenance import made_with, without_folders

RESULTS, SETTINGS, HISTORY = "results.csv", "settings.json", "history.npz"
CONTACT_SHEET, PAGE, INPUTS = "contact_sheet.png", "index.html", "inputs"
REPORTS = (RESULTS, SETTINGS, HISTORY, CONTACT_SHEET, PAGE)
"""Files of a sweep beside its pictures."""

# Bytes of what one process tells another of an item that went wrong.
_LONGEST_STATUS = 400

_LOSSES = tuple(f"{name}_loss" for name in Losses._fields)


class Job(NamedTuple):
    """What a sweep on disk is made of."""

    contents: tuple[str, ...]
    """Paths."""
    styles: tuple[str, ...]
    """Paths."""
    grid: Grid
    config: Config
    items: list[Item]
    axes: dict[str, dict[Any, str]]
    """name of what varies -> value -> label."""
    files: list[str]
    """Name of the picture of each item."""


def make_job(contents: Sequence[str], styles: Sequence[str], grid: Grid, config: Config) -> Job:
    """Raises ValueError as `make_items`."""
    items = make_items(grid, len(contents), len(styles), config)
    axes = axis_labels(items, contents, styles)
    return Job(tuple(contents), tuple(styles), grid, config, items, axes, file_names(items, axes))


def run_in_folder(
    folder: Path,
    job: Job,
    network: Network,
    *,
    batch: int | None = None,
    resume: bool = False,
    callback: SweepCallback | None = None,
) -> list[dict[str, Any]]:
    """Runs a sweep, and writes its pictures, its table and its history after each batch.

    What is finished is written whole, or not at all, and in the table last: killed at any moment, the sweep
    goes on with `resume` after the last batch that is in the table.

    Args:
      folder: made if it is not there.
      job: what to run.
      network: what compares pictures.
      batch: how many items at once; None for what fits and is fast.
      resume: whether to go on with what is in the folder.
      callback: see `sweep`.

    Returns:
      The rows of the table, of items that were reached; other processes than the first know none of an
      earlier run.

    Raises:
      ValueError: the folder cannot be used; or holds a sweep already, or one with other settings.
    """
    shapes = np.full((len(job.contents), 3), -1, np.int32)
    errors: dict[int, str] = {}
    rows: dict[int, dict[str, Any]] = {}
    if distributed.is_first():
        rows = _open(folder, job, _description(job, network), resume)
        for index, path in enumerate(job.contents):
            try:
                shapes[index] = content_shape(path, job.config)
            except ImageError as error:
                errors[index] = str(error)
    shapes = distributed.from_first(shapes)
    todo = np.ones(len(job.items), np.int32)
    todo[[index for index, row in rows.items() if _is_finished(folder, row)]] = 0
    todo = np.flatnonzero(distributed.from_first(todo)).tolist()
    rows = {index: row for index, row in rows.items() if index not in todo}
    history = _read_history(folder, job)
    sources = _sources(job, shapes, errors)
    for chosen, outcomes in run_sweep(
        network, *sources, job.items, todo=todo, batch=batch, callback=callback
    ):
        for outcome in outcomes:
            _save_picture(folder, job, network, outcome)
        for outcome in _of_all_processes(chosen, outcomes, job.config.steps + 1):
            rows[outcome.item] = _row(job, outcome)
            history[outcome.item] = np.nan
            history[outcome.item, : len(outcome.losses)] = outcome.losses
        if distributed.is_first():
            _write_history(folder, job, history)
            _write_results(folder, job, rows)
    if distributed.is_first():
        _report(folder, job, network.extractor.name, rows, history)
    return [rows[index] for index in sorted(rows)]


def _sources(job: Job, shapes: np.ndarray, errors: Mapping[int, str]) -> tuple[list[Source], list[Source]]:
    contents = [
        Source(
            tuple(shape.tolist()) if shape[0] > 0 else None,
            lambda path=path: _read_content(path, job.config).pixels,
            errors.get(index, ""),
        )
        for index, (path, shape) in enumerate(zip(job.contents, shapes, strict=True))
    ]
    return contents, [Source(None, lambda path=path: load_image(path)) for path in job.styles]


_read_content = lru_cache(maxsize=2)(load_content)  # contents come one after the other


def _save_picture(folder: Path, job: Job, network: Network, outcome: Outcome) -> None:
    if outcome.pixels is None:
        return
    item = job.items[outcome.item]
    settings = {
        "content": job.contents[item.content],
        "style": job.styles[item.styles[0]]
        if len(item.styles) == 1
        else [job.styles[i] for i in item.styles],
        "blend": list(item.shares) if len(item.shares) > 1 else None,
        **made_with(network, item.config),
    }
    alpha = _read_content(job.contents[item.content], job.config).alpha
    path = folder / job.files[outcome.item]
    save_image(path, outcome.pixels, alpha=alpha, settings=without_folders(settings))


def _of_all_processes(
    chosen: Sequence[int], outcomes: Sequence[Outcome], evaluations: int
) -> list[Outcome]:
    """The outcomes of all processes, without their pictures; a collective, called by each process."""
    if distributed.num_processes() == 1:
        return list(outcomes)
    width = evaluations * len(Losses._fields)
    numbers = np.full((len(chosen), 3 + width), np.nan, np.float32)
    texts = np.zeros((len(chosen), _LONGEST_STATUS), np.uint8)
    for outcome in outcomes:
        row = chosen.index(outcome.item)
        numbers[row, :3] = 1, outcome.seconds, len(outcome.losses)
        numbers[row, 3 : 3 + outcome.losses.size] = outcome.losses.ravel()
        status = outcome.status.encode()[:_LONGEST_STATUS]
        texts[row, : len(status)] = list(status)
    everyones = zip(distributed.gather(numbers), distributed.gather(texts), strict=True)
    return [
        Outcome(
            chosen[row],
            None,
            number[3 : 3 + int(number[2]) * len(Losses._fields)].reshape(-1, len(Losses._fields)),
            float(number[1]),
            bytes(text).rstrip(b"\0").decode(errors="ignore"),
        )
        for numbers, texts in everyones
        for row, (number, text) in enumerate(zip(numbers, texts, strict=True))
        if number[0] == 1
    ]


def _row(job: Job, outcome: Outcome) -> dict[str, Any]:
    """A line of the table."""
    losses = dict(zip(_LOSSES, map(float, outcome.best), strict=True))
    has_picture = not outcome.status.startswith(FAILED)
    return {
        "item": outcome.item,
        **_values(job, outcome.item),
        **{name: value if math.isfinite(value) else "" for name, value in losses.items()},
        "steps": max(0, len(outcome.losses) - 1),
        "seconds": round(outcome.seconds, 3),
        "file": job.files[outcome.item] if has_picture else "",
        "status": outcome.status,
    }


def _values(job: Job, index: int) -> dict[str, Any]:
    """What varies, in full: labels of pictures, but numbers with all their digits."""
    item = job.items[index]
    values = item_labels(item, job.axes)
    for name, value in item.values.items():
        if name not in ("content", "style", "init"):
            values[name] = ",".join(map(str, value)) if isinstance(value, tuple) else value
    return values


def _is_finished(folder: Path, row: Mapping[str, Any]) -> bool:
    done = row["status"] == OK or row["status"].startswith(DIVERGED)
    return done and (folder / row["file"]).is_file()


def _open(folder: Path, job: Job, description: dict[str, Any], resume: bool) -> dict[int, dict[str, Any]]:
    """Makes the folder and writes its settings; or compares them, and reads the table."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{folder}: cannot be made a folder ({error.strerror or error})") from error
    path = folder / SETTINGS
    if not path.exists():
        for file in (folder / name for name in REPORTS):
            if file.exists():
                raise ValueError(
                    f"{file}: is of no sweep in this folder, and would be lost; name another folder"
                )
        check_replaceable(path)
        _write(path, json.dumps(description, indent=1).encode())
        return {}
    if not resume:
        raise ValueError(
            f"{folder}: holds a sweep already; add --resume to continue it, or name another folder"
        )
    try:
        before = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); name another folder") from error
    difference = _difference(before, description, _COMPARED)
    if difference:
        raise ValueError(f"{folder}: holds a sweep with other settings ({difference}); name another folder")
    remove_leftovers(folder)
    return _read_results(folder, job)


def _description(job: Job, network: Network) -> dict[str, Any]:
    """What decides the results, and what they were made with, ready for JSON."""
    described = {
        **made_with(network, job.config),
        "grid": dataclasses.asdict(job.grid),
        "contents": [_identity(path) for path in job.contents],
        "styles": [_identity(path) for path in job.styles],
        "inits": [
            _identity(path) for path in dict.fromkeys(i.config.init for i in job.items) if path not in INITS
        ],
        "items": len(job.items),
    }
    return json.loads(json.dumps(without_folders(described)))


_COMPARED = ("config", "grid", "contents", "styles", "inits", "features", "weights_sha256")


def _identity(path: str) -> dict[str, str | None]:
    """Name and content of a file; a bad one may be mended before a sweep is continued."""
    try:
        read_head(path)
        return {"name": Path(path).name, "sha256": sha256(path)}
    except (ImageError, OSError):
        return {"name": Path(path).name, "sha256": None}


def _difference(before: Any, now: Any, names: Sequence[str]) -> str:
    """The first one, in words; empty if there is none."""
    for name in names:
        there, here = before.get(name), now.get(name)
        if there == here or (name == "sha256" and None in (there, here)):
            continue
        if isinstance(there, dict) and isinstance(here, dict):
            inner = _difference(there, here, list(here))
            if inner:
                return f"{name}.{inner}"
        elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
            pairs = [({str(i): x}, {str(i): y}) for i, (x, y) in enumerate(zip(there, here, strict=True))]
            inner = next(filter(None, (_difference(x, y, list(x)) for x, y in pairs)), "")
            if inner:
                return f"{name} {inner}"
        else:
            return f"{name}: {json.dumps(there)} there, {json.dumps(here)} now"
    return ""


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as file:
        file.write(content)


def _write_results(folder: Path, job: Job, rows: Mapping[int, Mapping[str, Any]]) -> None:
    names = ["item", *job.axes, *_LOSSES, "steps", "seconds", "file", "status"]
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, names, lineterminator="\n")
    table.writeheader()
    table.writerows(rows[index] for index in sorted(rows))
    _write(folder / RESULTS, text.getvalue().encode())


def _read_results(folder: Path, job: Job) -> dict[int, dict[str, Any]]:
    path = folder / RESULTS
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = {int(row["item"]): dict(row) for row in csv.DictReader(file)}
    return {index: row for index, row in rows.items() if index < len(job.items)}


def _write_history(folder: Path, job: Job, history: np.ndarray) -> None:
    buffer = io.BytesIO()
    arrays: dict[str, Any] = dict(zip(Losses._fields, np.moveaxis(history, -1, 0), strict=True))
    np.savez_compressed(buffer, **arrays, picture=np.array(job.files))
    _write(folder / HISTORY, buffer.getvalue())


def _read_history(folder: Path, job: Job) -> np.ndarray:
    """`[items, evaluations, 4]`; NaN for what has not been run."""
    history = np.full((len(job.items), job.config.steps + 1, len(Losses._fields)), np.nan, np.float32)
    path = folder / HISTORY
    if path.exists():
        with np.load(path) as before:
            stacked = np.stack([before[name] for name in Losses._fields], axis=-1)
        if stacked.shape == history.shape:
            return stacked
    return history


def _report(
    folder: Path, job: Job, features: str, rows: Mapping[int, Mapping[str, Any]], history: np.ndarray
) -> None:
    """The contact sheet and the page, and beside them the inputs as they were used."""
    inputs = _save_inputs(folder, job)
    cards = []
    for index in sorted(rows):
        row, item = rows[index], job.items[index]
        curve = history[index, :, 0]
        cards.append(
            Card(
                item_labels(item, job.axes),
                str(row["file"]),
                {name: float(row[name]) for name in _LOSSES if row[name] != ""},
                str(row["status"]),
                float(row["seconds"]),
                [float(x) for x in curve[np.isfinite(curve)]],
                [f"content {item.content}", *(f"style {i}" for i in item.styles)],
            )
        )
    axes = {name: list(labels.values()) for name, labels in job.axes.items()}
    title = f"{len(job.items)} pictures, {job.config.steps} steps, {features}"
    # Small as soon as they are read: there may be thousands.
    pictures = [shrink(load_image(folder / card.file), THUMBNAIL) if card.file else None for card in cards]
    shown = {name: pixels for name, (_, pixels) in inputs.items()}
    sheet = contact_sheet(axes, cards, pictures, shown, paired=job.grid.zip)
    save_image(folder / CONTACT_SHEET, sheet, settings={"sweep": title})
    _write(folder / PAGE, page(title, axes, cards, pictures, inputs).encode())


def _save_inputs(folder: Path, job: Job) -> dict[str, tuple[str, np.ndarray]]:
    """`content 0`, `style 1` ... -> file in the folder and small picture, of those that can be read."""
    inputs = {}
    (folder / INPUTS).mkdir(exist_ok=True)
    for kind, paths in (("content", job.contents), ("style", job.styles)):
        for index, path in enumerate(paths):
            file = f"{INPUTS}/{kind}_{index}_{safe(Path(path).stem)[:100]}.png"
            try:
                pixels = load_image(path)
            except ImageError:
                continue
            pixels = shrink(pixels, picture_size(job.config, pixels.shape))
            save_image(folder / file, pixels)
            inputs[f"{kind} {index}"] = file, shrink(pixels, THUMBNAIL)
    return inputs
