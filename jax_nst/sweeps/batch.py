"""One batch of a sweep: pictures and settings of its items -> arrays on the devices -> outcomes."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jax_nst.images import resize
from jax_nst.losses.objective import LossWeights, Target, Targets, num_positions
from jax_nst.losses.terms import NOT_FINITE, Losses
from jax_nst.models.extractor import Params
from jax_nst.optim.step import State, to_pixels
from jax_nst.runtime.memory import first_that_fits, largest_that_fits, memory_limit
from jax_nst.sweeps.grid import Item
from jax_nst.transfer.config import PATIENCE, Config
from jax_nst.transfer.loop import levelled_off, steps_in_chunks
from jax_nst.transfer.network import Network, choose_layers
from jax_nst.transfer.problem import (
    Pixels,
    fit_content,
    fit_style,
    loss_weights,
    starting_pixels,
    style_part,
)
from jax_nst.transfer.programs import (
    Advance,
    BatchPrograms,
    Tables,
    batch_programs,
    remat_choices,
    target_programs,
)

OK, DIVERGED, STOPPED, FAILED = "ok", "diverged", "stopped", "failed"
"""What the status of an item begins with."""


class Source(NamedTuple):
    """A picture that is read when its turn comes."""

    shape: tuple[int, ...] | None
    """[H, W, 3] of a content; None if it cannot be read. That of a style is not asked for."""
    load: Callable[[], Pixels]
    """Gives it, or raises ValueError."""
    error: str = ""
    """Why it cannot be read."""


class Outcome(NamedTuple):
    """What came of an item."""

    item: int
    """Its number."""
    pixels: np.ndarray | None
    """`[H, W, 3]`, the best of its run; None if there is none."""
    losses: np.ndarray
    """`[evaluations, 4]`: total, content, style, tv."""
    seconds: float
    """Its share of the time of its batch, without compilation."""
    status: str
    """`ok`, or in a sentence what went wrong."""

    @property
    def best(self) -> np.ndarray:
        """`[4]`, the losses of the best evaluation; NaN if there is none."""
        finite = np.isfinite(self.losses[:, 0])
        if not finite.any():
            return np.full(len(Losses._fields), np.nan, np.float32)
        return self.losses[np.argmin(np.where(finite, self.losses[:, 0], np.inf))]


def failed(index: int, reason: object) -> Outcome:
    """The outcome of an item that cannot be run."""
    return Outcome(index, None, np.empty((0, len(Losses._fields)), np.float32), 0.0, f"{FAILED}: {reason}")


class Prepared(NamedTuple):
    """What an item brings to its batch, on the host."""

    content: dict[str, Target]
    style: dict[str, Target]
    start: np.ndarray
    """`[H, W, 3]`."""
    weights: LossWeights


class Preparation:
    """Prepares items; computes what several of them share once."""

    def __init__(self, network: Network, contents: Sequence[Source], styles: Sequence[Source]) -> None:
        self._network, self._contents, self._styles = network, contents, styles
        self._content_cache: dict[int, tuple[np.ndarray, dict[str, Target]]] = {}
        self._style_cache: dict[tuple[Any, ...], dict[str, Target]] = {}
        self._gram_cache: dict[tuple[int, int], dict[str, jax.Array]] = {}

    def prepare(self, item: Item, start: np.ndarray | None = None) -> Prepared:
        """The targets and the start of an item, which is where its config says if None.

        Raises ValueError if a picture of the item is not what it should be.
        """
        pixels, content = self._content(item)
        if start is None:
            styles = []
            if item.config.init == "style":
                styles = [self._style(index, item, pixels.shape) for index in item.styles]
            start = starting_pixels(item.config, pixels, styles, item.shares)
        start = resize(start, pixels.shape[:2])
        weights = jax.device_get(loss_weights(self._network, item.config))
        return Prepared(content, self._style_targets(item, pixels.shape), start, weights)

    def forget(self, but: set[int]) -> None:
        """Contents come one after the other; those of earlier batches are not needed again.

        The targets of styles, which cost little from their Gram matrices, are forgotten with them.
        """
        self._content_cache = {i: made for i, made in self._content_cache.items() if i in but}
        self._style_cache = {}

    def _content(self, item: Item) -> tuple[np.ndarray, dict[str, Target]]:
        if item.content not in self._content_cache:
            network, config = self._network, item.config
            shape, load, _ = self._contents[item.content]
            pixels = load()
            if pixels.shape != shape:
                raise ValueError("the content is not of the size that its file says; save it anew")
            pixels = fit_content(network, config, pixels)
            targets = target_programs(config, network.extractor).content(network.params, pixels)
            self._content_cache[item.content] = pixels, jax.device_get(targets)
        return self._content_cache[item.content]

    def _style_targets(self, item: Item, content_shape: tuple[int, ...]) -> dict[str, Target]:
        key = _style_key(item), content_shape
        if key not in self._style_cache:
            grams = [self._grams(index, item, content_shape) for index in item.styles]
            style = style_part(self._network, item.config, grams, item.shares, content_shape)
            self._style_cache[key] = jax.device_get(style)
        return self._style_cache[key]

    def _style(self, index: int, item: Item, content_shape: tuple[int, ...]) -> np.ndarray:
        return fit_style(self._network, item.config, self._styles[index].load(), content_shape)

    def _grams(self, index: int, item: Item, content_shape: tuple[int, ...]) -> dict[str, jax.Array]:
        key = index, max(content_shape)  # which decides the size of the style
        if key not in self._gram_cache:
            pixels = self._style(index, item, content_shape)
            grams = target_programs(item.config, self._network.extractor).grams
            self._gram_cache[key] = jax.device_get(grams(self._network.params, pixels))
        return self._gram_cache[key]


class Plan(NamedTuple):
    """How the items of one output shape are run: batches of one size, by one program."""

    mesh: Mesh
    config: Config
    """Of any of the items: what does not vary counts."""
    programs: BatchPrograms
    params: Params
    """On all devices."""
    targets: Targets
    """Shapes of the targets of one item."""
    slots: "Slots"
    advance: Advance

    @property
    def size(self) -> int:
        """Items in a batch."""
        return self.slots.per_device * self.mesh.devices.size


class Slots(NamedTuple):
    """The shapes of a batch."""

    shape: tuple[int, int]
    """(height, width) of the pictures."""
    per_device: int
    """Items on each device."""
    content_rows: int
    """Rows for contents in the table of each device."""
    style_rows: int
    """Rows for styles in it."""


def make_plan(
    network: Network,
    mesh: Mesh,
    shape: tuple[int, int],
    items: Sequence[Item],
    left: Sequence[Item],
    batch: int | None,
) -> Plan:
    """Chooses how many items make a batch, and compiles.

    Args:
      network: what compares pictures; its params are on all devices.
      mesh: of all devices, with the one axis `ITEMS`.
      shape: (height, width) of the pictures.
      items: all that there are of this shape, in order.
      left: those of them that are to be run; the size of the batches does not depend on it.
      batch: how many at once; None for as many as fit, or on a CPU for what is fastest.

    Where even one does not fit, or `batch` items do not, `config.remat` says what is computed twice.
    """
    config, num_devices = items[0].config, mesh.devices.size
    targets = _targets_of_one(network, config, shape)
    limit = memory_limit(mesh.local_devices[0])

    def slots(per_device: int) -> Slots:
        return _make_slots(shape, per_device, num_devices, (items, left))

    def make(remat: str) -> tuple[Plan, int]:
        programs = batch_programs(dataclasses.replace(config, remat=remat), network.extractor, mesh)

        def compile_(per_device: int) -> tuple[Advance, int]:
            arguments = _abstract_arguments(network, targets, programs, slots(per_device), num_devices)
            return programs.compile_advance(*arguments)

        wanted = batch or (network.extractor.cpu_batch if jax.default_backend() == "cpu" else len(items))
        per_device = _evenly(len(items), wanted, num_devices)
        if batch is None:
            guess = limit // max(1, _num_bytes_guess(network, config, programs, shape, num_devices))
            per_device = largest_that_fits(per_device, limit, lambda count: compile_(count)[1], guess)
            per_device = _evenly(len(items), per_device * num_devices, num_devices)
        advance, num_bytes = compile_(per_device)
        return Plan(mesh, config, programs, network.params, targets, slots(per_device), advance), num_bytes

    # Smaller batches before anything is computed twice.
    return first_that_fits(remat_choices(config), make, limit)


def _evenly(num_items: int, most: int, num_devices: int) -> int:
    """Items a device, if batches have `most` at most (but one a device) and all about the same number."""
    most = max(1, most // num_devices) * num_devices
    num_batches = math.ceil(num_items / most)
    return math.ceil(math.ceil(num_items / num_batches) / num_devices)


def in_batches(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """The items in order, `size` at a time; the last batch may have fewer."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def _style_key(item: Item) -> tuple[Any, ...]:
    """Items of one key share the targets of their style."""
    return item.styles, item.shares, item.config.style_layer_weights


def _make_slots(
    shape: tuple[int, int], per_device: int, num_devices: int, sequences: Sequence[Sequence[Item]]
) -> Slots:
    """Slots with as many rows as any device needs in any batch of these sequences of items."""
    on_devices = [
        on_device
        for items in sequences
        for batch in in_batches(items, per_device * num_devices)
        for on_device in in_batches(batch, per_device)
    ]
    return Slots(
        shape,
        per_device,
        max(len({item.content for item in on_device}) for on_device in on_devices),
        max(len({_style_key(item) for item in on_device}) for on_device in on_devices),
    )


def _targets_of_one(network: Network, config: Config, shape: tuple[int, int]) -> Targets:
    """The shapes of the targets of one item."""
    extractor, params, _ = network
    programs, layers = target_programs(config, extractor), choose_layers(config, extractor)
    pixels = jax.ShapeDtypeStruct((*shape, 3), jnp.float32)
    grams = jax.eval_shape(programs.grams, params, pixels)
    positions = num_positions(extractor, params, (*shape, 3), layers.style)
    weights = np.ones(len(layers.style), np.float32)
    return Targets(
        jax.eval_shape(programs.content, params, pixels),
        jax.eval_shape(programs.style, [grams], np.ones(1, np.float32), weights, positions),
    )


def _abstract_arguments(
    network: Network, targets: Targets, programs: BatchPrograms, slots: Slots, num_devices: int
) -> tuple[Any, ...]:
    """States, params, tables and loss weights of a batch, as shapes."""
    num_items = num_devices * slots.per_device

    def rows(tree: Any, count: int) -> Any:
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct((count, *x.shape), x.dtype), tree)

    row: Any = jax.ShapeDtypeStruct((num_items,), jnp.int32)
    scalar: Any = jax.ShapeDtypeStruct((num_items,), jnp.float32)
    tables = Targets(
        rows(targets.content, num_devices * slots.content_rows),
        rows(targets.style, num_devices * slots.style_rows),
    )
    pixels = jax.ShapeDtypeStruct((num_items, *slots.shape, 3), jnp.float32)
    arguments = (
        jax.eval_shape(programs.init, pixels),
        network.params,
        Tables(tables, row, row),
        LossWeights(scalar, scalar, scalar),
    )
    return _with_shardings(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        arguments,
        programs.shardings,
    )


def _with_shardings(function: Callable[[Any, Any], Any], arguments: Any, shardings: Any) -> Any:
    """`function(leaf, sharding)` of all leaves; a sharding may stand for a whole subtree."""
    return jax.tree.map(
        lambda sharding, part: jax.tree.map(lambda leaf: function(leaf, sharding), part),
        shardings,
        arguments,
    )


def _num_bytes_guess(
    network: Network, config: Config, programs: BatchPrograms, shape: tuple[int, int], num_devices: int
) -> int:
    """Bytes of one item, roughly: its state, and four times the features that are compared."""
    extractor, params, _ = network
    layers = choose_layers(config, extractor)
    pixels = jax.ShapeDtypeStruct((*shape, 3), jnp.float32)
    plain = extractor.plain(params)
    features = jax.eval_shape(lambda x: extractor.apply(plain, x, (*layers.content, *layers.style)), pixels)
    states = jax.eval_shape(programs.init, jax.ShapeDtypeStruct((num_devices, *shape, 3), jnp.float32))
    return _num_bytes(states) // num_devices + 4 * _num_bytes(features)


def _num_bytes(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def run_batch(
    plan: Plan,
    preparation: Preparation,
    batch: Sequence[tuple[int, Item]],
    callback: Callable[[int], bool | None],
    starts: Mapping[int, np.ndarray | None],
) -> tuple[list[Outcome], bool]:
    """Runs the items of one batch together.

    Args:
      plan: says how.
      preparation: of the items.
      batch: the items with their numbers, as many as the plan's size at most.
      callback: called with the number of updates done after each chunk; a true answer ends the batch.
      starts: number of an item -> `[H, W, 3]`, resized; None for one that is not to be run. An item that is
        not named starts where its config says.

    Returns:
      The outcomes of those on the devices of this process, and whether the callback ended it.
    """
    preparation.forget(but={item.content for _, item in batch})
    outcomes, arrays, on_slots = [], [], []
    for devices_batch in _on_local_devices(plan, batch):
        prepared: list[tuple[Item, Prepared] | None] = []
        for slot in devices_batch:
            made = None
            if slot is not None and starts.get(slot[0], slot) is not None:
                try:
                    made = slot[1], preparation.prepare(slot[1], starts.get(slot[0]))
                except ValueError as error:
                    outcomes.append(failed(slot[0], error))
            prepared.append(made)
            on_slots.append(slot[0] if slot and made else None)
        arrays.append(_fill(plan, prepared))
    if all(index is None for index in on_slots) and jax.process_count() == 1:
        return outcomes, False
    local = jax.tree.map(lambda *parts: np.concatenate(parts), *arrays)
    pixels, tables, weights = _with_shardings(
        lambda x, sharding: jax.make_array_from_process_local_data(sharding, x),
        local,
        (plan.programs.shardings[3], *plan.programs.shardings[2:]),
    )
    state = plan.programs.init(pixels)
    losses, ended, seconds = np.empty((0, len(on_slots), len(Losses._fields)), np.float32), False, 0.0
    tolerance = plan.config.tolerance
    done: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # slot -> best picture and losses
    chunks = steps_in_chunks(
        plan.advance,
        state,
        (plan.params, tables, weights),
        plan.config.steps,
        fetch=functools.partial(_local, axis=1),
        stops=[PATIENCE] if tolerance else [],
        in_step=jax.process_count() > 1,
    )
    used = [slot for slot, index in enumerate(on_slots) if index is not None]
    for chunk in chunks:
        losses = np.concatenate([losses, chunk.losses])
        seconds = float(chunk.seconds[-1])
        level = [
            slot
            for slot in used
            if slot not in done and levelled_off(losses[:, slot, 0], tolerance, PATIENCE)
        ]
        # An item ends where the single run would, whatever the others do.
        done |= {slot: (pixels, losses[:, slot]) for slot, pixels in _best(chunk.state, level)}
        ended = bool(callback(chunk.first + len(chunk.losses) - 1))
        state = chunk.state
        if ended or (len(done) == len(used) and jax.process_count() == 1):
            break
    stopped = ended and len(losses) <= plan.config.steps
    share = seconds / max(1, len(used))
    outcomes += [_outcome(on_slots[slot], *of, share, stopped=False) for slot, of in done.items()]
    for slot, pixels in _best(state, [slot for slot in used if slot not in done]):
        outcomes.append(_outcome(on_slots[slot], pixels, losses[:, slot], share, stopped))
    return sorted(outcomes, key=lambda outcome: outcome.item), ended


def _best(state: State, slots: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Slots of this process with the best picture of each."""
    if slots:
        angles = _local(state.best_angles, axis=0)
        yield from ((slot, np.asarray(to_pixels(jnp.asarray(angles[slot])))) for slot in slots)


def _on_local_devices(plan: Plan, batch: Sequence[tuple[int, Item]]) -> list[list[tuple[int, Item] | None]]:
    """What lies on each device of this process; None where a slot stays empty."""
    slots = [*batch, *(None,) * (plan.size - len(batch))]
    on_devices = in_batches(slots, plan.slots.per_device)
    here = [device.process_index == jax.process_index() for device in plan.mesh.devices]
    return [list(items) for items, is_here in zip(on_devices, here, strict=True) if is_here]


def _fill(plan: Plan, prepared: Sequence[tuple[Item, Prepared] | None]) -> tuple[Any, Tables, LossWeights]:
    """Starts, tables and loss weights of one device; an empty slot is grey and has no loss."""
    slots = plan.slots
    content, style = (
        jax.tree.map(lambda x, n=count: np.zeros((n, *x.shape), x.dtype), targets)
        for targets, count in zip(plan.targets, (slots.content_rows, slots.style_rows), strict=True)
    )
    starts = np.full((slots.per_device, *slots.shape, 3), 0.5, np.float32)
    rows = np.zeros((2, slots.per_device), np.int32)
    zeros: Any = np.zeros((3, slots.per_device), np.float32)
    weights = LossWeights(*zeros)
    content_rows: dict[Any, int] = {}
    style_rows: dict[Any, int] = {}
    for slot, item_and_prepared in enumerate(prepared):
        if item_and_prepared is None:
            continue
        item, made = item_and_prepared
        rows[0, slot] = content_rows.setdefault(item.content, len(content_rows))
        rows[1, slot] = style_rows.setdefault(_style_key(item), len(style_rows))
        jax.tree.map(lambda table, x, row=rows[0, slot]: _put(table, row, x), content, made.content)
        jax.tree.map(lambda table, x, row=rows[1, slot]: _put(table, row, x), style, made.style)
        starts[slot] = made.start
        for column, weight in zip(weights, made.weights, strict=True):
            column[slot] = weight
    return starts, Tables(Targets(content, style), rows[0], rows[1]), weights


def _put(table: np.ndarray, row: int, value: np.ndarray) -> None:
    table[row] = value


def _outcome(index: int, pixels: np.ndarray, losses: np.ndarray, seconds: float, stopped: bool) -> Outcome:
    finite = np.isfinite(losses[:, 0])
    if not finite[0]:
        return failed(index, NOT_FINITE)._replace(losses=losses, seconds=seconds)
    status = OK
    # The guard of L-BFGS meets a loss that is not finite now and then, and goes on.
    if len(finite) > 1 and not finite[-2:].any():
        step = len(finite) - int(np.argmax(finite[::-1]))
        status = f"{DIVERGED} at step {step}; the best before is kept"
    elif stopped:
        status = f"{STOPPED} after step {len(losses) - 1}"
    return Outcome(index, pixels, losses, seconds, status)


def _local(x: jax.Array, axis: int) -> np.ndarray:
    """The part of an array that lies on the devices of this process, in order along the axis."""
    if x.is_fully_addressable:
        return np.asarray(x)
    shards = sorted(x.addressable_shards, key=lambda shard: shard.index[axis].start or 0)
    return np.concatenate([np.asarray(shard.data) for shard in shards], axis)
