import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from conftest import picture, vgg_params, write_keras3

from jax_nst import Config, Mask
from jax_nst.runtime.platform import CPU
from jax_nst.transfer import transfer
from jax_nst.transfer.config import described
from jax_nst.transfer.network import load_network


def test_defaults_are_valid_and_documented():
    config = Config()
    assert (config.steps, config.optimizer, config.recipe, config.features) == (
        80,
        "lbfgs",
        "normalized",
        "auto",
    )
    for field in dataclasses.fields(Config):
        assert len(field.metadata["doc"]) > 10, field.name


def test_scales_may_be_a_number():
    assert Config(scales=2) == Config(scales="2")
    assert hash(Config(scales=2)) == hash(Config(scales="2"))


def test_values_of_another_type_that_mean_one_thing_are_taken():
    import jax.numpy as jnp

    expected = Config(
        size=512, steps=3, style_weight=1000.0, style_layers=("relu1_1", "relu2_1"), init="a.png"
    )
    for size, steps, weight, layers, init in (
        (512.0, np.int64(3), 1000, ["relu1_1", "relu2_1"], Path("a.png")),
        (np.float32(512), 3.0, np.float64(1000), "relu1_1,relu2_1", "a.png"),
        (jnp.asarray(512), np.array(3), jnp.float32(1000), "relu1_1, relu2_1", Path("a.png")),
    ):
        config = Config(size=size, steps=steps, style_weight=weight, style_layers=layers, init=init)
        assert config == expected
        assert hash(config) == hash(expected)
        assert json.dumps(described(config)) == json.dumps(described(expected))
    assert Config(style_layer_weights=np.ones(2)).style_layer_weights == (1.0, 1.0)
    assert Config(style_loss="gram").style_loss == ("gram",)
    assert Config(weights=Path("a.h5")).weights == "a.h5"
    assert Config(scales=np.int64(2)) == Config(scales=2.0) == Config(scales="2")


def test_config_is_frozen_and_hashable():
    assert hash(Config()) == hash(Config())
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(Config(), "steps", 3)  # noqa: B010


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": "resnet"}, "'resnet'; the valid ones are auto, vgg19, vgg16, vgg19-lite, wavelet"),
        ({"recipe": "soup"}, "unknown recipe 'soup'; the valid ones are normalized, gatys2015, coursera"),
        ({"optimizer": "sgd"}, "the valid ones are lbfgs, adam"),
        ({"pooling": "min"}, "the valid ones are max, average"),
        ({"padding": "reflect"}, "unknown padding 'reflect'; the valid ones are zeros, replicate"),
        ({"size": 0}, "size must be 1 or more, 65536 at most, not 0"),
        ({"style_size": -3}, "style_size must be 1 or more"),
        ({"steps": 0}, "steps must be 1 or more"),
        ({"save_every": -1}, "save_every must be 0 or more"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"content_weight": -1.0}, "content_weight must be zero or more"),
        ({"style_weight": float("nan")}, "style_weight must be zero or more"),
        ({"tv_weight": float("inf")}, "tv_weight must be zero or more"),
        ({"learning_rate": 0.0}, "learning_rate must be more than zero"),
        ({"style_scale": 0.0}, "style_scale must be more than zero"),
        ({"style_scale": 1.0, "style_size": 3}, "both say how large the style is; leave one out"),
        ({"scales": 0}, "scales must be auto, or from 1 to 16, not 0"),
        ({"scales": True}, "scales must be auto, or from 1 to 16, not True"),
        ({"scales": 2.5}, "scales must be auto, or from 1 to 16, not 2.5"),
        ({"size": "512"}, "size must be a whole number, not '512'"),
        ({"size": True}, "size must be a whole number, not True"),
        ({"steps": 2.5}, "steps must be a whole number, not 2.5"),
        ({"steps": None}, "steps must be a whole number, not None"),
        ({"seed": [1]}, r"seed must be a whole number, not \[1\]"),
        ({"tv_weight": "high"}, "tv_weight must be a number, not 'high'"),
        ({"tolerance": None}, "tolerance must be a number, not None"),
        ({"content_weight": True}, "content_weight must be a number, not True"),
        ({"style_layers": 3}, "style_layers must be a tuple of strings, not 3"),
        ({"style_loss": {"gram"}}, "style_loss must be a tuple of strings, not {'gram'}"),
        ({"style_layer_weights": 2.0}, "style_layer_weights must be a tuple of numbers, not 2.0"),
        ({"style_layer_weights": ("1", "2")}, "style_layer_weights must be a number, not '1'"),
        ({"init": np.zeros((8, 8, 3))}, "init must be a string or a path, not array"),
        ({"weights": 3}, "weights must be a string or a path, not 3"),
        ({"pooling": ["max"]}, r"unknown pooling \['max'\]"),
        ({"precision": np.zeros(3)}, "unknown precision array"),
        ({"scales": -2}, "scales must be auto"),
        ({"scales": "two"}, "scales must be auto, or from 1 to 16, not 'two'"),
        ({"tolerance": 1.0}, "tolerance must be zero or more, and less than 1, not 1.0"),
        ({"tolerance": float("nan")}, "tolerance must be zero or more"),
        ({"precision": "float8"}, "'float8'; the valid ones are auto, float32, tf32, bfloat16, float16"),
        ({"remat": "block2"}, "the valid ones are auto, none, block1, all"),
        ({"tile_size": 16}, "tile_size must be auto, none, or a whole number of pixels from 32 to 65536"),
        ({"tile_size": "small"}, "tile_size must be auto, none, or a whole .*, not 'small'"),
        ({"tile_size": 64, "remat": "all"}, "but there are tiles; leave out remat or tile_size"),
        ({"num_pairs": 0}, "num_pairs must be 1 or more, 1000 at most, not 0"),
        ({"num_pairs": 5, "optimizer": "adam"}, "num_pairs are those of optimizer lbfgs; leave one out"),
        ({"lbfgs_pairs": "float16"}, "the valid ones are auto, float32, bfloat16"),
        ({"memory": "much"}, "memory must be an amount such as 8GB or 512MB, not 'much'"),
        ({"memory": "0GB"}, "memory must be an amount such as 8GB or 512MB, not '0GB'"),
        ({"memory": [1]}, "memory must be an amount such as 8GB, not"),
        ({"size": 10**10}, "size must be 1 or more, 65536 at most"),
        ({"content_weight": 1e39}, "content_weight must be zero or more, 1e[+]38 at most"),
        (
            {"content_weight": 0, "style_weight": 0, "tv_weight": 0},
            "are all zero, so nothing would change; raise one",
        ),
        ({"style_layers": ()}, "style_layers must name layers"),
        ({"content_layers": ("relu1_1", "")}, "content_layers must name layers.*no empty one"),
        ({"style_layer_weights": (0.0, 0.0)}, "not all zero"),
        ({"style_sizes": (0, 3)}, "style_sizes must be 1 or more, 65536 at most, not 0"),
        ({"style_sizes": 3}, "style_sizes must be a tuple of whole numbers, not 3"),
        ({"style_sizes": (3,), "style_size": 3}, "style_sizes say how large each style is; leave them out"),
        ({"style_sizes": (3,), "style_scale": 1.0}, "style_sizes say how large each style is; leave them"),
        ({"style_angle": ()}, r"style_angle must be angles from -360 to 360 degrees, not \(\)"),
        ({"style_angle": (0.0, float("nan"))}, "style_angle must be angles from -360 to 360 degrees"),
        ({"style_angle": 45.0}, "style_angle must be a tuple of numbers, not 45.0"),
        ({"init_blur": -1.0}, "init_blur must be from 0 to 65536, not -1.0"),
        ({"init_noise": 1.5}, "init_noise must be from 0 to 1, not 1.5"),
        ({"noise": float("nan")}, "noise must be from 0 to 1, not nan"),
        ({"init": "noise", "init_blur": 1.0}, "but init is noise; leave one out"),
        ({"init": "noise", "init_noise": 0.1}, "but init is noise; leave one out"),
        ({"init": ""}, "init must be content, style, noise, or the path of an image"),
        ({"style_layer_weights": (1.0, -1.0)}, "style_layer_weights must be zero or more"),
        ({"color": "kept"}, "unknown color 'kept'; the valid ones are keep, match, style"),
        ({"color": "keep", "color_amount": 1.5}, "color_amount must be from 0 to 1, not 1.5"),
        ({"color": "match", "color_amount": float("nan")}, "color_amount must be from 0 to 1, not nan"),
        ({"color_amount": "half"}, "color_amount must be a number, not 'half'"),
        ({"color_amount": 0.5}, "color_amount has no effect with color style; choose color keep or match"),
    ],
)
def test_an_invalid_setting_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Config(**settings)


def test_described_names_objects_and_keeps_values():
    from jax_nst import RECIPES, wavelet

    config = Config(features=wavelet(), recipe=RECIPES[0], optimizer=optax.sgd(0.1), steps=3)
    found = described(config)
    assert (found["features"], found["recipe"], found["steps"]) == ("wavelet", "normalized", 3)
    assert found["optimizer"] == "GradientTransformationExtraArgs"
    assert list(found) == [field.name for field in dataclasses.fields(Config)]


CHANGES = {
    "size": 24,
    "style_size": 20,
    "style_scale": 0.5,
    "style_sizes": (20,),
    "style_angle": (90.0,),
    "crop": ("2:1",),
    "features": "vgg16",
    "weights": "other.h5",
    "recipe": "gatys2015",
    "style_loss": ("moments",),
    "content_loss": ("self_similarity",),
    "optimizer": "adam",
    "steps": 7,
    "scales": "2",
    "tolerance": 0.1,
    "learning_rate": 0.5,
    "num_pairs": 2,
    "lbfgs_pairs": "bfloat16",
    "content_weight": 3.0,
    "style_weight": 4.0,
    "tv_weight": 5.0,
    "content_layers": ("relu1_2",),
    "style_layers": ("relu1_2", "relu2_1"),
    "style_layer_weights": (1.0, 3.0),
    "mask": (Mask(np.tri(24, 32)),),
    "color": "match",
    "color_amount": 0.5,
    "pooling": "average",
    "padding": "replicate",
    "precision": "bfloat16",
    "remat": "all",
    "tile_size": 32,
    "memory": "64GB",
    "init": "noise",
    "init_blur": 2.0,
    "init_noise": 0.1,
    "noise": 0.05,
    "seed": 1,
    "save_every": 2,
}
"""Every field of `Config` -> a valid value other than that of `base`."""


@pytest.fixture
def base(tmp_path):
    params = vgg_params("vgg19", ("relu2_1",))
    write_keras3(tmp_path / "some.h5", params)
    write_keras3(tmp_path / "other.h5", jax.tree.map(lambda x: 2 * x, params))
    return Config(
        features="vgg19",
        weights=str(tmp_path / "some.h5"),
        content_layers=("relu2_1",),
        style_layers=("relu1_1", "relu2_1"),
        color="keep",
    )


def engine_input(config, monkeypatch):
    """The network, the spec and the item that a transfer hands to the engine, as comparable values."""
    given = []

    class Handed(Exception):
        pass

    def run_engine(spec, plans, batch, **rest):
        del plans, rest
        ((_, item),) = batch
        weights = [
            jax.tree.map(lambda x: np.asarray(x).tolist(), item.loss_weights[level])
            for level in spec.levels
        ]
        given.append((spec, item._replace(loss_weights=weights)))
        raise Handed

    network = load_network(config, platform=CPU)
    monkeypatch.setattr(transfer, "run_engine", run_engine)
    with pytest.raises(Handed):
        transfer.run(network, picture(24, 32), [picture(24, 32)], config=config, platform=CPU)
    return network.extractor, network.weights_sha256, *given


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Config)])
def test_every_field_changes_what_the_engine_is_given(name, base, monkeypatch):
    """A field that nothing reads leaves the network, the spec and the item as they are, and fails here."""
    value = CHANGES[name]
    if name == "weights":
        value = base.weights.replace("some.h5", value)
    assert getattr(base, name) != value
    before = engine_input(base, monkeypatch)
    assert engine_input(base, monkeypatch) == before
    assert engine_input(dataclasses.replace(base, **{name: value}), monkeypatch) != before
