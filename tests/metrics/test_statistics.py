"""Gaussians and samples of features against NumPy."""

import jax.numpy as jnp
import numpy as np
from conftest import picture

from jax_nst.metrics.statistics import statistics_of
from jax_nst.models.extractor import Extractor


def pixels_extractor(stages=None, **options):
    """The pixels themselves as features, so that everything can be computed by hand."""

    def stage(params, pixels):
        del params
        return pixels, {"rgb": pixels}

    stages = stages or (lambda layers: [stage])
    return Extractor("own", ("rgb",), ("rgb",), ("rgb",), stages, 2, lambda layers: 1, **options)


def test_the_gaussian_of_a_layer_is_that_of_its_positions():
    pixels = picture(12, 17)
    fitted = statistics_of(pixels_extractor(), {}, pixels, layers=["rgb"]).gaussians["rgb"]
    flat = pixels.reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(fitted.mean, flat.mean(0), rtol=1e-6)
    np.testing.assert_allclose(fitted.covariance, np.cov(flat.T, bias=True), rtol=1e-5, atol=1e-8)


def test_features_in_other_units_are_the_same():
    def halved(layers):
        return [lambda params, pixels: (pixels, {"rgb": (pixels / 2).astype(jnp.float16)})]

    pixels = picture(12, 17)
    expected = statistics_of(pixels_extractor(), {}, pixels, layers=["rgb"]).gaussians["rgb"]
    other = pixels_extractor(halved, unit=2.0, precision="float16")
    found = statistics_of(other, {}, pixels, layers=["rgb"]).gaussians["rgb"]
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-3)
    np.testing.assert_allclose(found.covariance, expected.covariance, rtol=1e-2)


def test_samples_are_a_grid_of_32_at_most():
    pixels = picture(100, 24)
    samples = statistics_of(pixels_extractor(), {}, pixels, sampled="rgb").samples
    assert samples.shape == (32 * 24, 3)
    np.testing.assert_allclose(samples[:24], pixels[0], rtol=1e-6)
    np.testing.assert_allclose(samples[24:48], pixels[3], rtol=1e-6)  # 99 / 31 rounded
    np.testing.assert_allclose(samples[-1], pixels[-1, -1], rtol=1e-6)


def test_nothing_asked_for_is_nothing():
    found = statistics_of(pixels_extractor(), {}, picture(8, 8))
    assert found.gaussians == {}
    assert found.samples.size == 0
