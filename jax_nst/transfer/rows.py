"""How the state of one picture lies on the devices that share its rows."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jax_nst.models.extractor import Extractor, Params
from jax_nst.models.shards import ROWS, count_shares
from jax_nst.optim import State
from jax_nst.runtime.distributed import from_first

LEAST_ROWS = 64
"""Rows of a device; with fewer, most of what it evaluates are rows of its neighbours."""


class Rows(NamedTuple):
    """Where the arrays of one picture are.

    Features lie as `models.shards` says. Arrays of the state that are larger than the picture, such as the
    pairs of L-BFGS, are split along their longest axis, padded so that it divides; each device has a copy
    of everything else, which the Fourier transform of the preconditioner needs.
    """

    mesh: Mesh
    """Of the one axis `ROWS`."""
    init: Callable[[Any], State]
    """`(pixels [H, W, 3]) -> State`, on one device."""

    def held(self, state: State) -> State:
        """A plain state under `jit`; XLA would split all of it, and gather it several times a step."""

        def hold(x: jax.Array) -> jax.Array:
            axis = self._axis(x.shape, state.angles.shape)
            return jax.lax.with_sharding_constraint(x, self._sharding(axis))

        return jax.tree.map(hold, state)

    def stored(self, state: State) -> State:
        """A state as it is stored; under `jit`."""

        def pad(x: jax.Array) -> jax.Array:
            axis = self._axis(x.shape, state.angles.shape)
            if axis is None:
                return x
            return jnp.pad(x, _at(x.ndim, axis, (0, -x.shape[axis] % self.mesh.size), (0, 0)))

        return self.held(jax.tree.map(pad, state))

    def plain(self, state: State) -> State:
        """Undoes `stored`."""
        like = self._like(state)
        return jax.tree.map(lambda x, own: x[tuple(slice(n) for n in own.shape)], state, like)

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`(state, ...) -> (state, result)`, of plain states, as a function of stored ones."""

        def of_stored(state: State, *arguments: Any) -> tuple[State, Any]:
            state, result = function(self.plain(state), *arguments)
            return self.stored(state), result

        return of_stored

    def place(self, tree: Any) -> Any:
        """Arrays of the host or of a device, on all devices; those of the first process are on all."""
        return jax.tree.map(lambda x: self._put(from_first(np.asarray(x)), None), tree)

    def restore(self, state: State) -> State:
        """A plain state of the host, stored on the devices."""

        def put(x: Any) -> jax.Array:
            axis, x = self._axis(np.shape(x), state.angles.shape), np.asarray(x)
            if axis is not None:
                x = np.pad(x, _at(x.ndim, axis, (0, -x.shape[axis] % self.mesh.size), (0, 0)))
            return self._put(x, axis)

        return jax.tree.map(put, state)

    def fetch(self, state: State) -> State:
        """A stored state, plain on the host."""

        def get(x: jax.Array) -> np.ndarray:
            if not (x.is_fully_addressable or x.is_fully_replicated):
                return multihost_utils.process_allgather(x, tiled=True)
            return np.asarray(x)

        return self.plain(jax.tree.map(get, state))

    def abstract(self, state: State, arguments: Any) -> tuple[State, Any]:
        """A plain state of shapes as it is stored, and what each device has a copy of."""
        shape = state.angles.shape

        def of_state(x: Any) -> jax.ShapeDtypeStruct:
            axis = self._axis(x.shape, shape)
            sizes = list(x.shape)
            if axis is not None:
                sizes[axis] += -sizes[axis] % self.mesh.size
            return jax.ShapeDtypeStruct(tuple(sizes), x.dtype, sharding=self._sharding(axis))

        def copied(x: Any) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(np.shape(x), jnp.result_type(x), sharding=self._sharding(None))

        return jax.tree.map(of_state, state), jax.tree.map(copied, arguments)

    def _like(self, state: State) -> State:
        pixels = jax.ShapeDtypeStruct(state.angles.shape, state.angles.dtype)
        return jax.eval_shape(self.init, pixels)

    def _axis(self, shape: tuple[int, ...], of_picture: tuple[int, ...]) -> int | None:
        """The axis along which an array is split; None if each device has a copy."""
        return int(np.argmax(shape)) if math.prod(shape) > math.prod(of_picture) else None

    def _sharding(self, axis: int | None) -> NamedSharding:
        return NamedSharding(self.mesh, P() if axis is None else P(*_at(axis + 1, axis, ROWS, None)))

    def _put(self, x: np.ndarray, axis: int | None) -> jax.Array:
        return jax.make_array_from_callback(x.shape, self._sharding(axis), lambda index: x[index])


def mesh_of_rows(
    extractor: Extractor, params: Params, shape: tuple[int, int], layers: Sequence[str]
) -> Mesh | None:
    """The devices that share the rows of a picture; None if one device is to have them all.

    Args:
      extractor: gives the features.
      params: of the extractor.
      shape: (height, width) of the picture.
      layers: the features that are wanted.
    """
    # One of each process before the second of any: each process has a part in every level.
    devices = sorted(jax.devices(), key=lambda device: (device.id - _first_id(device), device.id))
    least = LEAST_ROWS if jax.process_count() == 1 else 1
    count = count_shares(extractor, params, shape, layers, len(devices), least)
    if count < max(2, jax.process_count()):
        return None
    return Mesh(np.asarray(devices[:count]), (ROWS,), axis_types=(AxisType.Auto,))


def _first_id(device: Any) -> int:
    """The least number of a device of the same process."""
    return min(other.id for other in jax.devices() if other.process_index == device.process_index)


def _at(count: int, axis: int, value: Any, others: Any) -> list[Any]:
    """As many of `others`, but for `value` at an axis."""
    return [value if i == axis else others for i in range(count)]
