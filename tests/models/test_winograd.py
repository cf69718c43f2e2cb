"""Winograd's algorithm against a convolution in slow NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_nst.models import winograd

SHAPES = [(8, 8, 3, 2), (13, 6, 4, 5), (3, 10, 2, 2), (1, 1, 1, 1), (4, 7, 5, 3)]


def arrays(shape, dtype=np.float64):
    h, w, channels, outputs = shape
    rng = np.random.default_rng(0)
    x = rng.standard_normal((h, w, channels)).astype(dtype)
    return x, rng.standard_normal((3, 3, channels, outputs)).astype(dtype)


def slow_convolution(x, kernel):
    """Output by output: the sum over nine neighbours, with zeros around the picture."""
    h, w, _ = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    y = np.zeros((h, w, kernel.shape[-1]))
    for i in range(h):
        for j in range(w):
            y[i, j] = np.einsum("ijc,ijcd->d", padded[i : i + 3, j : j + 3], kernel)
    return y


@pytest.fixture(params=[1, 10**6])
def tiles(request, monkeypatch):
    """How many tiles are taken at once."""
    monkeypatch.setattr(winograd, "_TILES_AT_ONCE", request.param)


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("shape", SHAPES)
def test_output_equals_the_convolution(shape):
    x, kernel = arrays(shape)
    with jax.enable_x64(True):
        y = winograd.convolve(jnp.asarray(x), winograd.transform(kernel))
        assert y.dtype == jnp.float64
        np.testing.assert_allclose(y, slow_convolution(x, kernel), atol=1e-12)


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_equals_that_of_the_convolution(shape):
    """The transpose: <convolve(x), y> = <x, gradient>, for every x."""
    x, kernel = arrays(shape)
    with jax.enable_x64(True):
        transformed = winograd.transform(kernel)
        y, pullback = jax.vjp(lambda x: winograd.convolve(x, transformed), jnp.asarray(x))
        cotangent = np.random.default_rng(1).standard_normal(y.shape)
        (gradient,) = pullback(jnp.asarray(cotangent))
        others = np.random.default_rng(2).standard_normal((3, *x.shape))
        for other in others:
            expected = np.vdot(slow_convolution(other, kernel), cotangent)
            np.testing.assert_allclose(np.vdot(other, gradient), expected, rtol=1e-10, atol=1e-12)


def test_rounding_error_is_that_of_a_convolution():
    """In float32, 128 channels; relative to the outputs' size."""
    x, kernel = arrays((32, 32, 128, 16), np.float32)
    exact = slow_convolution(x, kernel)
    y = np.asarray(winograd.convolve(jnp.asarray(x), winograd.transform(kernel)))
    assert y.dtype == np.float32
    assert np.sqrt(np.mean((y - exact) ** 2) / np.mean(exact**2)) < 3e-6


def test_plain_jit_and_vmap_agree():
    x, kernel = arrays((9, 14, 6, 4), np.float32)
    transformed = winograd.transform(kernel)
    plain = winograd.convolve(jnp.asarray(x), transformed)
    np.testing.assert_allclose(jax.jit(winograd.convolve)(x, transformed), plain, rtol=1e-4, atol=1e-5)
    batch = jax.vmap(winograd.convolve, in_axes=(0, None))(jnp.stack([x, 2 * x]), transformed)
    np.testing.assert_allclose(batch, jnp.stack([plain, 2 * plain]), rtol=1e-4, atol=1e-5)


def test_the_gradient_of_the_kernel_is_nan():
    """It is not computed; zeros would pass for a gradient."""
    x, kernel = arrays((4, 4, 2, 2), np.float32)
    gradient = jax.grad(lambda k: jnp.sum(winograd.convolve(jnp.asarray(x), k)))(winograd.transform(kernel))
    assert np.isnan(gradient).all()
