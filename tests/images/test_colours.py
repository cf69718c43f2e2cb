import jax
import jax.numpy as jnp
import numpy as np

from jax_nst.images import OPPONENT, mix_colours


def test_opponent_matrix_is_orthonormal_and_maps_grey_to_luminance():
    np.testing.assert_allclose(OPPONENT @ OPPONENT.T, np.eye(3), atol=1e-15)
    np.testing.assert_allclose(OPPONENT @ np.ones(3), [np.sqrt(3), 0, 0], atol=1e-15)


def test_mix_colours_equals_the_matrix_product(rng):
    matrix = rng.normal(size=(3, 4))
    with jax.enable_x64(True):
        x = rng.normal(size=(5, 6, 3))
        mixed = mix_colours(jnp.asarray(x), matrix)
        np.testing.assert_allclose(mixed, x @ matrix, rtol=1e-12)
        np.testing.assert_allclose(jax.jit(mix_colours)(x, matrix), mixed, rtol=1e-12)
    assert mix_colours(jnp.ones((2, 2, 3), jnp.bfloat16), matrix).dtype == jnp.bfloat16
