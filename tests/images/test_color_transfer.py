"""Mean and covariance after matching, luminance and chroma, against float64 and SciPy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from jax_nst.images.color_transfer import (
    LUMINANCE,
    color_map,
    fade,
    luminance,
    match_colors,
    match_luminance,
    mix,
    with_chroma,
)

EPSILON = 1e-5 * np.eye(3)


MIXED = np.array([[1.0, 0.4, 0.1], [0.2, 0.8, -0.3], [0.3, 0.1, 0.5]])


def colorful(rng, shape=(20, 30), mixed=MIXED):
    """Correlated colours of float64 about the middle."""
    return 0.5 + 0.1 * rng.normal(size=(*shape, 3)) @ mixed


def moments(pixels):
    colors = pixels.reshape(-1, 3)
    return colors.mean(axis=0), np.cov(colors.T, bias=True)


@pytest.fixture
def pair(rng):
    return colorful(rng), colorful(rng, (25, 15), MIXED.T) + np.array([0.1, 0, -0.1])


def test_mean_and_covariance_are_those_of_the_reference(pair):
    pixels, reference = pair
    matrix, offset = color_map(pixels, reference)
    mean, covariance = moments(pixels @ matrix + offset)
    wanted, target = moments(reference)
    np.testing.assert_allclose(mean, wanted, atol=1e-12)
    # What is added to both covariances is mapped, too: A (S + e) A = T + e.
    np.testing.assert_allclose(covariance + 1e-5 * matrix @ matrix, target + EPSILON, atol=1e-12)
    np.testing.assert_allclose(covariance, target, atol=5e-5)


def test_the_matrix_is_the_optimal_transport_between_gaussians(pair):
    """By SciPy's matrix root; and its mean square distance is that of Bures and Wasserstein."""
    pixels, reference = pair
    matrix, _ = color_map(pixels, reference)
    (_, source), (_, target) = (moments(x) for x in pair)
    source, target = source + EPSILON, target + EPSILON
    inverse = np.linalg.inv(source)
    expected = np.real(scipy.linalg.sqrtm(target @ source)) @ inverse
    np.testing.assert_allclose(matrix, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_less(0, np.linalg.eigvalsh(matrix))
    moved = np.trace((np.eye(3) - matrix) @ source @ (np.eye(3) - matrix))
    root = scipy.linalg.sqrtm(source)
    bures = np.trace(source + target - 2 * np.real(scipy.linalg.sqrtm(root @ target @ root)))
    np.testing.assert_allclose(moved, bures, rtol=1e-8)


def test_commuting_covariances_scale_each_channel(rng):
    flat = rng.normal(size=(400, 3))
    white = (flat - flat.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(flat.T, bias=True)).T)
    pixels = (white * [0.1, 0.2, 0.3]).reshape(20, 20, 3)
    reference = (white * [0.2, 0.1, 0.3]).reshape(20, 20, 3)
    matrix, _ = color_map(pixels, reference)
    np.testing.assert_allclose(matrix, np.diag([2, 0.5, 1]), atol=2e-3)


def test_a_picture_matched_to_itself_is_unchanged(rng):
    pixels = rng.random((12, 17, 3), np.float32)
    found = match_colors(pixels, pixels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, pixels, atol=1e-6)
    reference = 0.4 + 0.2 * rng.random((9, 8, 3), np.float32)
    once = match_colors(pixels, reference)
    np.testing.assert_allclose(match_colors(once, reference), once, atol=1e-3)


@pytest.mark.parametrize("kind", ["grey", "constant", "black", "one pixel"])
def test_degenerate_colours_stay_finite(kind, rng):
    colors = rng.random((10, 12, 3), np.float32)
    odd = {
        "grey": np.repeat(colors[..., :1], 3, axis=-1),
        "constant": np.full_like(colors, 0.3),
        "black": np.zeros_like(colors),
        "one pixel": colors[:1, :1],
    }[kind]
    for pixels, reference in ((odd, colors), (colors, odd), (odd, odd)):
        for found in (match_colors(pixels, reference), match_luminance(pixels, reference)):
            assert np.isfinite(found).all()
            assert found.min() >= 0
            assert found.max() <= 1
    # Neither noise nor colours come out of nothing.
    constant = match_colors(np.full_like(colors, 0.3), colors)
    np.testing.assert_allclose(constant, np.broadcast_to(colors.mean((0, 1)), colors.shape), atol=1e-6)


def test_luminance_takes_mean_and_deviation(pair):
    pixels, reference = pair
    found = match_luminance(pixels, reference)
    assert found.shape == (20, 30, 1)
    wanted = reference @ LUMINANCE
    np.testing.assert_allclose(found.mean(), wanted.mean(), atol=1e-12)
    np.testing.assert_allclose(found.std(), wanted.std(), rtol=1e-2)
    np.testing.assert_allclose(found.var(), wanted.var(), atol=1e-5)
    order = np.argsort((pixels @ LUMINANCE).ravel())
    assert (np.diff(found.ravel()[order]) >= 0).all()


def test_luminance_is_a_weighted_mean_in_numpy_and_jax(rng):
    pixels = rng.random((4, 5, 3))
    np.testing.assert_allclose(luminance(pixels)[..., 0], pixels @ LUMINANCE, rtol=1e-12)
    np.testing.assert_allclose(LUMINANCE.sum(), 1, rtol=1e-15)
    single = pixels.astype(np.float32)
    assert luminance(single).dtype == fade(single, 0.3).dtype == np.float32
    jitted = jax.jit(lambda x: fade(x, 0.3))(jnp.asarray(single))
    np.testing.assert_allclose(jitted, fade(single, 0.3), rtol=1e-5)


def test_fading_keeps_the_luminance(rng):
    pixels = rng.random((4, 5, 3))
    for amount in (0.0, 0.4, 1.0):
        np.testing.assert_allclose(luminance(fade(pixels, amount)), luminance(pixels), rtol=1e-12)
    np.testing.assert_array_equal(fade(pixels, 0.0), pixels)
    assert np.ptp(fade(pixels, 1.0), axis=-1).max() == 0


def test_luminance_is_kept_and_chroma_taken(rng):
    pixels, reference = 0.4 + 0.2 * rng.random((2, 6, 7, 3))
    found = with_chroma(pixels, reference)
    np.testing.assert_allclose(luminance(found), luminance(pixels), atol=1e-12)
    np.testing.assert_allclose(found - luminance(found), reference - luminance(reference), atol=1e-12)
    half = with_chroma(pixels, reference, 0.5)
    np.testing.assert_allclose(half, mix(pixels, found, 0.5), atol=1e-12)
    np.testing.assert_allclose(with_chroma(pixels, pixels), pixels, atol=1e-12)


def test_out_of_gamut_the_chroma_is_the_most_that_fits(rng):
    pixels, reference = rng.random((2, 40, 50, 3))
    found = with_chroma(pixels, reference)
    assert found.min() >= 0
    assert found.max() <= 1
    np.testing.assert_allclose(luminance(found), luminance(pixels), atol=1e-12)
    wanted = reference - luminance(reference)
    chroma = found - luminance(found)
    share = (chroma * wanted).sum(-1) / (wanted**2).sum(-1)
    np.testing.assert_allclose(chroma, share[..., None] * wanted, atol=1e-12)  # of the same hue
    reduced = share < 1 - 1e-9
    assert 0.1 < reduced.mean() < 0.9
    edge = np.minimum(found.min(-1), 1 - found.max(-1))
    np.testing.assert_allclose(edge[reduced], 0, atol=1e-12)  # no more fits
    for end in (np.zeros_like(pixels), np.ones_like(pixels)):
        np.testing.assert_allclose(with_chroma(end, reference), end, atol=1e-12)


def test_the_amount_is_continuous_up_to_its_ends(rng):
    pixels, reference = rng.integers(0, 256, (2, 30, 30, 3)) / 255  # with black and white in some channels
    amounts = np.linspace(0, 1, 101)
    found = [with_chroma(pixels, reference, amount) for amount in amounts]
    np.testing.assert_allclose(found[0], pixels, atol=1e-12)
    steps = [np.abs(after - before).max() for before, after in itertools.pairwise(found)]
    assert max(steps) < 0.1
    close = with_chroma(pixels, reference, 1e-9)
    np.testing.assert_allclose(close, pixels, atol=1e-7)
