"""How the items of a batch lie on the devices: one picture as it is, or many, mapped and sharded."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jax_nst.losses import Targets
from jax_nst.optim import Controls, State, to_pixels
from jax_nst.transfer.by_shape import ByShape
from jax_nst.transfer.item import Item, Prepared
from jax_nst.transfer.programs import StepPrograms, Tables, state_shapes
from jax_nst.transfer.rows import ITEMS, Rows

_pixels_of = ByShape(to_pixels, {})

Numbered = tuple[int, Item]
"""An item with its number."""


class Layout(Protocol):
    """Maps the items of a batch to slots on the devices."""

    @property
    def size(self) -> int:
        """Items in a batch."""
        ...

    @property
    def num_groups(self) -> int:
        """Devices, or groups of them that share rows, which have slots of their own."""
        ...

    def slots(self, batch: Sequence[Numbered]) -> list[Numbered | None]:
        """The item in each slot on the devices of this process; None for an empty slot."""
        ...

    def place(self, prepared: Sequence[tuple[Item, Prepared] | None]) -> tuple[Any, Any, Controls]:
        """The starts, targets and controls of the slots, on the devices."""
        ...

    def restore(self, state: State) -> State:
        """A state from the host, on the devices."""
        ...

    def fetch(self, state: State) -> State:
        """Undoes `restore`: a plain state, of one picture or of items on the devices of this process."""
        ...

    def losses(self, block: jax.Array) -> np.ndarray:
        """A block of losses on the host, `[steps, slots, names]`."""
        ...

    def best_pixels(self, state: State, slots: Sequence[int]) -> list[np.ndarray]:
        """The best picture of each of these slots so far, `[H, W, 3]`.

        Raises RuntimeError if the run has gone on since.
        """
        ...


class OnePicture(NamedTuple):
    """One picture, without a leading axis."""

    rows: Rows | None = None
    """Where it is if several devices share its rows; None: on one device."""

    @property
    def size(self) -> int:
        """Items in a batch."""
        return 1

    @property
    def num_groups(self) -> int:
        """All devices that it lies on share it."""
        return 1

    def slots(self, batch: Sequence[Numbered]) -> list[Numbered | None]:
        """The one item."""
        return list(batch)

    def place(self, prepared: Sequence[tuple[Item, Prepared] | None]) -> tuple[Any, Any, Controls]:
        """The start, the targets and the controls of the one item."""
        (found,) = prepared
        assert found is not None
        _, made = found
        arguments = made.start, {**made.content, **made.style}, made.controls
        return jax.tree.map(jnp.asarray, arguments) if self.rows is None else self.rows.place(arguments)

    def restore(self, state: State) -> State:
        """A state from the host, on the devices."""
        return jax.tree.map(jnp.asarray, state) if self.rows is None else self.rows.restore(state)

    def fetch(self, state: State) -> State:
        """The same whatever devices share the picture."""
        return state if self.rows is None else self.rows.fetch(state)

    def losses(self, block: jax.Array) -> np.ndarray:
        """`[steps, 1, names]`."""
        return np.asarray(block)[:, None]

    def best_pixels(self, state: State, slots: Sequence[int]) -> list[np.ndarray]:
        """The best picture so far."""
        return [np.asarray(_pixels_of(self._best_angles(state))) for _ in slots]

    def _best_angles(self, state: State) -> Any:
        angles = _best_angles(state)
        return angles if self.rows is None else np.asarray(angles)  # a program is for the devices it has


class Sharded(NamedTuple):
    """Many pictures: as many slots on each device of a mesh, or on each group that shares rows."""

    mesh: Mesh
    """Of the axis `ITEMS`; where there are groups, `ROWS` is the second."""
    programs: StepPrograms
    targets: tuple[Targets, Targets]
    """Shapes of the targets of one item: of its content, of its style."""
    controls: Controls
    """Of any item; their shapes count."""
    shape: tuple[int, int]
    """(height, width) of the pictures."""
    slots_per_device: int
    """Or per group, and so the next two."""
    content_rows: int
    """Rows for contents in the table of each device."""
    style_rows: int
    """Rows for styles in it."""

    @property
    def size(self) -> int:
        """Items in a batch."""
        return self.slots_per_device * self.num_groups

    @property
    def num_groups(self) -> int:
        """Devices, or groups of them that share rows."""
        return self.mesh.shape[ITEMS]

    def slots(self, batch: Sequence[Numbered]) -> list[Numbered | None]:
        """The item in each slot on the devices of this process; None for an empty slot."""
        padded = [*batch, *(None,) * (self.size - len(batch))]
        on_devices = in_batches(padded, self.slots_per_device)
        firsts = self.mesh.devices.reshape(self.num_groups, -1)[:, 0]
        here = [device.process_index == jax.process_index() for device in firsts]
        return [item for items, is_here in zip(on_devices, here, strict=True) if is_here for item in items]

    def place(self, prepared: Sequence[tuple[Item, Prepared] | None]) -> tuple[Any, Any, Controls]:
        """The starts, tables and controls of the slots, sharded over the devices."""
        assert self.programs.shardings is not None
        parts = [self._fill(part) for part in in_batches(prepared, self.slots_per_device)]
        local = jax.tree.map(lambda *parts: np.concatenate(parts), *parts)
        return with_shardings(
            lambda x, sharding: jax.make_array_from_process_local_data(sharding, x),
            local,
            (self.programs.shardings[3], *self.programs.shardings[2:]),
        )

    def restore(self, state: State) -> State:
        """A state from the host, sharded over the devices."""
        assert self.programs.shardings is not None
        if self.programs.rows is not None:
            return self.programs.rows.restore(state)
        return jax.tree.map(jax.device_put, state, self.programs.shardings[0])

    def fetch(self, state: State) -> State:
        """As it is, but for one whose rows are shared."""
        return state if self.programs.rows is None else self.programs.rows.fetch(state)

    def losses(self, block: jax.Array) -> np.ndarray:
        """`[steps, slots, names]`."""
        return _local(block, axis=1)

    def best_pixels(self, state: State, slots: Sequence[int]) -> list[np.ndarray]:
        """The best picture of each of these slots so far."""
        if not slots:
            return []
        angles = _local(_best_angles(state), axis=0)
        return [np.asarray(_pixels_of(angles[slot])) for slot in slots]

    def abstract(self, params: Any) -> tuple[Any, ...]:
        """States, params, tables and controls of a batch, as shapes."""
        num_groups, num_items = self.num_groups, self.size
        init = self.programs.init if self.programs.rows is None else self.programs.rows.init

        def rows(tree: Any, count: int) -> Any:
            return jax.tree.map(lambda x: jax.ShapeDtypeStruct((count, *np.shape(x)), x.dtype), tree)

        row: Any = jax.ShapeDtypeStruct((num_items,), jnp.int32)
        content, style = self.targets
        tables = Tables(
            rows(content, num_groups * self.content_rows),
            rows(style, num_groups * self.style_rows),
            row,
            row,
        )
        state, *arguments = with_shardings(
            lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
            (state_shapes(init, self.shape, num_items), params, tables, rows(self.controls, num_items)),
            self.programs.shardings,
        )
        return state if self.programs.rows is None else self.programs.rows.abstract(state), *arguments

    def _fill(self, prepared: Sequence[tuple[Item, Prepared] | None]) -> tuple[Any, Tables, Any]:
        """Starts, tables and controls of one device; an empty slot is grey with zero weights."""
        content, style = (
            jax.tree.map(lambda x, n=count: np.zeros((n, *x.shape), x.dtype), targets)
            for targets, count in zip(self.targets, (self.content_rows, self.style_rows), strict=True)
        )
        starts = np.full((self.slots_per_device, *self.shape, 3), 0.5, np.float32)
        controls = jax.tree.map(
            lambda x: np.zeros((self.slots_per_device, *np.shape(x)), np.float32), self.controls
        )
        rows = np.zeros((2, self.slots_per_device), np.int32)
        content_rows: dict[Any, int] = {}
        style_rows: dict[Any, int] = {}
        for slot, found in enumerate(prepared):
            if found is None:
                continue
            item, made = found
            rows[0, slot] = content_rows.setdefault(item.content_key, len(content_rows))
            rows[1, slot] = style_rows.setdefault(item.style_key, len(style_rows))
            _put(content, rows[0, slot], made.content)
            _put(style, rows[1, slot], made.style)
            _put(controls, slot, made.controls)
            starts[slot] = made.start
        return starts, Tables(content, style, rows[0], rows[1]), controls  # pyright: ignore


def rows_needed(items: Sequence[Item], per_device: int) -> tuple[int, int]:
    """The most contents, and the most styles, that a device can have, whatever items share a batch."""
    return (
        min(per_device, len({item.content_key for item in items})),
        min(per_device, len({item.style_key for item in items})),
    )


def in_batches(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """The items in order, `size` at a time; the last batch may have fewer."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def with_shardings(function: Callable[[Any, Any], Any], arguments: Any, shardings: Any) -> Any:
    """`function(leaf, sharding)` of all leaves; a sharding may stand for a whole subtree."""
    return jax.tree.map(
        lambda sharding, part: jax.tree.map(lambda leaf: function(leaf, sharding), part),
        shardings,
        arguments,
    )


def _best_angles(state: State) -> jax.Array:
    """Raises RuntimeError if the state has been given to a step, which writes over it."""
    if state.best_angles.is_deleted():
        raise RuntimeError("the run has gone on since")
    return state.best_angles


def _put(table: Any, row: int, value: Any) -> None:
    def put(table: np.ndarray, x: Any) -> None:
        table[row] = x

    jax.tree.map(put, table, value)


def _local(x: jax.Array, axis: int) -> np.ndarray:
    """The part of an array that lies on the devices of this process, in order along the axis."""
    if x.is_fully_addressable:
        return np.asarray(x)
    # Each once, where a group of devices has copies.
    shards = {shard.index[axis].start or 0: shard for shard in x.addressable_shards}
    return np.concatenate([np.asarray(shards[start].data) for start in sorted(shards)], axis)
