"""Opening the folder of a sweep: a new one, or one that is resumed, with whatever happened to its files."""

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from jax_nst.runtime.files import FileError, remove_leftovers
from jax_nst.sweeps.job import BATCHES, CHECKPOINT, INPUTS, REPORTS, SETTINGS, THUMBNAILS, Job
from jax_nst.sweeps.measuring import read_measures
from jax_nst.sweeps.records import Record, merged, read_batches, set_aside
from jax_nst.sweeps.settings import difference, read_settings, write_settings
from jax_nst.sweeps.tables import keep_edited_results
from jax_nst.transfer.outcome import Status


def open_folder(
    folder: Path, job: Job, description: Mapping[str, Any], names: Sequence[str], *, resume: bool
) -> dict[int, Record]:
    """Writes the settings, or compares them with those of the sweep in the folder and reads its records.

    What is damaged or was edited is set aside with a warning.

    Args:
      folder: of the sweep; it is there.
      job: the sweep.
      description: see `describe_job`.
      names: of the losses.
      resume: whether there may be a sweep.

    Returns:
      The records of the items that were reached and whose pictures are whole.

    Raises:
      FileError: the folder holds files of another program, or another sweep.
    """
    before = read_settings(folder)
    if before is None:
        sheets = sorted(path.name for path in folder.glob("contact_sheet_*.png"))
        for file in (*REPORTS, *sheets, *job.files, INPUTS, BATCHES, THUMBNAILS):
            if _is_used(folder / file):
                raise FileError(f"{folder / file}: exists but belongs to no sweep; choose another --output")
        remove_leftovers(folder / BATCHES)
        write_settings(folder, description)
        return {}
    if not resume:
        raise FileError(
            f"{folder}: holds a sweep already; go on with it by --resume {folder}, in Python resume=True, "
            "or name another folder"
        )
    found = difference(before, description)
    if found:
        raise FileError(f"{folder}: holds a sweep with other settings ({found}); name another folder")
    remove_leftovers(folder)
    _set_aside_other_kinds(folder)
    write_settings(folder, before)
    batches = read_batches(folder, job, names)
    keep_edited_results(folder, job, batches, names, read_measures(folder, job))
    return _with_pictures(folder, job, merged(batches))


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


def _with_pictures(folder: Path, job: Job, records: Mapping[int, Record]) -> dict[int, Record]:
    """Leaves out those whose picture is missing or damaged; one that is damaged is set aside."""
    kept, damaged = {}, []
    for item, record in records.items():
        path = folder / job.files[item]
        if record.outcome.status is Status.FAILED or _is_whole(path):
            kept[item] = record
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
