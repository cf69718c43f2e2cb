import dataclasses

import jax
import numpy as np
import optax
import pytest
from conftest import vgg_params

from jax_nst import CONTENT, CROSS_LAYER, GRAM, MOMENTS, TOTAL_VARIATION, Config, Recipe, vgg, wavelet
from jax_nst.losses.term import PIXELS
from jax_nst.models.partition import REMATS
from jax_nst.models.wavelet import layers_at
from jax_nst.runtime.platform import CPU, GPU
from jax_nst.transfer.network import load_network
from jax_nst.transfer.spec import picture_shape, picture_size, resolve
from jax_nst.transfer.terms import parse_style_loss, resolve_loss_names, resolve_terms, resolve_weights

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
    assert resolve(dataclasses.replace(WAVELET, learning_rate=0.5), wavelet(), SHAPE, CPU) != one


def test_settings_of_the_spec():
    spec = resolve(dataclasses.replace(WAVELET, tolerance=0.1, save_every=3), wavelet(), SHAPE, GPU)
    assert (spec.extractor, spec.tolerance, spec.save_every, spec.platform) == (wavelet(), 0.1, 3, GPU)
    assert spec.remats == REMATS
    assert spec.loss_names == ("total", "content", "style", "tv")
    assert resolve(dataclasses.replace(WAVELET, remat="all"), wavelet(), SHAPE, CPU).remats == ("all",)
    optimizer = optax.sgd(0.1)
    assert (
        resolve(dataclasses.replace(WAVELET, optimizer=optimizer), wavelet(), SHAPE, CPU).optimizer
        is optimizer
    )


# Terms.


def test_layers_are_the_users_then_the_recipes_then_the_extractors():
    def layers(config, extractor):
        return tuple(term.layers for _, term in resolve_terms(config, extractor))

    assert layers(Config(), wavelet()) == (wavelet().content_layers, wavelet().style_layers, (PIXELS,))
    assert layers(Config(recipe="sushant097"), vgg("vgg16"))[0] == ("relu4_3",)
    assert layers(Config(recipe="udacity", content_layers=("conv1_1",)), vgg("vgg19"))[:2] == (
        ("conv1_1",),
        vgg("vgg19").style_layers,
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"style_layers": ("scale1", "scale1")}, "a layer is named twice in scale1, scale1"),
        ({"style_layers": ("relu1_1",)}, "unknown layer 'relu1_1' of wavelet; the valid ones are scale1"),
        ({"recipe": "gatys2015"}, "recipe gatys2015 is defined on all of vgg19, not on wavelet"),
        (
            {"style_loss": ("cross_layer",), "style_layers": ("scale1",)},
            "cross_layer compares 2 layers with each other; give more layers",
        ),
    ],
)
def test_terms_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        resolve_terms(Config(**settings), wavelet())


def test_style_losses_share_the_style_weight():
    config = Config(style_loss=("gram:2", "moments", "cross_layer:1"), content_weight=5.0)
    spec = resolve(config, vgg("vgg19"), SHAPE, CPU)
    assert spec.loss_names == ("total", "content", "style", "moments", "cross_layer", "tv")
    assert spec.loss_names == resolve_loss_names(config, vgg("vgg19"))
    weights = resolve_weights(config, vgg("vgg19"), spec.levels[-1].terms)
    expected = {"content": 5, "style": 500, "moments": 250, "cross_layer": 250, "tv": 65}
    assert {name: float(weight) for name, weight in weights.terms.items()} == pytest.approx(expected)
    given = resolve_weights(
        dataclasses.replace(config, style_weight=8.0), vgg("vgg19"), spec.levels[-1].terms
    )
    assert [float(given.terms[name]) for name in ("style", "moments", "cross_layer")] == [4, 2, 2]


def test_a_style_loss_keeps_the_normalization_of_the_recipe():
    """The Gram term of the wavelets compares entries one by one."""
    (_, own), (_, named) = (
        next(
            pair
            for pair in resolve_terms(Config(style_loss=loss), wavelet())
            if pair[1].reference == "style"
        )
        for loss in (None, ("gram",))
    )
    assert own == named
    assert own.target is not GRAM.target


def test_a_style_loss_of_another_recipe_is_refused():
    with pytest.raises(
        ValueError, match="style_loss changes recipe normalized, not coursera; leave one out"
    ):
        resolve_terms(Config(recipe="coursera", style_loss=("gram",)), vgg("vgg19"))


def test_parse_style_loss():
    assert parse_style_loss(("gram:2", "moments")) == {"gram": 2.0, "moments": 1.0}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("soup",), "unknown style_loss 'soup'; the valid ones are gram, moments, cross_layer"),
        (("gram", "gram:2"), "style_loss names gram twice"),
        (("gram:x",), "share of gram in style_loss must be above zero, not 'x'"),
        (("gram:0",), "must be above zero, not '0'"),
        (("gram:-1",), "must be above zero"),
        (("gram:inf",), "must be above zero"),
        (("gram:nan",), "must be above zero"),
        ((), "style_loss must name one of gram, moments, cross_layer"),
    ],
)
def test_an_invalid_style_loss_is_refused(words, message):
    with pytest.raises(ValueError, match=message):
        parse_style_loss(words)


# Loss weights.


def style_layer_weights(config, extractor):
    return resolve_weights(config, extractor, levels(config, extractor=extractor)[-1].terms).layers["style"]


def test_layer_weights():
    np.testing.assert_allclose(style_layer_weights(Config(), vgg("vgg19")), [0.2] * 5)
    given = Config(style_layers=("relu1_1", "relu2_1"), style_layer_weights=(1.0, 3.0))
    np.testing.assert_allclose(style_layer_weights(given, vgg("vgg19")), [0.25, 0.75])
    literal = Config(recipe="coursera", style_layers=("relu1_1",), style_layer_weights=(3.0,))
    assert style_layer_weights(literal, vgg("vgg19")).tolist() == [3.0]
    published = style_layer_weights(Config(recipe="udacity"), vgg("vgg19"))
    np.testing.assert_allclose(published, [1.0, 0.75, 0.2, 0.2, 0.2])
    for config in (
        Config(style_layer_weights=(1.0, 2.0)),
        Config(recipe="udacity", style_layers=("relu1_1",)),
    ):
        with pytest.raises(ValueError, match=r"style layers but . style_layer_weights"):
            style_layer_weights(config, vgg("vgg19"))


def test_a_pair_of_layers_weighs_the_mean_of_its_layers():
    config = Config(
        style_loss=("cross_layer",),
        style_layers=("relu1_1", "relu2_1", "relu3_1"),
        style_layer_weights=(1.0, 3.0, 5.0),
    )
    (level,) = levels(dataclasses.replace(config, scales="1"), extractor=vgg("vgg19"))
    weights = resolve_weights(config, vgg("vgg19"), level.terms).layers["cross_layer"]
    np.testing.assert_allclose(weights, [2 / 6, 4 / 6], rtol=1e-6)


def test_weights_of_a_recipe_of_any_terms():
    """Terms of one reference share the weight that the user gives, in the recipe's proportions."""
    terms = ((2.0, CONTENT), (30.0, GRAM), (10.0, MOMENTS), (4.0, CROSS_LAYER), (3.0, TOTAL_VARIATION))
    config = Config(recipe=Recipe("mine", terms), style_weight=22.0)
    spec = resolve(config, vgg("vgg19"), SHAPE, CPU)
    found = resolve_weights(config, vgg("vgg19"), spec.levels[-1].terms)
    expected = {"content": 2, "style": 15, "moments": 5, "cross_layer": 2, "tv": 3}
    assert {name: float(weight) for name, weight in found.terms.items()} == pytest.approx(expected)
    assert all(x.dtype == np.float32 for x in jax.tree.leaves(found))


def test_weights_of_terms_that_the_recipe_switches_off():
    """With no proportion to keep, terms of weight zero share equally."""
    config = Config(recipe="gatys2015", tv_weight=6.0)
    network = load_network(config, params=vgg_params("vgg19", ("relu5_1",)))
    spec = resolve(config, network.extractor, SHAPE, CPU)
    assert float(resolve_weights(config, network.extractor, spec.levels[-1].terms).terms["tv"]) == 6.0
