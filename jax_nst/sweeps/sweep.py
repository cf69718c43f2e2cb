"""Many transfers at once, from Python: all results together, or one after the other."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jax_nst.images import as_pictures, load_image, quantize
from jax_nst.losses import Losses
from jax_nst.models.extractor import Params
from jax_nst.runtime.platform import current_platform
from jax_nst.runtime.values import as_whole, check_callback, check_type
from jax_nst.sweeps.folder import run_in_folder
from jax_nst.sweeps.grid import Grid, GridItem
from jax_nst.sweeps.halving import Halving
from jax_nst.sweeps.inputs import own_sources
from jax_nst.sweeps.job import Job, make_job
from jax_nst.sweeps.measuring import Measures, make_measure, read_measures, stack_measures
from jax_nst.sweeps.painting import make_contest
from jax_nst.sweeps.points import PointsLike
from jax_nst.sweeps.records import merged, read_batches
from jax_nst.sweeps.sweeping import names_of_losses, run_sweep, spread, union_of_names
from jax_nst.transfer.config import Config
from jax_nst.transfer.engine import Hooks, Interrupted
from jax_nst.transfer.network import Network, load_network
from jax_nst.transfer.outcome import Callback, Outcome, Status, failed
from jax_nst.transfer.pictures import PictureLike, content_shape
from jax_nst.transfer.spec import picture_shape

Pictures = PictureLike | Sequence[PictureLike]
"""One picture or several, each as `stylize` takes it."""


class SweepResult(NamedTuple):
    """Result of a sweep: its items in the order of the grid, the last setting fastest, stacked."""

    values: list[dict[str, Any]]
    """Varied settings: a dict for each item, name -> value; an index for contents and styles."""
    pixels: Any
    """`[items, H, W, 3]`, the best picture of each run; a list of `[H, W, 3]` if shapes differ. Black where
    an item failed."""
    losses: Losses
    """Each `[items]`, of those pictures; NaN for an item that failed, or that has no such loss."""
    history: Losses
    """Each `[items, steps + 1]`, at the full size; NaN where a run ended before, or has no such loss."""
    seconds: np.ndarray
    """`[items]`, its share of the time of its batch."""
    status: list[Status]
    """How the run of each item ended."""
    messages: list[str]
    """`ok`, or in a sentence what went wrong."""
    measures: dict[str, np.ndarray]
    """Name, as in `METRICS` -> `[items]`, NaN for what was not measured; empty if nothing was."""


class SweepItem(NamedTuple):
    """Result of one item of a sweep, as `iterate_sweep` gives it."""

    item: int
    """Its number."""
    values: dict[str, Any]
    """Varied settings: name -> value; an index for contents and styles."""
    pixels: np.ndarray | None
    """`[H, W, 3]`, the best picture of its run; None if it failed."""
    losses: Losses
    """Each `[]`, of that picture; NaN if it failed."""
    history: Losses
    """Each `[evaluations]`, at the full size."""
    seconds: float
    """Its share of the time of its batch."""
    status: Status
    message: str
    """`ok`, or in a sentence what went wrong."""


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
    steps; with `batch=1` they are run one after the other on one device, and equal it to the bit.

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
        return _stack(job, [spread(x, own[x.item], names) for x in outcomes], names, measures)
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
        error.result = _stack(job, outcomes, names, measures)  # pyright: ignore[reportAttributeAccessIssue]
        error.add_note("The results so far are in the `result` of this exception.")
        raise
    return _stack(job, outcomes, names, measures)


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
                _by_name(outcome.best, names),
                _by_name(outcome.losses, names),
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


def _stack(
    job: Job, outcomes: Sequence[Outcome], names: Sequence[str], measures: dict[int, Measures]
) -> SweepResult:
    """The result of all items; one that has no outcome was not reached."""
    items = job.items
    found = {outcome.item: outcome for outcome in outcomes}
    nothing = failed(-1, "", names)._replace(status=Status.STOPPED, message="not reached")
    ordered = [found.get(index, nothing) for index in range(len(items))]
    curves = np.full(
        (len(items), 1 + max(item.config.steps for item in items), len(names)), np.nan, np.float32
    )
    for curve, outcome in zip(curves, ordered, strict=True):
        curve[: len(outcome.losses)] = outcome.losses
    pixels = [
        _black(job, item) if outcome.pixels is None else outcome.pixels
        for outcome, item in zip(ordered, items, strict=True)
    ]
    return SweepResult(
        [item.values for item in items],
        np.stack(pixels) if len({x.shape for x in pixels}) == 1 else pixels,
        _by_name(np.stack([outcome.best for outcome in ordered]), names),
        _by_name(curves, names),
        np.array([outcome.seconds for outcome in ordered]),
        [outcome.status for outcome in ordered],
        [outcome.message for outcome in ordered],
        stack_measures(measures, len(items)),
    )


def _by_name(rows: np.ndarray, names: Sequence[str]) -> Losses:
    """`[..., names]`, the first the total -> each `[...]`."""
    total, *terms = np.moveaxis(rows, -1, 0)
    return Losses(total, dict(zip(names[1:], terms, strict=True)))  # pyright: ignore[reportArgumentType]


def _black(job: Job, item: GridItem) -> np.ndarray:
    """`[H, W, 3]`, in place of the picture of an item."""
    try:
        shape = content_shape(job.picture(job.contents[item.content]), item.config)
    except ValueError:
        shape = (1, 1, 3)  # it cannot be read
    return np.zeros((*picture_shape(item.config, shape), 3), np.float32)
