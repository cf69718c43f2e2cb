"""Winograd convolution: 3x3 convolutions with a quarter of the multiplications.

Implements F(4x4, 3x3) of Lavin and Gray 2016 (arXiv:1509.09308): tiles of 6x6 inputs are transformed to 6x6
coefficients, the convolution becomes one matrix product per coefficient, and the inverse transform yields
4x4 outputs per tile. Equal to direct convolution up to rounding. Faster on CPUs, whose libraries convolve
directly.
"""

import functools
import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

_TILE = 4  # outputs per side of a tile; it reads two inputs more

# Transformed tiles take 36/16 of the memory of the input, so large inputs are split into parts of about
# this many tiles. Compile time grows with the number of parts.
_TILES_AT_ONCE, _MAX_PARTS = 1536, 4

# Interpolation points besides 0 and infinity. The six are closed under inversion, so that transforming a
# reversed kernel only permutes the coefficients. Points of larger magnitude round worse.
_POINTS = np.sqrt(0.5) ** np.array([1, 1, -1, -1]) * [1, -1, 1, -1]
_REVERSED = [5, 3, 4, 1, 2, 0]


def _evaluate(count: int) -> np.ndarray:
    """Returns the matrix `[6, count]` that evaluates a polynomial at 0, the points and infinity."""
    values = np.concatenate([[0.0], _POINTS])[:, None] ** np.arange(count)
    return np.concatenate([values, np.eye(count)[-1:]])


_SCALE = np.concatenate([[1.0], 1 / np.abs(_POINTS), [1.0]])[:, None]
_OF_KERNEL = _evaluate(3) * _SCALE  # G in the paper, [6, 3]
_OF_OUTPUT = _evaluate(_TILE).T  # A^T, [4, 6]
_OF_INPUT = np.linalg.inv(_evaluate(6)).T / _SCALE  # B^T, [6, 6]


def transform(kernel: jax.typing.ArrayLike) -> jax.Array:
    """Transforms a kernel for `convolve`, `[3, 3, C, D]` -> `[36, C, D]`."""
    kernel = np.asarray(kernel)
    matrix = np.kron(_OF_KERNEL, _OF_KERNEL).astype(kernel.dtype)
    return jax.device_put((matrix @ kernel.reshape(9, -1)).reshape(36, *kernel.shape[2:]))


@jax.custom_vjp
def convolve(x: jax.Array, transformed: jax.Array) -> jax.Array:
    """Computes a 3x3 convolution with stride 1 and zero padding, `[h, w, C]`, `[36, C, D]` -> `[h, w, D]`.

    Differentiable with respect to `x` only; the gradient of the kernel is NaN.

    Args:
      x: input.
      transformed: kernel, as returned by `transform`.
    """
    return _convolve(x, transformed, reverse=False)


def _forward(x: jax.Array, transformed: jax.Array) -> tuple[jax.Array, jax.Array]:
    return convolve(x, transformed), transformed


def _backward(transformed: jax.Array, cotangent: jax.Array) -> tuple[jax.Array, jax.Array]:
    # The transpose of a convolution is the convolution with the reversed kernel.
    return _convolve(cotangent, transformed, reverse=True), jnp.full_like(transformed, jnp.nan)


convolve.defvjp(_forward, _backward)  # pyright: ignore[reportFunctionMemberAccess]


@functools.partial(jax.jit, static_argnames="reverse")  # traced once for all layers with equal shapes
def _convolve(x: jax.Array, transformed: jax.Array, *, reverse: bool) -> jax.Array:
    h, w, _ = x.shape
    down, across = -(-h // _TILE), -(-w // _TILE)  # number of tiles
    # The last tiles read two positions beyond their outputs; padding by a full tile keeps sizes divisible.
    below, right = _TILE * (down + 1) - h - 1, _TILE * (across + 1) - w - 1
    x = jnp.pad(x, ((1, below), (1, right), (0, 0)))
    count = min(_MAX_PARTS, -(-down * across // _TILES_AT_ONCE), down)
    edges = [down * part // count for part in range(count + 1)]
    parts = [
        _convolve_tiles(x[_TILE * first : _TILE * (last + 1)], transformed, reverse)
        for first, last in itertools.pairwise(edges)
    ]
    return jnp.concatenate(parts)[:h, :w]


def _convolve_tiles(x: jax.Array, transformed: jax.Array, reverse: bool) -> jax.Array:
    """Convolves a grid of tiles, `[4 (down + 1), 4 (across + 1), C]` -> `[4 down, 4 across, D]`."""
    of_input = _OF_INPUT[_REVERSED] if reverse else _OF_INPUT
    of_output = _OF_OUTPUT[:, _REVERSED] if reverse else _OF_OUTPUT
    contract = 2 if reverse else 1
    height, width, channels = x.shape
    down, across = height // _TILE - 1, width // _TILE - 1
    # `_sums` and `_stacked_sums` differ so that XLA:CPU does not fuse the two steps, which would recompute
    # the first for every row of the second.
    tiles = _sums(of_input, _neighbours(x, 0))
    tiles = _stacked_sums(of_input, _neighbours(tiles, 2), axis=1).reshape(36, down * across, channels)
    products = jax.lax.dot_general(tiles, transformed, (((2,), (contract,)), ((0,), (0,))))
    outputs = _stacked_sums(of_output, list(products.reshape(6, 6, down, across, -1)), axis=0)
    outputs = _sums(of_output, [outputs[:, i] for i in range(6)])
    # [4 across, 4 down, down, across, D]
    return outputs.transpose(2, 1, 3, 0, 4).reshape(_TILE * down, _TILE * across, -1)


def _neighbours(x: jax.Array, axis: int) -> list[jax.Array]:
    """Slices the six inputs of each tile along an axis of size `4 (tiles + 1)`, each of size `tiles`."""
    tiles = x.shape[axis] // _TILE - 1
    x = x.reshape(*x.shape[:axis], tiles + 1, _TILE, *x.shape[axis + 1 :])
    parts = [jax.lax.index_in_dim(x, i, axis + 1, keepdims=False) for i in range(_TILE)]
    return [
        jax.lax.slice_in_dim(parts[i % _TILE], i // _TILE, i // _TILE + tiles, axis=axis) for i in range(6)
    ]


def _sums(matrix: np.ndarray, xs: Sequence[jax.Array]) -> jax.Array:
    """Sums `xs` weighted by each row of `matrix`, along a new first axis; XLA compiles one loop."""
    columns = jnp.asarray(matrix.T, xs[0].dtype).reshape(len(xs), -1, *(1,) * xs[0].ndim)
    return sum(
        (column * x[None] for column, x in zip(columns, xs, strict=True)), jnp.zeros((), xs[0].dtype)
    )


def _stacked_sums(matrix: np.ndarray, xs: Sequence[jax.Array], *, axis: int) -> jax.Array:
    """Like `_sums`, but along a new `axis`; XLA compiles one loop per row, which skips the row's zeros."""
    sums = []
    for row in matrix:
        terms = [x * c for c, x in zip(row.astype(xs[0].dtype), xs, strict=True) if abs(c) > 1e-12]
        sums.append(sum(terms[1:], terms[0]))
    return jnp.stack(sums, axis)
