"""The change of variables that keeps pixels in [0, 1]."""

import jax
import jax.numpy as jnp
import numpy as np

from jax_nst.optim.bounds import to_angles, to_pixels


def test_angles_and_pixels_are_inverse():
    pixels = np.linspace(4 / 255, 1 - 4 / 255, 50, dtype=np.float32)
    np.testing.assert_allclose(to_pixels(to_angles(jnp.asarray(pixels))), pixels, atol=1e-6)


def test_pixels_of_any_angle_are_between_black_and_white():
    far = to_pixels(jnp.linspace(-100, 100, 1001))
    assert 0 <= float(far.min()) < 0.001
    assert 0.999 < float(far.max()) <= 1


def test_black_and_white_start_where_the_slope_is_not_zero():
    black_and_white = to_angles(jnp.asarray([0.0, 1.0]))
    assert np.isfinite(black_and_white).all()
    np.testing.assert_allclose(to_pixels(black_and_white), [4 / 255, 1 - 4 / 255], atol=1e-6)
    assert np.abs(jax.vmap(jax.grad(to_pixels))(black_and_white)).min() > 0.1
