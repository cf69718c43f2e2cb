"""A picture in equal windows, so that memory does not grow with it: exact tiles.

The windows overlap. Each has a tile of its own, and beyond it as many pixels as the features of the tile
can see, so that these are what they are in the whole picture. Galerne, Raad, Lezama and Morel 2023
(arXiv:2212.13459) paint pictures of 48 megapixels in this way; they take the gradient of the pixels of a
tile from its own window only, which needs wider margins.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jax_nst.models.extractor import Extractor, Features

_NO_END = 2**30  # of the last tile: whatever positions a layer has there are its own


@dataclasses.dataclass(frozen=True)
class Tiling:
    """How a picture is divided.

    Attributes:
      shape: (height, width) of the picture.
      window: (height, width) of every window.
      places: of each tile: the first row and column of its window, the first ones of its own, and the ends
        of its own.
    """

    shape: tuple[int, int]
    window: tuple[int, int]
    places: tuple[tuple[int, int, int, int, int, int], ...]

    @property
    def work(self) -> float:
        """Pixels of all windows, relative to those of the picture."""
        return len(self.places) * math.prod(self.window) / math.prod(self.shape)

    def rows(self) -> np.ndarray:
        """The places as an array, `[tiles, 6]`."""
        return np.asarray(self.places, np.int32)

    def cut(self, pixels: jax.Array, place: jax.Array) -> jax.Array:
        """The window at a place, a row of `rows`, of a picture `[H, W, 3]`."""
        return jax.lax.dynamic_slice(pixels, _start(place[0], place[1], 3), (*self.window, pixels.shape[2]))

    def add(self, pixels: jax.Array, window: jax.Array, place: jax.Array) -> jax.Array:
        """`[H, W, 3]` with a window added at its place; the transpose of `cut`."""
        start = _start(place[0], place[1], 3)
        return jax.lax.dynamic_update_slice(pixels, self.cut(pixels, place) + window, start)


def tiling_of(extractor: Extractor, layers: Sequence[str], shape: tuple[int, int], side: int) -> Tiling:
    """Divides a picture into tiles that share no pixel, and windows that lie within the picture.

    Borders of the picture are borders of windows, where they are padded as they should be. Windows begin at
    multiples of the stride of the deepest layer, and end there or with the picture.

    Args:
      extractor: its `reach` says how far windows go beyond their tiles.
      layers: those that are computed.
      shape: (height, width) of the picture.
      side: upper bound on the sides of tiles in pixels, but for rounding to the stride.

    Raises:
      ValueError: the extractor does not say how far its features see, or the side is below 1.
    """
    if extractor.reach is None:
        raise ValueError(f"{extractor.name} does not say how far its features see, which tiles need")
    if side < 1:
        raise ValueError(f"the side of tiles must be at least 1, not {side}")
    stride = 2 ** (len(extractor.stages(layers)) - 1)
    halo = stride * math.ceil(extractor.reach(layers) / stride)
    down, across = (_along(size, side, stride, halo) for size in shape)
    places = [(y[0], x[0], y[1], x[1], y[2], x[2]) for y in down[1] for x in across[1]]
    return Tiling(shape, (down[0], across[0]), tuple(places))


def _along(size: int, side: int, stride: int, halo: int) -> tuple[int, list[tuple[int, int, int]]]:
    """The length of windows along an axis; of each tile, the start of its window, its own start and end."""
    count = math.ceil(size / max(side, stride))
    own = stride * math.ceil(size / (count * stride))
    starts = range(0, size, own)
    needed = own + 2 * halo
    # What lies beyond the window is a multiple of the stride, so that the last one begins at one.
    length = size if len(starts) == 1 else size - max(0, size - needed) // stride * stride
    ends = [*starts[1:], _NO_END]
    return length, [
        (min(max(0, first - halo), size - length), first, end)
        for first, end in zip(starts, ends, strict=True)
    ]


class Tile(NamedTuple):
    """A part of a picture: the tile of one window. See `partition.Part`."""

    place: jax.Array
    """`[6]`, a row of `Tiling.rows`."""
    strides: Mapping[str, int]
    """Layer -> pixels from one position to the next."""
    positions: Mapping[str, float]
    """Layer -> how many there are in the whole picture."""

    def cut(self, layer: str, x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """What an array of a whole layer, `[h, w, ...]`, is at the positions of the window."""
        row, column = self._corner(layer)
        sizes = (*shape[:2], *x.shape[2:])
        return jax.lax.dynamic_slice(x, _start(row, column, x.ndim), sizes)

    def own(self, layer: str, x: jax.Array, other: Any = 0) -> jax.Array:
        """An array at the positions of the window, with `other` where they are not of the tile."""
        inside = self._inside(layer, x.shape)
        return jnp.where(inside.reshape(inside.shape + (1,) * (x.ndim - 2)), x, jnp.asarray(other, x.dtype))

    def put(self, layer: str, whole: jax.Array, x: jax.Array) -> jax.Array:
        """Writes an array at the positions of the tile into one of the whole layer."""
        row, column = self._corner(layer)
        inner = self.own(layer, x, self.cut(layer, whole, x.shape))
        return jax.lax.dynamic_update_slice(whole, inner, _start(row, column, x.ndim))

    def share(self, features: Features, group: Sequence[str]) -> tuple[jax.Array, jax.Array]:
        """How many positions are in the window, and how many are not of the tile; see `Part.share`."""
        layer = min(group, key=lambda layer: math.prod(features[layer].shape[:2]))
        outside = jnp.sum(~self._inside(layer, features[layer].shape))
        whole = self.positions[layer]
        return jnp.asarray(math.prod(features[layer].shape[:2]) / whole), outside / whole

    def _corner(self, layer: str) -> tuple[jax.Array, jax.Array]:
        stride = self.strides[layer]
        return self.place[0] // stride, self.place[1] // stride

    def _inside(self, layer: str, shape: tuple[int, ...]) -> jax.Array:
        """`[h, w]`, whether each position of the window is of the tile."""
        stride = self.strides[layer]

        def along(axis: int) -> jax.Array:
            at = self.place[axis] // stride + jnp.arange(shape[axis])
            return (at >= self.place[2 + axis] // stride) & (at < self.place[4 + axis] // stride)

        return along(0)[:, None] & along(1)[None, :]


def _start(row: jax.Array, column: jax.Array, ndim: int) -> tuple[jax.Array, ...]:
    """Where a slice of an array `[h, w, ...]` starts; indices must be of one type."""
    return row, column, *(jnp.zeros_like(row),) * (ndim - 2)
