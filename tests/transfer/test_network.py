import dataclasses
import hashlib

import jax
import numpy as np
import pytest
from conftest import vgg_params, write_keras3

from jax_nst import Config, load_params, vgg, wavelet
from jax_nst.models import download
from jax_nst.models.download import ENVIRONMENT, DownloadError
from jax_nst.models.weights import WeightsError
from jax_nst.runtime.files import sha256
from jax_nst.runtime.platform import CPU, GPU, TPU, gpu_precision
from jax_nst.transfer.network import adapted, extractor_of, load_network

SMALL = {"content_layers": ("relu2_1",), "style_layers": ("relu1_1",)}


def cpu_vgg(name, **options):
    """A VGG as `load_network` makes it on a CPU."""
    return vgg(name, use_winograd=True, **options)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "some.h5"
    write_keras3(path, vgg_params("vgg19", ("relu2_2",)))
    return path


def test_auto_takes_vgg19_if_its_file_is_found(file, monkeypatch):
    for config in (Config(weights=str(file), **SMALL), Config(**SMALL)):
        extractor, params, digest = load_network(config)
        assert extractor is cpu_vgg("vgg19")
        assert list(params) == ["conv1_1", "conv1_2", "conv2_1"]  # only what the layers need
        assert digest == sha256(file)
        monkeypatch.setenv(ENVIRONMENT, str(file))


def test_auto_downloads_vgg19(server, tmp_path, monkeypatch):
    url, answers = server
    write_keras3(tmp_path / "w.h5", vgg_params("vgg19", ("relu2_2",)))
    answers["/w.h5"] = (tmp_path / "w.h5").read_bytes()
    monkeypatch.setattr(download, "PROJECT_FOLDER", tmp_path / "none")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    md5 = hashlib.md5(answers["/w.h5"]).hexdigest()
    monkeypatch.setitem(download.PUBLISHED, "vgg19", download.Published("w.h5", f"{url}/w.h5", md5))
    extractor, _, digest = load_network(Config(**SMALL))
    assert extractor is cpu_vgg("vgg19")
    assert digest == sha256(tmp_path / "w.h5")


def test_auto_falls_back_to_the_bundled_network_with_a_warning():
    with pytest.warns(UserWarning, match=r"painting with VGG19-lite, the first three.*https://") as caught:
        extractor, params, digest = load_network(Config())
    assert len(caught) == 1
    assert extractor is cpu_vgg("vgg19-lite")
    assert digest == sha256(download.bundled())
    assert list(params)[-2:] == ["conv3_1", "winograd"]
    with pytest.warns(UserWarning, match="VGG19-lite"):
        assert load_network(Config(pooling="average", **SMALL)).extractor is cpu_vgg(
            "vgg19-lite", pooling="average"
        )


def test_the_bundled_network_is_taken_by_name_without_a_warning():
    assert load_network(Config(features="vgg19-lite")).extractor is cpu_vgg("vgg19-lite")
    params = load_params(download.bundled())
    assert load_network(Config(), params=params).extractor is cpu_vgg("vgg19-lite")  # they go no further


def test_the_bundled_network_refuses_layers_and_recipes_of_vgg19():
    for setting in ({"content_layers": ("relu4_2",)}, {"style_layers": ("relu1_1", "conv5_1")}):
        with pytest.raises(ValueError, match="take features vgg19, the whole network"):
            load_network(Config(features="vgg19-lite", **setting))
    with pytest.raises(ValueError, match="recipe coursera is defined on all of vgg19, not on vgg19-lite"):
        load_network(Config(features="vgg19-lite", recipe="coursera"))


def test_a_config_that_needs_a_vgg_file_does_not_fall_back(tmp_path):
    for config in (
        Config(features="vgg19"),
        Config(recipe="coursera"),  # a published loss is of its network
        Config(content_layers=("relu4_1",)),  # so is a layer that the bundled network does not have
        Config(weights=str(tmp_path / "none.h5")),
    ):
        with pytest.raises(WeightsError, match=r"vgg19_weights|no such weight file"):
            load_network(config)


def test_a_wrong_environment_variable_is_an_error_not_a_fallback(monkeypatch):
    monkeypatch.setenv(ENVIRONMENT, "nowhere.h5")
    with pytest.raises(WeightsError, match="JAX_NST_WEIGHTS"):
        load_network(Config())


def test_a_bad_file_is_an_error_not_a_fallback(tmp_path):
    (tmp_path / "bad.h5").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"bad\.h5"):
        load_network(Config(weights=str(tmp_path / "bad.h5")))


def test_given_params_choose_their_network():
    params = vgg_params("vgg16", ("relu4_1",))
    config = Config(content_layers=("relu4_1",), style_layers=("relu1_1",))
    extractor, taken, digest = load_network(config, params=params)
    assert (extractor, digest) == (cpu_vgg("vgg16"), None)
    assert taken == {**params, "winograd": taken["winograd"]}


def test_pooling_reaches_the_network():
    config = Config(pooling="average", **SMALL)
    assert load_network(config, params=vgg_params("vgg19", ("relu2_1",))).extractor is cpu_vgg(
        "vgg19", pooling="average"
    )


def test_padding_reaches_the_network_and_an_extractor_that_is_given_has_its_own():
    params = vgg_params("vgg19", ("relu2_1",))
    config = Config(padding="replicate", **SMALL)
    found = load_network(config, params=params).extractor
    assert found is cpu_vgg("vgg19", padding="replicate")
    with pytest.raises(ValueError, match="padding is that of a named network; set it in the extractor"):
        load_network(dataclasses.replace(config, features=found), params=params)


def test_params_are_refused_where_nothing_uses_them(file):
    params = vgg_params("vgg19", ("relu2_1",))
    with pytest.raises(ValueError, match="params, weights, pooling and padding are those of a VGG"):
        load_network(Config(features="wavelet"), params=params)
    with pytest.raises(ValueError, match="params and weights both are those of the network"):
        load_network(Config(weights=str(file), **SMALL), params=params)


def test_settings_that_do_not_fit_the_network_are_refused():
    with pytest.raises(ValueError, match="a layer is named twice in scale1, scale1"):
        load_network(Config(features="wavelet", style_layers=("scale1", "scale1")))
    for setting in ({"weights": "w.h5"}, {"pooling": "average"}, {"padding": "replicate"}):
        with pytest.raises(ValueError, match="are those of a VGG, but features are wavelet"):
            load_network(Config(features="wavelet", **setting))
    with pytest.raises(ValueError, match="unknown layer 'relu9_1' of vgg19; the valid ones are conv1_1"):
        load_network(Config(style_layers=("relu9_1",)))
    with pytest.raises(ValueError, match="unknown layer 'relu1_1' of wavelet; the valid ones are scale1"):
        load_network(Config(features="wavelet", style_layers=("relu1_1",)))
    with pytest.raises(ValueError, match="recipe gatys2015 is defined on all of vgg19, not on wavelet"):
        load_network(Config(features="wavelet", recipe="gatys2015"))


T4 = dataclasses.replace(GPU, precision=gpu_precision("7.5"))


@pytest.mark.parametrize(
    ("platform", "auto", "is_prepared"),
    [(CPU, "float32", True), (GPU, "bfloat16", False), (TPU, "bfloat16", False), (T4, "float16", False)],
)
def test_the_platform_decides_precision_and_winograd(platform, auto, is_prepared):
    params = vgg_params("vgg19", ("relu3_1",))
    config = Config(features="vgg19", content_layers=("relu3_1",), style_layers=("relu1_1",))
    found = load_network(config, params=params, platform=platform)
    assert found.extractor is vgg("vgg19", precision=auto, use_winograd=platform.winograd)
    assert ("winograd" in found.params) == is_prepared
    wavelets = load_network(Config(features="wavelet"), platform=platform)
    assert wavelets.extractor is wavelet(precision=auto)
    given = load_network(Config(features="wavelet", precision="tf32"), platform=platform)
    assert given.extractor is wavelet(precision="tf32")


def test_an_extractor_is_taken_as_it_is():
    extractor = wavelet()
    assert load_network(Config(features=extractor), params={"k": 1}) == (extractor, {"k": 1}, None)
    with pytest.raises(ValueError, match="unknown layer 'relu1_1' of wavelet"):
        load_network(Config(features=extractor, style_layers=("relu1_1",)))


@pytest.mark.parametrize(
    "setting", [{"weights": "w.h5"}, {"pooling": "average"}, {"precision": "bfloat16"}]
)
def test_settings_of_a_named_network_are_refused_with_an_extractor_that_is_passed(setting):
    (name,) = setting
    with pytest.raises(ValueError, match=f"{name} is that of a named network; set it in the extractor"):
        load_network(Config(features=wavelet(), **setting))


def test_params_that_do_not_go_deep_enough_are_told():
    params = vgg_params("vgg19", ("relu1_1",))
    with pytest.raises(ValueError, match=r"params have no kernel of conv1_2, but relu1_1, relu2_1 needs"):
        load_network(Config(content_layers=("relu1_1",), style_layers=("relu2_1",)), params=params)


# The items of a sweep.


def test_params_have_the_layers_of_all_items(tmp_path):
    write_keras3(tmp_path / "w.h5", vgg_params("vgg19", ("relu3_1",)))
    config = Config(features="vgg19", weights=str(tmp_path / "w.h5"), **SMALL)
    deeper = dataclasses.replace(config, style_layers=("relu1_1", "relu3_1"))
    assert "conv3_1" not in load_network(config).params
    assert "conv3_1" in load_network(config, others=[config, deeper]).params
    with pytest.raises(ValueError, match="unknown layer 'relu9_1'"):
        load_network(config, others=[dataclasses.replace(config, style_layers=("relu9_1",))])


@pytest.mark.parametrize("features", ["vgg19-lite", "wavelet"])
def test_a_network_is_adapted_to_what_each_item_would_load(features):
    """To the bit, whichever item comes first."""
    config = Config(features=features)
    precisions = [dataclasses.replace(config, precision=x) for x in ("bfloat16", "float32", "float16")]
    poolings = [dataclasses.replace(config, pooling=x, padding="replicate") for x in ("average", "max")]
    every = precisions if features == "wavelet" else precisions + poolings
    network = load_network(every[0], others=every, platform=CPU)
    for each in every:
        alone = load_network(each, platform=CPU)
        extractor = extractor_of(network, each, CPU)
        found = adapted(network, extractor)
        assert (found.extractor, found.weights_sha256) == (alone.extractor, alone.weights_sha256)
        jax.tree.map(np.testing.assert_array_equal, found.params, alone.params)
    own = Config(features=network.extractor)
    assert extractor_of(network, own, CPU) is network.extractor
    assert adapted(network, network.extractor) is network


def test_recipes_of_several_networks_need_one_named():
    every = [Config(recipe=recipe) for recipe in ("gatys2015", "sushant097")]
    message = "one network, but its recipes are gatys2015 of vgg19 and sushant097 of vgg16; name one with"
    with pytest.raises(ValueError, match=message):
        load_network(every[0], others=every)
    params = vgg_params("vgg19", ("relu5_1",))
    assert load_network(every[0], others=every, params=params).extractor.name == "vgg19"


def test_settings_of_any_item_must_be_those_of_its_network():
    every = [Config(features="wavelet"), Config(features="wavelet", pooling="average")]
    with pytest.raises(ValueError, match="are those of a VGG, but features are wavelet"):
        load_network(every[0], others=every)
    lite = [Config(), Config(style_layers=("relu5_1",))]
    with pytest.raises(DownloadError):
        load_network(lite[0], others=lite)
    with pytest.warns(UserWarning, match="painting with VGG19-lite"):
        assert load_network(lite[0], others=[Config(pooling="average")]).extractor.name == "vgg19-lite"
