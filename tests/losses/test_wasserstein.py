"""The Bures distance against `scipy.linalg.sqrtm` in float64, closed forms and finite differences."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from jax_nst.losses.references import mix_statistics
from jax_nst.losses.term import NORMALIZER_FLOOR, Target
from jax_nst.losses.wasserstein import (
    WASSERSTEIN,
    GaussianMoments,
    bures,
    covariance,
    gaussian_moments,
    mean_gaussian,
    orthogonal_factor,
    relative_gaussian,
)

VARIANCE_FLOOR = 1e-3  # of the mean power of the channels, by the module's documentation


def loss_of(features, style):
    """The loss in one layer."""
    target = relative_gaussian(gaussian_moments(style), 1)
    return WASSERSTEIN.distance(WASSERSTEIN.statistic(features), target)


# Compiled once for all tests that use them.
jitted = jax.jit(loss_of)
value_and_gradient = jax.jit(jax.value_and_grad(loss_of))


def slow_gaussian(features):
    """Mean and covariance, the latter by its definition with centred features, with the floor added."""
    flat = np.asarray(features, np.float64).reshape(-1, features.shape[-1])
    centred = flat - flat.mean(axis=0)
    power = max(np.mean(flat**2), NORMALIZER_FLOOR)
    floor = VARIANCE_FLOOR * power * np.eye(flat.shape[1])
    return flat.mean(axis=0), centred.T @ centred / len(flat) + floor


def slow_bures(one, other):
    root = scipy.linalg.sqrtm(other)
    return np.trace(one + other - 2 * scipy.linalg.sqrtm(root @ one @ root)).real


def slow_loss(features, style):
    (mean, own), (style_mean, wanted) = slow_gaussian(features), slow_gaussian(style)
    distance = np.sum((mean - style_mean) ** 2) + slow_bures(own, wanted)
    return distance / (len(mean) * max(np.mean(np.square(style, dtype=np.float64)), NORMALIZER_FLOOR))


def layer(seed, shape, channels, dtype=np.float64):
    """Rectified features whose covariance has a few large and many small directions."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(channels, channels)) / np.arange(1, channels + 1)[:, None]
    features = rng.normal(size=(*shape, channels)) @ mixing + 0.3 * rng.normal(size=channels)
    return (100 * np.maximum(features, 0)).astype(dtype)


def random_covariance(rng, size, decay=0.0):
    basis = np.linalg.qr(rng.normal(size=(size, size)))[0]
    return basis * np.arange(1, size + 1.0) ** -decay @ basis.T


@jax.jit
def bures_of(one, other):
    return bures(one, jnp.linalg.cholesky(other))


@pytest.mark.parametrize(
    ("shape", "channels"),
    [((6, 5), 4), ((9, 8), 24), ((3, 5), 40)],
    ids=["few channels", "more channels", "rank deficient"],
)
def test_loss_equals_a_slow_one_plain_jitted_and_vmapped(shape, channels):
    features, style = layer(0, shape, channels), layer(1, (7, 5), channels)
    expected, other = slow_loss(features, style), slow_loss(2 * np.asarray(features), style)
    with jax.enable_x64(True):
        features, style = (jnp.asarray(x, jnp.float64) for x in (features, style))
        for found in (loss_of(features, style), jitted(features, style)):
            assert float(found) == pytest.approx(expected, rel=1e-5)
        mapped = jax.jit(jax.vmap(loss_of))(jnp.stack([features, 2 * features]), jnp.stack([style, style]))
        np.testing.assert_allclose(mapped, [expected, other], rtol=1e-5)


@pytest.mark.parametrize("channels", [3, 64, 256])
def test_loss_in_float32_is_close_to_that_in_float64(channels):
    features, style = (layer(seed, (12, 10), channels, np.float32) for seed in (2, 3))
    found = jitted(features, style)
    assert found.dtype == jnp.float32
    assert float(found) == pytest.approx(slow_loss(features, style), rel=1e-5)


@pytest.mark.parametrize("positions", [4096, 100, 1], ids=["full rank", "few positions", "one position"])
@pytest.mark.parametrize("channels", [64, pytest.param(512, marks=pytest.mark.slow)])
def test_loss_of_the_target_itself_is_below_a_millionth_of_that_of_another_picture(channels, positions):
    features, style = (layer(seed, (positions, 1), channels, np.float32) for seed in (4, 5))
    assert 0 <= float(loss_of(style, style)) < 1e-8 * float(loss_of(features, style))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bures_of_commuting_covariances_is_the_difference_of_deviations(dtype, rng):
    basis = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    one, other = rng.uniform(0.1, 4, size=(2, 5))
    with jax.enable_x64(dtype == np.float64):
        found = bures_of(*(jnp.asarray(basis * spectrum @ basis.T, dtype) for spectrum in (one, other)))
        precision = 100 * float(jnp.finfo(dtype).eps)
        assert float(found) == pytest.approx(np.sum((one**0.5 - other**0.5) ** 2), rel=precision)


def test_loss_of_channels_that_are_independent_is_a_sum_over_channels():
    """Every combination of two values a channel: the covariance is exactly diagonal."""
    with jax.enable_x64(True):
        signs = np.stack(np.meshgrid(*[np.array([-1.0, 1.0])] * 3), axis=-1).reshape(8, 1, 3)
        deviations, style_deviations = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 1.0])
        mean, style_mean = np.array([0.0, 1.0, 2.0]), np.array([1.0, 1.0, 0.0])
        pictures = (mean + deviations * signs, style_mean + style_deviations * signs)
        found = jitted(*(jnp.asarray(x) for x in pictures))
        powers = [np.mean(m**2 + d**2) for m, d in ((mean, deviations), (style_mean, style_deviations))]
        own, wanted = (
            np.sqrt(d**2 + VARIANCE_FLOOR * power)
            for d, power in zip((deviations, style_deviations), powers, strict=True)
        )
        expected = np.sum((mean - style_mean) ** 2 + (own - wanted) ** 2) / (3 * powers[1])
        assert float(found) == pytest.approx(expected, rel=1e-10)


def test_bures_is_symmetric_and_does_not_depend_on_the_axes(rng):
    with jax.enable_x64(True):
        one, other = (jnp.asarray(random_covariance(rng, 6, decay)) for decay in (1, 2))
        basis = np.linalg.qr(rng.normal(size=(6, 6)))[0]
        found = float(bures_of(one, other))
        assert found == pytest.approx(slow_bures(one, other), rel=1e-9)
        assert float(bures_of(other, one)) == pytest.approx(found, rel=1e-9)
        rotated = (basis @ x @ basis.T for x in (one, other))
        assert float(bures_of(*rotated)) == pytest.approx(found, rel=1e-9)


def test_orthogonal_factor_is_that_of_the_polar_decomposition_up_to_its_condition_number(rng):
    """Singular values over the whole range that `covariance` leaves, C / 1e-3."""
    left, right = (np.linalg.qr(rng.normal(size=(16, 16)))[0] for _ in range(2))
    matrix = left * np.geomspace(1, VARIANCE_FLOOR / 16, 16) @ right.T
    with jax.enable_x64(True):
        found = orthogonal_factor(jnp.asarray(50 * matrix))
        np.testing.assert_allclose(found, scipy.linalg.polar(matrix)[0], atol=1e-9)
    rounded = np.asarray(orthogonal_factor(jnp.asarray(matrix, jnp.float32)), np.float64)
    np.testing.assert_allclose(rounded.T @ rounded, np.eye(16), atol=1e-5)
    np.testing.assert_allclose(rounded, left @ right.T, atol=1e-2)  # 1e-7 of the largest, over the smallest


def test_loss_does_not_depend_on_where_the_positions_are(rng):
    with jax.enable_x64(True):
        features, style = layer(6, (6, 5), 4), layer(7, (4, 4), 4)
        shuffled = rng.permutation(features.reshape(-1, 4)).reshape(5, 6, 4)
        assert not np.array_equal(shuffled.reshape(-1, 4), features.reshape(-1, 4))
        found, expected = (float(jitted(x, style)) for x in (shuffled, features))
        assert found == pytest.approx(expected, rel=1e-10)


def test_gradient_against_finite_differences():
    with jax.enable_x64(True):
        features, style = (jnp.asarray(layer(seed, (4, 3), 5) / 100, jnp.float64) for seed in (8, 9))
        gradient, h = np.asarray(value_and_gradient(features, style)[1]), 1e-6
        for index in np.ndindex(features.shape):
            after, before = (float(jitted(features.at[index].add(step), style)) for step in (h, -h))
            assert gradient[index] == pytest.approx((after - before) / (2 * h), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("argument", [0, 1], ids=["covariance", "factor"])
def test_gradient_of_bures_against_finite_differences(argument, rng):
    with jax.enable_x64(True):
        arguments = [jnp.asarray(random_covariance(rng, 4, decay)) for decay in (1, 0.5)]
        arguments[1] = jnp.linalg.cholesky(arguments[1])
        gradient = jax.jit(jax.grad(bures, argument))(*arguments)
        direction = rng.normal(size=(4, 4))
        direction = jnp.asarray(direction + direction.T if argument == 0 else direction)

        def along(step):
            moved = [x + step * direction * (i == argument) for i, x in enumerate(arguments)]
            return float(bures(*moved))

        expected = (along(1e-5) - along(-1e-5)) / 2e-5
        assert float(jnp.sum(gradient * direction)) == pytest.approx(expected, rel=1e-6)


def test_gradient_at_the_target_is_small_beside_that_of_another_picture():
    features, style = (layer(seed, (16, 16), 64, np.float32) for seed in (10, 11))
    at_target, elsewhere = (np.abs(value_and_gradient(x, style)[1]).max() for x in (style, features))
    assert at_target < 1e-3 * elsewhere


@pytest.mark.parametrize("level", [0.0, 1e-6, 3.0, 2e4])
@pytest.mark.parametrize("blank", ["features", "style", "both"])
def test_blank_pictures_have_a_finite_loss_and_gradient(blank, level):
    """Constant features of different channels, whose covariance is zero but for rounding."""
    constant = jnp.broadcast_to(level * jnp.linspace(0, 1, 32), (32, 32, 32))
    features = style = constant
    if blank == "features":
        style = layer(12, (6, 6), 32, np.float32)
    if blank == "style":
        features = layer(12, (6, 6), 32, np.float32)
    value, gradient = value_and_gradient(features, style)
    assert np.isfinite(gradient).all()
    if blank == "both":
        assert 0 <= float(value) < 1e-8
    else:
        assert float(value) == pytest.approx(slow_loss(features, style), rel=1e-3)


@pytest.mark.slow
def test_a_blank_picture_of_many_channels_and_positions_keeps_its_covariance_positive_definite(rng):
    constant = jnp.broadcast_to(jnp.asarray(rng.random(512), jnp.float32), (128, 128, 512))
    value, gradient = value_and_gradient(constant, layer(12, (6, 6), 512, np.float32))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_features_have_float32_statistics_and_gradients_of_their_own_type(dtype):
    features, style = (layer(seed, (9, 8), 8, np.float32).astype(dtype) for seed in (13, 14))
    value, gradient = value_and_gradient(features, style)
    assert value.dtype == jnp.float32
    assert gradient.dtype == dtype
    exact = [x.astype(jnp.float32) for x in (features, style)]
    assert float(value) == pytest.approx(slow_loss(*exact), rel=1e-4)
    expected = np.asarray(value_and_gradient(*exact)[1])
    np.testing.assert_allclose(gradient.astype(jnp.float32), expected, atol=0.03 * np.abs(expected).max())


def test_mixture_of_two_styles_is_that_of_their_positions_put_together():
    """For styles of equally many positions and equal shares."""
    with jax.enable_x64(True):
        one, other = layer(15, (4, 6), 3), 3 * layer(16, (6, 4), 3).reshape(4, 6, 3) + 1
        term = dataclasses.replace(WASSERSTEIN, layers=("layer",))
        statistics = [{"wasserstein": {"layer": gaussian_moments(x)}} for x in (one, other)]
        mixed = mix_statistics([term], statistics, jnp.asarray([0.5, 0.5]))["wasserstein"]["layer"]
        together = jnp.concatenate([one, other])
        expected = gaussian_moments(together)
        np.testing.assert_allclose(mixed.mean, expected.mean, rtol=1e-6)
        np.testing.assert_allclose(mixed.second, expected.second, rtol=1e-6)
        np.testing.assert_allclose(covariance(mixed), slow_gaussian(together)[1], rtol=1e-5, atol=1e-3)


def test_the_relative_target_is_the_mean_one_over_the_power():
    statistic = GaussianMoments(jnp.asarray([1.0, 0.0]), jnp.diag(jnp.asarray([5.0, 3.0])))
    relative, mean = relative_gaussian(statistic, 1), mean_gaussian(statistic, 1)
    assert isinstance(relative, Target)
    assert float(mean.coefficient) == 1 / 2
    assert float(relative.coefficient) == pytest.approx(1 / 8)
    blank = GaussianMoments(jnp.zeros(2), jnp.zeros((2, 2)))
    assert float(relative_gaussian(blank, 1).coefficient) == pytest.approx(1 / (2 * NORMALIZER_FLOOR))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_loss_of_a_flat_region_in_low_precision_is_finite(dtype):
    """Both moments have the same weights, so that no variance is far below zero."""
    features = jnp.full((32, 32, 16), 3.3, dtype)
    weights = jnp.zeros((32, 32)).at[:10].set(3.2)
    style = WASSERSTEIN.statistic(jnp.asarray(np.random.default_rng(0).random((8, 8, 16)), dtype))
    assert WASSERSTEIN.target is not None
    target = WASSERSTEIN.target(style, 1)

    def loss(features):
        return WASSERSTEIN.distance(WASSERSTEIN.statistic(features, weights=weights), target)

    value, gradient = jax.jit(jax.value_and_grad(loss))(features)
    assert np.isfinite(value)
    assert np.isfinite(gradient.astype(jnp.float32)).all()


@pytest.mark.parametrize("leading", [(), (3,)])
def test_lapack_is_asked_for_one_matrix_at_a_time(leading):
    """Its kernels of a batch, on two CPU devices at once, wait for each other."""

    def both(second, factor):
        target = mean_gaussian(GaussianMoments(jnp.zeros(8), second), 1)
        return jax.grad(bures)(second, factor), target

    matrix = jax.ShapeDtypeStruct((*leading, 8, 8), jnp.float32)
    lowered = jax.jit(jax.vmap(both) if leading else both).lower(matrix, matrix)
    calls = re.findall(r"@(lapack_spotrf_ffi|lapack_strsm_ffi)\((.*)", lowered.as_text())
    assert {name for name, _ in calls} == {"lapack_spotrf_ffi", "lapack_strsm_ffi"}
    assert not any("3x8x8" in rest for _, rest in calls)
