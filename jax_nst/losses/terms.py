"""The losses: maths on features and pixels, nothing of networks or recipes.

Shapes: `H W` pixels, `h w` positions of a layer, `C` its channels. A loss is made in
two stages: a sum over positions here (sums add up over tiles and devices), then
a coefficient, which a recipe computes from the target.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

NOT_FINITE = "the loss of the start is not finite; make the weights of the losses smaller"
"""What is said of a transfer that cannot begin."""


class Losses(NamedTuple):
    """The scalar that is minimised and its three terms, unweighted. All `[]`."""

    total: jax.Array
    content: jax.Array
    style: jax.Array
    tv: jax.Array


def at_least_float32(x: jax.Array) -> jax.Array:
    """The same, of bfloat16 too, in a type whose sums are good."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


@jax.custom_vjp
def gram_matrix(features: jax.Array) -> jax.Array:
    """Mean over positions of the products of channels, F^T F / (h w).

    Gatys, Ecker and Bethge 2015 (arXiv:1508.06576), eq. 3, but for the divisor: a
    mean does not depend on the image's size, so a style image may have any.

    Args:
      features: `[h, w, C]`; of bfloat16 too, and then the sums are float32.

    Returns:
      `[C, C]`, symmetric, positive semidefinite, float32 at least.
    """
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
    # F (D + D^T): one product, where autodiff makes two and adds them.
    h, w, _ = features.shape
    both = (cotangent + cotangent.T) / (h * w)
    gradient = jnp.matmul(features, both, precision=jax.lax.Precision.HIGHEST)
    return (gradient.astype(features.dtype),)


gram_matrix.defvjp(_gram_forward, _gram_backward)  # pyright: ignore[reportFunctionMemberAccess]


def content_loss(features: jax.Array, target: jax.Array, coefficient: jax.Array) -> jax.Array:
    """coefficient * sum((F - P)^2), eq. 1 of Gatys et al. with another factor.

    Args:
      features: F, `[h, w, C]`, of the picture.
      target: P, `[h, w, C]`, of the content.
      coefficient: `[]`.
    """
    return coefficient * jnp.sum(jnp.square(at_least_float32(features) - target))


def style_loss(gram: jax.Array, target: jax.Array, coefficient: jax.Array) -> jax.Array:
    """sum(coefficient * (G - A)^2), eq. 4 of Gatys et al. with another factor.

    Args:
      gram: G, `[C, C]`, `gram_matrix` of the picture.
      target: A, `[C, C]`, `gram_matrix` of the style.
      coefficient: `[]`, or `[C, C]` where each entry has its own.
    """
    return jnp.sum(coefficient * jnp.square(gram - target))


def total_variation(pixels: jax.Array) -> jax.Array:
    """Mean squared difference downwards plus mean squared difference across.

    Mahendran and Vedaldi 2015 (arXiv:1412.0035), beta = 2, as means: the same at
    every size. Takes `[H, W, 3]`, gives `[]`.
    """
    return jnp.mean(jnp.square(jnp.diff(pixels, axis=0))) + jnp.mean(jnp.square(jnp.diff(pixels, axis=1)))


def absolute_variation(pixels: jax.Array) -> jax.Array:
    """Sum of absolute differences, down and across, of `[H, W, 3]` on the 0-255 scale.

    As nazianafis and jcjohnson/neural-style regularise; grows with the image.
    """
    return 255.0 * (jnp.sum(jnp.abs(jnp.diff(pixels, axis=0))) + jnp.sum(jnp.abs(jnp.diff(pixels, axis=1))))
