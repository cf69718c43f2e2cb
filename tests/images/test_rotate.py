"""Rotation against an analytic picture, NumPy, and a search for the largest rectangle."""

import math

import numpy as np
import pytest
from conftest import picture

from jax_nst.images import rotate, rotated_shape

ANGLES = (0.5, 10, 30, 45, 60, 89, 100, 135, 200, -30, 300)


def smooth(x, y):
    """A picture as a function of the position: waves of at least 20 pixels, which differ by channel."""
    waves = np.sin(0.3 * x + 0.1 * y), np.cos(0.12 * x - 0.2 * y), np.sin(0.05 * x * y / 20)
    return np.stack([0.5 + 0.4 * wave for wave in waves], axis=-1).astype(np.float32)


def positions(shape):
    """x and y of the centres of the pixels, from the centre of the picture."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return x + 0.5 - shape[1] / 2, y + 0.5 - shape[0] / 2


@pytest.mark.parametrize("shape", [(60, 60), (40, 90), (81, 50)])
@pytest.mark.parametrize("angle", ANGLES)
def test_rotation_is_that_of_the_scene(shape, angle):
    """Counterclockwise as `numpy.rot90`, and no empty corner."""
    found = rotate(smooth(*positions(shape)), angle)
    assert found.shape == (*rotated_shape(shape, angle), 3)
    x, y = positions(found.shape)
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    expected = smooth(cosine * x - sine * y, sine * x + cosine * y)
    np.testing.assert_allclose(found[2:-2, 2:-2], expected[2:-2, 2:-2], atol=0.01)
    np.testing.assert_allclose(found, expected, atol=0.1)  # at the border a neighbour is repeated
    np.testing.assert_array_equal(rotate(np.ones((*shape, 3), np.float32), angle), 1)


@pytest.mark.parametrize("turns", range(-4, 6))
def test_multiples_of_90_degrees_are_exact(turns):
    pixels = picture(12, 17)
    np.testing.assert_array_equal(rotate(pixels, 90.0 * turns), np.rot90(pixels, turns % 4))
    assert rotated_shape(pixels.shape, 90.0 * turns) == np.rot90(pixels, turns % 4).shape[:2]


def test_a_small_angle_is_near_a_multiple_of_90():
    pixels = smooth(*positions((40, 60)))
    turned = np.rot90(pixels)
    found = rotate(pixels, 90 + 1e-6)
    top, left = ((a - b) // 2 for a, b in zip(turned.shape[:2], found.shape[:2], strict=True))
    assert (top, left) == (0, 0)
    np.testing.assert_allclose(found, turned[: found.shape[0], : found.shape[1]], atol=0.2)


@pytest.mark.parametrize("shape", [(60, 60), (40, 90), (81, 50), (30, 200)])
@pytest.mark.parametrize("angle", ANGLES)
def test_the_rectangle_is_the_largest_inside_the_rotated_picture(shape, angle):
    height, width = shape
    sine, cosine = abs(math.sin(math.radians(angle))), abs(math.cos(math.radians(angle)))

    def fits(tall, wide):
        """Whether its corners lie in the picture: rotated back, they are at most half a side from 0."""
        return (wide * cosine + tall * sine <= width + 1e-6) & (
            wide * sine + tall * cosine <= height + 1e-6
        )

    tall, wide = np.meshgrid(*(np.arange(0, max(shape), 0.5),) * 2, indexing="ij")
    largest = np.max(np.where(fits(tall, wide), tall * wide, 0))
    found = rotated_shape(shape, angle)
    assert fits(*found)
    # Whole pixels lose less than one of each side.
    assert (found[0] + 1) * (found[1] + 1) > largest
