"""The command line: flags -> Config -> files. The only place with absl, printing and signals."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from absl import flags

from jax_nst.cli.bars import StepsBar, items_bar, show_compiling, show_items, show_steps, steps_bar
from jax_nst.cli.dry_run import show_plan
from jax_nst.cli.failures import FAILURE, WRONG_FLAGS, explain
from jax_nst.cli.flags import check_together, define_flags, parse_batch, to_job
from jax_nst.cli.help import help_text
from jax_nst.cli.keeping import to_halving
from jax_nst.cli.names import check_new, output_name
from jax_nst.cli.parsing import parse
from jax_nst.cli.reporting import merge, report
from jax_nst.cli.resuming import checkpoint_of, command_of, fill_in
from jax_nst.cli.saving import Saver, verdict
from jax_nst.cli.terminal import (
    fail,
    interrupts,
    show,
    tell,
    warnings_in_a_line,
)
from jax_nst.images import WRITABLE, check_writable
from jax_nst.metrics import lines_of
from jax_nst.runtime import distributed
from jax_nst.runtime.compilation import keep_compiled
from jax_nst.runtime.files import FileError, check_replaceable, check_working_folder
from jax_nst.runtime.malloc import keep_pages
from jax_nst.runtime.version import __version__
from jax_nst.sweeps.folder import run_in_folder
from jax_nst.sweeps.halving import Halving
from jax_nst.sweeps.job import CHECKPOINT, PAGE, REPORTS, SWEEP, Job
from jax_nst.sweeps.tables import told
from jax_nst.sweeps.tensorboard import Run, open_board, results_of, settings_of
from jax_nst.transfer.checkpoint import Checkpoint, Store
from jax_nst.transfer.config import INITS
from jax_nst.transfer.engine import Hooks
from jax_nst.transfer.measured import measure_run
from jax_nst.transfer.network import load_network
from jax_nst.transfer.outcome import Progress, Status
from jax_nst.transfer.pictures import files_of, load_content, load_style
from jax_nst.transfer.plan_lines import plan_line
from jax_nst.transfer.provenance import inputs_of, named_styles, without_folders
from jax_nst.transfer.spec import regions_of
from jax_nst.transfer.transfer import Result, describe, run


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program.

    Args:
      argv: its name and its arguments; those of the process by default.

    Returns:
      The exit status: 0; 1 after a failure; 2 if a flag is wrong, or its value; 128 and its number after a
      signal, such as 130 after Ctrl-C.
    """
    parser = flags.FlagValues()
    define_flags(parser)
    try:
        rest = parse(parser, list(sys.argv if argv is None else argv))
        if parser["help"].value:
            show(help_text(parser))
            return 0
        if parser["version"].value:
            show(f"jax_nst {__version__}")
            return 0
        if rest:
            raise ValueError(
                f"unexpected argument {rest[0]!r}; give arguments to flags, globs in quotes; see --help"
            )
        if parser["report"].value is not None:
            return report(parser)
        if parser["merge"].value is not None:
            return merge(parser)
        check_working_folder()
        fill_in(parser)
        values = parser.flag_values_dict()
        job = to_job(values)
        batch = parse_batch(values["batch"])
        check_together(values, job)
        halving = to_halving(values, job)
    except FileError as error:
        return fail(error, status=FAILURE)
    except ValueError as error:
        return fail(error, status=WRONG_FLAGS)
    try:
        with warnings_in_a_line():
            return _run(values, job, batch, halving)
    except BaseException as error:
        found = explain(error, sweeping=len(job.items) > 1)
        if found is None:
            raise
        status = fail(found[1], status=found[0])
    if values["distributed"]:
        os._exit(status)  # a normal exit would wait for the other processes, which wait for this one
    return status


def _run(values: Mapping[str, Any], job: Job, batch: int | None, halving: Halving | None) -> int:
    """Prepares the process and JAX, and paints; returns the exit status."""
    several = len(job.items) > 1
    keep_pages(threads=several)
    keep_compiled(values["compilation_cache"])
    if several and batch != 1:
        distributed.use_cores()
    if values["distributed"]:
        distributed.initialize(values["coordinator_address"], values["num_processes"], values["process_id"])
    if values["plan"]:
        return show_plan(values, job, batch, halving)
    return run_job(values, job, batch, halving) if several else transfer(values, job)


def run_job(values: Mapping[str, Any], job: Job, batch: int | None, halving: Halving | None) -> int:
    """Runs a sweep into its folder; returns the exit status.

    Raises:
      ValueError: bad input, in one sentence.
    """
    folder, quiet = Path(values["output"] or SWEEP), values["quiet"]
    if folder.suffix.lower() in WRITABLE:
        raise ValueError(f"{folder}: {len(job.items)} pictures need a folder; name one with --output")
    read = [*job.contents, *job.styles, job.config.weights]
    read += [path for item in job.items for path in files_of(item.config).values()]
    _check_distinct(dict.fromkeys(read), [str(folder / file) for file in (*job.files, *REPORTS)])
    board = open_board(values["tensorboard"])
    network = load_network(job.config, others=[item.config for item in job.items], quiet=quiet)
    go_on = f"jax_nst: interrupted, go on with --resume {folder}"
    with interrupts(lambda: tell(go_on)) as interrupted, items_bar(len(job.items), quiet) as bar:

        def callback(progress: Progress) -> bool:
            show_items(bar, progress, len(job.items))
            if interrupted and distributed.num_processes() > 1:
                raise KeyboardInterrupt  # the others notice at the end of their batch
            return bool(interrupted)

        rows = run_in_folder(
            folder,
            job,
            network,
            batch=batch,
            measure=values["measure"],
            halving=halving,
            resume=bool(values["resume"]),
            checkpoint=Checkpoint(
                folder / CHECKPOINT, every=values["checkpoint_every"], anyway=values["resume_anyway"]
            ),
            tensorboard=board,
            command=command_of(values, job, str(folder)),
            hooks=Hooks(
                callback,
                on_compile=lambda size: show_compiling(bar, size),
                stop=None if distributed.num_processes() > 1 else lambda: bool(interrupted),
            ),
        )
    for line in told(rows):
        tell(f"jax_nst: {line}")
    if not rows:
        tell("jax_nst: stopped before the first step; no picture was written")
    elif not quiet:
        done = len(rows) - sum(Status.of(row["status"]) is Status.FAILED for row in rows)
        tell(f"{done} of {len(job.items)} pictures; open {folder / PAGE} to look through them")
    show(str(folder))
    if interrupted:
        tell(f"jax_nst: go on with --resume {folder}")
        return 128 + interrupted[0]
    return 1 if any(Status.of(row["status"]) is Status.FAILED for row in rows) else 0


def transfer(values: Mapping[str, Any], job: Job) -> int:
    """Reads, paints, and writes one picture; returns the exit status.

    Raises:
      ValueError: bad input, in one sentence.
    """
    (item,) = job.items
    config, (content_path,) = item.config, job.contents
    style_paths = [job.styles[index] for index in item.styles]
    output = output_name(values["output"], content_path, style_paths, config, item.shares)
    alone = not values["distributed"]
    is_first = alone or distributed.is_first()
    history_path, quiet = values["history"], values["quiet"] or not is_first
    for path in filter(None, (output, history_path)) if values["no_clobber"] else ():
        check_new(path)
    content = load_content(content_path, config)
    styles = [load_style(path, config) for path in style_paths]
    read = {"content": content_path, **named_styles(style_paths)}
    if config.init not in INITS:
        load_content(config.init, config)  # fails here rather than after the weights are read
    read |= files_of(config)
    regions_of(config, content.pixels.shape)  # as above
    _check_distinct([*read.values(), config.weights], [output, history_path])
    check_writable(output)
    if history_path:
        check_replaceable(history_path)
    board = open_board(values["tensorboard"]) if is_first else None
    events = Run(board / Path(output).stem) if board else None
    network = load_network(config, quiet=quiet)
    inputs = inputs_of(read)
    settings = without_folders(
        {**describe(network, config, content.pixels.shape, item.shares), "inputs": inputs}
    )
    measure = partial(measure_run, network.extractor, config, content.pixels, styles, item.shares)
    measure = measure if values["measure"] else None
    saver = Saver(output, history_path, alpha=content.alpha, settings=settings, measure=measure)
    store = Store(checkpoint_of(values, output), command=command_of(values, job, output)) if alone else None
    with interrupts(saver.quit_at_once) as interrupted, steps_bar(quiet=quiet) as bar:

        def callback(progress: Progress) -> bool:
            show_steps(bar, progress)
            (entries,) = progress.entries.values()
            if events:
                events.add_losses(entries)
            steps = (entry["step"] for entry in entries if entry["step"])
            if is_first and config.save_every and any(step % config.save_every == 0 for step in steps):
                saver.save_during(progress)
            if interrupted and not alone:
                raise KeyboardInterrupt  # the others notice at the next step
            return bool(interrupted)

        hooks = Hooks(
            callback,
            on_compile=lambda size: show_compiling(bar.bar, size),
            on_plan=lambda plan: None if quiet or plan.is_usual else tell(f"plan: {plan_line(plan)}"),
            stop=(lambda: bool(interrupted)) if alone else None,
        )
        options: Any = {"config": config, "blend": item.shares, "hooks": hooks, "store": store}
        try:
            with distributed.death_of_others():
                result = run(network, content.pixels, styles, **options, resume=bool(values["resume"]))
        except BaseException as error:
            if is_first:
                saver.rescue(error)
            raise
        finally:
            if store:
                store.wait()
        if not is_first:
            return 0
        status = _finish(saver, store, result, interrupted, bar, quiet)
    if events:
        settings = {"content": content_path, **named_styles(style_paths), **result.history["config"]}
        events.finish(result.pixels, settings_of(settings), results_of(result.history))
    return status


def _finish(
    saver: Saver,
    store: Store | None,
    result: Result,
    interrupted: Sequence[int],
    bar: StepsBar,
    quiet: bool,
) -> int:
    """Saves and tells what came of a run; returns the exit status."""
    steps = result.history["steps"]
    if interrupted and (not steps or steps[-1]["step"] == 0):
        bar.close()
        tell("jax_nst: stopped before the first step; nothing was written")
        return 128 + interrupted[0]
    saver.save_result(result)
    bar.close()
    if not quiet:
        tell(verdict(saver.path, result, hurry=bool(interrupted), composited=saver.is_composited))
    measures = {} if interrupted else saver.save_measures(result)
    for line in () if quiet else lines_of(measures):
        tell(line)
    if store and result.status is not Status.STOPPED:
        store.remove()
    elif store and store.has_saved:
        tell(f"jax_nst: go on with --resume {store.folder}")
    show(saver.path)
    if saver.has_failed:
        return FAILURE
    return 128 + interrupted[0] if interrupted else 0


def _check_distinct(read: Iterable[str | None], written: Sequence[str | None]) -> None:
    """Raises ValueError if a file would overwrite an input, or another output."""
    taken = {os.path.realpath(path) for path in read if path}
    for path in filter(None, written):
        if os.path.realpath(path) in taken:
            raise ValueError(
                f"{path}: is read or written already, and would be lost; name another file to write"
            )
        taken.add(os.path.realpath(path))
