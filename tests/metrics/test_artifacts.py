"""Clipped pixels and variation."""

import numpy as np
import pytest
from conftest import picture

from jax_nst.losses.variation import total_variation
from jax_nst.metrics import clipped_share, variation


def test_a_pixel_is_clipped_if_one_channel_is():
    pixels = np.full((2, 3, 3), 0.5)
    assert clipped_share(pixels) == 0
    pixels[0, 0, 1] = 1.0
    pixels[1, 2] = 0.0
    assert clipped_share(pixels) == pytest.approx(2 / 6)


def test_what_rounds_to_the_last_level_is_clipped():
    assert clipped_share(np.full((1, 1, 3), 254.6 / 255)) == 1
    assert clipped_share(np.full((1, 1, 3), 254.4 / 255)) == 0


def test_more_contrast_clips_more():
    pixels = picture(32, 40)
    shares = [clipped_share(np.clip(0.5 + gain * (pixels - 0.5), 0, 1)) for gain in (0.1, 2, 4, 8)]
    assert shares == sorted(set(shares))


def test_variation_is_that_of_the_loss():
    pixels = picture(20, 30)
    assert variation(pixels) == pytest.approx(float(total_variation(pixels)), rel=1e-5)
    assert variation(np.full((5, 1, 3), 0.3)) == 0


def test_noise_varies_more_and_a_flat_picture_not(rng):
    pixels = np.full((30, 30, 3), 0.5)
    found = [variation(pixels + sigma * rng.standard_normal(pixels.shape)) for sigma in (0, 0.05, 0.1)]
    assert found[0] == 0
    assert found[2] == pytest.approx(4 * found[1], rel=0.1)
