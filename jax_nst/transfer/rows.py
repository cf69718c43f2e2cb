"""How the state of a picture, or of a batch, lies on devices that share rows."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jax_nst.models.shards import ROWS, mesh_within
from jax_nst.optim import State
from jax_nst.runtime.distributed import from_first

ITEMS = "items"
"""Name of the mesh axis over which the items of a batch are sharded."""


class Rows(NamedTuple):
    """Where the arrays of one picture are, or those of a batch, whose items belong to groups of devices.

    Features lie as `models.shards` says. Arrays of the state that are larger than the picture, such as the
    pairs of L-BFGS, are split along their longest axis, padded so that it divides; each device has a copy
    of everything else, which the Fourier transform of the preconditioner needs.
    """

    mesh: Mesh
    """Of the axis `ROWS`; that of a batch has `ITEMS` before it."""
    init: Callable[[Any], State]
    """`(pixels [H, W, 3]) -> State` on one device, or that of a batch."""

    def held(self, state: State) -> State:
        """A plain state under `jit`; XLA would split all of it, and gather it several times a step.

        Of a batch, within a `shard_map` over its items.
        """
        around = mesh_within(self.mesh)

        def hold(x: jax.Array) -> jax.Array:
            axis = self._axis(x.shape, state.angles.shape)
            spec = P(*(ROWS if i == axis else None for i in range(x.ndim)))
            return jax.lax.with_sharding_constraint(x, NamedSharding(around, spec))

        return jax.tree.map(hold, state)

    def stored(self, state: State) -> State:
        """A state as it is stored; under `jit`."""

        def pad(x: jax.Array) -> jax.Array:
            sizes = self._sizes(x.shape, state.angles.shape)
            return jnp.pad(x, _widths(x.shape, sizes)) if x.shape != sizes else x

        return self.held(jax.tree.map(pad, state))

    def plain(self, state: State) -> State:
        """Undoes `stored`."""
        like = self._like(state)
        return jax.tree.map(lambda x, own: x[tuple(slice(n) for n in own.shape)], state, like)

    def storing(self, init: Callable[[Any], State]) -> Callable[[Any], State]:
        """`init` of stored states."""
        return lambda pixels: self.stored(init(pixels))

    def holding(self, update: Any) -> Any:
        """`update` of plain states that keeps them where they are."""

        def update_held(state: State, *arguments: Any) -> tuple[State, Any]:
            state, info = update(state, *arguments)
            return self.held(state), info

        return update_held

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`(state, ...) -> (state, result)`, of plain states, as a function of stored ones."""

        def of_stored(state: State, *arguments: Any) -> tuple[State, Any]:
            state, result = function(self.plain(state), *arguments)
            return self.stored(state), result

        return of_stored

    def place(self, tree: Any) -> Any:
        """Arrays of the host or of a device, on all devices; those of the first process are on all."""
        return jax.tree.map(lambda x: self._put(from_first(np.asarray(x)), P()), tree)

    def restore(self, state: State) -> State:
        """A plain state of the host, stored on the devices."""

        def put(x: Any, of_picture: tuple[int, ...] = state.angles.shape) -> jax.Array:
            x = np.asarray(x)
            sizes = self._sizes(x.shape, of_picture)
            padded = np.pad(x, _widths(x.shape, sizes)) if x.shape != sizes else x
            return self._put(padded, self._spec(x.shape, of_picture))

        return jax.tree.map(put, state)

    def fetch(self, state: State) -> State:
        """A stored state, plain on the host."""

        def get(x: jax.Array) -> np.ndarray:
            if not (x.is_fully_addressable or x.is_fully_replicated):
                return multihost_utils.process_allgather(x, tiled=True)
            return np.asarray(x)

        return self.plain(jax.tree.map(get, state))

    def abstract(self, state: State) -> State:
        """A plain state of shapes as it is stored."""

        def of_state(x: Any, of_picture: tuple[int, ...] = state.angles.shape) -> jax.ShapeDtypeStruct:
            sharding = NamedSharding(self.mesh, self._spec(x.shape, of_picture))
            return jax.ShapeDtypeStruct(self._sizes(x.shape, of_picture), x.dtype, sharding=sharding)

        return jax.tree.map(of_state, state)

    def copies(self, tree: Any) -> Any:
        """Arrays as shapes, of which each device has a copy."""

        def copied(x: Any) -> jax.ShapeDtypeStruct:
            sharding = NamedSharding(self.mesh, P())
            return jax.ShapeDtypeStruct(np.shape(x), jnp.result_type(x), sharding=sharding)

        return jax.tree.map(copied, tree)

    def _like(self, state: State) -> State:
        pixels = jax.ShapeDtypeStruct(state.angles.shape, state.angles.dtype)
        return jax.eval_shape(self.init, pixels)

    def _axis(self, shape: tuple[int, ...], of_picture: tuple[int, ...]) -> int | None:
        """The axis along which an array is split; None if each device of a group has a copy."""
        if math.prod(shape) <= math.prod(of_picture):
            return None
        batch = len(of_picture) - 3
        return batch + int(np.argmax(shape[batch:]))

    def _sizes(self, shape: tuple[int, ...], of_picture: tuple[int, ...]) -> tuple[int, ...]:
        """A shape, padded so that the axis along which the array is split divides."""
        axis, num_devices = self._axis(shape, of_picture), self.mesh.shape[ROWS]
        return tuple(size + (-size % num_devices if i == axis else 0) for i, size in enumerate(shape))

    def _spec(self, shape: tuple[int, ...], of_picture: tuple[int, ...]) -> P:
        """How an array is split over all devices; those of a batch are split by their items, too."""
        axis = self._axis(shape, of_picture)
        spec = [ROWS if i == axis else None for i in range(len(shape))]
        if len(of_picture) > 3 and shape:
            spec[0] = ITEMS
        return P(*spec)

    def _put(self, x: np.ndarray, spec: P) -> jax.Array:
        return jax.make_array_from_callback(x.shape, NamedSharding(self.mesh, spec), lambda index: x[index])


def _widths(shape: tuple[int, ...], sizes: tuple[int, ...]) -> list[tuple[int, int]]:
    """What `pad` adds before and after each axis."""
    return [(0, size - own) for size, own in zip(sizes, shape, strict=True)]
