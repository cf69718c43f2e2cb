"""Style by the mean and the standard deviation of each channel."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jax_nst.losses.term import NORMALIZER_FLOOR, Target, Term, at_least_float32, check_rank

# Variance added to every channel, relative to the mean power of the style's: the gradient of a standard
# deviation divides by it.
_VARIANCE_FLOOR = 1e-4


class Moments(NamedTuple):
    """The first two moments of each channel, `[C]`; means over positions, so styles can be averaged."""

    mean: jax.Array
    square: jax.Array


class Shape(NamedTuple):
    """Mean and deviation of each channel of a target, `[C]`, and the variance added to it, `[]`."""

    mean: jax.Array
    deviation: jax.Array
    floor: jax.Array


def moments(features: jax.Array, *, weights: jax.Array | None = None) -> Moments:
    """Mean and mean square of each channel of `[h, w, C]`; weighted by `weights`, see `Term`."""
    check_rank("features", features, "h w C")
    features = at_least_float32(features)
    if weights is None:
        return Moments(jnp.mean(features, axis=(0, 1)), jnp.mean(jnp.square(features), axis=(0, 1)))
    weighted = weights[..., None] * features
    return Moments(jnp.mean(weighted, axis=(0, 1)), jnp.mean(weighted * features, axis=(0, 1)))


def deviation(statistic: Moments, floor: jax.Array) -> jax.Array:
    """sqrt(E[F²] - E[F]² + floor), `[C]`; rounding below zero counts as zero."""
    return jnp.sqrt(jnp.maximum(statistic.square - jnp.square(statistic.mean), 0) + floor)


def relative_moments(statistic: Moments, num_positions: ArrayLike) -> Target:
    """Target of mean((μ - μ_t)² + (σ - σ_t)²) / mean(E[F_t²])."""
    del num_positions
    power = jnp.maximum(jnp.mean(statistic.square), NORMALIZER_FLOOR)
    floor = _VARIANCE_FLOOR * power
    shape = Shape(statistic.mean, deviation(statistic, floor), floor)
    return Target(shape, 1.0 / (statistic.mean.size * power))


def moments_loss(statistic: Moments, target: Target) -> jax.Array:
    """coefficient · sum((μ - μ_t)² + (σ - σ_t)²).

    Li, Wang, Liu and Hou 2017 (arXiv:1701.01036), eq. 9, match these as statistics of batch normalisation.
    """
    shape: Shape = target.value
    of_mean = jnp.sum(jnp.square(statistic.mean - shape.mean))
    of_deviation = jnp.sum(jnp.square(deviation(statistic, shape.floor) - shape.deviation))
    return target.coefficient * (of_mean + of_deviation)


MOMENTS = Term(
    "moments",
    statistic=moments,
    distance=moments_loss,
    target=relative_moments,
    reference="style",
    combine="additive",
    takes_weights=True,
)
"""Mean and deviation of each channel, relative to the power of the layer."""
