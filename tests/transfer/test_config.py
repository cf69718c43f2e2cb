import dataclasses

import pytest

from jax_nst import Config


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


def test_it_is_frozen_and_hashable():
    assert hash(Config()) == hash(Config())
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(Config(), "steps", 3)  # noqa: B010


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"features": "resnet"},
            "'resnet'; the valid ones are auto, vgg19, vgg16, wavelet",
        ),
        ({"recipe": "soup"}, "unknown recipe 'soup'; the valid ones are normalized, gatys2015, coursera"),
        ({"optimizer": "sgd"}, "the valid ones are lbfgs, adam"),
        ({"pooling": "min"}, "the valid ones are max, average"),
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
        ({"scales": 0}, "scales must be auto, or from 1 to 16, not '0'"),
        ({"scales": -2}, "scales must be auto"),
        ({"scales": "two"}, "scales must be auto, or from 1 to 16, not 'two'"),
        ({"tolerance": 1.0}, "tolerance must be zero or more, and less than 1, not 1.0"),
        ({"tolerance": float("nan")}, "tolerance must be zero or more"),
        ({"precision": "float16"}, "'float16'; the valid ones are auto, float32, tf32, bfloat16"),
        ({"remat": "block2"}, "the valid ones are auto, none, block1, all"),
        ({"size": 10**10}, "size must be 1 or more, 65536 at most"),
        ({"content_weight": 1e39}, "content_weight must be zero or more, 1e[+]38 at most"),
        ({"content_weight": 0, "style_weight": 0, "tv_weight": 0}, "all zero; nothing would change"),
        ({"style_layers": ()}, "style_layers must name layers"),
        ({"content_layers": ("relu1_1", "")}, "content_layers must name layers.*no empty one"),
        ({"style_layer_weights": (0.0, 0.0)}, "not all zero"),
        ({"init": ""}, "init must be content, style, noise, or the path of an image"),
        ({"style_layer_weights": (1.0, -1.0)}, "style_layer_weights must be zero or more"),
    ],
)
def test_what_is_not_valid_is_said(settings, message):
    with pytest.raises(ValueError, match=message):
        Config(**settings)
