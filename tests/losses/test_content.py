"""Content losses against NumPy loops."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_nst.losses import content
from jax_nst.losses.content import CONTENT, content_loss
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
