"""Blur against SciPy and a sum over pixels; noise by its moments and its spectrum."""

import numpy as np
import pytest
from conftest import picture
from scipy.ndimage import gaussian_filter

from jax_nst.images import blur, grain, white_noise


@pytest.mark.parametrize("deviation", [0.7, 2.5])
def test_blur_is_the_convolution_with_a_gaussian(deviation):
    pixels = picture(40, 50)
    blurred = blur(pixels, deviation)
    assert (blurred.shape, blurred.dtype) == (pixels.shape, np.float32)
    expected = gaussian_filter(pixels.astype(np.float64), (deviation, deviation, 0), truncate=6)
    np.testing.assert_allclose(blurred[16:-16, 16:-16], expected[16:-16, 16:-16], atol=1e-5)


def test_blur_at_the_border_is_the_mean_of_the_pixels_there_are():
    pixels = picture(7, 9)
    y, x = np.mgrid[:7, :9]
    for place in ((0, 0), (6, 8), (3, 0), (2, 5)):
        weights = np.exp(-((y - place[0]) ** 2 + (x - place[1]) ** 2) / (2 * 3.0**2))
        expected = np.tensordot(weights, pixels.astype(np.float64), 2) / weights.sum()
        np.testing.assert_allclose(blur(pixels, 3.0)[place], expected, rtol=1e-5)


@pytest.mark.parametrize("deviation", [1e-300, 1e-3, 1.0, 1e6])
def test_blur_keeps_a_constant_and_becomes_the_mean(deviation):
    np.testing.assert_allclose(blur(np.full((6, 8, 3), 0.3, np.float32), deviation), 0.3, rtol=1e-5)
    pixels = picture(6, 8)
    expected = {1e-300: pixels, 1e-3: pixels, 1e6: np.broadcast_to(pixels.mean((0, 1)), pixels.shape)}
    if deviation in expected:
        np.testing.assert_allclose(blur(pixels, deviation), expected[deviation], rtol=1e-5)


def test_white_noise_is_standard_normal_and_decided_by_its_seed():
    noise = white_noise((60, 80, 3), 5)
    assert (noise.shape, noise.dtype) == ((60, 80, 3), np.float32)
    assert abs(noise.mean()) < 0.05
    assert abs(noise.std() - 1) < 0.05
    np.testing.assert_array_equal(noise, white_noise((60, 80, 3), 5))
    assert np.abs(noise - white_noise((60, 80, 3), 6)).max() > 1


@pytest.mark.parametrize("shape", [(256, 200), (30, 40), (64, 127), (2, 3)])
def test_grain_has_mean_0_and_deviation_1(shape):
    found = grain(shape, 3)
    assert (found.shape, found.dtype) == ((*shape, 1), np.float32)
    assert float(found.mean()) == pytest.approx(0, abs=1e-5)
    assert float(found.std()) == pytest.approx(1, rel=1e-4)
    np.testing.assert_array_equal(found, grain(shape, 3))
    assert np.abs(found - grain(shape, 4)).max() > 0.5


def test_grain_of_one_pixel_is_none():
    np.testing.assert_array_equal(grain((1, 1), 0), 0)


def test_grain_has_octaves_of_equal_variance_down_to_64_cells():
    """By the spectrum of 256 pixels: three octaves, at most 0.5, 0.25 and 0.125 cycles a pixel."""
    spectrum = np.mean(
        [np.abs(np.fft.fft2(grain((256, 256), seed)[..., 0])) ** 2 for seed in range(4)], axis=0
    )
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256)))
    white, half, quarter = (
        spectrum[(radius > low) & (radius < high)].mean()
        for low, high in ((0.4, 0.5), (0.15, 0.2), (0.02, 0.06))
    )
    # A third of the variance in the whole plane, in a quarter of it, and in a sixteenth: 1 + 4 and
    # 1 + 4 + 16, or more where the smooth enlargement takes the highest frequencies of an octave.
    assert 4 < half / white < 8
    assert 20 < quarter / white < 40
    smaller = grain((512, 512), 0)[..., 0].reshape(128, 4, 128, 4).mean((1, 3))
    assert smaller.std() > 0.6  # four octaves: a quarter of the size has grain; of white noise 0.25
