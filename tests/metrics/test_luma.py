"""SSIM against a slow loop, and edges."""

import numpy as np
import pytest
from conftest import picture

from jax_nst.metrics import edge_agreement, ssim
from jax_nst.metrics.luma import luma


def slow_ssim(x, y):
    """One window after the other, as Wang et al. 2004 write it."""
    at = np.arange(11) - 5
    window = np.exp(-(at[:, None] ** 2 + at[None, :] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a, b = (z[top : top + 11, left : left + 11] for z in (x, y))
            mean_a, mean_b = np.sum(window * a), np.sum(window * b)
            var_a, var_b = np.sum(window * (a - mean_a) ** 2), np.sum(window * (b - mean_b) ** 2)
            covariance = np.sum(window * (a - mean_a) * (b - mean_b))
            values.append(
                (2 * mean_a * mean_b + 1e-4)
                * (2 * covariance + 9e-4)
                / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4))
            )
    return np.mean(values)


def test_ssim_is_that_of_a_slow_loop():
    x, y = picture(20, 26, 1), picture(20, 26, 2)
    assert ssim(x, y) == pytest.approx(slow_ssim(luma(x), luma(y)), abs=1e-10)
    assert ssim(x, y) == pytest.approx(ssim(y, x), abs=1e-12)


def test_a_picture_smaller_than_the_window_is_mirrored():
    x, y = picture(5, 30, 1), picture(5, 30, 2)
    grown = [np.concatenate([z, z[::-1], z[:1]]) for z in (x, y)]
    assert ssim(x, y) == pytest.approx(ssim(*grown), abs=1e-12)


def blurred(pixels, times):
    for _ in range(times):
        pixels = (
            pixels + np.roll(pixels, 1, 0) + np.roll(pixels, 1, 1) + np.roll(pixels, (1, 1), (0, 1))
        ) / 4
    return pixels


@pytest.mark.parametrize("measure", [ssim, edge_agreement])
def test_noise_and_blur_lower_it(measure, rng):
    content = picture(64, 64)
    noise = rng.standard_normal(content.shape)
    for worse in (lambda k: content + 0.05 * k * noise, lambda k: blurred(content, 4 * k)):
        found = [measure(worse(k), content) for k in range(4)]
        assert found[0] == pytest.approx(1, abs=1e-12)
        assert found == sorted(found, reverse=True)
        assert found[3] < found[0] - 0.01


def test_the_negative_has_the_edges_but_not_the_structure():
    content = picture(40, 40)
    assert edge_agreement(1 - content, content) == pytest.approx(1, abs=1e-9)
    assert ssim(1 - content, content) < 0.2


def test_edges_are_correlated_as_numpy_says():
    x, y = picture(30, 24, 1), picture(30, 24, 2)
    magnitudes = []
    for pixels in (x, y):
        kernel = np.exp(-0.5 * np.arange(-3, 4) ** 2)
        kernel /= kernel.sum()
        image = np.pad(luma(pixels), 4, mode="symmetric")
        for axis in (0, 1):
            image = np.apply_along_axis(np.convolve, axis, image, kernel, "valid")
        rows, columns = image.shape[0] - 2, image.shape[1] - 2
        sobel = np.outer([1, 2, 1], [-1, 0, 1]) / 8
        across, down = (
            sum(k[i, j] * image[i : i + rows, j : j + columns] for i in range(3) for j in range(3))
            for k in (sobel, sobel.T)
        )
        magnitudes.append(np.sqrt(across**2 + down**2).ravel())
        assert magnitudes[-1].size == 30 * 24
    assert edge_agreement(x, y) == pytest.approx(np.corrcoef(*magnitudes)[0, 1], abs=1e-10)


def test_a_flat_picture_has_no_edges_to_agree():
    assert edge_agreement(np.full((20, 20, 3), 0.3), picture(20, 20)) == 0
