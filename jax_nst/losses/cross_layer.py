"""Style by products of channels of neighbouring layers (Yeh and Tang 2018, arXiv:1801.01933)."""

import jax
import jax.numpy as jnp

from jax_nst.losses.term import Term, at_least_float32, check_rank, relative_to_power, squared_difference


def cross_gram(first: jax.Array, second: jax.Array, *, weights: jax.Array | None = None) -> jax.Array:
    """Mean over positions of the products of the channels of two layers.

    Args:
      first: `[h, w, C]`.
      second: `[h', w', D]`; the layer of more positions is averaged over blocks to those of the other.
      weights: see `Term`.

    Returns:
      `[C, D]`, float32 at least.
    """
    check_rank("first", first, "h w C")
    check_rank("second", second, "h w D")
    (h, w, _), (other_h, other_w, _) = first.shape, second.shape
    shape = min(h, other_h), min(w, other_w)
    # One matrix of `[positions, channels]` each.
    left, right = (average_to(x, shape).reshape(-1, x.shape[-1]) for x in (first, second))
    if weights is not None:
        left = average_to(weights[..., None], shape).reshape(-1, 1) * left
    return jnp.matmul(left.T, right, precision=jax.lax.Precision.HIGHEST) / len(left)


def average_to(features: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """Means over square blocks, `[h, w, C]` -> `[*shape, C]`.

    A side that is no multiple repeats its last positions, or loses them if the other layer did.
    """
    features = at_least_float32(features)
    h, w = shape
    blocks = max(1, round(features.shape[0] / h)), max(1, round(features.shape[1] / w))
    features = features[: h * blocks[0], : w * blocks[1]]
    missing = h * blocks[0] - features.shape[0], w * blocks[1] - features.shape[1]
    if any(missing):
        features = jnp.pad(features, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
    return jnp.mean(features.reshape(h, blocks[0], w, blocks[1], -1), axis=(1, 3))


CROSS_LAYER = Term(
    "cross_layer",
    statistic=cross_gram,
    distance=squared_difference,
    target=relative_to_power,
    reference="style",
    combine="additive",
    span=2,
    degree=2,
    takes_weights=True,
)
"""Products of channels of each layer with the next, each pair relative to its power."""
