"""Entries of a sweep's folder: what is known of each item, also of those outside the grid of today.

They are kept in `batches/items.json`, by the key of the item, those of the grid first. The tables and the
report are made from them and from the records.
"""

import json
import warnings
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jax_nst.sweeps.grid import SETTINGS, GridItem
from jax_nst.sweeps.job import BATCHES, Job
from jax_nst.sweeps.keys import Identity, described_settings
from jax_nst.sweeps.labels import item_labels, picture_labels
from jax_nst.sweeps.records import set_aside, write_file
from jax_nst.transfer.config import Config
from jax_nst.transfer.masks import label_of

_FILE = "items.json"
_COLUMNS = ("content", "style", "blend", *SETTINGS)


class Entry(NamedTuple):
    """What a folder knows of an item."""

    item: int | None
    """Its number in the grid; None if it is outside."""
    file: str
    """Name of its picture, which may not be there yet."""
    values: dict[str, Any]
    """Name of each setting that a sweep may vary -> value, ready for JSON; an `Identity` of a picture."""
    labels: dict[str, str]
    """Name of each of these whose value is a picture or a word -> label."""
    inputs: list[dict[str, Any]]
    """Content and styles: `key`, such as `style 1`, which the folder keeps, and their identity."""
    losses: list[str]
    """Names."""
    steps: int
    """Updates at the full size."""


Entries = dict[str, Entry]
"""Key of an item -> entry; those of the grid first, in its order."""


def make_entries(
    job: Job,
    keys: Sequence[str],
    pictures: Mapping[str, Identity],
    losses_of: Callable[[Config], Sequence[str]],
    before: Mapping[str, Entry],
) -> Entries:
    """The entries of the items of a grid.

    Args:
      job: the sweep; `files` are the names of the pictures.
      keys: of its items.
      pictures: see `identify_pictures`.
      losses_of: gives the names of the losses.
      before: those of the folder, whose inputs keep their numbers.
    """
    numbers = _number_inputs(job, pictures, before)
    settings: dict[Config, dict[str, Any]] = {}
    losses: dict[Config, list[str]] = {}
    entries = {}
    for number, (key, item) in enumerate(zip(keys, job.items, strict=True)):
        if item.config not in settings:
            found = described_settings(item.config, pictures)
            settings[item.config] = {name: found[name] for name in SETTINGS if found[name] is not None}
            losses[item.config] = list(losses_of(item.config))
        own = {"content": [item.content], "style": list(item.styles)}
        paths = {"content": job.contents, "style": job.styles}
        inputs = [
            {"key": f"{kind} {numbers[kind][paths[kind][index]]}", **pictures[paths[kind][index]]}
            for kind, indices in own.items()
            for index in indices
        ]
        values = {"content": pictures[job.contents[item.content]], **_style(job, item, pictures)}
        values |= settings[item.config]
        entry = Entry(
            number,
            job.files[number],
            values,
            _labels(job, item, values),
            inputs,
            losses[item.config],
            item.config.steps,
        )
        entries[key] = _from_json(json.loads(json.dumps(entry._asdict())))
    return entries


def _style(job: Job, item: GridItem, pictures: Mapping[str, Identity]) -> dict[str, Any]:
    if "blend" in item.values or len(item.styles) != 1:
        return {"blend": item.values.get("blend", item.shares)}
    return {"style": pictures[job.styles[item.styles[0]]]}


def _labels(job: Job, item: GridItem, values: Mapping[str, Any]) -> dict[str, str]:
    """Those of pictures and words; as in the grid where they vary."""
    varied = item_labels(item, job.axes)
    given: dict[str, Any] = {name: getattr(item.config, name) for name in SETTINGS}
    given["content"] = job.contents[item.content]
    if "style" in values:
        given["style"] = job.styles[item.styles[0]]
    labels = {}
    for name in values:
        if name == "mask":
            labels[name] = varied.get(name) or label_of(given[name])
        elif isinstance(given.get(name), str):
            is_path = isinstance(values[name], Mapping)
            own = picture_labels([given[name]])[0] if is_path else given[name]
            labels[name] = varied.get(name) or own
    return labels


def _number_inputs(
    job: Job, pictures: Mapping[str, Identity], before: Mapping[str, Entry]
) -> dict[str, dict[str, int]]:
    """`content` and `style` -> path -> number; a picture keeps it whatever the grid.

    So does a file that could not be read and has been mended.
    """
    known = {
        (kind, given["sha256"] or given["name"]): int(number)
        for entry in before.values()
        for given in entry.inputs
        for kind, number in [given["key"].split(" ")]
    }
    numbers: dict[str, dict[str, int]] = {}
    for kind, paths in (("content", job.contents), ("style", job.styles)):
        free = 1 + max((number for (of, _), number in known.items() if of == kind), default=-1)
        numbers[kind] = {}
        for path in paths:
            names = [name for name in (pictures[path]["sha256"], pictures[path]["name"]) if name]
            number = next((known[kind, name] for name in names if (kind, name) in known), None)
            if number is None:
                number, free = free, free + 1
            known[kind, names[0]] = numbers[kind][path] = number
    return numbers


def outside(entries: Mapping[str, Entry], before: Mapping[str, Entry], painted: Container[str]) -> Entries:
    """The entries of a folder that are not in the grid any more, of those items that have a picture.

    A value that the grid has, too, gets the label that it has there; no two values have one label.
    """
    labels: dict[tuple[str, str], str] = {}
    for entry in entries.values():
        for name, label in entry.labels.items():
            labels.setdefault((name, _text(entry.values[name])), label)
    taken = {(name, label) for (name, _), label in labels.items()}
    found = {}
    for key, entry in before.items():
        if key in entries or key not in painted:
            continue
        own = {}
        for name, label in entry.labels.items():
            place = name, _text(entry.values[name])
            if place not in labels:
                labels[place] = free_name(label, {of for its, of in taken if its == name})
                taken.add((name, labels[place]))
            own[name] = labels[place]
        found[key] = entry._replace(item=None, labels=own)
    return found


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def free_name(name: str, taken: Container[str]) -> str:
    """`name`, or the first of `name~2`, `name~3` and so on that is not taken."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}~{number}"
    return free


def varied(entries: Iterable[Entry]) -> list[str]:
    """The settings that differ between items, in the order of the columns of the table."""
    entries = list(entries)
    given = {name for entry in entries for name in (*entry.values, *entry.labels)}
    return [
        name
        for name in _COLUMNS
        if name in given and len({str(cell(entry, name)) for entry in entries}) > 1
    ]


def cell(entry: Entry, name: str) -> Any:
    """A value as it stands in the table: labels of pictures, but numbers with all their digits."""
    value = entry.values.get(name, "")
    if name in entry.labels:
        return entry.labels[name]
    return ",".join(map(str, value)) if isinstance(value, list) else value


def loss_names(entries: Iterable[Entry]) -> list[str]:
    """The names of all losses, in the order of the item with the most."""
    lists = dict.fromkeys(tuple(entry.losses) for entry in entries)
    return list(dict.fromkeys(name for names in sorted(lists, key=len, reverse=True) for name in names))


def write_entries(folder: Path, entries: Mapping[str, Entry]) -> None:
    """Writes the entries of a folder; a file that held something else is set aside with a warning."""
    path = folder / BATCHES / _FILE
    if path.is_dir() or (path.exists() and not read_entries(folder)):
        kept = set_aside(path)
        warnings.warn(
            f"{path}: was damaged or changed; kept as {kept.name}, and written again",
            UserWarning,
            stacklevel=2,
        )
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(x._asdict())}" for key, x in entries.items())
    write_file(path, f"{{\n{lines}\n}}\n".encode())


def read_entries(folder: Path) -> Entries:
    """What `write_entries` wrote; empty if it is not there, or cannot be read."""
    try:
        found = json.loads((folder / BATCHES / _FILE).read_text(encoding="utf-8"))
        return {key: _from_json(entry) for key, entry in found.items()}
    except (OSError, ValueError, TypeError, AttributeError, LookupError):
        return {}


def _from_json(found: Mapping[str, Any]) -> Entry:
    """Raises TypeError or ValueError if it is no entry."""
    entry = Entry(**found)
    kinds = (int | None, str, dict, dict, list, list, int)
    if not all(isinstance(value, kind) for value, kind in zip(entry, kinds, strict=True)):
        raise ValueError("no entry")
    if Path(entry.file).name != entry.file:
        raise ValueError("the picture of an entry lies in its folder")
    return entry
