"""Style by the Wasserstein-2 distance between Gaussians with the moments of the features."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jax_nst.losses.gram import weighted_gram
from jax_nst.losses.term import NORMALIZER_FLOOR, Target, Term, at_least_float32

# Variance added to every direction, relative to the mean power of the channels. It bounds the condition
# number of what is factorised below, so that float32 is enough even where there are fewer positions than
# channels.
_VARIANCE_FLOOR = 1e-3


class GaussianMoments(NamedTuple):
    """Mean `[C]` and second moment `[C, C]`: means over positions, so styles can be averaged."""

    mean: jax.Array
    second: jax.Array


class Gaussian(NamedTuple):
    """Mean `[C]` and the Cholesky factor of the covariance, `[C, C]`, of a target."""

    mean: jax.Array
    factor: jax.Array


def gaussian_moments(features: jax.Array, *, weights: jax.Array | None = None) -> GaussianMoments:
    """Mean and second moment of the channels of `[h, w, C]`; weighted by `weights`, see `Term`."""
    second = weighted_gram(features, weights=weights)
    features = at_least_float32(features)
    weighted = features if weights is None else weights[..., None] * features
    return GaussianMoments(jnp.mean(weighted, axis=(0, 1)), second)


def covariance(statistic: GaussianMoments) -> jax.Array:
    """E[FFᵀ] - μμᵀ + εI, `[C, C]`, with ε 1e-3 of the mean power of the channels: positive definite."""
    mean, second = statistic
    power = jnp.maximum(jnp.mean(jnp.diagonal(second)), NORMALIZER_FLOOR)
    return second - jnp.outer(mean, mean) + _VARIANCE_FLOOR * power * jnp.eye(len(mean), dtype=second.dtype)


def _one_by_one(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """`function` of matrices, which under `vmap` takes one after the other on a CPU.

    There LAPACK takes a batch, and waits for threads of the pool that it runs in: two devices that do so at
    the same time wait for each other.
    """
    mapped = jax.custom_batching.sequential_vmap(function)
    return lambda *matrices: jax.lax.platform_dependent(*matrices, cpu=mapped, default=function)


_cholesky = _one_by_one(jnp.linalg.cholesky)


@_one_by_one
def _solve_transposed(lower: jax.Array, right: jax.Array) -> jax.Array:
    """L⁻ᵀR."""
    return jax.scipy.linalg.solve_triangular(lower, right, trans=1, lower=True)


def multiply(left: jax.Array, right: jax.Array) -> jax.Array:
    """The product of matrices; TF32 would cost three digits."""
    return jnp.matmul(left, right, precision=jax.lax.Precision.HIGHEST)


def orthogonal_factor(matrix: jax.Array) -> jax.Array:
    """The nearest orthogonal matrix: U of the polar decomposition UP, `[C, C]`.

    Newton-Schulz iteration, each step scaled so that the smallest singular value grows most. It consists
    of products, which are fast on every device.

    Args:
      matrix: `[C, C]`, of a condition number below C / 1e-3, which `covariance` ensures.
    """
    # Singular values of `x` lie in [lower, 1].
    x = matrix / jnp.linalg.norm(matrix)
    lower = _VARIANCE_FLOOR / len(matrix)
    while 1 - lower > jnp.finfo(matrix.dtype).eps:
        scale = (3 / (1 + lower + lower**2)) ** 0.5
        x = 1.5 * scale * x - 0.5 * scale**3 * multiply(x, multiply(x.T, x))
        lower = 0.5 * scale * lower * (3 - (scale * lower) ** 2)
    return x


@jax.custom_vjp
def bures(covariance: jax.Array, factor: jax.Array) -> jax.Array:
    """tr(S + S_t - 2 (S_t^½ S S_t^½)^½), the squared Bures distance of two covariances.

    Computed as the least ‖B - LU‖² over orthogonal U, where S = LLᵀ and S_t = BBᵀ (Bhatia, Jain and Lim
    2019, arXiv:1712.01504, theorem 1): there is no difference of large numbers, and no root of a product,
    whose condition number is beyond float32.

    Args:
      covariance: S, `[C, C]`, positive definite.
      factor: B, the Cholesky factor of S_t, `[C, C]`.

    Returns:
      `[]`, not negative.
    """
    return _bures_forward(covariance, factor)[0]


def _bures_forward(covariance: jax.Array, factor: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    own = _cholesky(covariance)
    rotation = orthogonal_factor(multiply(own.T, factor))
    difference = factor - multiply(own, rotation)
    return jnp.sum(jnp.square(difference)), (own, rotation, factor, difference)


def _bures_backward(residuals: tuple[jax.Array, ...], cotangent: jax.Array) -> tuple[jax.Array, jax.Array]:
    # I - T with the optimal map T = BUᵀL⁻¹, which is symmetric; U needs no derivative, being a minimiser.
    own, rotation, factor, difference = residuals
    transport = _solve_transposed(own, multiply(rotation, factor.T))
    symmetric = (transport + transport.T) / 2
    return cotangent * (jnp.eye(len(own), dtype=own.dtype) - symmetric), 2 * cotangent * difference


bures.defvjp(_bures_forward, _bures_backward)


def relative_gaussian(statistic: GaussianMoments, num_positions: ArrayLike) -> Target:
    """Target of the squared Wasserstein-2 distance, divided by the sum of the powers of the channels."""
    power = jnp.maximum(jnp.mean(jnp.diagonal(statistic.second)), NORMALIZER_FLOOR)
    value, coefficient = mean_gaussian(statistic, num_positions)
    return Target(value, coefficient / power)


def mean_gaussian(statistic: GaussianMoments, num_positions: ArrayLike) -> Target:
    """Target of the squared Wasserstein-2 distance, divided by the number of channels."""
    del num_positions
    value = Gaussian(statistic.mean, _cholesky(covariance(statistic)))
    return Target(value, jnp.asarray(1.0 / len(statistic.mean)))


def wasserstein_loss(statistic: GaussianMoments, target: Target) -> jax.Array:
    """coefficient · (|μ - μ_t|² + tr(S + S_t - 2 (S_t^½ S S_t^½)^½)).

    The squared Wasserstein-2 distance of two Gaussians (Dowson and Landau 1982), as a style loss in
    github.com/crowsonkb/style-transfer-pytorch.
    """
    value: Gaussian = target.value
    of_mean = jnp.sum(jnp.square(statistic.mean - value.mean))
    return target.coefficient * (of_mean + bures(covariance(statistic), value.factor))


WASSERSTEIN = Term(
    "wasserstein",
    statistic=gaussian_moments,
    distance=wasserstein_loss,
    target=relative_gaussian,
    reference="style",
    combine="additive",
    takes_weights=True,
)
"""Wasserstein-2 distance of Gaussians, relative to the power of the layer."""
