"""Many transfers at once: the step of one, mapped over a batch of items, spread over all devices."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from jax_nst.batch import Outcome, Preparation, Source, failed, in_batches, make_plan, run_batch
from jax_nst.config import Config
from jax_nst.features import Params
from jax_nst.grid import Grid, Item, make_items
from jax_nst.losses import Losses
from jax_nst.network import Network, load_network
from jax_nst.problem import Pixels, picture_shape
from jax_nst.programs import ITEMS


class SweepProgress(NamedTuple):
    """What a callback is told."""

    items_done: int
    """Those of earlier batches, bad ones included."""
    num_items: int
    batch: list[int]
    """Which items are at work."""
    step: int
    """Updates that each of them has had."""
    num_steps: int


SweepCallback = Callable[[SweepProgress], bool | None]
"""Called after each chunk of steps; a true answer ends the sweep early, with the best so far."""


class SweepResult(NamedTuple):
    """What came of a sweep: its items in the order of the grid, the last setting fastest, stacked."""

    values: list[dict[str, Any]]
    """What varies: one dict an item, name -> value; of contents and styles which one."""
    pixels: Any
    """`[items, H, W, 3]`, the best picture of each run; a list of `[H, W, 3]` if shapes differ. Black where
    an item failed."""
    losses: Losses
    """Each `[items]`, of those pictures; NaN for an item that failed."""
    history: Losses
    """Each `[items, steps + 1]`, NaN where a run ended before."""
    seconds: np.ndarray
    """`[items]`, its share of the time of its batch."""
    status: list[str]
    """`ok`, or in a sentence what went wrong."""


def sweep(
    contents: Pixels | Sequence[Pixels],
    styles: Pixels | Sequence[Pixels],
    *,
    grid: Grid = Grid(),
    config: Config = Config(),
    batch: int | None = None,
    params: Params | None = None,
    callback: SweepCallback | None = None,
) -> SweepResult:
    """Paints every content in every style with every setting of the grid, many at once.

    Each item equals what `stylize` makes with its settings, to rounding.

    Args:
      contents: one `[H, W, 3]`, RGB in [0, 1], or several.
      styles: the same; each keeps its own shape.
      grid: what varies beside them.
      config: the settings that do not.
      batch: how many items at once; None for what fits and is fast.
      params: as `stylize`.
      callback: called now and then with a `SweepProgress`; to show it, or to stop.

    Raises:
      ValueError: a setting does not fit; `config.scales` is one that does not yet.
      WeightsError: as `load_network`.
    """
    contents, styles = (_sequence(pictures) for pictures in (contents, styles))
    items = make_items(grid, len(contents), len(styles), config)
    if config.scales != "1":
        raise ValueError("scales are for stylize so far; leave them out of a sweep")
    network = load_network(config, params=params)
    outcomes: list[Outcome] = []
    for _, batch_outcomes in run_sweep(
        network, [_source(x) for x in contents], [_source(x) for x in styles], items,
        batch=batch, callback=callback,
    ):  # fmt: skip
        outcomes += batch_outcomes
    return stack(items, outcomes, [picture_shape(config, np.shape(contents[i.content])) for i in items])


def _sequence(pictures: Any) -> Sequence[Pixels]:
    one = isinstance(pictures, np.ndarray | jax.Array) and pictures.ndim == 3
    return [pictures] if one else list(pictures)


def _source(pixels: Pixels) -> Source:
    if pixels.ndim == 3 and 0 not in pixels.shape:
        return Source(pixels.shape, lambda: pixels)
    return Source(None, lambda: pixels, f"a picture must have shape [H, W, 3], not {list(pixels.shape)}")


def stack(
    items: Sequence[Item], outcomes: Sequence[Outcome], shapes: Sequence[tuple[int, int]]
) -> SweepResult:
    """The result of all items; one that has no outcome was not reached."""
    found = {outcome.item: outcome for outcome in outcomes}
    nothing = Outcome(-1, None, np.empty((0, len(Losses._fields)), np.float32), 0.0, "not reached")
    ordered = [found.get(index, nothing) for index in range(len(items))]
    length = items[0].config.steps + 1
    curves = np.full((len(items), length, len(Losses._fields)), np.nan, np.float32)
    for curve, outcome in zip(curves, ordered, strict=True):
        curve[: len(outcome.losses)] = outcome.losses
    pixels = [
        np.zeros((*shape, 3), np.float32) if outcome.pixels is None else outcome.pixels
        for outcome, shape in zip(ordered, shapes, strict=True)
    ]
    best: Any = np.stack([outcome.best for outcome in ordered], axis=-1)
    history: Any = np.moveaxis(curves, -1, 0)
    return SweepResult(
        [item.values for item in items],
        np.stack(pixels) if len(set(shapes)) == 1 else pixels,
        Losses(*best),
        Losses(*history),
        np.array([outcome.seconds for outcome in ordered]),
        [outcome.status for outcome in ordered],
    )


def run_sweep(
    network: Network,
    contents: Sequence[Source],
    styles: Sequence[Source],
    items: Sequence[Item],
    *,
    todo: Sequence[int] | None = None,
    batch: int | None = None,
    callback: SweepCallback | None = None,
) -> Iterator[tuple[list[int], list[Outcome]]]:
    """As `sweep`, from pictures read when their turn comes, one batch after the other.

    Args:
      network: what compares pictures.
      contents: all that items name.
      styles: all that items name.
      items: all of the sweep.
      todo: which of them to run; all if None.
      batch: how many at once.
      callback: see `sweep`.

    Yields:
      Which items were in a batch, and their outcomes; where there are several processes, of its own only.
    """
    wanted = set(range(len(items)) if todo is None else todo)
    groups: dict[tuple[int, int], list[int]] = {}
    unreadable = []
    for index, item in enumerate(items):
        source = contents[item.content]
        if source.shape is not None:
            groups.setdefault(picture_shape(item.config, source.shape), []).append(index)
        elif index in wanted:
            unreadable.append(failed(index, source.error))
    if unreadable:
        yield [outcome.item for outcome in unreadable], unreadable if jax.process_index() == 0 else []
    done = len(unreadable)
    mesh = Mesh(np.asarray(jax.devices()), (ITEMS,), axis_types=(AxisType.Auto,))
    preparation = Preparation(network, contents, styles)
    for shape, group in groups.items():
        left = [index for index in group if index in wanted]
        if not left:
            continue
        all_items, left_items = ([items[index] for index in part] for part in (group, left))
        plan = make_plan(network, mesh, shape, all_items, left_items, batch)
        for chosen in in_batches(left, plan.size):

            def tell(step: int, chosen: Sequence[int] = chosen, done: int = done) -> bool | None:
                progress = SweepProgress(done, len(wanted), list(chosen), step, items[0].config.steps)
                return callback(progress) if callback else None

            outcomes, ended = run_batch(
                plan, preparation, [(index, items[index]) for index in chosen], tell
            )
            yield list(chosen), outcomes
            if ended:
                return
            done += len(chosen)
