"""Merging sweeps: the items of several folders in one."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jax_nst.runtime.files import FileError
from jax_nst.runtime.locking import locked
from jax_nst.sweeps.decisions import Decisions, join_decisions, read_decisions, write_decisions
from jax_nst.sweeps.entries import Entries, cell, outside, read_entries, varied, write_entries
from jax_nst.sweeps.grid import SETTINGS
from jax_nst.sweeps.job import INPUTS, RESULTS
from jax_nst.sweeps.measuring import Measures, read_measures, write_measures
from jax_nst.sweeps.opening import check_format, check_unused, free_file
from jax_nst.sweeps.parquet import write_parquet
from jax_nst.sweeps.records import Record, Records, batch_files, merged, read_batch, write_batch, write_file
from jax_nst.sweeps.report import make_report
from jax_nst.sweeps.settings import difference, read_settings, write_settings
from jax_nst.sweeps.tables import make_rows, write_history, write_results
from jax_nst.transfer.outcome import Status

_FREE = (
    *SETTINGS,
    "save_every",
    "weights",
    "tile_size",
    "memory",
)  # settings that may differ: axes, and what no picture shows


class _Folder(NamedTuple):
    path: Path
    settings: dict[str, Any]
    entries: Entries
    records: Records
    """Of items that have a picture."""
    measures: dict[str, Measures]
    decisions: Decisions


def merge_sweeps(folders: Sequence[str | os.PathLike[str]], into: str | os.PathLike[str]) -> None:
    """Adds to the sweep in one folder what others have beside it, and writes its tables and report again.

    Pictures, losses, measures and what early halving has decided are copied; nothing is painted. Items that
    are equal, in settings and in the contents of their images, become one: the one whose run came to its
    end or made more steps, else the first. The other folders stay as they are.

    Args:
      folders: of the other sweeps.
      into: the folder that takes them all; it may hold a sweep, or be new.

    Raises:
      FileError: a folder holds no sweep, or one of another network or with other settings that no grid
        varies; or `into` holds other files, or cannot be written to.

    Example:
      >>> import numpy as np
      >>> from jax_nst import Config, Grid, merge_sweeps, sweep
      >>> content, style = np.random.default_rng(0).random((2, 32, 40, 3), np.float32)
      >>> config = Config(
      ...     features="wavelet", content_layers=("luma1",), style_layers=("scale1",), steps=1
      ... )
      >>> for seed in (0, 1):
      ...     grid = Grid(init=("noise",), style_weight=(1, 2), seed=(seed,))
      ...     result = sweep(content, style, grid=grid, config=config, folder=f"seed {seed}")
      >>> merge_sweeps(["seed 0", "seed 1"], "both")
    """
    target = Path(into)
    sources = [_read(Path(folder)) for folder in folders]
    if not sources:
        raise FileError("there is no sweep to merge; name the folders of some")
    for source in sources:
        if os.path.realpath(source.path) == os.path.realpath(target):
            raise FileError(f"{target}: cannot be merged with itself; name another folder")
    with locked(target):
        there = _open(target, sources[0])
        for source in sources:
            _check_alike(there, source)
        for source in sources:
            there = _add(there, source)
        _write(there)


def _read(path: Path) -> _Folder:
    """What a folder holds; raises FileError if it is no sweep, or damaged."""
    settings = read_settings(path)
    if settings is None:
        raise FileError(f"{path}: holds no sweep; name the folder of one")
    check_format(path, settings)
    batches = []
    for file in batch_files(path):
        try:
            batches.append(read_batch(file))
        except Exception as error:  # zipfile, zlib and NumPy raise many kinds
            if isinstance(error, MemoryError):
                raise
            raise FileError(f"{file}: is damaged; mend it with --resume {path} first") from error
    painted = {
        key: record
        for key, record in merged(batches).items()
        if record.has_picture and (path / record.file).is_file()
    }
    return _Folder(path, settings, read_entries(path), painted, read_measures(path), read_decisions(path))


def _open(target: Path, first: _Folder) -> _Folder:
    """What the target holds; if it is new, nothing of the first sweep but its settings."""
    if read_settings(target) is not None:
        return _read(target)
    check_unused(target, [record.file for record in first.records.values()])
    write_settings(target, first.settings)
    return _Folder(target, first.settings, {}, {}, {}, {})


def _check_alike(there: _Folder, source: _Folder) -> None:
    """Raises FileError if two sweeps differ in what no grid varies."""
    described = [
        {**one.settings, "config": {k: v for k, v in one.settings["config"].items() if k not in _FREE}}
        for one in (there, source)
    ]
    words = f"in {there.path}", f"in {source.path}"
    found = difference(*described, names=("features", "weights_sha256", "config"), words=words)
    if found:
        raise FileError(f"{source.path}: cannot be merged with {there.path} ({found}); choose sweeps alike")


def _add(there: _Folder, source: _Folder) -> _Folder:
    """Copies what the target lacks; the entries first, so that a merge that was killed can be repeated."""
    new = [
        key
        for key in source.entries
        if key in source.records and _rank(source.records[key]) > _rank(there.records.get(key))
    ]
    taken = {file.lower() for file in os.listdir(there.path)}
    taken |= {entry.file.lower() for entry in there.entries.values()}
    added = outside(there.entries, source.entries, set(new))
    numbers = _number_inputs(there.entries, source.entries)
    for key, entry in added.items():
        file = free_file(entry.file, taken)
        taken.add(file.lower())
        inputs = [{**given, "key": numbers[given["key"]]} for given in entry.inputs]
        added[key] = entry._replace(file=file, inputs=inputs)
    entries = there.entries | added
    if new:
        (there.path / RESULTS).unlink(missing_ok=True)  # of fewer items; `_write` makes it again
        write_entries(there.path, entries)
    records = {key: source.records[key]._replace(file=entries[key].file) for key in new}
    for key, record in records.items():
        write_file(there.path / record.file, (source.path / source.records[key].file).read_bytes())
    replaced = {entries[key].file for key in new}
    measures = {file: found for file, found in there.measures.items() if file not in replaced}
    for key, record in source.records.items():
        is_same = key in new or (key in entries and _rank(record) == _rank(there.records.get(key)))
        if record.file in source.measures and is_same:
            measures.setdefault(entries[key].file, source.measures[record.file])
    _copy_inputs(there.path, source.path, numbers)
    if new:
        write_batch(there.path, records)
    return there._replace(
        settings=_united(there.settings, source.settings),
        entries=entries,
        records=there.records | records,
        measures=measures,
        decisions=join_decisions(there.decisions, source.decisions),
    )


def _rank(record: Record | None) -> tuple[int, int]:
    """A record of a higher rank is of more of a run: that of its end, or of more steps."""
    if record is None:
        return -1, 0
    outcome = record.outcome
    if outcome.status is Status.FAILED:
        return 0, 0
    return (1, len(outcome.losses)) if outcome.status.is_early else (2, 0)


def _number_inputs(there: Entries, source: Entries) -> dict[str, str]:
    """Key of a content or style in the source, such as `style 1` -> its key in the target."""
    known: dict[tuple[str, str], int] = {}
    numbers: dict[str, str] = {}
    for entries in (there, source):
        for given in (given for entry in entries.values() for given in entry.inputs):
            kind, number = given["key"].split(" ")
            picture = kind, given["sha256"] or given["name"]
            if entries is there:
                known[picture] = int(number)
            elif given["key"] not in numbers:
                free = 1 + max((n for (of, _), n in known.items() if of == kind), default=-1)
                numbers[given["key"]] = f"{kind} {known.setdefault(picture, free)}"
    return numbers


def _copy_inputs(there: Path, source: Path, numbers: Mapping[str, str]) -> None:
    """Copies the small contents and styles that the target lacks."""
    (there / INPUTS).mkdir(exist_ok=True)
    for key, number in numbers.items():
        before, now = key.replace(" ", "_"), number.replace(" ", "_")
        for file in sorted((source / INPUTS).glob(f"{before}_*.png"))[:1]:
            if not any((there / INPUTS).glob(f"{now}_*.png")):
                write_file(there / INPUTS / f"{now}{file.name[len(before) :]}", file.read_bytes())


def _united(there: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the first, with the pictures and the values of both."""

    def both(name: str, of: Mapping[str, Any], other: Mapping[str, Any]) -> list[Any]:
        return [*of[name], *(value for value in other[name] if value not in of[name])]

    pictures = {name: both(name, there, source) for name in ("contents", "styles", "inits", "masks")}
    grids = there["grid"], source["grid"]
    values = {name: both(name, *grids) for name in grids[0] if name != "zip"}
    return {**there, **pictures, "grid": {**values, "zip": grids[0]["zip"] and grids[1]["zip"]}}


def _write(there: _Folder) -> None:
    """Numbers all items as one grid would, and writes the settings, the tables and the report."""
    order = {
        name: list(dict.fromkeys(str(cell(entry, name)) for entry in there.entries.values()))
        for name in varied(there.entries.values())
    }
    place = {name: {text: index for index, text in enumerate(texts)} for name, texts in order.items()}

    def place_of(key: str) -> list[int]:
        return [place[name][str(cell(there.entries[key], name))] for name in place]

    ordered = sorted(there.entries, key=place_of)
    entries = {key: there.entries[key]._replace(item=number) for number, key in enumerate(ordered)}
    (there.path / RESULTS).unlink(missing_ok=True)
    write_entries(there.path, entries)
    files = [entry.file for entry in entries.values()]
    before = read_settings(there.path)
    now = {**there.settings, "items": len(entries), "files": files}
    write_settings(there.path, now, instead_of=before)
    if there.measures:
        write_measures(there.path, there.measures)
    if there.decisions:
        write_decisions(there.path, there.decisions)
    write_results(there.path, entries, make_rows(entries, there.records, there.measures))
    write_parquet(there.path)
    write_history(there.path, entries, there.records)
    make_report(there.path)
