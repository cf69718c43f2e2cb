"""Wasserstein-2 between Gaussians against closed forms, a root by SciPy, and pictures of known order."""

import numpy as np
import pytest
import scipy.linalg
from conftest import picture

from jax_nst import wavelet
from jax_nst.metrics import Gaussian, style_distance, wasserstein2
from jax_nst.metrics.gaussians import mix, relative_distance
from jax_nst.metrics.statistics import statistics_of


def gaussian(rng, channels=6, samples=50):
    x = rng.normal(rng.normal(size=channels), 1, (samples, channels)) @ rng.normal(
        size=(channels, channels)
    )
    return Gaussian(x.mean(0), np.cov(x.T, bias=True))


def test_it_is_that_of_matrix_roots(rng):
    first, second = gaussian(rng), gaussian(rng)
    root = scipy.linalg.sqrtm(second.covariance)
    cross = np.trace(scipy.linalg.sqrtm(root @ first.covariance @ root)).real
    means = np.sum((first.mean - second.mean) ** 2)
    expected = means + np.trace(first.covariance) + np.trace(second.covariance) - 2 * cross
    assert wasserstein2(first, second) == pytest.approx(expected, rel=1e-9)
    assert wasserstein2(second, first) == pytest.approx(expected, rel=1e-9)


def test_covariances_that_commute_have_a_closed_form(rng):
    basis = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    deviations = rng.uniform(0, 2, (2, 5))
    both = [Gaussian(np.zeros(5), basis @ np.diag(d**2) @ basis.T) for d in deviations]
    assert wasserstein2(*both) == pytest.approx(np.sum((deviations[0] - deviations[1]) ** 2), rel=1e-9)


@pytest.mark.parametrize("samples", [3, 50])
def test_equal_ones_have_no_distance(rng, samples):
    """Also where there are fewer positions than channels, so that the covariance is singular."""
    one = gaussian(rng, samples=samples)
    assert wasserstein2(one, one) < 1e-12 * np.trace(one.covariance)


def test_a_mixture_has_the_moments_of_the_samples_together(rng):
    parts = [rng.normal(shift, 1, (count, 4)) for shift, count in ((0, 30), (2, 10))]
    fitted = [Gaussian(x.mean(0), np.cov(x.T, bias=True)) for x in parts]
    together = np.concatenate(parts)
    mixed = mix(fitted, (0.75, 0.25))
    np.testing.assert_allclose(mixed.mean, together.mean(0), atol=1e-12)
    np.testing.assert_allclose(mixed.covariance, np.cov(together.T, bias=True), atol=1e-12)


def test_the_distance_is_relative_to_the_power_of_the_style():
    pixels, style = picture(16, 16, 1), picture(16, 16, 2)
    one, other = (
        statistics_of(wavelet(), {}, x, layers=["scale1"]).gaussians["scale1"] for x in (pixels, style)
    )
    features = np.asarray(wavelet().apply({}, style, ["scale1"])["scale1"], np.float64)
    expected = wasserstein2(one, other) / np.sum(np.mean(np.square(features), axis=(0, 1)))
    assert style_distance(pixels, style, wavelet(), {}, layers=["scale1"]) == pytest.approx(
        expected, rel=1e-5
    )


def test_no_layer_is_no_number():
    assert np.isnan(relative_distance({}, {}))


def test_noise_takes_a_picture_away_from_itself_and_places_do_not(rng):
    style = picture(32, 32)
    noise = rng.standard_normal(style.shape).astype(np.float32)
    layers = ("scale1",)
    found = [
        style_distance(np.clip(style + sigma * noise, 0, 1), style, wavelet(), {}, layers=layers)
        for sigma in (0, 0.03, 0.1, 0.3)
    ]
    assert found[0] < 1e-9
    assert found == sorted(found)
    assert found[1] > 1e-3
    turned = style_distance(style[::-1, ::-1].copy(), style, wavelet(), {}, layers=layers)
    assert turned < found[2]
