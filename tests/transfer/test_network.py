import hashlib

import numpy as np
import pytest
from conftest import vgg_params, write_keras3

from jax_nst import Config, load_params
from jax_nst.models import download
from jax_nst.models.download import ENVIRONMENT
from jax_nst.models.vgg import vgg16, vgg19, vgg19_lite
from jax_nst.models.wavelet import wavelet
from jax_nst.models.weights import WeightsError
from jax_nst.runtime.files import sha256
from jax_nst.transfer.network import choose_layers, load_network

SMALL = {"content_layers": ("relu2_1",), "style_layers": ("relu1_1",)}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "some.h5"
    write_keras3(path, vgg_params("vgg19", ("relu2_2",)))
    return path


def test_auto_takes_vgg_where_its_file_is(file, monkeypatch):
    for config in (Config(weights=str(file), **SMALL), Config(**SMALL)):
        extractor, params, digest = load_network(config)
        assert extractor is vgg19()
        assert list(params) == ["conv1_1", "conv1_2", "conv2_1"]  # only what the layers need
        assert digest == sha256(file)
        monkeypatch.setenv(ENVIRONMENT, str(file))


def test_auto_downloads_where_there_is_a_network(server, tmp_path, monkeypatch):
    url, answers = server
    write_keras3(tmp_path / "w.h5", vgg_params("vgg19", ("relu2_2",)))
    answers["/w.h5"] = (tmp_path / "w.h5").read_bytes()
    monkeypatch.setattr(download, "PROJECT_FOLDER", tmp_path / "none")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    md5 = hashlib.md5(answers["/w.h5"]).hexdigest()
    monkeypatch.setitem(download.PUBLISHED, "vgg19", download.Published("w.h5", f"{url}/w.h5", md5))
    extractor, _, digest = load_network(Config(**SMALL))
    assert extractor is vgg19()
    assert digest == sha256(tmp_path / "w.h5")


def test_auto_without_either_takes_the_bundled_network_and_says_so():
    with pytest.warns(UserWarning, match=r"painting with VGG19-lite, the first three.*https://") as caught:
        extractor, params, digest = load_network(Config())
    assert len(caught) == 1
    assert extractor is vgg19_lite()
    assert digest == sha256(download.bundled())
    assert list(params)[-2:] == ["conv3_4", "winograd"]
    with pytest.warns(UserWarning, match="VGG19-lite"):
        assert load_network(Config(pooling="average", **SMALL)).extractor is vgg19_lite(pooling="average")


def test_the_bundled_network_is_taken_by_name_without_a_word():
    assert load_network(Config(features="vgg19-lite")).extractor is vgg19_lite()
    params = load_params(download.bundled())
    assert load_network(Config(), params=params).extractor is vgg19_lite()  # they go no further


def test_the_bundled_network_refuses_what_needs_the_whole_one():
    for setting in ({"content_layers": ("relu4_2",)}, {"style_layers": ("relu1_1", "conv5_1")}):
        with pytest.raises(ValueError, match="take features vgg19, the whole network"):
            load_network(Config(features="vgg19-lite", **setting))
    with pytest.raises(ValueError, match="recipe coursera is defined on all of vgg19, not on vgg19-lite"):
        load_network(Config(features="vgg19-lite", recipe="coursera"))


def test_strict_wants_its_file(tmp_path):
    for config in (
        Config(features="vgg19"),
        Config(recipe="coursera"),  # a published loss is of its network
        Config(content_layers=("relu4_1",)),  # so is a layer that the bundled network does not have
        Config(weights=str(tmp_path / "none.h5")),
    ):
        with pytest.raises(WeightsError, match=r"vgg19_weights|no such weight file"):
            load_network(config)


def test_a_wrong_variable_is_an_error_not_a_fallback(monkeypatch):
    monkeypatch.setenv(ENVIRONMENT, "nowhere.h5")
    with pytest.raises(WeightsError, match="JAX_NST_WEIGHTS"):
        load_network(Config())


def test_a_bad_file_is_an_error_not_a_fallback(tmp_path):
    (tmp_path / "bad.h5").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"bad\.h5"):
        load_network(Config(weights=str(tmp_path / "bad.h5")))


def test_params_given_are_taken_and_known():
    params = vgg_params("vgg16", ("relu4_1",))
    config = Config(content_layers=("relu4_1",), style_layers=("relu1_1",))
    extractor, taken, digest = load_network(config, params=params)
    assert (extractor, digest) == (vgg16(), None)
    assert taken == {**params, "winograd": taken["winograd"]}


def test_pooling_reaches_the_network():
    config = Config(pooling="average", **SMALL)
    assert load_network(config, params=vgg_params("vgg19", ("relu2_1",))).extractor is vgg19(
        pooling="average"
    )


def test_layers_are_the_users_then_the_recipes_then_the_extractors():
    assert choose_layers(Config(), wavelet()).style == wavelet().style_layers
    assert choose_layers(Config(recipe="sushant097"), vgg16()).content == ("relu4_3",)
    assert choose_layers(Config(recipe="udacity", content_layers=("conv1_1",)), vgg19())[:2] == (
        ("conv1_1",),
        vgg19().style_layers,
    )


def test_layer_weights():
    np.testing.assert_allclose(choose_layers(Config(), vgg19()).style_weights, [0.2] * 5)
    given = Config(style_layers=("relu1_1", "relu2_1"), style_layer_weights=(1.0, 3.0))
    np.testing.assert_allclose(choose_layers(given, vgg19()).style_weights, [0.25, 0.75])
    literal = Config(recipe="coursera", style_layers=("relu1_1",), style_layer_weights=(3.0,))
    assert choose_layers(literal, vgg19()).style_weights == (3.0,)
    for config in (
        Config(style_layer_weights=(1.0, 2.0)),
        Config(recipe="udacity", style_layers=("relu1_1",)),
    ):
        with pytest.raises(ValueError, match=r"style layers but . style_layer_weights"):
            choose_layers(config, vgg19())


def test_what_does_not_fit_is_said():
    with pytest.raises(ValueError, match="a layer is named twice in scale1, scale1"):
        choose_layers(Config(style_layers=("scale1", "scale1")), wavelet())
    for setting in ({"weights": "w.h5"}, {"pooling": "average"}):
        with pytest.raises(ValueError, match="are those of a VGG, but features are wavelet"):
            load_network(Config(features="wavelet", **setting))
    with pytest.raises(ValueError, match="unknown layer 'relu9_1' of vgg19; the valid ones are conv1_1"):
        load_network(Config(style_layers=("relu9_1",)))
    with pytest.raises(ValueError, match="unknown layer 'relu1_1' of wavelet; the valid ones are scale1"):
        load_network(Config(features="wavelet", style_layers=("relu1_1",)))
    with pytest.raises(ValueError, match="recipe gatys2015 is defined on all of vgg19, not on wavelet"):
        load_network(Config(features="wavelet", recipe="gatys2015"))
