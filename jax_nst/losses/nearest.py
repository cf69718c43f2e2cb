"""Style by the nearest neighbour of each position among the positions of the style."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jax_nst.losses.term import Target, Term, check_rank, unit_vectors

NUM_CANDIDATES = 4096
"""How many positions of the style each position is compared with. The same for styles of all sizes, so that
their targets can be stacked."""

_CHUNK = 256  # positions that are compared at once: 4 MB of float32 cosines, which caches hold


def directions(features: jax.Array) -> jax.Array:
    """Unit vectors of all positions, `[h, w, C]` -> `[h w, C]`."""
    check_rank("features", features, "h w C")
    return unit_vectors(features.reshape(-1, features.shape[-1]))


def sample_candidates(
    statistics: Sequence[jax.Array], shares: jax.Array, *, num_candidates: int = NUM_CANDIDATES
) -> jax.Array:
    """Candidates for a match from several styles.

    Each style fills its share of the places, with as large a part of its positions as its share. Fewer
    positions than places are repeated, which changes no match.

    Args:
      statistics: of each style, `[positions, C]`.
      shares: `[styles]`, adding up to 1.
      num_candidates: how many there are to be.

    Returns:
      `[num_candidates, C]`.
    """
    places = np.arange(num_candidates)

    def of_style(statistic: jax.Array, share: jax.Array) -> jax.Array:
        # The same at every call.
        order = np.random.default_rng(0).permutation(len(statistic))[:num_candidates]
        count = jnp.maximum(jnp.round(share * len(order)), 1).astype(jnp.int32)
        return statistic[jnp.asarray(order)[places % count]]

    of_styles = jnp.stack([of_style(*style) for style in zip(statistics, shares, strict=True)])
    chosen = jnp.searchsorted(jnp.cumsum(shares)[:-1], (places + 0.5) / num_candidates)
    return of_styles[chosen, places]


def candidates(statistic: jax.Array, num_positions: ArrayLike) -> Target:
    """Target of the mean of 1 - cos; it is relative by itself."""
    del num_positions
    return Target(statistic, jnp.asarray(1.0))


def nearest(queries: jax.Array, keys: jax.Array, *, chunk: int = _CHUNK) -> jax.Array:
    """The index of the nearest key of each query.

    Args:
      queries: `[N, C]`.
      keys: `[K, C]`. Of unit vectors the nearest one has the largest cosine.
      chunk: how many queries are compared at once, so that there is no array of `[N, K]`.

    Returns:
      `[N]`, the first of several that are equally near.
    """
    half_squares = jnp.sum(jnp.square(keys), axis=-1) / 2
    indices = jnp.arange(len(keys), dtype=jnp.int32)

    def of_one(query: jax.Array) -> jax.Array:
        nearness = jnp.matmul(keys, query, precision=jax.lax.Precision.HIGHEST) - half_squares
        # In place of argmax, which XLA:CPU does not vectorize.
        return jnp.min(jnp.where(nearness == jnp.max(nearness), indices, len(keys) - 1))

    return jax.lax.map(of_one, queries, batch_size=chunk)


def nearest_loss(statistic: jax.Array, target: Target) -> jax.Array:
    """coefficient · mean(1 - cos(F_i, F_t,nn(i))), the nearest neighbour being that of the largest cosine.

    Zhang et al. 2022 (arXiv:2206.06360), eq. 2, nearest neighbour feature matching. As half the squared
    distance of unit vectors, which rounds to zero where they are the same. The matches are constants of the
    gradient.
    """
    unit, keys = jax.lax.stop_gradient((statistic, target.value))
    matches = keys[nearest(unit, keys)]
    return target.coefficient * jnp.mean(jnp.sum(jnp.square(statistic - matches), axis=-1)) / 2


NEAREST = Term(
    "nnfm",
    statistic=directions,
    distance=nearest_loss,
    target=candidates,
    reference="style",
    combine="global",
    mix=sample_candidates,
)
"""Cosine distance of each position to the most similar one of the style."""
