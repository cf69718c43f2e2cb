"""Opponent colours."""

import jax
import jax.numpy as jnp
import numpy as np

OPPONENT = np.array([[1, 1, 1], [1, -1, 0], [-1, -1, 2]]) / np.sqrt([[3], [2], [6]])
"""Of RGB, in rows: luminance, red against green, blue against yellow; orthonormal."""


def mix_colours(x: jax.Array, matrix: np.ndarray) -> jax.Array:
    """x @ matrix, `[H, W, 3]`, `[3, C]` -> `[H, W, C]`.

    As sums: as a product of so small matrices it takes a CPU ten times as long.
    """
    rows = jnp.asarray(matrix, x.dtype)[:, None, None]
    return sum((x[..., i, None] * row for i, row in enumerate(rows)), jnp.zeros((), x.dtype))
