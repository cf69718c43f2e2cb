import dataclasses

import optax
import pytest

from jax_nst import Config, vgg, wavelet
from jax_nst.models.wavelet import layers_at
from jax_nst.optim import OPTIMIZERS
from jax_nst.runtime.platform import CPU, GPU
from jax_nst.transfer.choices import choices_of
from jax_nst.transfer.network import load_network
from jax_nst.transfer.spec import learning_rate_of, picture_shape, picture_size, resolve

WAVELET = Config(
    features="wavelet", content_layers=("luma1",), style_layers=("scale1", "scale2"), steps=10, size=48
)
SHAPE = (300, 400, 3)


def levels(config, shape=SHAPE, extractor=None):
    return resolve(config, extractor or wavelet(), shape, CPU).levels


def sizes(config, shape=SHAPE, extractor=None):
    return [level.size for level in levels(config, shape, extractor)]


def term_of(level, reference):
    (term,) = (term for term in level.terms if term.reference == reference)
    return term


# Levels.


def test_size_of_the_picture():
    assert picture_size(Config(), (3000, 4000, 3)) == 512
    assert picture_size(Config(), (300, 200, 3)) == 300
    assert picture_size(Config(size=700), (300, 200, 3)) == 700
    assert picture_shape(Config(), (3000, 4000, 3)) == (384, 512)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((3000, 4000, 3), (384, 512)),
        ((3000, 4003, 3), (384, 512)),
        ((2970, 4000, 3), (384, 512)),
        ((1000, 3000, 3), (384, 512)),
        ((3000, 2500, 3), (512, 512)),
        ((301, 400, 3), (300, 400)),
        ((200, 201, 3), (200, 200)),
    ],
)
def test_a_cropped_content_has_one_of_few_shapes(shape, expected):
    config = Config(crop=("1:1", "4:3"), scales="2")
    assert picture_shape(config, shape) == expected
    coarse, last = levels(config, shape)
    assert last.shape == expected
    assert coarse.shape == (expected[0] // 2, expected[1] // 2)


@pytest.mark.parametrize(
    ("scales", "size", "expected"),
    [
        ("1", 512, [512]),
        ("3", 500, [125, 250, 500]),
        ("auto", 100, [100]),
        ("auto", 256, [256]),
        ("auto", 362, [362]),
        ("auto", 363, [182, 363]),
        ("auto", 512, [256, 512]),
        ("auto", 725, [181, 362, 725]),
        ("auto", 1024, [256, 512, 1024]),
        ("2", None, [200, 400]),
    ],
)
def test_sizes_double_up_to_that_of_the_picture(scales, size, expected):
    config = Config(scales=scales, size=size)
    assert sizes(config) == expected
    assert sizes(config, extractor=vgg("vgg19")) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (100, [100]),
        (128, [128]),
        (181, [181]),
        (182, [91, 182]),
        (256, [128, 256]),
        (512, [128, 256, 512]),
        (1024, [128, 256, 512, 1024]),
    ],
)
def test_auto_begins_at_128_pixels_with_the_bundled_network(size, expected):
    network = load_network(Config(features="vgg19-lite"), platform=CPU)
    assert sizes(Config(size=size), extractor=network.extractor) == expected


def test_all_levels_count_in_the_number_of_steps():
    spec = resolve(Config(scales="3", size=512, steps=80), wavelet(), SHAPE, CPU)
    assert [level.steps for level in spec.levels] == [24, 24, 80]
    assert spec.num_steps == 24 + 1 + 24 + 1 + 80
    assert [level.steps for level in levels(Config(scales="2", size=512, steps=1000))] == [30, 1000]
    assert [level.steps for level in levels(Config(scales="2", size=512, steps=1))] == [1, 1]


def test_a_given_style_size_shrinks_with_the_picture():
    coarse, full = levels(Config(scales="2", size=512, style_size=301))
    assert (coarse.style_size, coarse.style_scale) == (None, 301 / 512)
    assert (full.style_size, full.style_scale) == (301, None)
    relative = levels(Config(scales="2", size=512, style_scale=0.5))
    assert [(level.style_size, level.style_scale) for level in relative] == [(None, 0.5)] * 2


def test_auto_leaves_out_levels_too_small_for_the_network():
    """A panorama, and wavelets of four scales: 32 pixels at least on the shorter side."""
    config = Config(features="wavelet", scales="auto", size=1024)
    assert sizes(config, (300, 1000, 3)) == [256, 512, 1024]
    assert sizes(config, (100, 1000, 3)) == [512, 1024]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scales": "6", "size": 256}, "at one of its smaller sizes is 8 x 6 .* fewer scales than 6"),
        (
            {"scales": "6", "size": 8},
            "the content image is 8 x 6 pixels, but wavelet needs 8 .* larger size",
        ),
    ],
)
def test_a_picture_too_small_for_the_network_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        sizes(dataclasses.replace(WAVELET, **settings))


def test_each_level_has_the_layers_of_its_size_unless_they_are_given():
    coarse, full = levels(Config(size=512))
    assert (term_of(coarse, "content").layers, term_of(coarse, "style").layers) == layers_at((192, 256))
    assert (term_of(full, "content").layers, term_of(full, "style").layers) == layers_at((384, 512))
    for level in levels(Config(content_layers=("luma5",), style_layers=("scale3",))):
        assert term_of(level, "content").layers == ("luma5",)
        assert term_of(level, "style").layers == ("scale3",)
    # Layer weights are for the style layers that the help names.
    for level in levels(Config(size=256, style_layer_weights=(1, 2, 3, 4, 5))):
        assert term_of(level, "style").layers == wavelet().style_layers
    assert (
        term_of(levels(Config(size=512), extractor=vgg("vgg19"))[-1], "style").layers
        == vgg("vgg19").style_layers
    )


# Spec.


def test_what_may_differ_within_a_program_is_not_in_the_spec():
    """Items that differ only in these settings share a program and a batch."""
    one = resolve(WAVELET, wavelet(), SHAPE, CPU)
    weights = {
        "content_weight": 3.0,
        "style_weight": 2.0,
        "tv_weight": 1.0,
        "style_layer_weights": (1.0, 2.0),
    }
    same = dataclasses.replace(WAVELET, **weights, init="noise", seed=3)
    assert resolve(same, wavelet(), SHAPE, CPU) == one
    assert hash(resolve(same, wavelet(), SHAPE, CPU)) == hash(one)
    assert resolve(WAVELET, wavelet(), SHAPE, GPU) != one
    for name in OPTIMIZERS:
        config = dataclasses.replace(WAVELET, optimizer=name)
        given = dataclasses.replace(config, learning_rate=0.5)
        assert resolve(given, wavelet(), SHAPE, CPU) == resolve(config, wavelet(), SHAPE, CPU)
        rates = OPTIMIZERS[name][1], 0.5
        assert (learning_rate_of(config), learning_rate_of(given)) == rates
    assert learning_rate_of(dataclasses.replace(WAVELET, optimizer=optax.sgd(0.1))) is None


def test_settings_of_the_spec():
    spec = resolve(dataclasses.replace(WAVELET, tolerance=0.1, save_every=3), wavelet(), SHAPE, GPU)
    assert (spec.extractor, spec.tolerance, spec.save_every, spec.platform) == (wavelet(), 0.1, 3, GPU)
    assert spec.choices == choices_of(WAVELET, wavelet(), spec.levels[-1].terms, GPU)
    assert spec.optimizer is spec.choices[0].optimizer
    assert (
        spec.memory,
        resolve(dataclasses.replace(WAVELET, memory="1KB"), wavelet(), SHAPE, CPU).memory,
    ) == (
        None,
        1024,
    )
    assert spec.loss_names == ("total", "content", "style", "tv")
    optimizer = optax.sgd(0.1)
    assert (
        resolve(dataclasses.replace(WAVELET, optimizer=optimizer), wavelet(), SHAPE, CPU).optimizer
        is optimizer
    )
