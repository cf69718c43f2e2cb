"""3x3 convolutions by a quarter of the multiplications: Winograd's minimal filtering.

Lavin and Gray 2016 (arXiv:1509.09308), F(4x4, 3x3): a tile of 6x6 positions is taken to 6x6 others, where a
convolution is one product of matrices for each, and from there to 4x4 outputs. The result is that of the
convolution but for rounding. For CPUs, whose libraries convolve directly.
"""

import functools
import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

_TILE = 4  # outputs of a tile, along each side; it reads two positions more
# So many tiles at once: their transforms, 36 values for 16, take memory, and more parts longer to compile.
_TILES_AT_ONCE, _MOST_PARTS = 1536, 4

# Polynomials are multiplied at these points and at infinity. Each point's inverse is one too, so
# a reversed kernel is the same numbers in another order. Larger ones round worse.
_POINTS = np.sqrt(0.5) ** np.array([1, 1, -1, -1]) * [1, -1, 1, -1]
_REVERSED = [5, 3, 4, 1, 2, 0]


def _evaluate(count: int) -> np.ndarray:
    """`[6, count]`: coefficients of a polynomial -> its values at 0, the points, and infinity."""
    values = np.concatenate([[0.0], _POINTS])[:, None] ** np.arange(count)
    return np.concatenate([values, np.eye(count)[-1:]])


_SCALE = np.concatenate([[1.0], 1 / np.abs(_POINTS), [1.0]])[:, None]
_OF_KERNEL = _evaluate(3) * _SCALE  # G of the paper, [6, 3]
_OF_OUTPUT = _evaluate(_TILE).T  # A^T, [4, 6]
_OF_INPUT = np.linalg.inv(_evaluate(6)).T / _SCALE  # B^T, [6, 6]


def transform(kernel: jax.typing.ArrayLike) -> jax.Array:
    """A kernel as `convolve` takes it: `[3, 3, C, D]` -> `[36, C, D]`."""
    kernel = np.asarray(kernel)
    matrix = np.kron(_OF_KERNEL, _OF_KERNEL).astype(kernel.dtype)
    return jax.device_put((matrix @ kernel.reshape(9, -1)).reshape(36, *kernel.shape[2:]))


@jax.custom_vjp
def convolve(x: jax.Array, transformed: jax.Array) -> jax.Array:
    """What `lax.conv` gives, stride 1, zeros around: `[h, w, C]`, `[36, C, D]` -> `[h, w, D]`.

    Has a gradient for `x` only; that for the kernel is NaN.
    """
    return _convolve(x, transformed, reverse=False)


def _forward(x: jax.Array, transformed: jax.Array) -> tuple[jax.Array, jax.Array]:
    return convolve(x, transformed), transformed


def _backward(transformed: jax.Array, cotangent: jax.Array) -> tuple[jax.Array, jax.Array]:
    # The transpose is a convolution too, with the kernel reversed.
    return _convolve(cotangent, transformed, reverse=True), jnp.full_like(transformed, jnp.nan)


convolve.defvjp(_forward, _backward)  # pyright: ignore[reportFunctionMemberAccess]


@functools.partial(jax.jit, static_argnames="reverse")  # traced once for all layers of a shape
def _convolve(x: jax.Array, transformed: jax.Array, *, reverse: bool) -> jax.Array:
    h, w, _ = x.shape
    down, across = -(-h // _TILE), -(-w // _TILE)  # tiles
    # Below and to the right a whole tile more, of which two positions are read.
    below, right = _TILE * (down + 1) - h - 1, _TILE * (across + 1) - w - 1
    x = jnp.pad(x, ((1, below), (1, right), (0, 0)))
    count = min(_MOST_PARTS, -(-down * across // _TILES_AT_ONCE), down)
    edges = [down * part // count for part in range(count + 1)]
    parts = [
        _convolve_tiles(x[_TILE * first : _TILE * (last + 1)], transformed, reverse)
        for first, last in itertools.pairwise(edges)
    ]
    return jnp.concatenate(parts)[:h, :w]


def _convolve_tiles(x: jax.Array, transformed: jax.Array, reverse: bool) -> jax.Array:
    """Of tiles side by side, `[4 (down + 1), 4 (across + 1), C]` -> `[4 down, 4 across, D]`."""
    of_input = _OF_INPUT[_REVERSED] if reverse else _OF_INPUT
    of_output = _OF_OUTPUT[:, _REVERSED] if reverse else _OF_OUTPUT
    contract = 2 if reverse else 1
    height, width, channels = x.shape
    down, across = height // _TILE - 1, width // _TILE - 1
    # Sums of another kind than the next: else XLA's CPU would compute these anew for each of those.
    tiles = _sums(of_input, _neighbours(x, 0))
    tiles = _stacked_sums(of_input, _neighbours(tiles, 2), axis=1).reshape(36, down * across, channels)
    products = jax.lax.dot_general(tiles, transformed, (((2,), (contract,)), ((0,), (0,))))
    outputs = _stacked_sums(of_output, list(products.reshape(6, 6, down, across, -1)), axis=0)
    outputs = _sums(of_output, [outputs[:, i] for i in range(6)])
    # [4 across, 4 down, down, across, D]
    return outputs.transpose(2, 1, 3, 0, 4).reshape(_TILE * down, _TILE * across, -1)


def _neighbours(x: jax.Array, axis: int) -> list[jax.Array]:
    """The six positions of each tile along an axis of `4 (tiles + 1)`: six arrays with `tiles` there."""
    tiles = x.shape[axis] // _TILE - 1
    x = x.reshape(*x.shape[:axis], tiles + 1, _TILE, *x.shape[axis + 1 :])
    parts = [jax.lax.index_in_dim(x, i, axis + 1, keepdims=False) for i in range(_TILE)]
    return [
        jax.lax.slice_in_dim(parts[i % _TILE], i // _TILE, i // _TILE + tiles, axis=axis) for i in range(6)
    ]


def _sums(matrix: np.ndarray, xs: Sequence[jax.Array]) -> jax.Array:
    """The sums of `xs` by each row of `matrix`, along a new first axis: one loop."""
    columns = jnp.asarray(matrix.T, xs[0].dtype).reshape(len(xs), -1, *(1,) * xs[0].ndim)
    return sum(
        (column * x[None] for column, x in zip(columns, xs, strict=True)), jnp.zeros((), xs[0].dtype)
    )


def _stacked_sums(matrix: np.ndarray, xs: Sequence[jax.Array], *, axis: int) -> jax.Array:
    """The same along a new `axis`: a loop for each row, which leaves out its zeros."""
    sums = []
    for row in matrix:
        terms = [x * c for c, x in zip(row.astype(xs[0].dtype), xs, strict=True) if abs(c) > 1e-12]
        sums.append(sum(terms[1:], terms[0]))
    return jnp.stack(sums, axis)
