"""Content losses against NumPy loops."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_nst.losses import content
from jax_nst.losses.content import CONTENT, CONTENT_RATIO, content_loss
from jax_nst.losses.term import Target, mean, quarter_mean


def loss_of(term, features, reference):
    """The loss of a term in one layer."""
    return term.distance(term.statistic(features), term.target(term.statistic(reference), 12))


def test_content_loss_is_a_weighted_sum_of_squares(rng):
    f, p = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    slow = sum(0.3 * (x - y) ** 2 for x, y in zip(f.ravel(), p.ravel(), strict=True))
    assert float(content_loss(f, Target(p, jnp.float32(0.3)))) == pytest.approx(slow, rel=1e-5)


@pytest.mark.parametrize(
    ("target", "coefficient"),
    [(content.half_sum, 1 / 2), (quarter_mean, 1 / (4 * 60)), (mean, 1 / 60)],
)
def test_published_targets_scale_the_sum_of_squares(target, coefficient, rng):
    f, p = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    slow = coefficient * sum((x - y) ** 2 for x, y in zip(f.ravel(), p.ravel(), strict=True))
    term = dataclasses.replace(CONTENT, target=target)
    assert float(loss_of(term, f, p)) == pytest.approx(slow, rel=1e-5)


def test_content_term_is_relative_to_the_power_of_the_target(rng):
    f, p = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    assert float(loss_of(CONTENT, f, p)) == pytest.approx(np.mean((f - p) ** 2) / np.mean(p**2), rel=1e-5)
    assert float(loss_of(CONTENT, p, p)) == 0
    assert np.isfinite(loss_of(CONTENT, f, np.zeros_like(p)))


def test_plain_jit_and_vmap_agree(rng):
    f, p = rng.normal(size=(2, 3, 4, 5, 6)).astype(np.float32)
    mapped = jax.vmap(lambda f, p: loss_of(CONTENT, f, p))(f, p)
    for index in range(3):
        plain = float(loss_of(CONTENT, f[index], p[index]))
        jitted = jax.jit(lambda f, p: loss_of(CONTENT, f, p))(f[index], p[index])
        assert float(jitted) == pytest.approx(plain, rel=1e-5)
        assert float(mapped[index]) == pytest.approx(plain, rel=1e-5)


def test_features_in_bfloat16_are_compared_in_float32():
    """One level of bfloat16 apart: its square is exact in float32 and rounded away in bfloat16 sums."""
    f = jnp.full((64, 64, 1), 1.0078125, jnp.bfloat16)
    p = jnp.ones((64, 64, 1), jnp.bfloat16)
    term = dataclasses.replace(CONTENT, target=content.half_sum)
    found = loss_of(term, f, p)
    assert found.dtype == jnp.float32
    assert float(found) == pytest.approx(0.5 * 64**2 * 0.0078125**2, rel=1e-6)


def test_content_ratio_is_a_sum_of_squares_over_a_sum_of_absolute_values(rng):
    f, p = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    pairs = list(zip(f.ravel(), p.ravel(), strict=True))
    slow = sum((x - y) ** 2 for x, y in pairs) / (sum(abs(x - y) for x, y in pairs) + 1e-8)
    assert float(loss_of(CONTENT_RATIO, f, p)) == pytest.approx(slow, rel=1e-5)
    assert float(loss_of(CONTENT_RATIO, 3 * f, 3 * p)) == pytest.approx(3 * slow, rel=1e-5)


def test_gradient_of_content_ratio_against_finite_differences(rng):
    with jax.enable_x64(True):
        f, p = (jnp.asarray(x) for x in rng.normal(size=(2, 2, 3, 2)))
        gradient = jax.jit(jax.grad(lambda x: loss_of(CONTENT_RATIO, x, p)))(f)
        for index in np.ndindex(f.shape):
            after, before = (float(loss_of(CONTENT_RATIO, f.at[index].add(h), p)) for h in (1e-6, -1e-6))
            assert float(gradient[index]) == pytest.approx((after - before) / 2e-6, rel=1e-6, abs=1e-9)


def test_content_ratio_and_its_gradient_are_zero_at_the_content(rng):
    p = jnp.asarray(rng.normal(size=(3, 4, 5)), jnp.float32)
    value, gradient = jax.value_and_grad(lambda x: loss_of(CONTENT_RATIO, x, p))(p)
    assert float(value) == 0
    np.testing.assert_array_equal(gradient, 0)
