"""Evaluation in parts: bands of rows, and what is kept of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import picture, vgg_params

from jax_nst.models.partition import (
    bands,
    reduce_features,
    reduce_tile,
    sum_over_tiles,
)
from jax_nst.models.tiles import tiling_of
from jax_nst.models.vgg import vgg
from jax_nst.models.wavelet import wavelet

LAYERS = {
    "vgg19": ("relu1_1", "conv2_2", "relu3_1"),
    "vgg16": ("relu1_1", "conv2_2", "relu3_1"),
    "replicated": ("relu1_1", "conv2_2", "relu3_1"),
    "wavelet": ("luma1", "scale1", "scale2"),
}


def make(name, layers, dtype=np.float32):
    """An extractor and its params; `replicated` is a VGG whose pixels are padded with their border."""
    if name == "wavelet":
        return wavelet(), {}
    if name == "replicated":
        return vgg("vgg19", padding="replicate"), vgg_params("vgg19", layers, dtype)
    return vgg(name), vgg_params(name, layers, dtype)


def keep(features, part, arguments):
    """Keeps all features; sums the rows that a part has, weighted by `arguments`."""
    own, others = part.share(features, tuple(features)[:1])
    assert others is None
    share = {f"share of {layer}": jnp.asarray(own) for layer in features}
    sums = {layer: arguments * own * jnp.mean(x) for layer, x in features.items()}
    return {**share, **sums}, features


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(40, 24), (39, 23), (18, 64)])
@pytest.mark.parametrize("name", LAYERS)
def test_features_in_bands_of_rows_are_those_of_the_undivided_picture(name, shape, monkeypatch):
    layers = LAYERS[name]
    (extractor, params), pixels = make(name, layers), jnp.asarray(picture(*shape))
    undivided = jax.jit(lambda x: extractor.apply(params, x, layers))(pixels)
    monkeypatch.setattr("jax_nst.models.partition._BAND", 100)
    parts = bands(extractor.stages(layers)[0], pixels, extractor.radius)
    assert len(parts) == 3
    assert [part.rows.start for part in parts[1:]] == [part.rows.stop for part in parts[:-1]]
    assert (parts[0].rows.start, parts[-1].rows.stop) == (0, shape[0])
    assert all(part.rows.start % 2 == 0 for part in parts)
    assert sum(part.share_of_rows for part in parts) == pytest.approx(1)
    sums, in_bands = jax.jit(
        lambda x: reduce_features(extractor, params, x, layers, keep, 2.0, remat="all")
    )(pixels)
    assert sorted(in_bands) == sorted(layers)
    for layer in layers:
        assert in_bands[layer].shape == undivided[layer].shape
        np.testing.assert_allclose(in_bands[layer], undivided[layer], rtol=1e-4, atol=1e-4)
        # Sums add up over the parts; a mean is weighted by the share of rows.
        assert float(sums[f"share of {layer}"]) == pytest.approx(1)
        assert float(sums[layer]) == pytest.approx(2 * float(jnp.mean(undivided[layer])), rel=1e-4)


@pytest.mark.parametrize(("height", "count"), [(511, 1), (512, 2), (768, 3), (4096, 3)])
def test_only_large_stages_are_computed_in_bands(height, count):
    stage, pixels = vgg("vgg19").stages(("relu1_1",))[0], jnp.zeros((height, 512, 3))
    assert len(bands(stage, pixels, 4)) == count
    assert len(bands(stage, pixels, 4, most=1)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_radius_is_even_and_bounds_the_receptive_field_of_every_stage(name):
    """Output rows have no gradient beyond it; an even one keeps bands aligned with pooling."""
    layers = ("scale1", "scale2", "scale3") if name == "wavelet" else ("conv1_1", "conv2_1", "relu3_3")
    with jax.enable_x64(True):
        extractor, params = make(name, layers, np.float64)
        assert extractor.radius % 2 == 0
        carry = jnp.asarray(picture(64, 20), jnp.float64)
        for stage in extractor.stages(layers):
            height = len(jax.tree.leaves(carry)[0])
            first = height // 2 // 2 * 2  # an even row in the middle, and the one after it

            def of_rows(carry, stage=stage, first=first, height=height):
                after, features = stage(params, carry)
                total = jnp.zeros(())
                for x in jax.tree.leaves((after, features)):
                    rows = x[first : first + 2] if len(x) == height else x[first // 2 : first // 2 + 1]
                    total += jnp.sum(rows * jnp.cos(jnp.arange(rows.size)).reshape(rows.shape))
                return total

            for gradient in jax.tree.leaves(jax.jit(jax.grad(of_rows))(carry)):
                touched = np.flatnonzero(np.abs(gradient).max(axis=(1, 2)))
                assert len(touched)
                assert touched.min() >= first - extractor.radius
                assert touched.max() < first + 2 + extractor.radius
            carry, _ = jax.jit(stage)(params, carry)


@pytest.mark.slow
@pytest.mark.parametrize("remat", ["none", "block1", "all"])
def test_gradient_reaches_pixels_through_sums_and_kept_features(remat, monkeypatch):
    """Against the gradient through `Extractor.apply`; plain, jitted, and jitted and vmapped."""
    monkeypatch.setattr("jax_nst.models.partition._BAND", 100)
    layers = ("relu1_1", "conv2_1")
    (extractor, params), batch = make("vgg19", layers), jnp.stack([picture(24, 20, s) for s in range(2)])

    def square(features, part, arguments):
        sums = {layer: jnp.sum(arguments * x**2) for layer, x in features.items() if layer == "relu1_1"}
        return sums, {layer: x for layer, x in features.items() if layer == "conv2_1"}

    def loss(pixels):
        sums, kept = reduce_features(extractor, params, pixels, layers, square, 0.5, remat=remat)
        assert (list(sums), list(kept)) == (["relu1_1"], ["conv2_1"])
        return sums["relu1_1"] + jnp.sum(jnp.sin(kept["conv2_1"]))

    def reference(pixels):
        features = extractor.apply(params, pixels, layers)
        return jnp.sum(0.5 * features["relu1_1"] ** 2) + jnp.sum(jnp.sin(features["conv2_1"]))

    expected = np.stack([jax.jit(jax.grad(reference))(x) for x in batch])
    atol = 1e-4 * np.abs(expected).max()
    np.testing.assert_allclose(jax.grad(loss)(batch[0]), expected[0], rtol=1e-3, atol=atol)
    np.testing.assert_allclose(jax.jit(jax.grad(loss))(batch[1]), expected[1], rtol=1e-3, atol=atol)
    np.testing.assert_allclose(jax.jit(jax.vmap(jax.grad(loss)))(batch), expected, rtol=1e-3, atol=atol)


@pytest.mark.slow
def test_sums_over_tiles_and_their_gradient_are_those_of_the_picture():
    """Against the sum over a picture, cut into tiles that do not overlap what they sum."""
    extractor, layers = wavelet(), ("scale1",)
    tiling = tiling_of(extractor, layers, (40, 36), 16)
    pixels = jnp.asarray(picture(40, 36))

    def square(features, part, arguments):
        return {"sum": jnp.sum(arguments * part.own("scale1", features["scale1"]) ** 2)}, {}

    def loss(pixels):
        def of_tile(place):
            window = tiling.cut(pixels, place)
            found, _, _ = reduce_tile(
                extractor, {}, window, layers, square, 0.5, tiling=tiling, place=place
            )
            return found

        return sum_over_tiles(of_tile, jnp.asarray(tiling.rows()), ())["sum"]

    def reference(pixels):
        return jnp.sum(0.5 * extractor.apply({}, pixels, layers)["scale1"] ** 2)

    value, gradient = jax.jit(jax.value_and_grad(loss))(pixels)
    expected, of_whole = jax.jit(jax.value_and_grad(reference))(pixels)
    assert float(value) == pytest.approx(float(expected), rel=1e-5)
    np.testing.assert_allclose(gradient, of_whole, atol=1e-5 * float(jnp.abs(of_whole).max()))
