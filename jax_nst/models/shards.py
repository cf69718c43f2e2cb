"""One picture over several devices: each evaluates a share of the rows, and borrows the rows beside it.

A picture is evaluated stage by stage, as in `partition`. Before a stage, each device gets as many rows from
its neighbours as the stage sees beyond its own. XLA's own partitioner exchanges less, but only where the
rows of every stage divide by the devices; elsewhere it gathers the features on all of them.

Or the picture is divided into tiles, see `models.tiles`, and each device evaluates some of them.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jax_nst.models.extractor import Extractor, Features, Params, Stage
from jax_nst.models.partition import Reduce, num_rematerialised, recomputed, sum_over_tiles

ROWS = "rows"
"""Name of the mesh axis over which the rows of a picture are shared."""


def mesh_within(mesh: Mesh) -> Mesh | AbstractMesh:
    """The mesh as it is within a `shard_map` over its other axes, if there is one around."""
    around = jax.sharding.get_abstract_mesh()
    return mesh if around.empty else around


class Share(NamedTuple):
    """The rows of a device, of each layer. See `partition.Part`.

    All devices have arrays of as many rows; those of the last ones may lie below the picture.
    """

    device: jax.Array
    """`[]`, its number on the axis."""
    heights: Mapping[str, int]
    """Layer -> rows of the whole layer."""

    def cut(self, layer: str, x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """The rows of the device, zero below the picture."""
        del layer
        below = jnp.pad(x, ((0, shape[0]), *((0, 0),) * (x.ndim - 1)))
        return jax.lax.dynamic_slice_in_dim(below, self.device * shape[0], shape[0])

    def own(self, layer: str, x: jax.Array, other: Any = 0) -> jax.Array:
        """`x`, with `other` below the picture."""
        inside = self._inside(layer, len(x)).reshape(-1, *(1,) * (x.ndim - 1))
        return jnp.where(inside, x, jnp.asarray(other, x.dtype))

    def share(self, features: Features, group: Sequence[str]) -> tuple[float, jax.Array]:
        """How many positions the device has, and how many of them lie below the picture."""
        layer = min(group, key=lambda layer: math.prod(features[layer].shape[:2]))
        rows, height = len(features[layer]), self.heights[layer]
        return rows / height, jnp.sum(~self._inside(layer, rows)) / height

    def _inside(self, layer: str, rows: int) -> jax.Array:
        return self.device * rows + jnp.arange(rows) < self.heights[layer]


class Windows(NamedTuple):
    """The rows that each device evaluates a stage on: its own, and those that they depend on.

    As many for each, within the picture, whose borders the stage pads.
    """

    rows: int
    """Of the share of a device, in the input of the stage."""
    length: int
    """Of all windows."""
    starts: tuple[int, ...]
    """Of the window of each device."""

    @property
    def offsets(self) -> tuple[int, ...]:
        """Of the share of each device in its window."""
        return tuple(index * self.rows - start for index, start in enumerate(self.starts))


def windows(height: int, rows: int, num_devices: int, radius: int) -> Windows:
    """The windows of a stage whose input has `height` rows, `rows` of them on each device.

    Args:
      height: of the input.
      rows: even, unless the stage does not pool.
      num_devices: which share them.
      radius: see `Extractor.radius`.
    """
    # What lies beyond a window is an even number of rows, so that it stays aligned with pooling.
    length = height - max(0, height - rows - 2 * radius) // 2 * 2
    starts = (min(max(0, index * rows - radius), height - length) for index in range(num_devices))
    return Windows(rows, length, tuple(starts))


def rows_of_share(height: int, num_stages: int, num_devices: int) -> int:
    """Rows of each device, a multiple of the stride of the deepest stage."""
    stride = 2 ** (num_stages - 1)
    return stride * math.ceil(height / (stride * num_devices))


def count_shares(
    extractor: Extractor,
    params: Params,
    shape: tuple[int, int],
    layers: Sequence[str],
    num_devices: int,
    least: int,
) -> int:
    """How many of the devices share the rows of a picture, so that each has `least` of them or more.

    Fewer than there are, too, where the last ones would have none; one, if a stage of the extractor does
    not halve its input, or has features of another size.
    """
    count = max(1, min(num_devices, shape[0] // least))
    inputs, features = _heights(extractor, params, shape, layers)
    for number, (height, of_stage) in enumerate(zip(inputs, features, strict=True)):
        expected = {shape[0] >> number, -(-shape[0] >> number)}
        if not {height} <= expected or not set(of_stage.values()) <= {height}:
            return 1
    return math.ceil(shape[0] / rows_of_share(shape[0], len(inputs), count))


def reduce_over_rows(
    extractor: Extractor,
    params: Params,
    pixels: jax.Array,
    layers: Sequence[str],
    reduce: Reduce,
    arguments: Any,
    *,
    mesh: Mesh,
    remat: str = "none",
) -> tuple[dict[str, Any], Features]:
    """`partition.reduce_features`, the rows shared by the devices of a mesh.

    Args:
      extractor: as there, and so the others that are not named here.
      mesh: with an axis `ROWS`; see `count_shares`.
      remat: the stages that are rematerialised, not in bands.
    """
    stages, num_devices = extractor.stages(tuple(layers)), mesh.shape[ROWS]
    inputs, features = _heights(extractor, params, pixels.shape, layers)
    heights = {layer: height for of_stage in features for layer, height in of_stage.items()}
    rows = rows_of_share(len(pixels), len(stages), num_devices)
    of_stages = [
        windows(height, rows >> number, num_devices, extractor.radius)
        for number, height in enumerate(inputs)
    ]

    def of_device(params: Params, carry: Any, arguments: Any) -> tuple[dict[str, Any], Features]:
        sums, kept = {}, {}
        for number, (stage, of_stage) in enumerate(zip(stages, of_stages, strict=True)):
            evaluate = functools.partial(_evaluate, stage, of_stage, reduce, heights)
            if number < num_rematerialised(remat, stages):
                evaluate = recomputed(evaluate)
            carry, found, of_kept = evaluate(params, carry, arguments)
            sums, kept = sums | found, kept | of_kept
        return jax.tree.map(lambda x: jnp.asarray(x)[None], sums), kept

    # The sums are added up outside, where the gradient of the addition takes no communication.
    around = mesh_within(mesh)
    shared = jax.shard_map(
        of_device,
        mesh=around,
        in_specs=(P(), P(ROWS), P()),
        out_specs=P(ROWS),
        axis_names={ROWS},
        check_vma=False,
    )
    # On all devices, and so is the gradient, which is gathered here.
    pixels = jax.lax.with_sharding_constraint(pixels, NamedSharding(around, P()))
    padded = jnp.pad(pixels, ((0, rows * num_devices - len(pixels)), (0, 0), (0, 0)))
    sums, kept = shared(params, padded, arguments)
    sums = jax.tree.map(lambda x: jnp.sum(x, axis=0), sums)
    return sums, {layer: x[: heights[layer]] for layer, x in kept.items()}


def sum_over_shared_tiles(
    function: Callable[..., Any], places: jax.Array, arguments: tuple[Any, ...], *, mesh: Mesh
) -> Any:
    """`partition.sum_over_tiles`, the tiles shared by the devices of a mesh.

    Each device has a copy of the arguments, and takes one of its tiles after the other.

    Args:
      function: as there, and so the other two.
      mesh: with an axis `ROWS`.
    """
    missing = -len(places) % mesh.shape[ROWS]
    places = jnp.pad(places, ((0, missing), (0, 0)))  # tiles without a pixel of their own add nothing

    def of_device(places: jax.Array, arguments: tuple[Any, ...]) -> Any:
        return jax.tree.map(lambda x: x[None], sum_over_tiles(function, places, arguments))

    shared = jax.shard_map(
        of_device,
        mesh=mesh_within(mesh),
        in_specs=(P(ROWS), P()),
        out_specs=P(ROWS),
        axis_names={ROWS},
        check_vma=False,
    )
    return jax.tree.map(lambda x: jnp.sum(x, axis=0), shared(places, arguments))


def _heights(
    extractor: Extractor, params: Params, shape: Sequence[int], layers: Sequence[str]
) -> tuple[list[int], list[dict[str, int]]]:
    """Rows of the input of each stage, and of its features by layer."""
    inputs, features = [], []
    carry: Any = jax.ShapeDtypeStruct((*shape[:2], 3), jnp.float32)
    for stage in extractor.stages(tuple(layers)):
        inputs.append(jax.tree.leaves(carry)[0].shape[0])
        carry, found = jax.eval_shape(stage, extractor.plain(params), carry)
        features.append({layer: x.shape[0] for layer, x in found.items()})
    return inputs, features


def _evaluate(
    stage: Stage,
    of_stage: Windows,
    reduce: Reduce,
    heights: Mapping[str, int],
    params: Params,
    carry: Any,
    arguments: Any,
) -> Any:
    """A stage on the share of a device, and what its features are reduced to."""
    part = Share(jax.lax.axis_index(ROWS), heights)
    window = jax.tree.map(lambda x: _with_neighbours(x, of_stage, part.device), carry)

    def own(x: jax.Array) -> jax.Array:
        factor = 1 if len(x) == of_stage.length else 2
        rows, offsets = of_stage.rows // factor, jnp.asarray(of_stage.offsets) // factor
        x = jnp.pad(x, ((0, rows), (0, 0), (0, 0)))  # below the picture
        return jax.lax.dynamic_slice_in_dim(x, offsets[part.device], rows)

    after, features = jax.tree.map(own, stage(params, window))
    return after, *reduce(features, part, arguments)


def _with_neighbours(x: jax.Array, of_stage: Windows, index: jax.Array) -> jax.Array:
    """The window of a device, from its share and those of others."""
    rows, length, starts = of_stage
    above = max(of_stage.offsets)
    below = max(0, *(length - rows - offset for offset in of_stage.offsets))
    num_devices = len(starts)

    def of_other(distance: int, rows: Callable[[jax.Array], jax.Array]) -> jax.Array:
        pairs = [
            (i, i + distance) for i in range(num_devices) if 0 <= i + distance < num_devices
        ]  # others get zeros
        return jax.lax.ppermute(rows(x), ROWS, pairs)

    before, after = [], []
    for distance in range(1, 1 + math.ceil(above / rows)):
        count = min(rows, above - (distance - 1) * rows)
        before.insert(0, of_other(distance, lambda x, count=count: x[rows - count :]))
    for distance in range(1, 1 + math.ceil(below / rows)):
        count = min(rows, below - (distance - 1) * rows)
        after.append(of_other(-distance, lambda x, count=count: x[:count]))
    around = jnp.concatenate([*before, x, *after]) if before or after else x
    first = jnp.asarray([above - offset for offset in of_stage.offsets])
    return jax.lax.dynamic_slice_in_dim(around, first[index], length)
