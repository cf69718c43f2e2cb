"""Channel moments against NumPy loops in float64, and their gradients against finite differences."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_nst.losses.moments import MOMENTS, moments, relative_moments
from jax_nst.losses.references import mix_statistics
from jax_nst.losses.term import NORMALIZER_FLOOR

VARIANCE_FLOOR = 1e-4  # of the mean power of the style, by the module's documentation


def loss_of(features, style):
    """The loss in one layer."""
    target = relative_moments(MOMENTS.statistic(style), 1)
    return MOMENTS.distance(MOMENTS.statistic(features), target)


def slow_moments(features):
    """Mean and mean square of each channel, value by value."""
    h, w, channels = features.shape
    mean, square = np.zeros(channels), np.zeros(channels)
    for y in range(h):
        for x in range(w):
            for c in range(channels):
                mean[c] += features[y, x, c] / (h * w)
                square[c] += features[y, x, c] ** 2 / (h * w)
    return mean, square


def slow_loss(features, style):
    """Variances by the second definition: mean squared distance from the mean."""
    (mean, _), (style_mean, style_square) = slow_moments(features), slow_moments(style)
    power = max(np.mean(style_square), NORMALIZER_FLOOR)
    total = 0.0
    for c in range(features.shape[-1]):
        variances = [np.mean((x[..., c] - m[c]) ** 2) for x, m in ((features, mean), (style, style_mean))]
        deviation, style_deviation = (np.sqrt(v + VARIANCE_FLOOR * power) for v in variances)
        total += (mean[c] - style_mean[c]) ** 2 + (deviation - style_deviation) ** 2
    return total / (len(mean) * power)


def two_layers(rng, dtype=np.float64):
    """Features of two pictures of different sizes, with channels of different mean and spread."""
    features, style = (rng.normal(size=(h, w, 4)).astype(dtype) for h, w in ((5, 7), (6, 3)))
    return features * [1, 2, 0.5, 3] + [0, 1, -1, 2], style * [2, 1, 1, 1] + [1, 1, 0, 2]


def test_moments_are_means_over_positions_plain_jitted_and_vmapped(rng):
    batch = rng.normal(size=(3, 5, 7, 4)).astype(np.float32)
    mapped = jax.vmap(moments)(batch)
    for index, features in enumerate(batch):
        expected = slow_moments(features.astype(np.float64))
        np.testing.assert_allclose(moments(features), expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(jax.jit(moments)(features), expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            (mapped.mean[index], mapped.square[index]), expected, rtol=1e-5, atol=1e-6
        )


def test_loss_equals_a_slow_one_plain_jitted_and_vmapped(rng):
    with jax.enable_x64(True):
        features, style = (jnp.asarray(x) for x in two_layers(rng))
        expected = slow_loss(np.asarray(features), np.asarray(style))
        assert float(loss_of(features, style)) == pytest.approx(expected, rel=1e-10)
        assert float(jax.jit(loss_of)(features, style)) == pytest.approx(expected, rel=1e-10)
        mapped = jax.vmap(loss_of)(jnp.stack([features, 2 * features]), jnp.stack([style, style]))
        other = slow_loss(2 * np.asarray(features), np.asarray(style))
        np.testing.assert_allclose(mapped, [expected, other], rtol=1e-10)


def test_loss_in_float32_is_close_to_that_in_float64(rng):
    features, style = two_layers(rng)
    found = loss_of(features.astype(np.float32), style.astype(np.float32))
    assert found.dtype == jnp.float32
    assert float(found) == pytest.approx(slow_loss(features, style), rel=1e-5)


def test_loss_of_the_target_itself_is_zero(rng):
    for features in two_layers(rng, np.float32):
        assert float(loss_of(features, features)) == 0


def test_loss_does_not_depend_on_where_the_positions_are(rng):
    with jax.enable_x64(True):
        features, style = two_layers(rng)
        shuffled = rng.permutation(features.reshape(-1, 4)).reshape(7, 5, 4)
        assert not np.array_equal(shuffled.reshape(-1, 4), features.reshape(-1, 4))
        assert float(loss_of(shuffled, style)) == pytest.approx(float(loss_of(features, style)), rel=1e-12)


def test_gradient_against_finite_differences(rng):
    with jax.enable_x64(True):
        features, style = (jnp.asarray(x) for x in two_layers(rng))
        gradient = np.asarray(jax.jit(jax.grad(loss_of))(features, style))
        jitted, h = jax.jit(loss_of), 1e-6
        for index in np.ndindex(features.shape):
            after, before = (float(jitted(features.at[index].add(step), style)) for step in (h, -h))
            assert gradient[index] == pytest.approx((after - before) / (2 * h), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("constant", ["features", "style", "both"])
def test_gradient_at_a_constant_channel_is_finite(constant, rng):
    features, style = two_layers(rng, np.float32)
    features, style = features.astype(np.float32), style.astype(np.float32)
    if constant != "style":
        features[..., 1] = 0.7
    if constant != "features":
        style[..., 1] = 0.3
    value, gradient = jax.value_and_grad(loss_of)(jnp.asarray(features), jnp.asarray(style))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient[..., 1]).max() > 0


def test_the_target_is_relative_to_the_power_of_the_layer():
    assert MOMENTS.target is relative_moments


def test_blank_features_have_a_finite_loss_and_gradient():
    value, gradient = jax.value_and_grad(loss_of)(jnp.zeros((4, 5, 3)), jnp.zeros((4, 5, 3)))
    assert float(value) == 0
    assert np.isfinite(gradient).all()


def test_mixture_of_two_styles_is_that_of_their_positions_put_together(rng):
    """For styles of equally many positions and equal shares."""
    with jax.enable_x64(True):
        one, other = rng.normal(size=(2, 4, 6, 3)) * [[[[1]]], [[[3]]]] + [0, 1, 2]
        term = dataclasses.replace(MOMENTS, layers=("layer",))
        statistics = [{"moments": {"layer": MOMENTS.statistic(jnp.asarray(x))}} for x in (one, other)]
        mixed = mix_statistics([term], statistics, jnp.asarray([0.5, 0.5]))["moments"]["layer"]
        together = MOMENTS.statistic(jnp.asarray(np.concatenate([one, other])))
        np.testing.assert_allclose(mixed, together, rtol=1e-12)
        # So are the deviations, which are no means themselves.
        (_, deviation, floor), _ = relative_moments(mixed, 1)
        spread = np.var(np.concatenate([one, other]), axis=(0, 1))
        np.testing.assert_allclose(deviation, np.sqrt(spread + float(floor)), rtol=1e-12)


def test_statistics_of_bfloat16_features_are_float32(rng):
    features = jnp.asarray(rng.normal(size=(64, 64, 3)), jnp.bfloat16)
    found = moments(features)
    assert found.mean.dtype == found.square.dtype == jnp.float32
    expected = slow_moments(np.asarray(features, np.float64))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
