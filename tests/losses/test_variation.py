"""Total variation against NumPy loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_nst.losses.term import PIXELS
from jax_nst.losses.variation import (
    ABSOLUTE_VARIATION,
    TOTAL_VARIATION,
    absolute_variation,
    total_variation,
)


def slow_variation(pixels, cost):
    """The cost of each pair of neighbours, down and across."""
    down = [
        cost(pixels[y + 1, x] - pixels[y, x]) for y in range(len(pixels) - 1) for x in range(len(pixels[0]))
    ]
    across = [
        cost(pixels[y, x + 1] - pixels[y, x]) for y in range(len(pixels)) for x in range(len(pixels[0]) - 1)
    ]
    return down, across


def test_total_variation_is_the_mean_of_squares_down_and_across(rng):
    pixels = rng.random((4, 6, 3)).astype(np.float32)
    down, across = slow_variation(pixels, lambda d: d**2)
    assert float(total_variation(pixels)) == pytest.approx(np.mean(down) + np.mean(across), rel=1e-5)


def test_absolute_variation_is_a_sum_on_the_0_to_255_scale(rng):
    pixels = rng.random((4, 6, 3)).astype(np.float32)
    down, across = slow_variation(pixels, lambda d: np.abs(255 * d))
    assert float(absolute_variation(pixels)) == pytest.approx(np.sum(down) + np.sum(across), rel=1e-5)


@pytest.mark.parametrize("variation", [total_variation, absolute_variation])
def test_variation_of_a_flat_picture_is_zero_with_a_finite_gradient(variation):
    value, gradient = jax.value_and_grad(variation)(jnp.full((5, 5, 3), 0.4))
    assert float(value) == 0
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("term", "variation"), [(TOTAL_VARIATION, total_variation), (ABSOLUTE_VARIATION, absolute_variation)]
)
def test_variation_terms_compare_pixels_with_no_reference(term, variation, rng):
    batch = rng.random((2, 4, 6, 3)).astype(np.float32)
    assert (term.name, term.groups, term.reference, term.target) == ("tv", ((PIXELS,),), None, None)

    def loss(pixels):
        return term.distance(term.statistic(pixels), None)

    mapped = jax.vmap(loss)(batch)
    for pixels, found in zip(batch, mapped, strict=True):
        assert float(loss(pixels)) == float(variation(pixels))
        assert float(found) == pytest.approx(float(jax.jit(loss)(pixels)), rel=1e-5)
