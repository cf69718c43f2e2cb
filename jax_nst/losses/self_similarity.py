"""Content by the distances between positions of a picture: its layout, whatever its colours."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jax_nst.losses.term import Target, Term, check_rank, mean, unit_vectors

NUM_SAMPLES = 1024
"""The most positions that are compared with each other."""

# Floor of the mean distance of a position to the others, which divides: rounding is about 1e-7.
_DISTANCE_FLOOR = 1e-4


def sample_positions(height: int, width: int, *, num_samples: int = NUM_SAMPLES) -> np.ndarray:
    """Indices of positions, one from each cell of a grid, the same at every call; all if they are few.

    Args:
      height: h of the layer.
      width: w of the layer.
      num_samples: the most positions.

    Returns:
      `[n]`, indices of the positions row by row.
    """
    if height * width <= num_samples:
        return np.arange(height * width)
    rows = min(height, max(1, round(math.sqrt(num_samples * height / width))))
    columns = min(width, max(1, num_samples // rows))
    rows = min(height, num_samples // columns)
    # A random position in each cell: a regular grid would not see a pattern of its own period.
    rng = np.random.default_rng(0)
    tops, lefts = np.arange(rows + 1) * height // rows, np.arange(columns + 1) * width // columns
    y = rng.integers(tops[:-1, None], tops[1:, None], size=(rows, columns))
    x = rng.integers(lefts[:-1], lefts[1:], size=(rows, columns))
    return (y * width + x).ravel()


def self_similarity(features: jax.Array) -> jax.Array:
    """Cosine distances between sampled positions, relative to the mean of their column.

    Args:
      features: `[h, w, C]`.

    Returns:
      `[n, n]`, float32 at least: D of Kolkin et al. 2019 with the columns divided by their sums, times n.
    """
    check_rank("features", features, "h w C")
    h, w, channels = features.shape
    unit = unit_vectors(features.reshape(-1, channels)[sample_positions(h, w)])
    distances = 1 - jnp.matmul(unit, unit.T, precision=jax.lax.Precision.HIGHEST)
    return distances / jnp.maximum(jnp.mean(distances, axis=0, keepdims=True), _DISTANCE_FLOOR)


def absolute_difference(statistic: jax.Array, target: Target) -> jax.Array:
    """coefficient · sum(|statistic - target|).

    With the mean over pairs of positions, the content loss of Kolkin, Salavon and Shakhnarovich 2019
    (STROTSS, arXiv:1904.12785), times n.
    """
    return target.coefficient * jnp.sum(jnp.abs(statistic - target.value))


SELF_SIMILARITY = Term(
    "self_similarity",
    statistic=self_similarity,
    distance=absolute_difference,
    target=mean,
    reference="content",
    combine="global",
)
"""Distances between positions of the content, which leave its colours free."""
