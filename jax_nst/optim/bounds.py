"""Pixels <-> angles: variables without bounds for pixels in [0, 1].

pixels = (1 + sin(angle)) / 2 keeps every picture inside [0, 1], so what is scored is what is saved; an
iterate outside, clipped on saving, scores far worse. Logits bound it too, but their slope at black and
white nearly vanishes, and dark parts of a photograph stay as they are.
"""

import jax
import jax.numpy as jnp

# A start is moved this far in from black and white, where the slope is zero.
_MARGIN = 4 / 255


def to_pixels(angles: jax.Array) -> jax.Array:
    """Angles -> pixels in [0, 1], of the same shape."""
    return 0.5 + 0.5 * jnp.sin(angles)


def to_angles(pixels: jax.Array) -> jax.Array:
    """Pixels -> angles, of the same shape; black and white are moved in by four 8-bit levels."""
    return jnp.arcsin(2 * jnp.clip(pixels, _MARGIN, 1 - _MARGIN) - 1)
