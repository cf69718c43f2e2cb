"""Every layout of Keras, every fault, and where the file comes from."""

import hashlib
import subprocess
import sys

import h5py
import numpy as np
import pytest
from conftest import ROOT, picture, vgg_params

from jax_nst import load_params
from jax_nst.models import vgg, weights

LAYERS = ("relu3_1",)  # small enough to write often


def keras_name(conv):
    return conv.replace("conv", "block").replace("_", "_conv")


def write_original(path, params):
    """As published in 2015: block1_conv1/block1_conv1_W_1:0."""
    with h5py.File(path, "w") as file:
        for conv, arrays in params.items():
            name = keras_name(conv)
            file[f"{name}/{name}_W_1:0"] = arrays["kernel"]
            file[f"{name}/{name}_b_1:0"] = arrays["bias"]
        file.attrs["layer_names"] = [keras_name(conv).encode() for conv in params]
        file["fc1/fc1_W_1:0"] = np.ones((4, 4))  # the full file has a classifier too


def write_keras2(path, params):
    """As Keras 2 saves weights: block1_conv1/block1_conv1/kernel:0."""
    with h5py.File(path, "w") as file:
        for conv, arrays in params.items():
            name = keras_name(conv)
            file[f"{name}/{name}/kernel:0"] = arrays["kernel"]
            file[f"{name}/{name}/bias:0"] = arrays["bias"]


def write_keras3(path, params):
    """As Keras 3 saves weights, in an order that says nothing."""
    with h5py.File(path, "w") as file:
        for index, (conv, arrays) in enumerate(reversed(params.items())):
            group = file.create_group(f"layers/conv2d_{index}/vars")
            group.attrs["name"] = keras_name(conv)
            group["0"], group["1"] = arrays["kernel"], arrays["bias"]


WRITERS = (write_original, write_keras2, write_keras3)


def assert_same(actual, expected):
    assert set(actual) == set(expected)
    for conv in expected:
        for part in ("kernel", "bias"):
            np.testing.assert_array_equal(actual[conv][part], expected[conv][part])


@pytest.fixture
def params():
    return vgg_params("vgg19", LAYERS)


@pytest.mark.parametrize("write", WRITERS)
def test_layouts(write, params, tmp_path):
    write(tmp_path / "w.h5", params)
    assert_same(load_params(tmp_path / "w.h5"), params)
    assert_same(load_params(tmp_path / "w.h5", LAYERS), params)
    some = load_params(tmp_path / "w.h5", ("conv1_2",))
    assert list(some) == ["conv1_1", "conv1_2"]


@pytest.mark.parametrize("network", ["vgg19", "vgg16"])
def test_files_that_keras_writes(network, tmp_path):
    import keras
    from keras.src.legacy.saving import legacy_h5_format

    build = {"vgg19": keras.applications.VGG19, "vgg16": keras.applications.VGG16}[network]
    model = build(weights=None, include_top=False)
    expected = {
        conv: dict(zip(("kernel", "bias"), model.get_layer(keras_name(conv)).get_weights(), strict=True))
        for conv in vgg.conv_names(network)
    }
    model.save_weights(tmp_path / "three.weights.h5")
    legacy_h5_format.save_model_to_hdf5(model, tmp_path / "model.h5")
    with h5py.File(tmp_path / "legacy.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    for name in ("three.weights.h5", "model.h5", "legacy.h5"):
        assert_same(load_params(tmp_path / name), expected)
        assert_same(
            load_params(tmp_path / name, ("relu5_1",), network=network),
            {conv: expected[conv] for conv in vgg.needed_convs(network, ("relu5_1",))},
        )


def test_the_published_layout(shared):
    params = load_params(shared / "weights" / "vgg19_blocks1-3.h5", ("relu3_4",))
    assert list(params) == list(vgg.conv_names("vgg19")[:8])
    assert params["conv3_4"]["kernel"].shape == (3, 3, 256, 256)
    with pytest.raises(weights.WeightsError, match="conv4_1 is missing"):
        load_params(shared / "weights" / "vgg19_blocks1-3.h5", ("relu5_1",))


def test_vgg19_is_not_taken_for_vgg16(tmp_path):
    write_keras2(tmp_path / "w.h5", vgg_params("vgg19", ("relu4_1",)))
    with pytest.raises(weights.WeightsError, match=r"w\.h5: holds VGG19, and VGG16 was asked for"):
        load_params(tmp_path / "w.h5", ("relu4_1",), network="vgg16")
    write_keras2(tmp_path / "w.h5", vgg_params("vgg16", ("relu4_1",)))
    with pytest.raises(weights.WeightsError, match="conv3_4 is missing"):
        load_params(tmp_path / "w.h5", ("relu4_1",))


def test_half_precision_and_optimizer_slots_are_no_obstacle(params, tmp_path):
    path = tmp_path / "w.h5"
    write_keras2(
        path, {conv: {k: v.astype(np.float16) for k, v in p.items()} for conv, p in params.items()}
    )
    with h5py.File(path, "a") as file:
        file["optimizer_weights/adam/block1_conv1/kernel:0"] = np.zeros((3, 3, 3, 64))
    loaded = load_params(path)
    assert loaded["conv1_1"]["kernel"].dtype == np.float32
    np.testing.assert_allclose(loaded["conv1_1"]["kernel"], params["conv1_1"]["kernel"], atol=1e-3)


def corrupt(params, conv, part, value):
    return {**params, conv: {**params[conv], part: value}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: {k: v for k, v in p.items() if k != "conv2_1"}, "conv2_1 is missing, expected kernel"),
        (
            lambda p: corrupt(p, "conv1_2", "kernel", np.zeros((5, 5, 64, 64), np.float32)),
            r"conv1_2 has a kernel of shape \(5, 5, 64, 64\), expected \(3, 3, 64, 64\)",
        ),
        (
            lambda p: corrupt(p, "conv1_1", "bias", np.full(64, np.nan, np.float32)),
            "conv1_1 has a bias with values that are not finite",
        ),
        (lambda p: corrupt(p, "conv1_1", "bias", np.zeros(64, int)), "conv1_1 has a bias of type int64"),
    ],
)
@pytest.mark.parametrize("write", WRITERS)
def test_faults_name_file_and_layer(write, change, message, params, tmp_path):
    path = tmp_path / "bad.h5"
    write(path, change(params))
    with pytest.raises(weights.WeightsError, match=rf"bad\.h5.*{message}"):
        load_params(path, LAYERS)


def test_files_that_are_no_weights(params, tmp_path):
    good, bad = tmp_path / "good.h5", tmp_path / "bad.h5"
    write_original(good, params)
    whole = good.read_bytes()
    for content in (b"", b"hello", b"\x89HDF\r\n\x1a\n", whole[: len(whole) // 2], whole[:5000]):
        bad.write_bytes(content)
        with pytest.raises(weights.WeightsError, match=r"bad\.h5: .*(HDF5|not what was expected)"):
            load_params(bad)
    with pytest.raises(weights.WeightsError, match="no such weight file"):
        load_params(tmp_path / "none.h5")
    with pytest.raises(weights.WeightsError, match="is a folder"):
        load_params(tmp_path)
    with h5py.File(bad, "w") as file:
        file["dense/kernel:0"] = np.ones((3, 3))
    with pytest.raises(weights.WeightsError, match="no layer named block1_conv1"):
        load_params(bad)


def test_links_out_of_the_file_are_not_followed(params, tmp_path):
    write_keras2(tmp_path / "other.h5", params)
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["block1_conv1"] = h5py.ExternalLink("other.h5", "/block1_conv1")
    with pytest.raises(weights.WeightsError, match="conv1_1 is missing"):
        load_params(tmp_path / "link.h5", ("conv1_1",))
    (tmp_path / "raw.bin").write_bytes(bytes(64 * 4))
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file.create_dataset(
            "block1_conv1/bias:0", (64,), "f4", external=[(str(tmp_path / "raw.bin"), 0, 256)]
        )
    with pytest.raises(weights.WeightsError, match="lies in another file"):
        load_params(tmp_path / "external.h5", ("conv1_1",))


def test_a_layer_that_stands_twice_is_refused(params, tmp_path):
    write_keras2(tmp_path / "twice.h5", params)
    with h5py.File(tmp_path / "twice.h5", "a") as file:
        file["copy/block1_conv1/kernel:0"] = np.zeros((3, 3, 3, 64))
    with pytest.raises(weights.WeightsError, match="conv1_1 stands twice"):
        load_params(tmp_path / "twice.h5")


def test_places_in_their_order(tmp_path, monkeypatch):
    folders = {name: tmp_path / name for name in ("flag", "variable", "project")}
    for folder in folders.values():
        folder.mkdir()
        (folder / "vgg19_any.h5").touch()
    cached = weights.cache_folder() / weights.PUBLISHED["vgg19"].name
    monkeypatch.setattr(weights, "PROJECT_FOLDER", folders["project"])
    monkeypatch.setenv(weights.ENVIRONMENT, str(folders["variable"] / "vgg19_any.h5"))
    assert weights.find("vgg19", str(folders["flag"] / "vgg19_any.h5")) == folders["flag"] / "vgg19_any.h5"
    assert weights.find("vgg19") == folders["variable"] / "vgg19_any.h5"
    monkeypatch.delenv(weights.ENVIRONMENT)
    assert weights.find("vgg19") == folders["project"] / "vgg19_any.h5"
    (folders["project"] / "vgg19_any.h5").unlink()
    assert weights.find("vgg19") is None
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert weights.find("vgg19") == cached
    assert weights.find("vgg16") is None


def test_a_named_file_that_is_not_there_is_an_error(monkeypatch):
    with pytest.raises(weights.WeightsError, match="named by --weights"):
        weights.find("vgg19", "nowhere.h5")
    monkeypatch.setenv(weights.ENVIRONMENT, "nowhere.h5")
    with pytest.raises(weights.WeightsError, match=r"named by \$JAX_NST_WEIGHTS"):
        weights.find("vgg19")


def test_published_checksums_are_those_of_keras():
    import inspect

    from keras.src.applications import vgg16, vgg19

    for network, module in (("vgg19", vgg19), ("vgg16", vgg16)):
        published = weights.PUBLISHED[network]
        assert published.url == module.WEIGHTS_PATH_NO_TOP
        assert f'file_hash="{published.md5}"' in inspect.getsource(module)


def published_at(url, content):
    return weights.Published("w.h5", f"{url}/w.h5", hashlib.md5(content).hexdigest())


def test_download_is_checked_recorded_and_then_found(server, tmp_path, monkeypatch, capfd):
    url, answers = server
    content = bytes(range(256)) * 4000
    answers["/w.h5"] = content
    monkeypatch.setattr(weights, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(weights, "PROJECT_FOLDER", tmp_path / "none")
    monkeypatch.setitem(weights.PUBLISHED, "vgg19", published_at(url, content))
    path = weights.find_or_download("vgg19")
    assert path.read_bytes() == content
    assert "100%" in capfd.readouterr().err
    answers.clear()
    assert weights.find_or_download("vgg19") == path
    path.write_bytes(content[:-1])
    with pytest.raises(weights.WeightsError, match="has changed since it was downloaded"):
        weights.find_or_download("vgg19")


def test_a_damaged_or_missing_download_leaves_nothing(server, tmp_path, monkeypatch):
    url, answers = server
    monkeypatch.setattr(weights, "cache_folder", lambda: tmp_path)
    answers["/w.h5"] = b"not what it should be"
    with pytest.raises(weights.DownloadError, match="damaged, its MD5 is not"):
        weights._download(published_at(url, b"something else"), quiet=True)
    answers.clear()
    with pytest.raises(weights.DownloadError, match=r"cannot be downloaded \(HTTPError\)"):
        weights._download(published_at(url, b""), quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_a_silent_server_is_given_up(server, tmp_path, monkeypatch):
    url, answers = server
    monkeypatch.setattr(weights, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(weights, "_FIRST_ANSWER", 0.3)
    answers["/w.h5"] = 2.0
    with pytest.raises(
        weights.DownloadError, match=r"no answer within 0.3 s|cannot be downloaded \(ReadTimeout"
    ):
        weights._download(published_at(url, b""), quiet=True)


def test_a_dead_network_is_given_up_within_ten_seconds():
    assert weights._FIRST_ANSWER <= 9
    assert weights._NEXT_ANSWER <= 9


def test_the_bundled_file_is_the_one_its_readme_names():
    assert weights.bundled() == ROOT / "weights" / weights.BUNDLED
    assert weights.sha256(weights.bundled()) in (ROOT / "weights" / "README.md").read_text()


def test_the_bundled_file_has_the_layout_of_keras():
    import keras

    params = load_params(weights.bundled())
    assert tuple(params) == vgg.conv_names("vgg19-lite")
    with h5py.File(weights.bundled()) as file:
        for layer in file.attrs["layer_names"]:
            kernel, bias = (file[layer][name] for name in file[layer].attrs["weight_names"])
            assert (kernel.ndim, bias.ndim) == (4, 1)
            assert kernel.dtype == bias.dtype == np.float16
    model = keras.applications.VGG19(weights=None, include_top=False)
    model.load_weights(weights.bundled(), by_name=True)
    for conv, arrays in params.items():
        kernel, bias = model.get_layer(keras_name(conv)).get_weights()
        np.testing.assert_array_equal(kernel, arrays["kernel"])
        np.testing.assert_array_equal(bias, arrays["bias"])


def test_the_bundled_file_is_the_published_one_rounded(shared, tmp_path):
    published = load_params(shared / "weights" / "vgg19_blocks1-3.h5")
    for conv, arrays in load_params(weights.bundled()).items():
        for part, array in arrays.items():
            np.testing.assert_array_equal(array, published[conv][part].astype(np.float16))
    script = [sys.executable, ROOT / "weights" / "make_bundled.py"]
    source = shared / "weights" / "vgg19_blocks1-3.h5"
    subprocess.run([*script, source, tmp_path / "made.h5"], check=True, cwd=ROOT)
    assert_same(load_params(tmp_path / "made.h5"), load_params(weights.bundled()))


def test_float16_kernels_change_the_features_little(shared):
    published = load_params(shared / "weights" / "vgg19_blocks1-3.h5")
    pixels, layers = picture(64, 64), ("relu1_1", "relu2_1", "relu3_1", "relu3_4")
    exact = vgg.extract_features(published, pixels, layers)
    rounded = vgg.extract_features(load_params(weights.bundled()), pixels, layers)
    for layer in layers:
        error = np.linalg.norm(rounded[layer] - exact[layer]) / np.linalg.norm(exact[layer])
        assert error < 5e-4, layer


def test_a_missing_bundled_file_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "_BUNDLED_FOLDERS", (tmp_path,))
    with pytest.raises(weights.WeightsError, match="install jax_nst again"):
        weights.find("vgg19-lite")
