"""Products of channels of two layers against NumPy loops, and their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_nst.losses.cross_layer import CROSS_LAYER, average_to, cross_gram
from jax_nst.losses.term import NORMALIZER_FLOOR, relative_to_power

# Sides of a fine layer and of the next: of an odd side, some poolings drop the last row.
SIDES = {
    "even": ((8, 6), (4, 3)),
    "dropped": ((9, 7), (4, 3)),
    "pooled alone": ((9, 7), (5, 4)),
    "same": ((5, 4),) * 2,
}


def slow_pool(fine, shape):
    """Means of 2x2 blocks, one by one; positions beyond the last row or column are the last."""
    h, w = shape
    block = 1 if fine.shape[:2] == shape else 2
    pooled = np.zeros((h, w, fine.shape[-1]))
    for y in range(h):
        for x in range(w):
            for i in range(block):
                for j in range(block):
                    row, column = min(block * y + i, len(fine) - 1), min(block * x + j, len(fine[0]) - 1)
                    pooled[y, x] += fine[row, column] / block**2
    return pooled


def slow_cross_gram(fine, coarse):
    h, w, _ = coarse.shape
    pooled = slow_pool(fine, (h, w))
    found = np.zeros((fine.shape[-1], coarse.shape[-1]))
    for y in range(h):
        for x in range(w):
            found += np.outer(pooled[y, x], coarse[y, x]) / (h * w)
    return found


def slow_loss(features, style):
    g, a = slow_cross_gram(*features), slow_cross_gram(*style)
    return np.mean((g - a) ** 2) / max(np.mean(a**2), NORMALIZER_FLOOR)


def loss_of(features, style):
    """The loss of one pair of layers; `features` and `style` are (fine, coarse)."""
    return CROSS_LAYER.distance(
        CROSS_LAYER.statistic(*features), relative_to_power(CROSS_LAYER.statistic(*style), 1)
    )


def pair(rng, sides, dtype=np.float64):
    """Two neighbouring layers, of 3 and of 5 channels."""
    return tuple(
        rng.random((*side, channels)).astype(dtype)
        for side, channels in zip(SIDES[sides], (3, 5), strict=True)
    )


@pytest.mark.parametrize("sides", SIDES)
def test_cross_gram_is_the_mean_of_products_plain_jitted_and_vmapped(sides, rng):
    fine, coarse = pair(rng, sides, np.float32)
    expected = slow_cross_gram(fine.astype(np.float64), coarse.astype(np.float64))
    np.testing.assert_allclose(cross_gram(fine, coarse), expected, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(cross_gram)(fine, coarse), expected, rtol=1e-5)
    mapped = jax.vmap(cross_gram)(np.stack([fine, 2 * fine]), np.stack([coarse, coarse]))
    np.testing.assert_allclose(mapped, np.stack([expected, 2 * expected]), rtol=1e-5)


@pytest.mark.parametrize("sides", SIDES)
def test_layers_may_be_named_in_either_order(sides, rng):
    fine, coarse = pair(rng, sides, np.float32)
    np.testing.assert_allclose(cross_gram(coarse, fine), cross_gram(fine, coarse).T, rtol=1e-6)


def test_average_over_several_halvings(rng):
    """Layers that are not neighbours: 18 rows are pooled to 4, so the last two are dropped."""
    fine = rng.random((18, 12, 2))
    with jax.enable_x64(True):
        expected = slow_pool(slow_pool(fine, (9, 6)), (4, 3))
        np.testing.assert_allclose(average_to(jnp.asarray(fine), (4, 3)), expected, rtol=1e-12)


@pytest.mark.parametrize("sides", SIDES)
def test_loss_equals_a_slow_one_plain_jitted_and_vmapped(sides, rng):
    with jax.enable_x64(True):
        features, style = pair(rng, sides), pair(rng, "even")
        expected = slow_loss(features, style)
        features, style = jax.tree.map(jnp.asarray, (features, style))
        assert float(loss_of(features, style)) == pytest.approx(expected, rel=1e-10)
        assert float(jax.jit(loss_of)(features, style)) == pytest.approx(expected, rel=1e-10)
        twice = jax.tree.map(lambda x: jnp.stack([x, x]), (features, style))
        np.testing.assert_allclose(jax.vmap(loss_of)(*twice), [expected] * 2, rtol=1e-10)


@pytest.mark.parametrize("sides", SIDES)
def test_loss_of_the_target_itself_is_zero(sides, rng):
    features = pair(rng, sides, np.float32)
    assert float(loss_of(features, features)) == 0


@pytest.mark.parametrize("sides", SIDES)
def test_gradient_against_finite_differences(sides, rng):
    with jax.enable_x64(True):
        features, style = jax.tree.map(jnp.asarray, (pair(rng, sides), pair(rng, "even")))
        gradients = jax.jit(jax.grad(loss_of))(features, style)
        jitted, h = jax.jit(loss_of), 1e-6
        for layer, gradient in enumerate(gradients):
            for _ in range(20):
                index = tuple(rng.integers(gradient.shape))
                after, before = (
                    float(
                        jitted(
                            tuple(x.at[index].add(d) if i == layer else x for i, x in enumerate(features)),
                            style,
                        )
                    )
                    for d in (h, -h)
                )
                numeric = (after - before) / (2 * h)
                assert float(gradient[index]) == pytest.approx(numeric, rel=1e-6, abs=1e-9)


def test_the_target_is_relative_to_its_power():
    assert (CROSS_LAYER.target, CROSS_LAYER.span) == (relative_to_power, 2)


def test_blank_layers_have_a_finite_loss_and_gradient():
    blank = jnp.zeros((8, 6, 3)), jnp.zeros((4, 3, 5))
    value, gradient = jax.value_and_grad(loss_of)(blank, blank)
    assert float(value) == 0
    assert all(np.isfinite(x).all() for x in gradient)


def test_products_of_bfloat16_features_are_float32(rng):
    fine, coarse = (jnp.asarray(x, jnp.bfloat16) for x in pair(rng, "even"))
    found = cross_gram(fine, coarse)
    assert found.dtype == jnp.float32
    expected = slow_cross_gram(*(np.asarray(x, np.float64) for x in (fine, coarse)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
