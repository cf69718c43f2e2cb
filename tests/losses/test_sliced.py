"""Sorted projections against brute force in NumPy, closed forms and finite differences."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_nst.losses.references import mix_statistics
from jax_nst.losses.sliced import SLICED, SORTED, random_directions, share_means
from jax_nst.losses.term import NORMALIZER_FLOOR

NUM_SHARES = 512

both_terms = pytest.mark.parametrize("term", [SLICED, SORTED], ids=lambda term: term.name)


def loss_of(term, features, style):
    """The loss in one layer."""
    return term.distance(term.statistic(features), term.target(term.statistic(style), 1))


# Compiled once for all tests that use them.
jitted = jax.jit(loss_of, static_argnums=0)
value_and_gradient = jax.jit(jax.value_and_grad(loss_of, 1), static_argnums=0)


def slow_shares(row, num_shares=NUM_SHARES):
    """Sorts by insertion; the mean of each run of consecutive values."""
    ordered = []
    for value in row:
        place = sum(other <= value for other in ordered)
        ordered.insert(place, float(value))
    runs = min(num_shares, len(row))
    means = []
    for run in range(runs):
        values = ordered[run * len(row) // runs : (run + 1) * len(row) // runs]
        means.append(sum(values) / len(values))
    return np.array([means[int((share + 0.5) * runs / num_shares)] for share in range(num_shares)])


def slow_statistic(term, features):
    flat = np.asarray(features, np.float64).reshape(-1, features.shape[-1])
    directions = random_directions(flat.shape[1]) if term is SLICED else np.eye(flat.shape[1])
    return np.stack([slow_shares([np.dot(direction, x) for x in flat]) for direction in directions])


def slow_loss(term, features, style):
    own, wanted = slow_statistic(term, features), slow_statistic(term, style)
    return np.mean((own - wanted) ** 2) / max(np.mean(wanted**2), NORMALIZER_FLOOR)


def two_layers(rng, dtype=np.float64):
    """Layers of different size, mean and deviation; one has more positions than there are shares."""
    features, style = (rng.normal(size=(h, w, 3)) for h, w in ((5, 7), (29, 18)))
    return (features * [1, 2, 0.5] + [0, 1, -1]).astype(dtype), (style * [2, 1, 1] + 1).astype(dtype)


@both_terms
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (16, 32), (29, 18), (32, 48)], ids=str)
def test_statistic_equals_a_slow_one(term, size, rng):
    """Of fewer positions than shares, as many, and more, also no multiple."""
    with jax.enable_x64(True):
        features = jnp.asarray(rng.normal(size=(*size, 2)))
        found = jax.jit(term.statistic)(features)
        np.testing.assert_allclose(found, slow_statistic(term, features), atol=1e-12)


@both_terms
def test_loss_equals_a_slow_one_plain_jitted_and_vmapped(term, rng):
    features, style = two_layers(rng)
    expected, other = slow_loss(term, features, style), slow_loss(term, 2 * features, style)
    with jax.enable_x64(True):
        features, style = jnp.asarray(features), jnp.asarray(style)
        for function in (loss_of, jitted):
            assert float(function(term, features, style)) == pytest.approx(expected, rel=1e-10)
        batch = jnp.stack([features, 2 * features]), jnp.stack([style, style])
        mapped = jax.jit(jax.vmap(lambda x, y: loss_of(term, x, y)))(*batch)
        np.testing.assert_allclose(mapped, [expected, other], rtol=1e-10)
        gradient = jax.grad(lambda x, y: loss_of(term, x, y))
        np.testing.assert_allclose(
            jax.jit(jax.vmap(gradient))(*batch)[0], jax.jit(gradient)(features, style), atol=1e-14
        )


@both_terms
def test_loss_in_float32_is_close_to_that_in_float64(term, rng):
    features, style = two_layers(rng)
    found = jitted(term, jnp.asarray(features, jnp.float32), jnp.asarray(style, jnp.float32))
    assert found.dtype == jnp.float32
    assert float(found) == pytest.approx(slow_loss(term, features, style), rel=1e-5)


def test_loss_of_equally_many_positions_is_the_exact_distance_of_the_sorted_values(rng):
    """As `scipy.stats.wasserstein_distance` matches them, but squared; 256 divides the number of shares."""
    with jax.enable_x64(True):
        features, style = rng.normal(size=(2, 16, 16, 1)) * [[[[1]]], [[[3]]]]
        expected = np.mean((np.sort(features.ravel()) - np.sort(style.ravel())) ** 2) / np.mean(style**2)
        assert float(jitted(SORTED, jnp.asarray(features), jnp.asarray(style))) == pytest.approx(expected)


def test_loss_is_at_most_the_exact_distance_and_near_it(rng):
    """Of a multiple of 512 positions, as the documentation says."""
    with jax.enable_x64(True):
        features, style = np.exp(rng.normal(size=(2, 64, 64, 1))) * [[[[1]]], [[[0.5]]]]
        exact = np.mean((np.sort(features.ravel()) - np.sort(style.ravel())) ** 2)
        statistics = (jax.jit(SORTED.statistic)(jnp.asarray(x)) for x in (features, style))
        found = float(jnp.mean(jnp.square(jnp.subtract(*statistics))))
        assert 0.97 * exact < found < exact


def test_shares_are_means_of_the_quantile_function():
    """Of 1024 numbers in arithmetic progression, the k-th share is that of numbers 2 k and 2 k + 1."""
    features = jnp.arange(1024.0)[::-1].reshape(32, 32, 1)
    np.testing.assert_array_equal(SORTED.statistic(features)[0], 2 * np.arange(512) + 0.5)


@both_terms
def test_loss_of_the_target_itself_is_exactly_zero_and_so_is_its_gradient(term, rng):
    for features in two_layers(rng, np.float32):
        value, gradient = value_and_gradient(term, features, features)
        assert float(value) == 0
        np.testing.assert_array_equal(gradient, 0)


def test_loss_is_zero_of_the_same_distribution_at_another_size(rng):
    """Each position four times, as nearest-neighbour enlargement makes it."""
    style = jnp.asarray(rng.normal(size=(16, 16, 3)), jnp.float32)
    enlarged = jnp.repeat(jnp.repeat(style, 2, axis=0), 2, axis=1)
    assert float(jitted(SORTED, enlarged, style)) == 0


@both_terms
def test_loss_does_not_depend_on_where_the_positions_are(term, rng):
    with jax.enable_x64(True):
        features, style = two_layers(rng)
        shuffled = rng.permutation(features.reshape(-1, 3)).reshape(7, 5, 3)
        assert not np.array_equal(shuffled.reshape(-1, 3), features.reshape(-1, 3))
        found, expected = (float(jitted(term, x, style)) for x in (shuffled, features))
        assert found == pytest.approx(expected)


@pytest.mark.parametrize("size", [(5, 7), (26, 21)], ids=["fewer positions than shares", "more"])
@both_terms
def test_gradient_against_finite_differences(term, size, rng):
    with jax.enable_x64(True):
        features, style = jnp.asarray(rng.normal(size=(*size, 2))), jnp.asarray(rng.gamma(1, 1, (9, 8, 2)))
        gradient, h = np.asarray(value_and_gradient(term, features, style)[1]), 1e-7
        for index in list(np.ndindex(features.shape))[:: len(features)]:
            after, before = (float(jitted(term, features.at[index].add(step), style)) for step in (h, -h))
            assert gradient[index] == pytest.approx((after - before) / (2 * h), rel=1e-4, abs=1e-8)


def test_gradient_of_equal_values_is_their_mean_over_the_ways_to_order_them(rng):
    """A flat picture stays flat; values that are unique get the gradient of their own run."""
    with jax.enable_x64(True):
        cotangents = jnp.asarray(rng.normal(size=(1, 6)))
        rows = jnp.asarray([[3.0, 1.0, 3.0, 0.0, 3.0, 5.0, 3.0, 7.0, 6.0, 9.0, 2.0, 8.0]])
        pullback = jax.jit(lambda x, y: jax.vjp(functools.partial(share_means, 6), x)[1](y))
        (found,) = pullback(rows, cotangents)
        of_runs = np.asarray(cotangents)[0] / 2
        # In order: 0 1 | 2 3 | 3 3 | 3 5 | 6 7 | 8 9; the four equal values lie in runs 1 to 3.
        shared = of_runs[1:4].mean()
        wanted = [shared, of_runs[0], shared, of_runs[0], shared, of_runs[3], shared]
        wanted += [of_runs[4], of_runs[4], of_runs[5], of_runs[1], of_runs[5]]
        np.testing.assert_allclose(found[0], wanted, rtol=1e-12)
        flat = jnp.full((1, 12), 4.0)
        (found,) = pullback(flat, cotangents)
        np.testing.assert_allclose(found, np.full((1, 12), of_runs.mean()), rtol=1e-12)


@both_terms
@pytest.mark.parametrize("level", [0.0, -3.0, 2e4])
def test_blank_pictures_have_a_finite_loss_and_gradient(term, level, rng):
    blank, other = jnp.full((5, 4, 3), level), jnp.asarray(rng.random((6, 6, 3)), jnp.float32)
    for pictures in ((blank, other), (other, blank), (blank, blank)):
        value, gradient = value_and_gradient(term, *pictures)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_of_both_signs_and_all_sizes_are_sorted(dtype, rng):
    finite = rng.normal(size=20) * 10.0 ** rng.integers(-30, 30, 20)
    row = np.concatenate([finite, [0.0, -0.0, np.inf, -np.inf]])
    with jax.enable_x64(dtype == np.float64):
        found = share_means(24, jnp.asarray(row[None], dtype))
        np.testing.assert_array_equal(found[0], np.sort(row.astype(dtype)))


@both_terms
def test_mixture_of_two_styles_is_their_barycentre(term, rng):
    """In one dimension it has the mean of the quantiles; the styles may be of different sizes."""
    with jax.enable_x64(True):
        one, other = (jnp.asarray(x) for x in two_layers(rng))
        named = dataclasses.replace(term, layers=("layer",))
        statistics = [{term.name: {"layer": jax.jit(term.statistic)(x)}} for x in (one, other)]
        mixed = mix_statistics([named], statistics, jnp.asarray([0.25, 0.75]))[term.name]["layer"]
        expected = 0.25 * slow_statistic(term, one) + 0.75 * slow_statistic(term, other)
        np.testing.assert_allclose(mixed, expected, atol=1e-12)


@both_terms
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_features_have_float32_statistics_and_gradients_of_their_own_type(term, dtype, rng):
    features, style = (jnp.asarray(x, dtype) for x in two_layers(rng))
    value, gradient = value_and_gradient(term, features, style)
    assert (value.dtype, gradient.dtype) == (jnp.float32, dtype)
    assert float(value) == pytest.approx(slow_loss(term, features, style), rel=1e-4)


@pytest.mark.parametrize("channels", [1, 3, 64])
def test_directions_are_orthonormal_and_always_the_same(channels):
    directions = random_directions(channels)
    np.testing.assert_allclose(directions @ directions.T, np.eye(channels), atol=1e-12)
    random_directions.cache_clear()
    np.testing.assert_array_equal(random_directions(channels), directions)


def test_directions_mix_channels():
    """A channel that is exchanged with another changes nothing for either alone, but their joint values."""
    rng = np.random.default_rng(0)
    one, other = np.sort(rng.normal(size=(2, 16, 16)).reshape(2, -1))
    alike = jnp.asarray(np.stack([one, other], axis=-1).reshape(16, 16, 2), jnp.float32)
    opposed = jnp.asarray(np.stack([one, other[::-1]], axis=-1).reshape(16, 16, 2), jnp.float32)
    assert float(jitted(SORTED, alike, opposed)) == 0
    assert float(jitted(SLICED, alike, opposed)) > 0.01
