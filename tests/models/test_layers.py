"""ReLU and pooling against NumPy, and their gradients against those of autodiff."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_nst.models.layers import max_pool, pool, relu
from jax_nst.models.vgg import POOLINGS


def test_relu_and_its_gradient_are_those_of_jax(rng):
    x = jnp.asarray(rng.normal(size=(4, 6, 2)).astype(np.float32)).at[0, 0].set(0.0)
    cotangent = jnp.asarray(rng.normal(size=x.shape).astype(np.float32))
    for transform in (lambda f: f, jax.jit, jax.vmap):
        (actual, pullback), (expected, reference) = (jax.vjp(transform(f), x) for f in (relu, jax.nn.relu))
        np.testing.assert_array_equal(actual, expected)
        np.testing.assert_array_equal(pullback(cotangent)[0], reference(cotangent)[0])


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("shape", [(6, 8, 3), (5, 7, 2)])
def test_pool_reduces_2x2_windows(pooling, shape, rng):
    x = rng.normal(size=shape).astype(np.float32)
    reduce = {"max": np.max, "average": np.mean}[pooling]
    expected = [
        [reduce(x[i : i + 2, j : j + 2], axis=(0, 1)) for j in range(0, shape[1], 2)]
        for i in range(0, shape[0], 2)
    ]
    np.testing.assert_allclose(pool(jnp.asarray(x), pooling), expected, rtol=1e-6)
    batched = jax.vmap(lambda x: pool(x, pooling))(jnp.stack([x, 2 * x]))
    np.testing.assert_allclose(batched[1], 2 * np.asarray(expected), rtol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_gradient_of_an_odd_border_is_that_of_xla(pooling, rng):
    """Of `reduce_window`, which pads as needed and counts the positions that are there."""
    x = jnp.asarray(rng.normal(size=(5, 7, 2)).astype(np.float32))
    weights = jnp.asarray(rng.normal(size=(3, 4, 2)).astype(np.float32))

    def reference(x):
        def reduced(x, start, operation):
            return jax.lax.reduce_window(x, start, operation, (2, 2, 1), (2, 2, 1), "SAME")

        if pooling == "max":
            return jnp.sum(weights * reduced(x, -jnp.inf, jax.lax.max))
        return jnp.sum(weights * reduced(x, 0.0, jax.lax.add) / reduced(jnp.ones_like(x), 0.0, jax.lax.add))

    actual = jax.grad(lambda x: jnp.sum(weights * pool(x, pooling)))(x)
    np.testing.assert_allclose(actual, jax.grad(reference)(x), rtol=1e-6)


def test_max_pool_gradient_goes_to_the_maximum(rng):
    x = jnp.asarray(rng.normal(size=(4, 6, 2)).astype(np.float32))
    weights = jnp.asarray(rng.normal(size=(2, 3, 2)).astype(np.float32))

    def reference(x):
        pooled = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (2, 2, 1), (2, 2, 1), "VALID")
        return jnp.sum(weights * pooled)

    actual = jax.grad(lambda x: jnp.sum(weights * max_pool(x)))(x)
    np.testing.assert_allclose(actual, jax.grad(reference)(x))
