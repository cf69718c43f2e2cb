"""A sweep on disk: pictures, tables and settings in one folder, which a later run can continue."""

import contextlib
import functools
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jax_nst.images import save_image
from jax_nst.runtime import distributed
from jax_nst.runtime.files import FileError
from jax_nst.runtime.locking import locked
from jax_nst.runtime.platform import current_platform
from jax_nst.sweeps.halving import Halving
from jax_nst.sweeps.inputs import agreed_sources, load_picture_of
from jax_nst.sweeps.job import CHECKPOINT, Job
from jax_nst.sweeps.measuring import Measures, measure_files, read_measures
from jax_nst.sweeps.opening import open_folder
from jax_nst.sweeps.painting import make_contest_in
from jax_nst.sweeps.records import Record, stack_history, write_batch, write_file
from jax_nst.sweeps.report import make_report, save_inputs
from jax_nst.sweeps.settings import compare_processes, describe_job
from jax_nst.sweeps.sweeping import run_sweep
from jax_nst.sweeps.tables import gather_outcomes, make_row, measure_cells, write_history, write_results
from jax_nst.transfer.checkpoint import Checkpoint, CheckpointError, Saved, Store
from jax_nst.transfer.engine import Hooks
from jax_nst.transfer.network import Network
from jax_nst.transfer.outcome import Outcome, Status
from jax_nst.transfer.provenance import environment, for_json, named_styles, of_outcome, without_folders
from jax_nst.transfer.terms import resolve_loss_names
from jax_nst.transfer.transfer import describe

_COMMAND = "command.json"


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
      resume: whether to continue the sweep in the folder, within the batch that was at work.
      checkpoint: of the state of the batch at work, in the folder `CHECKPOINT` of the sweep if None. None
        is saved by several processes, whose states would be of different steps.
      command: how the run was started; kept in the folder until the sweep is finished, see `read_command`.
      hooks: see `engine.Hooks`; `keep` is set here.

    Returns:
      The rows of the table, for the items that were reached; processes other than the first do not know
      those of an earlier run.

    Raises:
      FileError: the folder cannot be used, or is in use; or holds a sweep already, or one with other
        settings; or a file cannot be written.
    """
    description = describe_job(job, network)
    compare_processes({**description, "batch": batch})
    sweep = _Sweep(folder, job, network, resolve_loss_names(job.config, network.extractor), description)
    records: dict[int, Record] = {}
    measures: dict[int, Measures] = {}
    rows: dict[int, dict[str, Any]] = {}
    with contextlib.ExitStack() as held:
        with distributed.errors_of_all():
            if distributed.is_first():
                held.enter_context(locked(folder))
                records |= open_folder(folder, job, description, sweep.names, resume=resume)
                found = read_measures(folder, job)
                measures |= {item: found[item] for item in records if item in found}
                _write_command(folder, command)
        rows |= {
            item: make_row(job, record, sweep.names, measures.get(item)) for item, record in records.items()
        }
        # Before the first batch, what an earlier run left unmeasured.
        measure_new = functools.partial(_measure, sweep, measures, rows, hooks.stop)
        measure_new([item for item in records if item not in measures] if measure else [])
        contest = make_contest_in(folder, halving, job, network.extractor, records)
        store, begun = None, None
        if contest is None:
            store, begun = _open_checkpoint(checkpoint or Checkpoint(folder / CHECKPOINT), job)
        batches = run_sweep(
            network,
            *agreed_sources(job),
            job.items,
            platform=current_platform(),
            todo=_todo(job, records),
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
                for item in new:
                    measures.pop(item, None)  # of a picture that was stopped, and is now another
                measure_new(list(new) if measure else [])
                if store and slots and all(item in new for item in chosen) and not _stopped(new):
                    store.remove()
        except BaseException:
            with contextlib.suppress(Exception):  # what ended the run is to be told
                _finish(sweep, store, records, rows)
            raise
        with _naming_resume(folder):
            _finish(sweep, store, records, rows)
    return [rows[item] for item in sorted(rows)]


class _Sweep(NamedTuple):
    """What does not change while a sweep is run."""

    folder: Path
    job: Job
    network: Network
    names: tuple[str, ...]
    """Of the losses."""
    description: dict[str, Any]
    """See `describe_job`."""


def _keep_batch(
    sweep: _Sweep,
    chosen: Sequence[int],
    outcomes: Sequence[Outcome],
    slots: int,
    rows: dict[int, dict[str, Any]],
) -> dict[int, Record]:
    """Writes what a batch has come to, and adds to the rows of the table; returns its records."""
    saved, problem = _save_pictures(sweep, outcomes)
    everyones = gather_outcomes(chosen, saved, sweep.job.config.steps + 1, sweep.names)
    new = [Record(outcome, slots, min(slots, jax.device_count())) for outcome in everyones]
    rows |= {record.outcome.item: make_row(sweep.job, record, sweep.names) for record in new}
    with distributed.errors_of_all(), _naming_resume(sweep.folder):
        if new and distributed.is_first():
            save_inputs(sweep.folder, sweep.job, (record.outcome.item for record in new))
            write_batch(sweep.folder, sweep.job, new, sweep.names)
            write_results(sweep.folder, sweep.job, rows, sweep.names)
        if problem:
            raise problem
    return {record.outcome.item: record for record in new}


def _measure(
    sweep: _Sweep,
    measures: dict[int, Measures],
    rows: dict[int, dict[str, Any]],
    stop: Callable[[], bool] | None,
    items: Sequence[int],
) -> None:
    """Measures the pictures of some items, on the first process, and adds that to the rows of the table."""
    with distributed.errors_of_all(), _naming_resume(sweep.folder):
        painted = [item for item in items if rows[item]["file"]]
        if painted and distributed.is_first():
            extractor = sweep.network.extractor
            measure_files(sweep.folder, sweep.job, extractor, painted, measures, stop or (lambda: False))
            for item in painted:
                rows[item] |= measure_cells(measures.get(item, {}))


def _finish(
    sweep: _Sweep,
    store: Store | None,
    records: Mapping[int, Record],
    rows: Mapping[int, Mapping[str, Any]],
) -> None:
    """Writes the tables and the report, and tidies up."""
    if store:
        store.wait()
    if not distributed.is_first():
        return
    if not _left(sweep.job, records):
        _write_command(sweep.folder, None)
    if records:
        write_results(sweep.folder, sweep.job, rows, sweep.names)
        write_history(sweep.folder, sweep.job, stack_history(sweep.job, records, sweep.names), sweep.names)
        make_report(sweep.folder)


def _open_checkpoint(checkpoint: Checkpoint, job: Job) -> tuple[Store | None, Saved | None]:
    """What saves the state of the batch at work, and what an earlier run saved of its own."""
    if distributed.num_processes() > 1:
        return None, None
    store = Store(checkpoint)
    try:
        saved = store.open(lambda: {"files": job.files, "environment": environment()}, resume=True)
        return store, saved
    except CheckpointError as error:
        warnings.warn(f"{error}; its batch begins anew", UserWarning, stacklevel=2)
        return store, None


def _todo(job: Job, records: Mapping[int, Record]) -> list[int]:
    """The items to run, on every process: those whose run has not come to an end."""
    todo = np.zeros(len(job.items), np.int32)
    todo[_left(job, records)] = 1
    return np.flatnonzero(distributed.from_first(todo)).tolist()


def _stopped(records: Mapping[int, Record]) -> bool:
    """Whether the run of some items was ended from outside."""
    return any(record.outcome.status is Status.STOPPED for record in records.values())


def _left(job: Job, records: Mapping[int, Record]) -> list[int]:
    """The items whose run has not come to an end."""
    ends = (Status.FINISHED, Status.HALTED, Status.DIVERGED, Status.UNCHANGED)
    return [i for i in range(len(job.items)) if i not in records or records[i].outcome.status not in ends]


def read_command(folder: Path) -> dict[str, Any]:
    """How the sweep in a folder was started; empty if it is finished, or that is not known."""
    try:
        found = json.loads((folder / CHECKPOINT / _COMMAND).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_command(folder: Path, command: Mapping[str, Any] | None) -> None:
    """Keeps it, or if it is None removes it: it has the names of folders, which are private."""
    path = folder / CHECKPOINT / _COMMAND
    if command is not None:
        path.parent.mkdir(exist_ok=True)
        write_file(path, json.dumps(command, indent=1).encode())
    elif path.exists():
        path.unlink()
        with contextlib.suppress(OSError):  # there is a checkpoint, too
            path.parent.rmdir()


def _save_pictures(sweep: _Sweep, outcomes: Sequence[Outcome]) -> tuple[list[Outcome], FileError | None]:
    """Saves the pictures of a batch; returns the outcomes to record, and why one could not be saved."""
    saved, problem = [], None
    for outcome in outcomes:
        if outcome.status is Status.STOPPED and not any(len(trace.losses) > 1 for trace in outcome.traces):
            continue  # no step was made: the picture is still its start
        try:
            _save_picture(sweep, outcome)
            saved.append(outcome._replace(pixels=None, traces=()))
        except FileError as error:
            problem = problem or error
    return saved, problem


def _save_picture(sweep: _Sweep, outcome: Outcome) -> None:
    if outcome.pixels is None:
        return
    job, item = sweep.job, sweep.job.items[outcome.item]
    content = load_picture_of(job, job.contents[item.content])
    styles = named_styles([sweep.description["styles"][index] for index in item.styles])
    settings = {
        **describe(sweep.network, item.config, content.pixels.shape, item.shares),
        "inputs": {"content": sweep.description["contents"][item.content], **styles},
        "run": of_outcome(outcome, sweep.names),
    }
    path = sweep.folder / job.files[outcome.item]
    save_image(path, outcome.pixels, alpha=content.alpha, settings=for_json(without_folders(settings)))


@contextlib.contextmanager
def _naming_resume(folder: Path) -> Iterator[None]:
    try:
        yield
    except FileError as error:
        raise FileError(
            f"{error}; mend that and go on with --resume {folder}; what is saved stays"
        ) from error
