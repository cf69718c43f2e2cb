"""Content: the features of the picture against those of the content, position by position."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jax_nst.losses.term import Target, Term, at_least_float32, relative_to_power


def content_loss(features: jax.Array, target: Target) -> jax.Array:
    """coefficient · sum((F - P)²); eq. 1 of Gatys, Ecker and Bethge 2015 has the coefficient 1/2.

    Args:
      features: F, `[h, w, C]`, float32 at least.
      target: P, `[h, w, C]`, and a coefficient `[]`.

    Returns:
      `[]`.

    Raises:
      ValueError: the shapes differ.
    """
    if features.shape != target.value.shape:
        raise ValueError(
            f"features must have the shape of the target, {list(target.value.shape)}, not "
            f"{list(features.shape)}"
        )
    return target.coefficient * jnp.sum(jnp.square(features - target.value))


def half_sum(features: jax.Array, num_positions: ArrayLike) -> Target:
    """Target of ½ sum((F - P)²), as Gatys et al. 2015 print it."""
    del num_positions
    return Target(features, jnp.asarray(0.5))


def content_ratio(features: jax.Array, target: Target) -> jax.Array:
    """coefficient · sum((F - P)²) / (sum|F - P| + 1e-8).

    From github.com/crowsonkb/style-transfer-pytorch: the L1 norm of its gradient is about 1, however
    different the features are.

    Args:
      features: F, `[h, w, C]`, float32 at least.
      target: P, `[h, w, C]`, and a coefficient `[]`.

    Returns:
      `[]`.
    """
    return content_loss(features, target) / (jnp.sum(jnp.abs(features - target.value)) + 1e-8)


def whole_sum(features: jax.Array, num_positions: ArrayLike) -> Target:
    """Target of sum((F - P)²)."""
    del num_positions
    return Target(features, jnp.asarray(1.0))


CONTENT = Term(
    "content",
    statistic=at_least_float32,
    distance=content_loss,
    target=relative_to_power,
    reference="content",
    combine="aligned",
)
"""Features of the content, each layer relative to its power."""

CONTENT_RATIO = Term(
    "content",
    statistic=at_least_float32,
    distance=content_ratio,
    target=whole_sum,
    reference="content",
    combine="global",
)
"""Sum of squared differences over the sum of absolute ones."""
