"""VGG against Keras' own networks, layer by layer; its poolings, preparation and errors."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import picture, vgg_params

from jax_nst import extract_features, load_params
from jax_nst.models import vgg

MEAN_RGB = np.array([123.68, 116.779, 103.939])


def relative_error(actual, expected):
    return np.linalg.norm(np.asarray(actual) - expected) / np.linalg.norm(expected)


def keras_model(network):
    import keras

    build = {"vgg19": keras.applications.VGG19, "vgg16": keras.applications.VGG16}[network]
    model = build(weights=None, include_top=False)
    for conv, arrays in vgg_params(network, vgg.LAYERS[network][-1:]).items():
        name = conv.replace("conv", "block").replace("_", "_conv")
        model.get_layer(name).set_weights([arrays["kernel"], arrays["bias"]])
    return model


def keras_features(model, pixels):
    """Layer name -> features, by Keras' layers one after the other.

    An odd last row or column is pooled on its own; as published, the network drops it.
    """
    import keras

    x = 255 * pixels[None, ..., ::-1] - MEAN_RGB[::-1].astype(np.float32)
    features = {}
    for layer in model.layers[1:]:
        if "conv" not in layer.name:
            layer.padding = "same" if x.shape[1] % 2 or x.shape[2] % 2 else "valid"
            x = layer(x)
            continue
        activation, layer.activation = layer.activation, keras.activations.linear
        x = layer(x)
        layer.activation = activation
        conv = layer.name.replace("block", "conv").replace("_conv", "_")
        features[conv] = np.asarray(x)[0]
        x = activation(x)
        features[conv.replace("conv", "relu")] = np.asarray(x)[0]
    return features


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "shape"), [("vgg19", (37, 50)), ("vgg16", (37, 50)), ("vgg19", (32, 48))]
)
def test_every_layer_equals_keras(network, shape):
    pixels = picture(*shape)
    expected = keras_features(keras_model(network), pixels)
    params = vgg_params(network, vgg.LAYERS[network][-1:])
    actual = extract_features(params, jnp.asarray(pixels), vgg.LAYERS[network])
    assert set(actual) == set(expected) == set(vgg.LAYERS[network])
    errors = {layer: relative_error(actual[layer], expected[layer]) for layer in expected}
    assert max(errors.values()) < 1e-5, errors


@pytest.mark.slow
def test_every_layer_by_winograd_equals_keras(monkeypatch):
    """At any size."""
    monkeypatch.setattr(vgg, "_WINOGRAD_POSITIONS", 0)
    pixels, layers = picture(37, 50), vgg.LAYERS["vgg19"]
    expected = keras_features(keras_model("vgg19"), pixels)
    params = vgg.vgg("vgg19", use_winograd=True).prepare(vgg_params("vgg19", layers[-1:]))
    assert set(params["winograd"]) == {conv for conv in vgg.conv_names("vgg19") if conv > "conv2_1"}
    actual = vgg.vgg("vgg19", use_winograd=True).apply(params, jnp.asarray(pixels), layers)
    errors = {layer: relative_error(actual[layer], expected[layer]) for layer in expected}
    assert max(errors.values()) < 1e-5, errors
    plain = vgg.vgg("vgg19", use_winograd=True).apply(
        vgg_params("vgg19", layers[-1:]), jnp.asarray(pixels), layers
    )
    errors = {layer: relative_error(plain[layer], expected[layer]) for layer in expected}
    assert max(errors.values()) < 1e-5, errors
    assert any((actual[layer] != plain[layer]).any() for layer in layers)  # it was another algorithm


@pytest.mark.slow
def test_gradient_by_winograd_is_that_of_the_convolutions(monkeypatch):
    """In float64: in float32 the two round to different maxima here and there."""
    monkeypatch.setattr(vgg, "_WINOGRAD_POSITIONS", 0)
    params = vgg_params("vgg19", ("relu3_2",), np.float64)

    def gradient(params):
        def energy(pixels):
            return jnp.sum(
                jnp.square(
                    vgg.vgg("vgg19", use_winograd=True).apply(params, pixels, ("relu3_2",))["relu3_2"]
                )
            )

        return jax.jit(jax.grad(energy))(jnp.asarray(picture(37, 50), jnp.float64))

    with jax.enable_x64(True):
        expected = np.asarray(gradient(params))
        assert (
            relative_error(gradient(vgg.vgg("vgg19", use_winograd=True).prepare(params)), expected) < 1e-10
        )


def test_preparing_is_idempotent_and_other_devices_need_none():
    params = vgg_params("vgg19", ("relu3_1",))
    once = vgg.vgg("vgg19", use_winograd=True).prepare(params)
    assert once.keys() == {*params, "winograd"}
    twice = vgg.vgg("vgg19", use_winograd=True).prepare(once)
    assert jax.tree.all(jax.tree.map(np.array_equal, once, twice))
    assert (
        vgg.vgg("vgg19", use_winograd=True).plain(once)
        == vgg.vgg("vgg19", use_winograd=True).plain(params)
        == params
    )
    assert vgg.network_of(once) == "vgg19"
    assert vgg.vgg("vgg19").prepare(params) is params
    assert vgg.vgg("vgg19").plain(params) is params
    shallow = vgg_params("vgg19", ("relu2_1",))
    assert vgg.vgg("vgg19", use_winograd=True).prepare(shallow) is shallow


LOW = {"bfloat16": jnp.bfloat16, "float16": jnp.float16}


@pytest.mark.parametrize("precision", LOW)
def test_kernels_are_converted_once_and_not_in_every_step(precision):
    params, layers = vgg_params("vgg19", ("relu2_1",)), ("relu1_2", "relu2_1")
    extractor = vgg.vgg("vgg19", precision=precision, use_winograd=True)
    pixels = jnp.asarray(picture(8, 12))
    once = extractor.prepare(params)
    assert {own["kernel"].dtype for own in once.values()} == {jnp.dtype(LOW[precision])}
    for conv, own in once.items():
        np.testing.assert_array_equal(own["kernel"], params[conv]["kernel"].astype(LOW[precision]))
        assert own["bias"] is params[conv]["bias"]
    assert jax.tree.all(jax.tree.map(np.array_equal, once, extractor.prepare(once)))
    assert extractor.plain(once) is once
    assert vgg.network_of(once) == "vgg19"
    apply = jax.jit(extractor.apply, static_argnums=2)
    for actual, expected in zip(*(apply(x, pixels, layers).values() for x in (once, params)), strict=True):
        np.testing.assert_array_equal(actual, expected)
    text = apply.lower(once, pixels, layers).as_text()
    assert not re.findall(r"stablehlo.convert .*\(tensor<3x3x", text)


def test_features_that_float16_cannot_hold_are_exact_in_their_units():
    """Activations beyond its largest number, 65504, before the ReLU and after it."""
    pixels, layers = picture(20, 24), ("conv1_1", "relu1_1", "conv2_2", "relu2_2")
    params = vgg_params("vgg19", ("relu2_2",))
    params["conv1_1"] = {name: 800 * x for name, x in params["conv1_1"].items()}
    expected = extract_features(params, pixels, layers)
    for pooling in vgg.POOLINGS:
        extractor = vgg.vgg("vgg19", pooling=pooling, precision="float16")
        exact = vgg.vgg("vgg19", pooling=pooling).apply(params, jnp.asarray(pixels), layers)
        features = extractor.apply(params, jnp.asarray(pixels), layers)
        for layer, actual in features.items():
            assert actual.dtype == jnp.float16
            assert float(jnp.abs(exact[layer]).max()) > 65504
            assert relative_error(extractor.unit * np.asarray(actual, float), exact[layer]) < 1e-3
            assert pooling != "max" or relative_error(exact[layer], expected[layer]) < 1e-6


def test_biases_that_float16_cannot_hold_are_divided_before_they_are_rounded():
    bias = np.linspace(-9e4, 9e4, 64, dtype=np.float32)
    params = {"conv1_1": {"kernel": np.zeros((3, 3, 3, 64), np.float32), "bias": bias}}
    extractor = vgg.vgg("vgg19", precision="float16")
    actual = extractor.apply(extractor.prepare(params), jnp.zeros((4, 4, 3)), ("conv1_1",))["conv1_1"]
    np.testing.assert_allclose(32 * np.asarray(actual, float)[0, 0], bias, rtol=2**-11)


@pytest.mark.parametrize("precision", LOW)
def test_a_lower_precision_ignores_kernels_that_were_transformed_for_float32(precision, monkeypatch):
    monkeypatch.setattr(vgg, "_WINOGRAD_POSITIONS", 0)
    params = vgg_params("vgg19", ("relu2_2",))
    prepared = vgg.vgg("vgg19", use_winograd=True).prepare(params)
    assert "winograd" in prepared
    lower, pixels = vgg.vgg("vgg19", precision=precision, use_winograd=True), jnp.asarray(picture(37, 50))
    for features in zip(
        *(lower.apply(given, pixels, ("relu2_2",)).values() for given in (params, prepared)), strict=True
    ):
        np.testing.assert_array_equal(*features)


def test_real_kernels_see_edges(shared):
    params = load_params(shared / "weights" / "vgg19_blocks1-3.h5")
    features = extract_features(params, jnp.asarray(picture(32, 48)), ("conv1_1", "relu3_4"))
    assert features["relu3_4"].shape == (8, 12, 256)
    assert float(features["conv1_1"].min()) < 0 <= float(features["relu3_4"].min())
    # One value by hand: nine taps of three channels, zero padded, at a corner.
    pixels = picture(32, 48)
    x = 255 * pixels[..., ::-1] - MEAN_RGB[::-1]
    kernel, bias = params["conv1_1"]["kernel"], params["conv1_1"]["bias"]
    corner = bias[5] + sum(
        x[i, j, c] * kernel[i + 1, j + 1, c, 5] for i in range(2) for j in range(2) for c in range(3)
    )
    assert float(features["conv1_1"][0, 0, 5]) == pytest.approx(corner, rel=1e-4)


def test_average_pooling_changes_the_features():
    params = vgg_params("vgg19", ("relu2_1",))
    pixels = jnp.asarray(picture(16, 16))
    maximum = vgg.vgg("vgg19").apply(params, pixels, ("relu2_1",))["relu2_1"]
    average = vgg.vgg("vgg19", pooling="average").apply(params, pixels, ("relu2_1",))["relu2_1"]
    assert relative_error(average, np.asarray(maximum)) > 0.01


@pytest.mark.parametrize("pooling", vgg.POOLINGS)
def test_every_pixel_of_odd_sides_matters(pooling):
    """Pooling that drops the last row leaves seven of these 39 without effect on the deepest layer."""
    params = vgg_params("vgg19", ("relu4_1",))

    def energy(pixels):
        return jnp.sum(vgg.vgg("vgg19", pooling=pooling).apply(params, pixels, ("relu4_1",))["relu4_1"])

    gradient = np.abs(jax.grad(energy)(jnp.asarray(picture(39, 31)))).sum(axis=-1)
    assert (gradient.max(axis=1) > 0).all()
    assert (gradient.max(axis=0) > 0).all()


def test_the_network_is_cut_after_the_deepest_layer():
    params = vgg_params("vgg19", ("conv2_1",))
    assert list(params) == ["conv1_1", "conv1_2", "conv2_1"]
    features = extract_features(params, jnp.asarray(picture(8, 8)), ("conv2_1", "relu1_2"))
    assert {layer: x.shape for layer, x in features.items()} == {
        "conv2_1": (4, 4, 128),
        "relu1_2": (8, 8, 64),
    }


def test_plain_jit_and_vmap_agree():
    extractor, layers = vgg.vgg("vgg19"), ("relu1_1", "conv2_2")
    params = vgg_params("vgg19", layers)
    batch = np.stack([picture(12, 16, seed) for seed in range(3)])
    mapped = jax.jit(jax.vmap(lambda x: extractor.apply(params, x, layers)))(batch)
    for index, pixels in enumerate(batch):
        single = extractor.apply(params, jnp.asarray(pixels), layers)
        for layer in layers:
            assert relative_error(mapped[layer][index], np.asarray(single[layer])) < 1e-5


def test_network_is_recognised_by_its_params():
    assert vgg.network_of(vgg_params("vgg19", ("relu4_1",))) == "vgg19"
    assert vgg.network_of(vgg_params("vgg16", ("relu4_1",))) == "vgg16"
    assert vgg.network_of(vgg_params("vgg16", ("relu3_3",))) == "vgg19"


@pytest.mark.parametrize("network", vgg.CONVOLUTIONS)
def test_default_layers_are_of_the_network(network):
    extractor = vgg.vgg(network)
    extractor.check_layers((*extractor.content_layers, *extractor.style_layers))
    assert extractor.name == network
    assert extractor is vgg.vgg(network, pooling="max", precision="float32", use_winograd=False)


def test_unknown_names_are_refused_with_the_valid_ones():
    with pytest.raises(ValueError, match=r"unknown layer 'relu9_9' of vgg19; .*conv1_1, relu1_1"):
        extract_features(vgg_params("vgg19", ("relu1_1",)), jnp.zeros((4, 4, 3)), ("relu9_9",))
    with pytest.raises(ValueError, match="the valid ones are max, average"):
        vgg.vgg("vgg19", pooling="median")
    with pytest.raises(ValueError, match="unknown padding 'edge'; the valid ones are zeros, replicate"):
        vgg.vgg("vgg19", padding="edge")
    with pytest.raises(
        ValueError, match="unknown network 'vgg11'; the valid ones are vgg19, vgg16, vgg19-lite"
    ):
        vgg.vgg("vgg11")


def first_convolution(pixels, params):
    """conv1_1 of pixels with a margin of one, in NumPy: nine taps of three channels."""
    x = 255 * np.asarray(pixels, np.float64)[..., ::-1] - MEAN_RGB[::-1]
    kernel, bias = (np.asarray(params["conv1_1"][name], np.float64) for name in ("kernel", "bias"))
    height, width = x.shape[0] - 2, x.shape[1] - 2
    taps = [x[i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3)]
    return sum(taps) + bias


@pytest.mark.parametrize(("precision", "error"), [("float32", 1e-6), ("bfloat16", 1e-2), ("float16", 1e-3)])
def test_the_border_may_be_replicated(precision, error):
    """conv1_1 against NumPy; plain, jitted and mapped. Other convolutions are padded with zeros."""
    params, batch = vgg_params("vgg19", ("relu1_2",)), np.stack([picture(9, 12, seed) for seed in range(2)])
    extractor = vgg.vgg("vgg19", padding="replicate", precision=precision, use_winograd=True)
    layers = ("conv1_1", "relu1_1", "relu1_2")
    params = extractor.prepare(params)

    def apply(pixels):
        return extractor.apply(params, pixels, layers)

    mapped = jax.jit(jax.vmap(apply))(batch)
    for index, pixels in enumerate(batch):
        padded = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), mode="edge")
        expected = first_convolution(padded, params)
        for features in (
            apply(jnp.asarray(pixels)),
            jax.jit(apply)(pixels),
            {layer: x[index] for layer, x in mapped.items()},
        ):
            assert features["conv1_1"].shape == (9, 12, 64)
            assert relative_error(extractor.unit * np.asarray(features["conv1_1"], float), expected) < error
    assert (
        relative_error(first_convolution(np.pad(batch[0], ((1, 1), (1, 1), (0, 0))), params), expected)
        > 0.01
    )


def test_a_constant_picture_with_a_replicated_border_has_constant_features():
    params, grey = vgg_params("vgg19", ("conv1_1",)), jnp.full((6, 8, 3), 0.25)
    constant, rimmed = (
        np.asarray(vgg.vgg("vgg19", padding=padding).apply(params, grey, ("conv1_1",))["conv1_1"])
        for padding in ("replicate", "zeros")
    )
    np.testing.assert_allclose(
        constant, np.broadcast_to(constant[3, 4], constant.shape), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(rimmed[1:-1, 1:-1], constant[1:-1, 1:-1], rtol=1e-5, atol=1e-5)
    assert np.abs(rimmed - constant)[0].max() > 1


def test_the_gradient_through_a_replicated_border():
    """Against finite differences, at a corner, at the border and inside."""
    with jax.enable_x64(True):
        params = vgg_params("vgg19", ("relu1_2",), np.float64)
        apply = vgg.vgg("vgg19", padding="replicate").apply
        pixels, step = np.asarray(picture(6, 8), np.float64), 1e-6

        @jax.jit
        def energy(pixels):
            return 1e-6 * jnp.sum(apply(params, pixels, ("relu1_2",))["relu1_2"] ** 2)

        gradient = jax.grad(energy)(pixels)
        for place in ((0, 0, 0), (5, 3, 1), (2, 7, 2), (3, 4, 0)):
            shift = np.zeros_like(pixels)
            shift[place] = step
            slope = (energy(pixels + shift) - energy(pixels - shift)) / (2 * step)
            assert float(gradient[place]) == pytest.approx(float(slope), rel=1e-5)
