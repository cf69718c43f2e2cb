"""The change of variables, frequency by frequency, and around an optimizer."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import minimize

from jax_nst.optim.lbfgs import guarded_lbfgs
from jax_nst.optim.precondition import amplify, precondition


@pytest.mark.parametrize(
    "given", [{}, {"power": 0.7, "knee": 0.1, "colour_gains": (1.0, 2.0, 0.1)}], ids=["default", "given"]
)
@pytest.mark.parametrize("shape", [(6, 8, 3), (5, 7, 3), (1, 1, 3)])
def test_amplify_is_a_gain_of_each_frequency_of_each_colour(shape, given, rng):
    """Against a matrix of complex waves, one frequency after the other."""
    constants = {"power": 0.4, "knee": 0.01, "colour_gains": (1.0, 0.5, 0.7)} | given
    x = rng.normal(size=shape).astype(np.float32)
    h, w, _ = shape
    gains = np.empty(shape)
    for i in range(h):
        for j in range(w):
            down, across = (min(k, n - k) / n for k, n in ((i, h), (j, w)))
            of_frequency = (down**2 + across**2 + constants["knee"] ** 2) ** (-constants["power"] / 2)
            gains[i, j] = of_frequency * np.array(constants["colour_gains"])
    colours = np.array([[1, 1, 1], [1, -1, 0], [-1, -1, 2]], float)
    colours /= np.linalg.norm(colours, axis=1, keepdims=True)
    waves_down, waves_across = (
        np.exp(-2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n) for n in (h, w)
    )
    spectrum = np.einsum("ai,bj,ijc,oc->abo", waves_down, waves_across, x, colours) * gains
    back = np.einsum("ia,jb,abo,oc->ijc", waves_down.conj().T, waves_across.conj().T, spectrum, colours)
    expected = back.real / (h * w)
    actual = jax.jit(functools.partial(amplify, **given))(x)
    ratio = np.linalg.norm(actual) / np.linalg.norm(expected)
    np.testing.assert_allclose(actual, ratio * expected, atol=1e-5)


def test_amplify_is_symmetric_and_keeps_the_power_of_noise(rng):
    x, y = rng.normal(size=(2, 64, 81, 3)).astype(np.float32)
    of_x, of_y = (np.asarray(jax.jit(amplify)(each)) for each in (x, y))
    assert float(np.vdot(of_x, y)) == pytest.approx(float(np.vdot(x, of_y)), abs=0.05)
    assert float(np.mean(of_x**2)) == pytest.approx(1, abs=0.05)
    mapped = jax.vmap(amplify)(np.stack([x, y]))
    np.testing.assert_allclose(mapped[1], of_y, atol=1e-5)


@pytest.mark.parametrize("name", ["lbfgs", "adam"])
@pytest.mark.parametrize("given", [{}, {"power": 0.2, "knee": 0.1}], ids=["default", "given"])
def test_precondition_is_a_change_of_variables(name, given, rng):
    """Finds the same points as the inner optimizer does for f(start + P z), from z = 0."""
    inner = {"lbfgs": guarded_lbfgs(), "adam": optax.with_extra_args_support(optax.adam(0.1))}[name]
    start = jnp.asarray(rng.normal(size=(4, 6, 3)).astype(np.float32))

    def function(x):
        return 0.5 * jnp.sum(jnp.linspace(1.0, 50.0, x.size).reshape(x.shape) * x**2)

    def change(z):
        return start + amplify(z, **given)

    values, x, _ = minimize(function, start, precondition(inner, **given), 12)
    expected, z, _ = minimize(lambda z: function(change(z)), jnp.zeros_like(start), inner, 12)
    np.testing.assert_allclose(values, expected, rtol=1e-2)
    np.testing.assert_allclose(x, change(z), atol=1e-2)
