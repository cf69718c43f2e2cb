"""Opening the folder of a sweep: a new one, or one that is resumed, with whatever happened to its files."""

import os
import warnings
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from jax_nst.runtime.files import FileError, remove_leftovers
from jax_nst.sweeps.entries import Entries, Entry, make_entries, outside, read_entries, write_entries
from jax_nst.sweeps.job import BATCHES, CHECKPOINT, INPUTS, REPORTS, RESULTS, SETTINGS, THUMBNAILS, Job
from jax_nst.sweeps.keys import Identity, item_keys
from jax_nst.sweeps.measuring import read_measures
from jax_nst.sweeps.records import Record, Records, batch_files, merged, read_batches, set_aside
from jax_nst.sweeps.settings import (
    FORMAT,
    changed_picture,
    difference,
    known_digests,
    read_settings,
    with_known_digests,
    write_settings,
)
from jax_nst.sweeps.tables import keep_edited_results, make_rows, write_results
from jax_nst.transfer.config import Config
from jax_nst.transfer.network import Network
from jax_nst.transfer.terms import resolve_loss_names


class Opened(NamedTuple):
    """What is in the folder of a sweep."""

    entries: Entries
    """Of all items: those of the grid, then those outside that have a picture."""
    records: Records
    """Of the items that were reached and whose pictures are whole."""


def open_folder(
    folder: Path,
    job: Job,
    network: Network,
    description: Mapping[str, Any],
    pictures: Mapping[str, Identity],
    *,
    resume: bool,
) -> Opened:
    """Begins the sweep in a folder, or reads what another run has left of it there.

    The sweep in the folder may have other values of its axes, or other axes: what it has painted is kept if
    it shares an item with this one. What is damaged or was edited is set aside with a warning.

    Args:
      folder: of the sweep; it is there.
      job: the sweep.
      network: the extractor with its params.
      description: see `describe_job`.
      pictures: see `identify_pictures`.
      resume: whether there may be a sweep.

    Raises:
      FileError: the folder holds files of another program, or another sweep.
    """
    before = read_settings(folder)
    if before is None:
        check_unused(folder, job.files)
        entries = _entries(job, item_keys(job, network, pictures), network, pictures, {})
        write_settings(folder, description)
        write_entries(folder, entries)
        return Opened(entries, {})
    if not resume:
        raise FileError(
            f"{folder}: holds a sweep already; go on with it by --resume {folder}, in Python resume=True, "
            "or name another folder"
        )
    check_format(folder, before)
    found = read_entries(folder)
    fill = known_digests(before)
    pictures = {path: fill(identity) for path, identity in pictures.items()}
    description = with_known_digests(description, before)
    keys = item_keys(job, network, pictures)
    if found or batch_files(folder):
        _check_extends(folder, job, keys, description, before, found)
    remove_leftovers(folder)
    _set_aside_other_kinds(folder)
    write_settings(folder, before)
    batches, measures = read_batches(folder), read_measures(folder)
    records = _with_pictures(folder, merged(batches))
    painted = {key for key, record in records.items() if record.has_picture}
    named = _with_files(folder, job, keys, found, {key: records[key] for key in painted})
    entries = _entries(named, keys, network, pictures, found)
    entries |= outside(entries, found, painted)
    keep_edited_results(folder, found or entries, batches, measures)
    records = {key: record for key, record in records.items() if key in entries}
    if entries != found:
        (folder / RESULTS).unlink(missing_ok=True)  # of the earlier items; it is written again below
        write_entries(folder, entries)
        files = [entry.file for entry in entries.values()]
        write_settings(folder, {**description, "files": files}, instead_of=before)
        write_results(folder, entries, make_rows(entries, records, measures))
    return Opened(entries, records)


def check_unused(folder: Path, files: Sequence[str]) -> None:
    """Raises FileError if a folder without a sweep holds files that a sweep would replace."""
    sheets = sorted(path.name for path in folder.glob("contact_sheet_*.png"))
    for file in (*REPORTS, *sheets, *files, INPUTS, BATCHES, THUMBNAILS):
        if _is_used(folder / file):
            raise FileError(f"{folder / file}: exists but belongs to no sweep; choose another --output")
    remove_leftovers(folder / BATCHES)


def check_format(folder: Path, settings: Mapping[str, Any]) -> None:
    """Raises FileError if the sweep in a folder was painted by a version that kept other records."""
    if settings.get("format") != FORMAT:
        raise FileError(
            f"{folder}: holds a sweep of another version of jax_nst, which this one can only report; name "
            "another folder"
        )


def _entries(
    job: Job,
    keys: Sequence[str],
    network: Network,
    pictures: Mapping[str, Identity],
    before: Mapping[str, Entry],
) -> Entries:
    def losses_of(config: Config) -> Sequence[str]:
        try:
            return resolve_loss_names(config, network.extractor)
        except ValueError:  # the item fails
            return ()

    return make_entries(job, keys, pictures, losses_of, before)


def _check_extends(
    folder: Path,
    job: Job,
    keys: Sequence[str],
    description: Mapping[str, Any],
    before: Mapping[str, Any],
    found: Mapping[str, Entry],
) -> None:
    """Raises FileError unless the job shares an item with the sweep in the folder, and files agree."""
    differs = difference(before, description)
    if not differs:
        return
    there, here = {**before}, {**description}
    for name, kind in (("contents", "content"), ("styles", "style")):
        inputs = [given for entry in found.values() for given in entry.inputs]
        there[name] = [*before[name], *(given for given in inputs if given["key"].startswith(kind))]
        # Pictures in memory are named by their place.
        here[name] = [given for given in description[name] if given["name"] not in job.pictures]
    changed = changed_picture(there, here)
    if changed:
        raise FileError(f"{folder}: holds a sweep with other settings ({changed}); name another folder")
    if not set(keys) & set(found):
        raise FileError(
            f"{folder}: holds a sweep with other settings ({differs}), so that none of its pictures can be "
            "kept; name another folder"
        )


def _with_files(
    folder: Path, job: Job, keys: Sequence[str], found: Mapping[str, Entry], painted: Mapping[str, Record]
) -> Job:
    """The job with the names that its pictures have in the folder; new items get names that are free."""
    known = {key: record.file for key, record in painted.items()}
    known |= {key: found[key].file for key in found.keys() & {*keys, *painted}}
    taken = {file.lower() for file in (*known.values(), *os.listdir(folder))}
    files = []
    for key, file in zip(keys, job.files, strict=True):
        name = known.get(key) or free_file(file, taken)
        taken.add(name.lower())
        files.append(name)
    return job._replace(files=files)


def free_file(file: str, taken: Container[str]) -> str:
    """`file`, or with `~2`, `~3` and so on before its suffix; `taken` names are in lower case."""
    name, suffix = os.path.splitext(file)
    number = 1
    while file.lower() in taken:
        number += 1
        file = f"{name}~{number}{suffix}"
    return file


def _set_aside_other_kinds(folder: Path) -> None:
    """Sets aside folders that have the names of files of a sweep, and files that have those of folders."""
    files = [folder / name for name in (*REPORTS, f"{BATCHES}/{SETTINGS}")]
    folders = [folder / name for name in (INPUTS, BATCHES, CHECKPOINT, THUMBNAILS)]
    others = [path for path in files if path.is_dir()]
    others += [path for path in folders if os.path.lexists(path) and not path.is_dir()]
    for path in others:
        kept = set_aside(path)
        warnings.warn(
            f"{path}: is not what a sweep wrote there; kept as {kept.name}", UserWarning, stacklevel=2
        )


def _is_used(path: Path) -> bool:
    """Whether there is a file, or a folder with files that are not hidden."""
    if not path.is_dir():
        return path.exists()
    return any(not file.name.startswith(".") for file in path.iterdir())


def _with_pictures(folder: Path, records: Mapping[str, Record]) -> Records:
    """Leaves out those whose picture is missing or damaged; one that is damaged is set aside."""
    kept, damaged = {}, []
    for key, record in records.items():
        path = folder / record.file
        if not record.has_picture or _is_whole(path):
            kept[key] = record
        elif path.exists():
            damaged.append(set_aside(path))
    if damaged:
        warnings.warn(
            f"{folder}: pictures damaged: {len(damaged)}, painted again; the first is kept as "
            f"{damaged[0].name}",
            UserWarning,
            stacklevel=2,
        )
    return kept


def _is_whole(path: Path) -> bool:
    """Whether the checksums of a PNG file are right, which takes a thirtieth of the time of decoding it."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            image.verify()
    except Exception as error:  # decoders raise SyntaxError, struct.error, EOFError and others
        if isinstance(error, MemoryError):
            raise
        return False
    return True
