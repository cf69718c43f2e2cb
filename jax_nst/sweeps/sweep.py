"""Many transfers at once, from Python: all results together, or one after the other."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jax_nst.images import as_pictures, load_image, quantize
from jax_nst.models.extractor import Params
from jax_nst.runtime.platform import current_platform
from jax_nst.runtime.values import as_whole, check_callback, check_type
from jax_nst.sweeps.folder import run_in_folder
from jax_nst.sweeps.grid import Grid
from jax_nst.sweeps.halving import Halving
from jax_nst.sweeps.inputs import own_sources
from jax_nst.sweeps.job import Job, make_job
from jax_nst.sweeps.measuring import Measures, make_measure, read_measures
from jax_nst.sweeps.painting import make_contest
from jax_nst.sweeps.points import PointsLike
from jax_nst.sweeps.records import merged, read_batches
from jax_nst.sweeps.results import SweepItem, SweepResult, by_name, stack
from jax_nst.sweeps.sweeping import names_of_losses, run_sweep, spread, union_of_names
from jax_nst.transfer.config import Config
from jax_nst.transfer.engine import Hooks, Interrupted
from jax_nst.transfer.network import Network, load_network
from jax_nst.transfer.outcome import Callback, Outcome
from jax_nst.transfer.pictures import PictureLike

Pictures = PictureLike | Sequence[PictureLike]
"""One picture or several, each as `stylize` takes it."""


def sweep(
    contents: Pictures,
    styles: Pictures,
    *,
    grid: Grid | PointsLike = Grid(),
    config: Config = Config(),
    batch: int | None = None,
    params: Params | None = None,
    callback: Callback | None = None,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    measure: bool = False,
    halving: Halving | None = None,
) -> SweepResult:
    """Paints every content in every style with every setting of the grid, many at once.

    Each item equals what `stylize` makes with its settings, to rounding, which L-BFGS magnifies over the
    steps; with `batch=1` they are run one after the other, and equal it to the bit.

    Args:
      contents: one picture or several, each as `stylize` takes it.
      styles: the same; each keeps its own shape.
      grid: what varies beside them: a `Grid`, or what `Grid.from_points` takes, a list of dictionaries, a
        DataFrame or the path of a CSV file.
      config: the settings that do not.
      batch: how many items at once; None for what fits and is fast. See above for 1.
      params: as `stylize`.
      callback: called now and then with a `Progress`; to show it, or to stop.
      folder: where the pictures, tables and the page of the sweep are written as each batch ends, and the
        state of the batch at work now and then, as the command line does. The pictures of the result are
        then those of the files, of 8 bits.
      resume: go on with the sweep in that folder, if there is one.
      measure: measure the pictures, rounded to 8 bits; see `METRICS`.
      halving: which items end early, see `Halving`; None: none.

    Returns:
      The results of all items. An exception on the way, also KeyboardInterrupt, has those so far as its
      attribute `result`.

    Raises:
      ValueError: a setting does not fit, or the folder cannot be used.
      TypeError: the grid, the config or the callback is none.
      WeightsError: as `load_network`.

    Example:
      >>> import numpy as np
      >>> from jax_nst import Config, Grid, sweep
      >>> content, style = np.random.default_rng(0).random((2, 32, 40, 3), np.float32)
      >>> config = Config(
      ...     features="wavelet", content_layers=("luma1",), style_layers=("scale1",), steps=2
      ... )
      >>> result = sweep(content, style, grid=Grid(style_weight=(100.0, 1000.0)), config=config)
      >>> result.pixels.shape, result.messages
      ((2, 32, 40, 3), ['ok', 'ok'])
    """
    check_callback(callback)
    job, network, batch = _prepare(contents, styles, grid, config, batch, params)
    own = names_of_losses(job.items, network.extractor)
    names = union_of_names(own)
    if folder is not None:
        path = Path(folder)
        options: Any = {"batch": batch, "measure": measure, "resume": resume, "halving": halving}
        rows = run_in_folder(path, job, network, **options, hooks=Hooks(callback))
        outcomes, measures = _results_in(path, rows)
        return stack(job, [spread(x, own[x.item], names) for x in outcomes], names, measures)
    if resume:
        raise ValueError("resume goes on with the sweep in a folder; pass that as folder")
    outcomes: list[Outcome] = []
    measures: dict[int, Measures] = {}
    measure_item = make_measure(job, network.extractor)
    try:
        for of_batch in _batches(job, network, batch, callback, halving):
            outcomes += [spread(outcome, own[outcome.item], names) for outcome in of_batch]
            for outcome in of_batch if measure else ():
                if outcome.pixels is not None:
                    rounded = quantize(outcome.pixels).astype(np.float32) / 255
                    measures[outcome.item] = measure_item(outcome.item, rounded)
    except BaseException as error:
        carried = getattr(error, "run", None)
        rest = carried.outcomes if isinstance(carried, Interrupted) else []
        outcomes += [spread(outcome, own[outcome.item], names) for outcome in rest]
        error.result = stack(job, outcomes, names, measures)  # pyright: ignore[reportAttributeAccessIssue]
        error.add_note("The results so far are in the `result` of this exception.")
        raise
    return stack(job, outcomes, names, measures)


def iterate_sweep(
    contents: Pictures,
    styles: Pictures,
    *,
    grid: Grid | PointsLike = Grid(),
    config: Config = Config(),
    batch: int | None = None,
    params: Params | None = None,
    callback: Callback | None = None,
) -> Iterator[SweepItem]:
    """As `sweep`, but gives the result of each item when its batch has ended, and keeps none.

    Args:
      contents: as `sweep`, and so are the others.
      styles: the same.
      grid: the same.
      config: the same.
      batch: the same.
      params: the same.
      callback: the same; where it stops the sweep, the items not reached are left out.

    Yields:
      The results, batch by batch; items that cannot begin come first, and where contents have several
      sizes, those of one size follow each other.

    Raises:
      ValueError: a setting does not fit.
      WeightsError: as `load_network`.

    Example:
      >>> import numpy as np
      >>> from jax_nst import Config, Grid, iterate_sweep
      >>> content, style = np.random.default_rng(0).random((2, 32, 40, 3), np.float32)
      >>> config = Config(
      ...     features="wavelet", content_layers=("luma1",), style_layers=("scale1",), steps=2
      ... )
      >>> grid = Grid(style_weight=(100.0, 1000.0))
      >>> for item in iterate_sweep(content, style, grid=grid, config=config):
      ...     print(item.values, item.pixels.shape, item.message)
      {'style_weight': 100.0} (32, 40, 3) ok
      {'style_weight': 1000.0} (32, 40, 3) ok
    """
    check_callback(callback)
    job, network, batch = _prepare(contents, styles, grid, config, batch, params)
    names_of = names_of_losses(job.items, network.extractor)
    for outcomes in _batches(job, network, batch, callback, None):
        for outcome in outcomes:
            item, names = job.items[outcome.item], names_of[outcome.item]
            yield SweepItem(
                outcome.item,
                item.values,
                outcome.pixels,
                by_name(outcome.best, names),
                by_name(outcome.losses, names),
                outcome.seconds,
                outcome.status,
                outcome.message,
            )


def _prepare(
    contents: Any,
    styles: Any,
    grid: Grid | PointsLike,
    config: Config,
    batch: int | None,
    params: Params | None,
) -> tuple[Job, Network, int | None]:
    """The job, the network, and the batch, checked."""
    grid = grid if isinstance(grid, Grid) else Grid.from_points(grid)
    check_type("config", config, Config)
    if batch is not None:
        batch = as_whole("batch", batch, 1, 2**31)
    job = make_job(as_pictures("contents", contents), as_pictures("styles", styles), grid, config)
    every = [item.config for item in job.items]  # with the settings that vary
    return job, load_network(every[0], others=every, params=params, platform=current_platform()), batch


def _batches(
    job: Job, network: Network, batch: int | None, callback: Callback | None, halving: Halving | None
) -> Iterator[list[Outcome]]:
    """The outcomes of each batch."""
    contest = make_contest(halving, job, network.extractor)
    options: Any = {"platform": current_platform(), "batch": batch, "hooks": Hooks(callback)}
    for _, outcomes, _ in run_sweep(network, *own_sources(job), **options, contest=contest):
        yield outcomes


def _results_in(
    folder: Path, rows: Sequence[Mapping[str, Any]]
) -> tuple[list[Outcome], dict[int, Measures]]:
    """The outcomes and measures of the items of some rows in a folder, with the pictures of the files."""
    records, found = merged(read_batches(folder)), read_measures(folder)
    pixels = {row["item"]: load_image(folder / row["file"]) if row["file"] else None for row in rows}
    outcomes = [
        records[row["key"]].outcome._replace(item=row["item"], pixels=pixels[row["item"]]) for row in rows
    ]
    return outcomes, {row["item"]: found[row["file"]] for row in rows if row["file"] in found}
