"""ReLU and pooling, with gradients that take less time or memory than those of autodiff."""

import jax
import jax.numpy as jnp


@jax.custom_vjp
def relu(x: jax.Array) -> jax.Array:
    """max(x, 0). Its gradient needs the result, not x, so a GPU computes it within the convolution."""
    return jnp.maximum(x, 0)


def _relu_forward(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    y = relu(x)
    return y, y


def _relu_backward(y: jax.Array, cotangent: jax.Array) -> tuple[jax.Array]:
    # Not y > 0, which XLA would turn into x > 0; with one user less, x need not be kept.
    return (jnp.where(y != 0, cotangent, 0),)


relu.defvjp(_relu_forward, _relu_backward)  # pyright: ignore[reportFunctionMemberAccess]


def pool(x: jax.Array, pooling: str) -> jax.Array:
    """2x2 windows, stride 2, the last of an odd side smaller: `[h, w, C]` -> `[ceil(h/2), ceil(w/2), C]`.

    Keras and PyTorch drop an odd last row or column by default, which the features then do not depend on:
    it is painted with whatever an optimizer leaves there.
    """
    h, w, _ = x.shape
    if h % 2 or w % 2:
        padding = ((0, h % 2), (0, w % 2), (0, 0))
        if pooling == "max":
            x = jnp.pad(x, padding, constant_values=-jnp.inf)
        else:
            x = jnp.pad(x, padding, mode="edge")  # twice in both the sum and the count
    return max_pool(x) if pooling == "max" else jnp.mean(_windows(x), axis=(1, 3))


def _windows(x: jax.Array) -> jax.Array:
    """`[h, w, C]` -> `[h/2, 2, w/2, 2, C]`."""
    h, w, channels = x.shape
    return x.reshape(h // 2, 2, w // 2, 2, channels)


@jax.custom_vjp
def max_pool(x: jax.Array) -> jax.Array:
    """Maxima over 2x2 windows of even sides, `[h, w, C]` -> `[h/2, w/2, C]`.

    The gradient goes to every position that equals its maximum, undivided. Equal positions are the zeros
    of a ReLU, through which no gradient passes. One comparison is much less work than the
    scatter that autodiff makes of it.
    """
    return jnp.max(_windows(x), axis=(1, 3))


def _max_pool_forward(x: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    y = max_pool(x)
    return y, (x, y)


def _max_pool_backward(residuals: tuple[jax.Array, jax.Array], cotangent: jax.Array) -> tuple[jax.Array]:
    x, y = residuals
    chosen = _windows(x) == y[:, None, :, None]
    return (jnp.where(chosen, cotangent[:, None, :, None], 0).reshape(x.shape),)


max_pool.defvjp(_max_pool_forward, _max_pool_backward)  # pyright: ignore[reportFunctionMemberAccess]
