"""Chooses how a level is computed so that it fits in memory, and compiles it."""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from jax_nst.losses import Targets
from jax_nst.losses.grouped import network_layers
from jax_nst.models.extractor import Params
from jax_nst.models.partition import Partition
from jax_nst.optim.step import make_move
from jax_nst.runtime.memory import (
    OutOfMemoryError,
    check_enough,
    first_that_fits,
    largest_that_fits,
    memory_limit,
)
from jax_nst.transfer.by_shape import bytes_of
from jax_nst.transfer.choices import Choice
from jax_nst.transfer.estimate import estimate_of
from jax_nst.transfer.item import Item
from jax_nst.transfer.layout import Layout, OnePicture, Sharded, rows_needed
from jax_nst.transfer.meshes import mesh_of_picture
from jax_nst.transfer.network import Network
from jax_nst.transfer.pictures import Source
from jax_nst.transfer.programs import (
    Advance,
    Objects,
    of_batch,
    on_all_devices,
    state_shapes,
    step_programs,
)
from jax_nst.transfer.rows import ITEMS
from jax_nst.transfer.spec import Level, Spec
from jax_nst.transfer.targets import Preparation

_TIGHT = 0.2
"""Share of the memory from which a level is compiled before the run, to be sure that it fits."""


class Plan(NamedTuple):
    """One level, ready to be run."""

    level: Level
    choice: Choice
    """How it is computed."""
    layout: Layout
    params: Params
    """On the devices that the layout uses."""
    preparation: Preparation
    init: Callable[[Any], Any]
    """`(pixels) -> State`."""
    advance: Advance
    num_bytes: int
    """Of a device, by the compiler's analysis."""
    limit: int
    """Bytes that it may take of a device."""
    seconds: float | None = None
    """That a step is expected to take, if it is known."""
    is_usual: bool = True
    """Whether the level is computed in the most wanted way."""


class Estimate(NamedTuple):
    """A choice, and what it is expected to take of a device."""

    choice: Choice
    num_bytes: int
    limit: int
    """Bytes that it may take."""

    @property
    def fits(self) -> bool:
        """Whether it is expected to."""
        return self.num_bytes <= self.limit


def estimates(
    network: Network, spec: Spec, contents: Sequence[Source], styles: Sequence[Source], item: Item
) -> list[Estimate]:
    """The choices of the last level of one picture that are worth their time, the fastest first.

    Those that take less memory than every faster one, and of those that fit only the fastest.
    """
    level, limit = spec.levels[-1], limit_of(spec)
    preparation = Preparation(network, level, spec.platform, contents, styles)
    content, style = preparation.abstract(spec.num_regions)
    mesh = mesh_of_picture(network, spec, level)
    num_devices = mesh.size if mesh else 1
    bytes_at = _estimate(network, spec, level, {**content, **style}, item, num_devices)
    found: list[Estimate] = []
    for choice in choices_at(spec, level, num_devices):
        num_bytes = bytes_at(choice)
        if not found or num_bytes < found[-1].num_bytes:
            found.append(Estimate(choice, num_bytes, limit))
        if found[-1].fits:
            break
    return found


def objects_of(spec: Spec, level: Level, choice: Choice | None = None) -> Objects:
    """What the programs of a level are keyed by; of the most wanted choice if none is given."""
    optimizer = spec.optimizer if choice is None else choice.optimizer
    return Objects(spec.extractor, level.terms, optimizer, spec.platform)


def limit_of(spec: Spec, device: Any = None) -> int:
    """Bytes that a program may allocate on a device, the first one by default."""
    return memory_limit(jax.local_devices()[0] if device is None else device, spec.memory)


def plan_one(network: Network, spec: Spec, level: Level, preparation: Preparation, item: Item) -> Plan:
    """One picture, in the first way that the memory allows.

    Raises:
      OutOfMemoryError: it does not fit.
    """
    content, style = preparation.abstract(spec.num_regions)
    targets, limit = {**content, **style}, limit_of(spec)

    mesh = mesh_of_picture(network, spec, level)

    def make(choice: Choice) -> tuple[Plan, int]:
        shared = mesh if spec.platform.shares_tiles or not choice.partition.tile_size else None
        programs = step_programs(objects_of(spec, level, choice), choice.partition, shared)
        state, arguments = state_of(spec, level, choice), (network.params, targets, item.controls(level))
        if programs.rows is not None:
            state, arguments = programs.rows.abstract(state), programs.rows.copies(arguments)
        advance, num_bytes = programs.compile_advance(state, *arguments)
        plan = Plan(
            level,
            choice,
            OnePicture(programs.rows),
            on_all_devices(network.params, shared) if shared else network.params,
            preparation,
            programs.init,
            advance,
            num_bytes,
            limit,
        )
        return plan, num_bytes

    num_devices = mesh.size if mesh else 1
    guess = _guess(network, spec, level, targets, item, limit, num_devices)
    choices = choices_at(spec, level, num_devices)
    if mesh is not None and not spec.platform.shares_tiles:  # all devices before one
        choices.sort(key=lambda choice: choice.partition.tile_size is not None)
    with _size_that_fits(level):
        return first_that_fits(choices, make, limit, guess)


@contextlib.contextmanager
def _size_that_fits(level: Level) -> Iterator[None]:
    """Adds to an OutOfMemoryError the size that would fit, by the number of pixels."""
    try:
        yield
    except OutOfMemoryError as error:
        size = int(0.95 * max(level.shape) * math.sqrt(error.free / max(1, error.need)))
        raise OutOfMemoryError(error.need, error.free, size) from error


def _guess(
    network: Network,
    spec: Spec,
    level: Level,
    targets: Targets,
    item: Item,
    limit: int,
    num_devices: int = 1,
) -> Callable[[Choice], int]:
    """`(choice) -> bytes`; where the memory is plenty nothing is estimated, and all are 0."""
    if not is_tight(network, spec, level, limit):
        return lambda choice: 0
    return _estimate(network, spec, level, targets, item, num_devices)


def _estimate(
    network: Network, spec: Spec, level: Level, targets: Targets, item: Item, num_devices: int = 1
) -> Callable[[Choice], int]:
    weights = item.loss_weights[level]
    return estimate_of(
        network.extractor,
        network.params,
        level.terms,
        level.shape,
        targets,
        weights,
        num_devices,
        spec.platform,
    )


def choices_at(spec: Spec, level: Level, num_devices: int = 1) -> list[Choice]:
    """Those of a level: a picture that is no larger than a tile is computed whole, a huge one in tiles.

    Args:
      spec: of the picture.
      level: of the spec.
      num_devices: which share the picture.
    """
    choices = [x for x in spec.choices if (x.partition.tile_size or 0) < max(level.shape)]
    if math.prod(level.shape) > num_devices * spec.platform.most_pixels:
        choices = [x for x in choices if x.partition.tile_size] or choices
    wholes = [x._replace(partition=Partition()) for x in spec.choices]  # of a level smaller than the tiles
    return choices or wholes


class Planner:
    """Gives the plan of each level of one picture; keeps what its last level was prepared with."""

    def __init__(
        self, network: Network, spec: Spec, content: np.ndarray, styles: Sequence[np.ndarray], item: Item
    ) -> None:
        """Raises OutOfMemoryError if there is certainly too little memory."""
        check_state_fits(spec)
        self.network, self.spec, self.item = network, spec, item
        self.content, self.styles = content, styles
        self.choices: dict[Level, Choice] = {}
        """What a level that is gone on with was compiled with."""
        contents = [Source(content.shape, lambda: content)]
        self._sources = contents, [Source(None, lambda x=x: x) for x in styles]
        self._made: Preparation | None = None

    @property
    def pictures(self) -> dict[str, np.ndarray]:
        """The content, the styles and the masks, by name."""
        named = {"content": self.content, **{f"style {i}": style for i, style in enumerate(self.styles)}}
        for number, region in enumerate(self.item.regions, 1):
            parts = {"": region.mask, " of the style": region.style_mask, " picture": region.picture}
            named |= {f"mask {number}{part}": x for part, x in parts.items() if x is not None}
        return named

    def __call__(self, level: Level) -> Plan:
        last = self.spec.levels[-1]
        if self._made is None and level != last and is_tight(self.network, self.spec, last):
            self._plan(last)  # fails here rather than after the coarse levels are painted
        return self._plan(level)

    def _plan(self, level: Level) -> Plan:
        choices = (self.choices[level],) if level in self.choices else self.spec.choices
        self._made = self._prepare(level, fetch=lambda x: x)
        spec = dataclasses.replace(self.spec, choices=choices)
        return plan_one(self.network, spec, level, self._made, self.item)

    def last(self) -> Preparation:
        """The preparation of the last level; a run that was stopped may not have come to it."""
        if self._made is None or self._made.level != self.spec.levels[-1]:
            self._made = self._prepare(self.spec.levels[-1])
        return self._made

    def _prepare(self, level: Level, **options: Any) -> Preparation:
        return Preparation(self.network, level, self.spec.platform, *self._sources, **options)


def plan_many(
    network: Network,
    spec: Spec,
    level: Level,
    preparation: Preparation,
    *,
    mesh: Mesh,
    items: Sequence[Item],
    batch: int | None,
    slots: int | None = None,
) -> Plan:
    """Chooses how many items make a batch, and compiles.

    Args:
      network: its params may be on all devices already.
      spec: of all the items.
      level: of the spec.
      preparation: of this level.
      mesh: of all devices, with the axis `ITEMS`, or of groups of them, see `mesh_of_groups`.
      items: all that there are of this spec, in order.
      batch: how many at once; None for as many as fit, or on a CPU for what is fastest.
      slots: exactly so many at once, whatever `batch` says: those of another level or of an earlier run.

    Where even one does not fit, or `batch` items do not, they are computed as `spec.choices` allow.

    Raises:
      OutOfMemoryError: they do not fit even so.
    """
    num_groups = mesh.shape[ITEMS]
    sharing = mesh.size // num_groups
    network = network._replace(params=on_all_devices(network.params, mesh))
    targets = preparation.abstract(spec.num_regions)
    limit = limit_of(spec, mesh.local_devices[0])
    fastest = max(1, spec.extractor.cpu_pixels // math.prod(level.shape))

    def make(choice: Choice) -> tuple[Plan, int]:
        programs = step_programs(objects_of(spec, level, choice), choice.partition, mesh)

        def layout(per_device: int) -> Sharded:
            controls, rows = items[0].controls(level), rows_needed(items, per_device)
            return Sharded(mesh, programs, targets, controls, level.shape, per_device, *rows)

        def compile_(per_device: int) -> tuple[Advance, int]:
            arguments = layout(per_device).abstract(network.params)
            return programs.compile_advance(*arguments)

        wanted = batch or (len(items) if spec.platform.fill_memory else num_groups * fastest)
        per_device = slots // num_groups if slots else evenly(len(items), wanted, num_groups)
        if batch is None and slots is None:
            guess = limit // max(1, _bytes_of_one(network, spec, level))
            per_device = largest_that_fits(per_device, limit, lambda count: compile_(count)[1], guess)
            per_device = evenly(len(items), per_device * num_groups, num_groups)
        advance, num_bytes = compile_(per_device)
        plan = Plan(
            level,
            choice,
            layout(per_device),
            network.params,
            preparation,
            programs.init,
            advance,
            num_bytes,
            limit,
        )
        return plan, num_bytes

    # Smaller batches before anything is computed in another way.
    guess = _guess(network, spec, level, {**targets[0], **targets[1]}, items[0], limit, sharing)
    return first_that_fits(choices_at(spec, level, sharing), make, limit, guess)


def evenly(num_items: int, most: int, num_devices: int) -> int:
    """Items a device, if batches have `most` at most (but one a device) and all about the same number."""
    most = max(1, most // num_devices) * num_devices
    num_batches = math.ceil(num_items / most)
    return math.ceil(math.ceil(num_items / num_batches) / num_devices)


def check_state_fits(spec: Spec) -> None:
    """Raises OutOfMemoryError if not even the state of one item has room, before anything is traced."""
    last = spec.levels[-1]
    least = min(bytes_of(state_of(spec, last, choice)) for choice in choices_at(spec, last))
    if spec.platform.shares_rows:
        least //= jax.device_count()
    with _size_that_fits(last):
        check_enough(least, limit_of(spec))


def is_tight(network: Network, spec: Spec, level: Level, limit: int | None = None) -> bool:
    """Whether one picture of a level may not fit in memory, by a rough estimate that costs nothing."""
    needed = _bytes_of_one(network, spec, level)
    return needed > _TIGHT * (limit_of(spec) if limit is None else limit)


def state_of(spec: Spec, level: Level, choice: Choice, *batch: int) -> Any:
    """The state of one picture of a level, or of a batch of so many, as shapes."""
    init, _ = make_move(choice.optimizer)
    return state_shapes(of_batch(init) if batch else init, level.shape, *batch)


def _bytes_of_one(network: Network, spec: Spec, level: Level) -> int:
    """Bytes of one item, roughly: its state, and four times the features that are compared."""
    layers = network_layers(level.terms)
    features = network.extractor.feature_shapes(network.params, level.shape, layers)
    return bytes_of(state_of(spec, level, spec.choices[0])) + 4 * bytes_of(features)
