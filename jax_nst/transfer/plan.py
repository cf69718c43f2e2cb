"""Chooses how a level is computed so that it fits in memory, and compiles it."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh

from jax_nst.models.extractor import Params
from jax_nst.runtime.memory import (
    first_that_fits,
    largest_that_fits,
)
from jax_nst.transfer.choices import Choice
from jax_nst.transfer.item import Item
from jax_nst.transfer.layout import Layout, OnePicture, Sharded, rows_needed
from jax_nst.transfer.meshes import mesh_of_picture
from jax_nst.transfer.needs import (
    bytes_of_one,
    check_state_fits,
    choices_at,
    guess_of,
    is_tight,
    limit_of,
    size_that_fits,
    state_of,
)
from jax_nst.transfer.network import Network
from jax_nst.transfer.pictures import Source
from jax_nst.transfer.programs import (
    Advance,
    Objects,
    on_all_devices,
    step_programs,
)
from jax_nst.transfer.rows import ITEMS
from jax_nst.transfer.spec import Level, Spec
from jax_nst.transfer.targets import Preparation


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


def objects_of(spec: Spec, level: Level, choice: Choice | None = None) -> Objects:
    """What the programs of a level are keyed by; of the most wanted choice if none is given."""
    optimizer = spec.optimizer if choice is None else choice.optimizer
    return Objects(spec.extractor, level.terms, optimizer, spec.platform)


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
    guess = guess_of(network, spec, level, targets, item, limit, num_devices)
    choices = choices_at(spec, level, num_devices)
    if mesh is not None and not spec.platform.shares_tiles:  # all devices before one
        choices.sort(key=lambda choice: choice.partition.tile_size is not None)
    with size_that_fits(level):
        return first_that_fits(choices, make, limit, guess)


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
      mesh: of all devices, with the axis `ITEMS`, or of groups of them, see `mesh_of_batch`.
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
            guess = limit // max(1, bytes_of_one(network, spec, level))
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
    guess = guess_of(network, spec, level, {**targets[0], **targets[1]}, items[0], limit, sharing)
    return first_that_fits(choices_at(spec, level, sharing), make, limit, guess)


def evenly(num_items: int, most: int, num_devices: int) -> int:
    """Items a device, if batches have `most` at most (but one a device) and all about the same number."""
    most = max(1, most // num_devices) * num_devices
    num_batches = math.ceil(num_items / most)
    return math.ceil(math.ceil(num_items / num_batches) / num_devices)
