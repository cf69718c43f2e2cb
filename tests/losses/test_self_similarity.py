"""Distances between positions against NumPy loops in float64, and their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_nst.losses.self_similarity import (
    NUM_SAMPLES,
    SELF_SIMILARITY,
    sample_positions,
    self_similarity,
)
from jax_nst.losses.term import mean


def loss_of(features, content):
    target = mean(SELF_SIMILARITY.statistic(content), 1)
    return SELF_SIMILARITY.distance(SELF_SIMILARITY.statistic(features), target)


def slow_similarity(features):
    """D / sum of its column, as printed, for all positions."""
    positions = features.reshape(-1, features.shape[-1])
    n = len(positions)
    distances = np.zeros((n, n))
    for i, f in enumerate(positions):
        for j, g in enumerate(positions):
            distances[i, j] = 1 - f @ g / np.sqrt((f @ f) * (g @ g))
    return distances / distances.sum(axis=0)


def slow_loss(features, content):
    """The printed mean over pairs, times the number of positions."""
    x, c = slow_similarity(features), slow_similarity(content)
    return len(x) * sum(abs(a - b) for a, b in zip(x.ravel(), c.ravel(), strict=True)) / x.size


def two_layers(rng, dtype=np.float64):
    return tuple(rng.normal(size=(2, 4, 5, 3)).astype(dtype))


def test_loss_equals_a_slow_one_plain_jitted_and_vmapped(rng):
    with jax.enable_x64(True):
        features, content = (jnp.asarray(x) for x in two_layers(rng))
        expected = slow_loss(np.asarray(features), np.asarray(content))
        assert expected > 0.1
        assert float(loss_of(features, content)) == pytest.approx(expected, rel=1e-10)
        assert float(jax.jit(loss_of)(features, content)) == pytest.approx(expected, rel=1e-10)
        others = features[::-1, :, ::-1]
        mapped = jax.vmap(loss_of)(jnp.stack([features, others]), jnp.stack([content, content]))
        other = slow_loss(np.asarray(others), np.asarray(content))
        np.testing.assert_allclose(mapped, [expected, other], rtol=1e-10)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_statistic_of_short_features_is_float32(dtype, rng):
    features = jnp.asarray(two_layers(rng)[0], dtype)
    found = self_similarity(features)
    assert found.dtype == jnp.float32
    expected = 20 * slow_similarity(np.asarray(features, np.float64))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_loss_of_the_target_itself_is_zero(rng):
    features, _ = two_layers(rng, np.float32)
    for same in (features, np.zeros_like(features), np.ones_like(features)):
        assert float(loss_of(same, same)) == 0


def test_loss_depends_on_the_layout_and_not_on_lengths_or_on_which_channel_is_which(rng):
    with jax.enable_x64(True):
        features, content = two_layers(rng)
        expected = float(loss_of(features, content))
        longer = features * rng.uniform(0.5, 2, size=(4, 5, 1))
        assert float(loss_of(1e4 * longer, 1e-2 * content)) == pytest.approx(expected, rel=1e-10)
        rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        assert float(loss_of(features @ rotation, content)) == pytest.approx(expected, rel=1e-10)
        assert float(loss_of(content @ rotation, content)) == pytest.approx(0, abs=1e-12)
        assert float(loss_of(content[::-1], content)) > 0.1


def test_the_target_is_a_mean_over_pairs_of_positions():
    assert (SELF_SIMILARITY.target, SELF_SIMILARITY.combine) == (mean, "global")


def test_gradient_against_finite_differences(rng):
    with jax.enable_x64(True):
        features, content = (jnp.asarray(x) for x in two_layers(rng))
        gradient = np.asarray(jax.jit(jax.grad(loss_of))(features, content))
        jitted, h = jax.jit(loss_of), 1e-6
        for index in np.ndindex(features.shape):
            after, before = (float(jitted(features.at[index].add(step), content)) for step in (h, -h))
            assert gradient[index] == pytest.approx((after - before) / (2 * h), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("fill", [0, 1])
@pytest.mark.parametrize("rows", [slice(2), slice(None)])
def test_blank_and_equal_positions_have_a_finite_loss_and_gradient(fill, rows, rng):
    features, content = two_layers(rng, np.float32)
    features[rows] = fill
    value_and_grad = jax.jit(jax.value_and_grad(loss_of))
    for pair in ((features, content), (content, features), (features, features)):
        value, gradient = value_and_grad(*pair)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (32, 32), (1, 1024)])
def test_of_few_positions_all_are_taken(shape):
    np.testing.assert_array_equal(sample_positions(*shape), np.arange(shape[0] * shape[1]))
    assert self_similarity(jnp.ones((*shape, 2))).shape == (shape[0] * shape[1],) * 2


@pytest.mark.parametrize("shape", [(33, 32), (128, 96), (96, 128), (1, 5000), (2, 5000), (5000, 3)])
def test_of_many_positions_some_of_all_parts_are_taken(shape):
    height, width = shape
    found = sample_positions(height, width)
    assert len(np.unique(found)) == len(found)
    assert 0.7 * NUM_SAMPLES <= len(found) <= NUM_SAMPLES
    np.testing.assert_array_equal(found, sample_positions(height, width))
    # As many in each quarter of the picture's longer side.
    place = found // width / height if height > width else found % width / width
    quarters = np.histogram(place, bins=4, range=(0, 1))[0] / len(found)
    np.testing.assert_allclose(quarters, 0.25, atol=0.06)


def test_the_sampled_positions_are_those_compared(rng):
    features = rng.normal(size=(40, 40, 3))
    with jax.enable_x64(True):
        sampled = features.reshape(-1, 3)[sample_positions(40, 40)]
        found = np.asarray(self_similarity(jnp.asarray(features)))
        unit = sampled / np.linalg.norm(sampled, axis=1, keepdims=True)
        whole = 1 - unit @ unit.T
        np.testing.assert_allclose(found, whole / whole.mean(axis=0), rtol=1e-7, atol=1e-9)
