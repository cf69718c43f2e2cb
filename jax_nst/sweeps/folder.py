"""A sweep on disk: pictures, tables and settings in one folder, which a later run can continue."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jax_nst.runtime import distributed
from jax_nst.runtime.files import FileError
from jax_nst.runtime.locking import locked
from jax_nst.runtime.platform import current_platform
from jax_nst.sweeps.checkpoints import open_checkpoint, remove_outlived
from jax_nst.sweeps.commands import write_command
from jax_nst.sweeps.entries import Entries, Entry, loss_names
from jax_nst.sweeps.halving import Halving
from jax_nst.sweeps.inputs import agreed_sources
from jax_nst.sweeps.job import CHECKPOINT, Job
from jax_nst.sweeps.keys import identify_pictures
from jax_nst.sweeps.live import LivePage
from jax_nst.sweeps.measuring import Measures, measure_files, read_measures, write_measures
from jax_nst.sweeps.opening import Opened, open_folder
from jax_nst.sweeps.painting import make_contest_in
from jax_nst.sweeps.parquet import write_parquet
from jax_nst.sweeps.picture_files import save_pictures
from jax_nst.sweeps.records import Record, write_batch
from jax_nst.sweeps.report import make_report, save_inputs
from jax_nst.sweeps.settings import compare_processes, describe_job
from jax_nst.sweeps.sweeping import run_sweep
from jax_nst.sweeps.tables import gather_outcomes, make_rows, measure_cells, write_history, write_results
from jax_nst.sweeps.tensorboard import write_items
from jax_nst.transfer.checkpoint import Checkpoint, Store
from jax_nst.transfer.engine import Hooks
from jax_nst.transfer.network import Network
from jax_nst.transfer.outcome import Outcome, Status


def run_in_folder(
    folder: Path,
    job: Job,
    network: Network,
    *,
    batch: int | None = None,
    measure: bool = False,
    halving: Halving | None = None,
    resume: bool = False,
    checkpoint: Checkpoint | None = None,
    tensorboard: Path | None = None,
    command: Mapping[str, Any] | None = None,
    hooks: Hooks = Hooks(),
) -> list[dict[str, Any]]:
    """Runs a sweep, and writes its pictures, its records and its table after each batch.

    Files are written whole or not at all, pictures before the records of their batch: if the process is
    killed at any moment, `resume` goes on after the last batch that has records. An item that was stopped
    before its first step leaves neither. Meanwhile no other process can run in the folder.

    Args:
      folder: created if it does not exist.
      job: the sweep.
      network: the extractor with its params.
      batch: how many items at once; None for what fits and is fast.
      measure: whether to measure the pictures, those of an earlier run too; see `metrics.METRICS`.
      halving: which items end early; then the state of the batch at work is not saved.
      resume: whether to continue the sweep in the folder, within the batch that was at work; what it has
        beside this one is kept.
      checkpoint: of the state of the batch at work, in the folder `CHECKPOINT` of the sweep if None. None
        is saved by several processes, whose states would be of different steps.
      tensorboard: folder to write a run of TensorBoard to for each item, as its batch ends.
      command: how the run was started; kept in the folder until the sweep is finished, see `commands`.
      hooks: see `engine.Hooks`; `keep` is set here.

    Returns:
      The rows of the table, for the items of the grid that were reached.

    Raises:
      FileError: the folder cannot be used, or is in use; or holds a sweep already, or one with other
        settings; or a file cannot be written.
    """
    pictures = identify_pictures(job)
    description = describe_job(job, network, pictures)
    compare_processes({**description, "batch": batch})
    with contextlib.ExitStack() as held:
        opened, measures = Opened({}, {}), {}
        with distributed.errors_of_all():
            if distributed.is_first():
                held.enter_context(locked(folder))
                opened = open_folder(folder, job, network, description, pictures, resume=resume)
                found = read_measures(folder)
                painted = {record.file for record in opened.records.values()}
                measures = {file: found[file] for file in found if file in painted}
                write_command(folder, command)
        checkpoint = checkpoint or Checkpoint(folder / CHECKPOINT)
        sweep = _agreed(folder, job, network, description, checkpoint, opened)
        records = {key: opened.records[key] for key in sweep.keys if key in opened.records}
        rows = distributed.object_of_first(make_rows(sweep.entries, opened.records, measures))
        # Before the first batch, what an earlier run left unmeasured.
        measure_new = functools.partial(_measure, sweep, measures, rows, hooks.stop)
        measure_new([key for key in records if records[key].file not in measures] if measure else [])
        options: Any = {"keys": sweep.keys, "records": _by_number(sweep, records)}
        contest = make_contest_in(folder, halving, sweep.job, network.extractor, **options)
        todo, store, begun = _todo(sweep, records), None, None
        if contest is None:
            store, begun = open_checkpoint(sweep.checkpoint, sweep.keys, todo)
        with distributed.errors_of_all(), _naming_resume(folder):
            live = LivePage(folder, sweep.entries, len(todo)) if distributed.is_first() else None
        batches = run_sweep(
            network,
            *agreed_sources(job),
            platform=current_platform(),
            todo=todo,
            batch=batch,
            hooks=hooks,
            store=store,
            saved=begun,
            contest=contest,
        )
        try:
            for chosen, outcomes, slots in batches:
                new = _keep_batch(sweep, chosen, outcomes, slots, rows)
                records |= new
                _forget_measures(folder, measures, new.values())
                measure_new(list(new) if measure else [])
                if live:
                    live.add(new, rows)
                if tensorboard and distributed.is_first():
                    items = [(rows[key], x.outcome.losses, x.names) for key, x in new.items()]
                    write_items(tensorboard, folder, items)
                if store and slots and len(new) == len(chosen) and not _stopped(new):
                    store.remove()
        except BaseException:
            with contextlib.suppress(Exception):  # what ended the run is to be told
                _finish(sweep, store, opened.records | records, rows)
            raise
        with _naming_resume(folder):
            _finish(sweep, store, opened.records | records, rows)
    return [rows[key] for key in sweep.keys if key in rows]


class _Sweep(NamedTuple):
    """What does not change while a sweep is run."""

    folder: Path
    job: Job
    network: Network
    keys: list[str]
    """Of the items of the job."""
    entries: Entries
    """Of these, and of the items outside."""
    description: dict[str, Any]
    """See `describe_job`."""
    checkpoint: Checkpoint


def _agreed(
    folder: Path,
    job: Job,
    network: Network,
    description: dict[str, Any],
    checkpoint: Checkpoint,
    opened: Opened,
) -> _Sweep:
    """The sweep with what the first process has found in the folder, and with the names of files there."""
    found = distributed.object_of_first({key: list(entry) for key, entry in opened.entries.items()})
    entries = {key: Entry(*entry) for key, entry in found.items()}
    keys = [key for key, entry in entries.items() if entry.item is not None]
    job = job._replace(files=[entries[key].file for key in keys])
    return _Sweep(folder, job, network, keys, entries, description, checkpoint)


def _keep_batch(
    sweep: _Sweep,
    chosen: Sequence[int],
    outcomes: Sequence[Outcome],
    slots: int,
    rows: dict[str, dict[str, Any]],
) -> dict[str, Record]:
    """Writes what a batch has come to, and adds to the rows of the table; returns its records."""
    names = [sweep.entries[key].losses for key in sweep.keys]
    arguments = sweep.folder, sweep.job, sweep.network, sweep.description, names
    saved, problem = save_pictures(*arguments, outcomes)
    chosen_entries = [sweep.entries[sweep.keys[item]] for item in chosen]
    evaluations = 1 + max((entry.steps for entry in chosen_entries), default=0)
    everyones = gather_outcomes(chosen, saved, evaluations, loss_names(chosen_entries))
    new = {
        sweep.keys[outcome.item]: Record(
            outcome,
            slots,
            min(slots, jax.device_count()),
            tuple(names[outcome.item]),
            sweep.job.files[outcome.item],
        )
        for outcome in everyones
    }
    rows |= make_rows(sweep.entries, new, {})
    with distributed.errors_of_all(), _naming_resume(sweep.folder):
        if new and distributed.is_first():
            save_inputs(sweep.folder, sweep.job, [sweep.entries[key] for key in new])
            write_batch(sweep.folder, new)
            write_results(sweep.folder, sweep.entries, rows)
        if problem:
            raise problem
    return new


def _forget_measures(folder: Path, measures: dict[str, Measures], records: Iterable[Record]) -> None:
    """Those of pictures that were stopped, and are now others."""
    stale = [record.file for record in records if record.file in measures]
    for file in stale:
        del measures[file]
    if stale and distributed.is_first():
        write_measures(folder, measures)


def _measure(
    sweep: _Sweep,
    measures: dict[str, Measures],
    rows: dict[str, dict[str, Any]],
    stop: Callable[[], bool] | None,
    keys: Sequence[str],
) -> None:
    """Measures the pictures of some items, on the first process, and adds that to the rows of the table."""
    with distributed.errors_of_all(), _naming_resume(sweep.folder):
        painted = {key: rows[key]["item"] for key in keys if rows[key]["file"]}
        if painted and distributed.is_first():
            arguments = sweep.folder, sweep.job, sweep.network.extractor, painted.values()
            measure_files(*arguments, measures, stop or (lambda: False))
            for key in painted:
                rows[key] |= measure_cells(measures.get(rows[key]["file"], {}))


def _finish(
    sweep: _Sweep,
    store: Store | None,
    records: Mapping[str, Record],
    rows: Mapping[str, Mapping[str, Any]],
) -> None:
    """Writes the tables and the report, and tidies up."""
    if store:
        store.wait()
    if not distributed.is_first():
        return
    left = _left(sweep, records)
    if store is None:  # an earlier run may have left a state
        remove_outlived(sweep.checkpoint, sweep.keys, left)
    if not left:
        write_command(sweep.folder, None)
    if records:
        write_results(sweep.folder, sweep.entries, rows)
        write_parquet(sweep.folder)
        write_history(sweep.folder, sweep.entries, records)
    make_report(sweep.folder)


def _todo(sweep: _Sweep, records: Mapping[str, Record]) -> list[int]:
    """The items to run, on every process: those whose run has not come to an end."""
    todo = np.zeros(len(sweep.keys), np.int32)
    todo[_left(sweep, records)] = 1
    return np.flatnonzero(distributed.from_first(todo)).tolist()


def _stopped(records: Mapping[str, Record]) -> bool:
    """Whether the run of some items was ended from outside."""
    return any(record.outcome.status is Status.STOPPED for record in records.values())


def _left(sweep: _Sweep, records: Mapping[str, Record]) -> list[int]:
    """The items whose run has not come to an end."""
    return [
        number
        for number, key in enumerate(sweep.keys)
        if key not in records or not records[key].outcome.status.is_final
    ]


def _by_number(sweep: _Sweep, records: Mapping[str, Record]) -> dict[int, Record]:
    """The records of items of the grid, by the number that each has there."""
    return {
        number: record._replace(outcome=record.outcome._replace(item=number))
        for number, key in enumerate(sweep.keys)
        if (record := records.get(key))
    }


@contextlib.contextmanager
def _naming_resume(folder: Path) -> Iterator[None]:
    try:
        yield
    except FileError as error:
        raise FileError(
            f"{error}; mend that and go on with --resume {folder}; what is saved stays"
        ) from error
