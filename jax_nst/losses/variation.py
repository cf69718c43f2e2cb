"""Total variation: how much neighbouring pixels differ."""

import jax
import jax.numpy as jnp

from jax_nst.losses.term import PIXELS, Term, check_rank


def total_variation(pixels: jax.Array) -> jax.Array:
    """Mean squared difference downwards plus mean squared difference across.

    Mahendran and Vedaldi 2015 (arXiv:1412.0035), beta = 2, as means: the same at every size. Takes
    `[H, W, 3]`, gives `[]`.
    """
    check_rank("pixels", pixels, "H W 3")
    return jnp.mean(jnp.square(jnp.diff(pixels, axis=0))) + jnp.mean(jnp.square(jnp.diff(pixels, axis=1)))


def absolute_variation(pixels: jax.Array) -> jax.Array:
    """Sum of absolute differences, down and across, of `[H, W, 3]` on the 0-255 scale.

    As nazianafis and jcjohnson/neural-style regularise; grows with the image.
    """
    check_rank("pixels", pixels, "H W 3")
    return 255.0 * (jnp.sum(jnp.abs(jnp.diff(pixels, axis=0))) + jnp.sum(jnp.abs(jnp.diff(pixels, axis=1))))


def _value(statistic: jax.Array, target: None) -> jax.Array:
    del target
    return statistic


TOTAL_VARIATION = Term("tv", statistic=total_variation, distance=_value, layers=(PIXELS,))
"""Squared differences of neighbouring pixels."""

ABSOLUTE_VARIATION = Term("tv", statistic=absolute_variation, distance=_value, layers=(PIXELS,))
"""Absolute differences of neighbouring pixels."""
