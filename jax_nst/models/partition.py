"""How an extractor is evaluated in parts, to save memory: the one mechanism for it.

A picture is evaluated stage by stage. A stage may be rematerialised (its features are recomputed in the
backward pass instead of kept) and, if it is large, split into bands of rows that are computed one after
the other. Or the picture is divided into tiles, and all stages of a tile are evaluated before the next
tile. What is wanted of the features is a `Reduce`, applied to each part as soon as its features are there,
so that they need not be kept.
"""

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from jax_nst.models.extractor import Extractor, Features, Params, Stage
from jax_nst.models.tiles import Tile, Tiling

REMATS = ("none", "block1", "all")
"""Which stages are rematerialised: none, the first (VGG's block 1, the wavelets' finest scale), or all."""

TILE_SIZES = (2048, 1024, 512, 256)
"""Sides of tiles in pixels that `auto` chooses from."""


class Partition(NamedTuple):
    """How a picture is evaluated."""

    remat: str = "none"
    """One of `REMATS`."""
    tile_size: int | None = None
    """Largest side of tiles in pixels; None: there are none. Nothing within a tile is rematerialised."""

    def __str__(self) -> str:
        return self.remat if self.tile_size is None else f"tiles of {self.tile_size}"


Reduce = Callable[[Features, "Part", Any], tuple[Mapping[str, Any], Features]]
"""`(features of a part, the part, arguments) -> (sums, kept)`.

`sums` are trees of arrays that add up over the parts of a stage; `kept` are features that are needed whole,
and are joined along the rows."""

# Least number of positions of a band.
_BAND = 2**17
MOST_BANDS = 3
"""Into how many bands a stage is split at most; each takes XLA time to compile."""


class Part(Protocol):
    """Some positions of a picture, those of its own and maybe others around them."""

    def cut(self, layer: str, x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """What an array of a whole layer, `[h, w, ...]`, is at the positions of the part, of that shape."""
        ...

    def own(self, layer: str, x: jax.Array, other: Any = 0) -> jax.Array:
        """An array at the positions of the part, with `other` where they are not its own."""
        ...

    def share(self, features: Features, group: Sequence[str]) -> tuple[Any, Any]:
        """How many of the positions of a group of layers are in the part, and how many are not its own.

        Relative to those of the whole picture; None if all are its own. Layers of a group that have more
        positions are reduced to those of the one that has fewest.
        """
        ...


class Band(NamedTuple):
    """A stage, or its output on a band of rows, which are all its own. See `Part`."""

    stage: Stage
    rows: slice
    """Of the features of the stage."""
    share_of_rows: float

    def cut(self, layer: str, x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """The rows of the band."""
        del layer, shape
        return x[self.rows]

    def own(self, layer: str, x: jax.Array, other: Any = 0) -> jax.Array:
        """All of `x`."""
        del layer, other
        return x

    def share(self, features: Features, group: Sequence[str]) -> tuple[Any, Any]:
        """The share of rows, and None."""
        del features, group
        return self.share_of_rows, None


def reduce_features(
    extractor: Extractor,
    params: Params,
    pixels: jax.Array,
    layers: Sequence[str],
    reduce: Reduce,
    arguments: Any,
    *,
    remat: str = "none",
    most_bands: int = MOST_BANDS,
) -> tuple[dict[str, Any], Features]:
    """Evaluates an extractor on one picture, part by part, and reduces the features of each part.

    Args:
      extractor: gives the features.
      params: of the extractor.
      pixels: `[H, W, 3]`.
      layers: the features that are wanted.
      reduce: applied to each part; see `Reduce`.
      arguments: a tree of arrays that `reduce` takes; captured ones would be constants.
      remat: one of `REMATS`; less memory for more time (Chen et al. 2016, arXiv:1604.06174).
      most_bands: into which a rematerialised stage is split.

    Returns:
      The sums and the kept features of all stages.
    """
    stages = extractor.stages(tuple(layers))
    carry, sums, kept = pixels, {}, {}
    for number, stage in enumerate(stages):
        rematerialised = number < num_rematerialised(remat, stages)
        parts = bands(stage, carry, extractor.radius, most_bands if rematerialised else 1)
        found = []
        for part in parts:
            evaluate = functools.partial(_evaluate, part, reduce)
            if rematerialised:
                output = recomputed(evaluate)(params, carry, arguments)
                carry, after = _after(jax.tree.leaves(output[1]), (carry, output[0]))
                output = after, *output[1:]
            else:
                output = evaluate(params, carry, arguments)
            found.append(output)
        afters, all_sums, all_kept = zip(*found, strict=True)
        carry = _join(afters)
        sums |= jax.tree.map(lambda first, *more: sum(more, first), *all_sums)
        kept |= _join(all_kept)
    return sums, kept


def reduce_tile(
    extractor: Extractor,
    params: Params,
    window: jax.Array,
    layers: Sequence[str],
    reduce: Reduce,
    arguments: Any,
    *,
    tiling: Tiling,
    place: jax.Array,
) -> tuple[dict[str, Any], Features, Tile]:
    """`reduce_features` of one tile.

    Args:
      extractor: as there, and so the others that are not named here.
      window: `[h, w, 3]`, cut out of the picture at this place.
      tiling: how the picture is divided.
      place: `[6]`, a row of `Tiling.rows`.

    Returns:
      The sums, what is kept, and the tile, to which both belong.
    """
    carry, features, strides = window, {}, {}
    for number, stage in enumerate(extractor.stages(tuple(layers))):
        carry, found = stage(params, carry)
        features |= found
        strides |= dict.fromkeys(found, 2**number)
    shapes = extractor.feature_shapes(params, tiling.shape, layers)
    positions = {layer: float(x.shape[0] * x.shape[1]) for layer, x in shapes.items()}
    tile = Tile(place, strides, positions)
    sums, kept = reduce(features, tile, arguments)
    return dict(sums), kept, tile


def sum_over_tiles(function: Callable[..., Any], places: jax.Array, arguments: tuple[Any, ...]) -> Any:
    """The sum of `function(place, *arguments)` over tiles, with derivatives that keep nothing of a tile.

    The first pass sums, the second evaluates each tile again and takes its gradient.

    Args:
      function: of one tile.
      places: `[tiles, 6]`, see `Tiling.rows`.
      arguments: the same for all tiles.
    """
    # A loop is not a copy of its body, which common subexpressions could be shared with.
    of_tile = jax.checkpoint(function, prevent_cse=False)
    shapes = jax.eval_shape(function, places[0], *arguments)
    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

    def add(sums: Any, place: jax.Array) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, sums, of_tile(place, *arguments)), None

    return jax.lax.scan(add, nothing, places)[0]


def _evaluate(part: Band, reduce: Reduce, params: Params, carry: Any, arguments: Any) -> Any:
    after, features = part.stage(params, carry)
    return after, *reduce(features, part, arguments)


def bands(stage: Stage, carry: Any, radius: int, most: int = MOST_BANDS) -> list[Band]:
    """Splits a stage into bands of rows; one part if it is small.

    Args:
      stage: the stage.
      carry: its input, a tree of `[h, w, C]`.
      radius: see `Extractor.radius`.
      most: how many parts there may be.

    Returns:
      Parts in order, each of an even number of rows but for the last. The stage of each takes all of
      `carry`.
    """
    height, width = jax.tree.leaves(carry)[0].shape[:2]
    count = count_bands(height, width, most)
    if count < 2:
        return [Band(stage, slice(None), 1.0)]
    edges = sorted({*(2 * round(band * height / (2 * count)) for band in range(count)), height})

    def band(first: int, last: int) -> Band:
        start, stop = max(0, first - radius), min(last + radius, height)

        def of_rows(params: Params, carry: Any) -> Any:
            def own(x: jax.Array) -> jax.Array:
                factor = 1 if len(x) == stop - start else 2
                return x[(first - start) // factor : -(-(last - start) // factor)]

            return jax.tree.map(own, stage(params, jax.tree.map(lambda x: x[start:stop], carry)))

        return Band(of_rows, slice(first, last), (last - first) / height)

    return [band(first, last) for first, last in itertools.pairwise(edges)]


def count_bands(height: int, width: int, most: int = MOST_BANDS) -> int:
    """Into how many bands a stage is split whose input has so many positions."""
    return max(1, min(most, height * width // _BAND))


def _join(parts: Sequence[Any]) -> Any:
    """Concatenates trees of arrays along the rows."""
    return jax.tree.map(lambda *rows: jnp.concatenate(rows), *parts) if len(parts) > 1 else parts[0]


def num_rematerialised(remat: str, stages: Sequence[Stage]) -> int:
    """How many of the stages, the first ones."""
    return {"none": 0, "block1": 1, "all": len(stages)}[remat]


def recomputed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Like `jax.checkpoint`, but XLA:CPU's CSE cannot undo it.

    The recomputation depends on the cotangents.
    """

    def backward(inputs: Any, cotangents: Any) -> Any:
        params, carry, arguments = inputs
        carry = _after(jax.tree.leaves(cotangents), carry)
        return jax.vjp(function, params, carry, arguments)[1](cotangents)

    recomputed = jax.custom_vjp(function)
    recomputed.defvjp(lambda *inputs: (function(*inputs), inputs), backward)
    return recomputed


def _after(values: Sequence[jax.Array], carry: Any) -> Any:
    """Adds a data dependency on `values`.

    Otherwise XLA:CPU schedules them last and keeps their inputs alive.
    """
    firsts = [jnp.ravel(value)[0].astype(jnp.float32) for value in values if value.size]
    nothing = jax.lax.stop_gradient(0 * sum(firsts, jnp.zeros((), jnp.float32)))
    return jax.tree.map(lambda x: x + nothing.astype(x.dtype), carry)
