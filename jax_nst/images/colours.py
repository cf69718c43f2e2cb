"""Opponent colour space and linear colour transforms."""

import jax
import jax.numpy as jnp
import numpy as np

OPPONENT = np.array([[1, 1, 1], [1, -1, 0], [-1, -1, 2]]) / np.sqrt([[3], [2], [6]])
"""Orthonormal RGB-to-opponent matrix; its rows are luminance, red-green and blue-yellow."""


def mix_colours(x: jax.Array, matrix: np.ndarray) -> jax.Array:
    """Computes `x @ matrix`, `[H, W, 3]`, `[3, C]` -> `[H, W, C]`.

    Uses broadcast sums: with matrices this small, a CPU takes ten times as long for a matrix product.
    """
    rows = jnp.asarray(matrix, x.dtype)[:, None, None]
    return sum((x[..., i, None] * row for i, row in enumerate(rows)), jnp.zeros((), x.dtype))
