"""Many transfers at once: the step of one, mapped over a batch of items, spread over all devices."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from jax_nst.images import resize
from jax_nst.losses.terms import Losses
from jax_nst.models.extractor import Params
from jax_nst.sweeps.batch import (
    STOPPED,
    Outcome,
    Plan,
    Preparation,
    Source,
    failed,
    in_batches,
    make_plan,
    run_batch,
)
from jax_nst.sweeps.grid import Grid, Item, make_items
from jax_nst.transfer.config import Config
from jax_nst.transfer.network import Network, load_network
from jax_nst.transfer.problem import Pixels, picture_shape
from jax_nst.transfer.programs import ITEMS, on_all_devices
from jax_nst.transfer.schedule import scale_configs


class SweepProgress(NamedTuple):
    """What a callback is told."""

    items_done: int
    """Those of earlier batches, bad ones included."""
    num_items: int
    batch: list[int]
    """Which items are at work."""
    step: int
    """Updates that each of them has had; of several scales, all together."""
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
    """Each `[items, steps + 1]`, at the full size; NaN where a run ended before."""
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
      ValueError: a setting does not fit.
      WeightsError: as `load_network`.
    """
    contents, styles = (_sequence(pictures) for pictures in (contents, styles))
    items = make_items(grid, len(contents), len(styles), config)
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
    groups: dict[tuple[tuple[int, int], ...], list[int]] = {}
    at_sizes: dict[int, list[Item]] = {}
    bad = []
    for index, item in enumerate(items):
        try:
            shape, configs = _sizes_of(network, item, contents[item.content])
        except ValueError as error:
            bad += [failed(index, error)] if index in wanted else []
            continue
        at_sizes[index] = [item._replace(config=config) for config in configs]
        groups.setdefault(tuple(picture_shape(config, shape) for config in configs), []).append(index)
    if bad:
        yield [outcome.item for outcome in bad], bad if jax.process_index() == 0 else []
    done = len(bad)
    mesh = Mesh(np.asarray(jax.devices()), (ITEMS,), axis_types=(AxisType.Auto,))
    # Once for all programs; targets are computed on one device.
    everywhere = network._replace(params=on_all_devices(network.params, mesh))
    prepare = functools.partial(Preparation, network, contents, styles)
    for shapes, group in groups.items():
        left = [index for index in group if index in wanted]
        if not left:
            continue
        scales = _make_scales(everywhere, mesh, prepare, at_sizes, shapes, group, left, batch)
        num_steps = sum(scale.plan.config.steps + 1 for scale in scales) - 1
        for chosen in in_batches(left, scales[-1].plan.size):
            progress = SweepProgress(done, len(wanted), list(chosen), 0, num_steps)

            def tell(step: int, progress: SweepProgress = progress) -> bool | None:
                return callback(progress._replace(step=step)) if callback else None

            outcomes, ended = _run_scales(scales, chosen, tell)
            yield list(chosen), outcomes
            if ended:
                return
            done += len(chosen)


def _sizes_of(network: Network, item: Item, content: Source) -> tuple[tuple[int, ...], list[Config]]:
    """[H, W, 3] of the content, and the config of each size; raises ValueError if it is of no use."""
    if content.shape is None:
        raise ValueError(content.error)
    return content.shape, scale_configs(network, item.config, content.shape)


class _Scale(NamedTuple):
    """One size of a group of items: how they are run at it."""

    plan: Plan
    preparation: Preparation
    items: dict[int, Item]
    """With the config of this size."""


def _make_scales(
    network: Network,
    mesh: Mesh,
    prepare: Callable[[], Preparation],
    at_sizes: Mapping[int, Sequence[Item]],
    shapes: Sequence[tuple[int, int]],
    group: Sequence[int],
    left: Sequence[int],
    batch: int | None,
) -> list[_Scale]:
    """The sizes of a group of items, coarse to fine; as many at once at each as the finest allows."""
    scales: list[_Scale] = []
    for number in reversed(range(len(shapes))):
        of_scale = {index: at_sizes[index][number] for index in group}
        all_items, left_items = ([of_scale[index] for index in part] for part in (group, left))
        plan = make_plan(network, mesh, shapes[number], all_items, left_items, batch)
        batch = plan.size
        scales.insert(0, _Scale(plan, prepare(), of_scale))
    return scales


def _run_scales(
    scales: Sequence[_Scale], chosen: Sequence[int], tell: Callable[[int], bool | None]
) -> tuple[list[Outcome], bool]:
    """Runs a batch at each size, from the pictures of the size before; as `run_batch`.

    The losses are those of the last size; an item that did not come to it has none.
    """
    found: dict[int, Outcome] = {}
    ended, last, before = False, scales[-1], 0
    for scale in scales:
        outcomes, ended = run_batch(
            scale.plan,
            scale.preparation,
            [(index, scale.items[index]) for index in chosen],
            lambda step, before=before: tell(before + step),
            {index: outcome.pixels for index, outcome in found.items()},
        )
        before += scale.plan.config.steps + 1
        for outcome in outcomes:
            spent = found[outcome.item].seconds if outcome.item in found else 0.0
            found[outcome.item] = outcome._replace(seconds=spent + outcome.seconds)
        if ended:
            if scale is not last:
                shape = last.plan.slots.shape
                found = {index: _unfinished(outcome, shape) for index, outcome in found.items()}
            break
    return [found[index] for index in sorted(found)], ended


def _unfinished(outcome: Outcome, shape: tuple[int, int]) -> Outcome:
    """Of a smaller size, as the outcome of the full one: its losses do not compare."""
    if outcome.pixels is None:
        return outcome
    status = f"{STOPPED} at {max(outcome.pixels.shape)} pixels, after step {len(outcome.losses) - 1}"
    return outcome._replace(pixels=resize(outcome.pixels, shape), losses=outcome.losses[:0], status=status)
