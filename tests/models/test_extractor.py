import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import picture, vgg_params

from jax_nst.models.extractor import choose_precision
from jax_nst.models.partition import bands
from jax_nst.models.vgg import vgg19
from jax_nst.models.wavelet import wavelet

EXTRACTORS = [(vgg19, ("relu1_1", "conv2_2", "relu3_1")), (wavelet, ("luma1", "scale1", "scale2"))]


@pytest.mark.parametrize(
    ("platform", "expected"), [("cpu", "float32"), ("gpu", "tf32"), ("tpu", "bfloat16")]
)
def test_auto_is_what_the_device_is_made_for(platform, expected, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    assert choose_precision("auto") == expected
    assert choose_precision("bfloat16") == "bfloat16"


@pytest.mark.parametrize(("make", "layers"), EXTRACTORS)
def test_stages_give_every_layer_once_and_no_more_than_needed(make, layers):
    extractor, pixels = make(), jnp.asarray(picture(24, 32))
    params = vgg_params("vgg19", layers) if make is vgg19 else {}
    carry, found = pixels, []
    for stage in extractor.stages(layers):
        carry, features = stage(params, carry)
        found += features
    assert sorted(found) == sorted(layers)
    assert list(extractor.apply(params, pixels, layers[::-1])) == list(layers[::-1])
    assert len(extractor.stages(layers[:1])) == 1


@pytest.mark.parametrize("shape", [(40, 24), (39, 23), (18, 64)])
@pytest.mark.parametrize(("make", "layers"), EXTRACTORS)
def test_in_bands_of_rows_they_are_those_of_the_whole(make, layers, shape, monkeypatch):
    extractor, pixels = make(), jnp.asarray(picture(*shape))
    params = vgg_params("vgg19", layers) if make is vgg19 else {}
    whole = extractor.apply(params, pixels, layers)
    monkeypatch.setattr("jax_nst.models.partition._BAND", 100)
    parts = bands(extractor.stages(layers)[0], pixels, extractor.reach)
    assert len(parts) == 3
    assert [part.rows.start for part in parts[1:]] == [part.rows.stop for part in parts[:-1]]
    assert sum(part.share for part in parts) == pytest.approx(1)
    in_bands = extractor.apply(params, pixels, layers)
    for layer in layers:
        assert in_bands[layer].shape == whole[layer].shape
        np.testing.assert_allclose(in_bands[layer], whole[layer], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("height", "count"), [(511, 1), (512, 2), (768, 3), (4096, 3)])
def test_only_large_ones_are_computed_in_bands(height, count):
    assert len(bands(vgg19().stages(("relu1_1",))[0], jnp.zeros((height, 512, 3)), 4)) == count


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
@pytest.mark.parametrize(("make", "layers"), EXTRACTORS)
def test_features_in_a_lower_precision_are_nearly_the_same(make, layers, precision):
    pixels = jnp.asarray(picture(24, 32))
    params = vgg_params("vgg19", layers) if make is vgg19 else {}
    exact = make().apply(params, pixels, layers)
    lower = make(precision=precision).apply(params, pixels, layers)
    for layer in layers:
        assert lower[layer].dtype == (jnp.bfloat16 if precision == "bfloat16" else jnp.float32)
        difference = np.asarray(lower[layer], np.float32) - np.asarray(exact[layer])
        assert np.linalg.norm(difference) < 0.02 * np.linalg.norm(exact[layer])
        assert precision == "tf32" or np.linalg.norm(difference) > 0


@pytest.mark.parametrize("make", [vgg19, wavelet])
def test_an_unknown_precision(make):
    with pytest.raises(ValueError, match="unknown precision 'float8'; the valid ones are float32, tf32"):
        make(precision="float8")


@pytest.mark.parametrize("make", [vgg19, wavelet])
def test_one_extractor_of_each_kind(make):
    """Programs are cached by them."""
    assert make() is make(precision="float32") is not make(precision="bfloat16")
