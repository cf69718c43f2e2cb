"""Style by Gram matrices, the mean products of channels (Gatys et al. 2015, arXiv:1508.06576)."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jax_nst.losses.term import (
    NORMALIZER_FLOOR,
    Target,
    Term,
    at_least_float32,
    check_rank,
    nearest_power_of_two,
    relative_to_power,
    squared_difference,
)


@jax.custom_vjp
def gram_matrix(features: jax.Array) -> jax.Array:
    """Mean over positions of the products of channels, FᵀF / (h w).

    Gatys et al. 2015, eq. 3, but for the divisor: a mean does not depend on the image's size, so a style
    image may have any.

    Args:
      features: `[h, w, C]`; of bfloat16 or float16 too, and then the sums are float32.

    Returns:
      `[C, C]`, symmetric, positive semidefinite, float32 at least.

    Raises:
      ValueError: the features are not `[h, w, C]`.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_nst import gram_matrix
      >>> gram_matrix(jnp.ones((4, 5, 2))).tolist()
      [[1.0, 1.0], [1.0, 1.0]]
    """
    check_rank("features", features, "h w C")
    flat = features.reshape(-1, features.shape[-1])
    # No transpose, which a batch would copy. Full float32 products: TF32 costs three digits of the loss.
    over_positions = (((0,), (0,)), ((), ()))
    products = jax.lax.dot_general(
        flat,
        flat,
        over_positions,
        precision=jax.lax.Precision.HIGHEST,
        preferred_element_type=jnp.promote_types(flat.dtype, jnp.float32),
    )
    return products / flat.shape[0]


def _gram_forward(features: jax.Array) -> tuple[jax.Array, jax.Array]:
    return gram_matrix(features), features


def _gram_backward(features: jax.Array, cotangent: jax.Array) -> tuple[jax.Array]:
    # F (D + Dᵀ): one product, where autodiff makes two and adds them.
    h, w, _ = features.shape
    both = (cotangent + cotangent.T) / (h * w)
    return (multiply(features, both),)


def multiply(features: jax.Array, matrix: jax.Array) -> jax.Array:
    """The product with a float32 matrix, at the speed of the features' type.

    Tensor cores multiply bfloat16 or float16 only by the same. Rounding the matrix to it costs about as
    much as rounding the result does.

    Args:
      features: `[h, w, C]`.
      matrix: `[C, D]`, float32 or float64.

    Returns:
      `[h, w, D]`, of the features' type.
    """
    dtype = features.dtype
    if dtype.itemsize >= matrix.dtype.itemsize:
        return jnp.matmul(features, matrix, precision=jax.lax.Precision.HIGHEST)
    if dtype == jnp.bfloat16:
        return jnp.matmul(features, matrix.astype(dtype), preferred_element_type=dtype)
    # Entries of 1 at most, because float16 ends at 6.5e4 and has no more than 24 bits below 1.
    scale = nearest_power_of_two(jnp.max(jnp.abs(matrix)))
    product = jnp.matmul(features, (matrix / scale).astype(dtype), preferred_element_type=matrix.dtype)
    return (scale * product).astype(dtype)


gram_matrix.defvjp(_gram_forward, _gram_backward)  # pyright: ignore[reportFunctionMemberAccess]


def relative_to_entries(gram: jax.Array, num_positions: ArrayLike) -> Target:
    """Target of mean((G_ij - A_ij)² / (A_ii A_jj)), each entry relative to the powers of its channels."""
    del num_positions
    power = jnp.maximum(jnp.diagonal(gram), NORMALIZER_FLOOR)
    return Target(gram, 1.0 / (gram.size * power[:, None] * power[None, :]))


def mean_undivided(gram: jax.Array, num_positions: ArrayLike) -> Target:
    """Target of the mean over entries of undivided Gram matrices, over C h w, as in Udacity's code."""
    return Target(gram, jnp.asarray(num_positions / (gram.shape[0] * gram.size)))


def weighted_gram(features: jax.Array, *, weights: jax.Array | None = None) -> jax.Array:
    """`gram_matrix`, weighted by `weights` (see `Term`): that of the features times their square root.

    Gatys, Ecker, Bethge, Hertzmann and Shechtman 2017 (arXiv:1611.07865), eqs. 5 and 6, whose guide is the
    square root of these weights.
    """
    if weights is None:
        return gram_matrix(features)
    # In float32: a covariance is the difference of this and the product of means, which are exact.
    return gram_matrix(jnp.sqrt(weights)[..., None] * at_least_float32(features))


GRAM = Term(
    "style",
    statistic=weighted_gram,
    distance=squared_difference,
    target=relative_to_power,
    reference="style",
    combine="additive",
    degree=2,
    takes_weights=True,
)
"""Gram matrices, each layer relative to its power."""
