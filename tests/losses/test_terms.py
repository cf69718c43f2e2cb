import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_nst.losses import terms as losses


def slow_gram(features):
    h, w, channels = features.shape
    gram = np.zeros((channels, channels))
    for y in range(h):
        for x in range(w):
            gram += np.outer(features[y, x], features[y, x])
    return gram / (h * w)


def slow_variation(pixels, cost):
    down = [
        cost(pixels[y + 1, x] - pixels[y, x]) for y in range(len(pixels) - 1) for x in range(len(pixels[0]))
    ]
    across = [
        cost(pixels[y, x + 1] - pixels[y, x]) for y in range(len(pixels)) for x in range(len(pixels[0]) - 1)
    ]
    return down, across


def test_gram_matrix_is_the_mean_of_outer_products_plain_jitted_and_vmapped(rng):
    batch = rng.normal(size=(3, 5, 7, 4)).astype(np.float32)
    expected = np.stack([slow_gram(features) for features in batch])
    for index, features in enumerate(batch):
        np.testing.assert_allclose(losses.gram_matrix(features), expected[index], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            jax.jit(losses.gram_matrix)(features), expected[index], rtol=1e-5, atol=1e-6
        )
    np.testing.assert_allclose(jax.vmap(losses.gram_matrix)(batch), expected, rtol=1e-5, atol=1e-6)


def test_gram_matrix_gradient_is_right_for_an_asymmetric_cotangent(rng):
    features = jnp.asarray(rng.normal(size=(3, 4, 5)).astype(np.float32))
    cotangent = jnp.asarray(rng.normal(size=(5, 5)).astype(np.float32))

    def plain(x):
        flat = x.reshape(-1, 5)
        return jnp.sum(cotangent * (flat.T @ flat)) / 12

    expected = jax.grad(plain)(features)
    actual = jax.grad(lambda x: jnp.sum(cotangent * losses.gram_matrix(x)))(features)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_gram_matrix_is_symmetric_positive_and_of_any_image_size(rng):
    features = rng.normal(size=(6, 8, 4)).astype(np.float32)
    gram = np.asarray(losses.gram_matrix(features))
    np.testing.assert_allclose(gram, gram.T, rtol=1e-6)
    assert np.linalg.eigvalsh(gram).min() > -1e-5
    twice = np.concatenate([features, features])
    np.testing.assert_allclose(losses.gram_matrix(twice), gram, rtol=1e-5, atol=1e-6)


def test_content_and_style_loss_are_weighted_sums_of_squares(rng):
    f, p = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    g, a, k = rng.normal(size=(3, 5, 5)).astype(np.float32)
    content = sum(0.3 * (x - y) ** 2 for x, y in zip(f.ravel(), p.ravel(), strict=True))
    assert float(losses.content_loss(f, p, jnp.float32(0.3))) == pytest.approx(content, rel=1e-5)
    style = sum(z * (x - y) ** 2 for x, y, z in zip(g.ravel(), a.ravel(), k.ravel(), strict=True))
    assert float(losses.style_loss(g, a, k)) == pytest.approx(style, rel=1e-4)


def test_total_variation_is_the_mean_of_squares_down_and_across(rng):
    pixels = rng.random((4, 6, 3)).astype(np.float32)
    down, across = slow_variation(pixels, lambda d: d**2)
    assert float(losses.total_variation(pixels)) == pytest.approx(np.mean(down) + np.mean(across), rel=1e-5)


def test_absolute_variation_is_the_sum_on_the_scale_of_255(rng):
    pixels = rng.random((4, 6, 3)).astype(np.float32)
    down, across = slow_variation(pixels, lambda d: np.abs(255 * d))
    assert float(losses.absolute_variation(pixels)) == pytest.approx(
        np.sum(down) + np.sum(across), rel=1e-5
    )


@pytest.mark.parametrize("variation", [losses.total_variation, losses.absolute_variation])
def test_variation_of_a_flat_picture_is_zero_with_a_finite_gradient(variation):
    value, gradient = jax.value_and_grad(variation)(jnp.full((5, 5, 3), 0.4))
    assert float(value) == 0
    assert np.isfinite(gradient).all()
