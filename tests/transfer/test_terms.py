import dataclasses

import jax
import numpy as np
import pytest

from jax_nst import CONTENT, CROSS_LAYER, GRAM, MOMENTS, TOTAL_VARIATION, Config, Recipe, vgg, wavelet
from jax_nst.losses import CONTENT_TERMS, STYLE_TERMS
from jax_nst.losses.recipes import STRENGTHS
from jax_nst.losses.term import PIXELS
from jax_nst.runtime.platform import CPU
from jax_nst.transfer.spec import resolve
from jax_nst.transfer.terms import parse_shares, resolve_loss_names, resolve_terms, resolve_weights

SHAPE = (300, 400, 3)


def levels(config, extractor):
    return resolve(config, extractor, SHAPE, CPU).levels


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
            "the style loss compares 2 layers with each other; give more layers",
        ),
    ],
)
def test_terms_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        resolve_terms(Config(**settings), wavelet())


@pytest.mark.parametrize(("name", "content"), [("nnfm", "content"), ("strotss", "self_similarity")])
def test_recipes_of_nearest_neighbours(name, content):
    """They are of blocks 1 to 3, which every VGG has, and the moments bring the colours."""
    for network in ("vgg19-lite", "vgg19", "vgg16"):
        terms = [term for _, term in resolve_terms(Config(recipe=name), vgg(network))]
        assert [term.name for term in terms] == [content, "nnfm", "moments", "tv"]
        assert terms[0].layers == vgg(network).content_layers
        assert terms[1].layers == ("relu3_1", "relu3_3")
        assert terms[2].layers == ("relu1_1", "relu2_1", "relu3_1")
    with pytest.raises(ValueError, match=f"recipe {name} .*, not on wavelet; .* or features vgg19-lite"):
        resolve_terms(Config(recipe=name), wavelet())


def test_style_losses_share_the_style_weight():
    config = Config(style_loss=("gram:2", "moments", "cross_layer:1"), content_weight=5.0)
    spec = resolve(config, vgg("vgg19"), SHAPE, CPU)
    assert spec.loss_names == ("total", "content", "gram", "moments", "cross_layer", "tv")
    assert spec.loss_names == resolve_loss_names(config, vgg("vgg19"))
    weights = resolve_weights(config, vgg("vgg19"), spec.levels[-1].terms)
    strengths = [STRENGTHS[name][None] for name in ("moments", "cross_layer")]
    expected = {"content": 5, "gram": 500, "tv": 65}
    expected |= zip(("moments", "cross_layer"), (250 * x for x in strengths), strict=True)
    assert {name: float(weight) for name, weight in weights.terms.items()} == pytest.approx(expected)
    given = resolve_weights(
        dataclasses.replace(config, style_weight=8.0), vgg("vgg19"), spec.levels[-1].terms
    )
    found = [float(given.terms[name]) for name in ("gram", "moments", "cross_layer")]
    assert found == pytest.approx([4, *(2 * x for x in strengths)])


def test_the_strength_of_a_loss_belongs_to_the_network():
    config = Config(style_loss=("moments",), style_weight=10.0)
    for extractor, key in ((vgg("vgg19"), None), (vgg("vgg19-lite"), None), (wavelet(), "wavelet")):
        terms = resolve(config, extractor, SHAPE, CPU).levels[-1].terms
        weights = resolve_weights(config, extractor, terms)
        assert float(weights.terms["style"]) == pytest.approx(10 * STRENGTHS["moments"][key])
    assert set(STRENGTHS) < {*STYLE_TERMS, *CONTENT_TERMS}


def test_content_losses_share_the_content_weight():
    config = Config(
        content_loss=("features", "self_similarity:3"), style_loss=("nnfm",), content_weight=8.0
    )
    spec = resolve(config, vgg("vgg19"), SHAPE, CPU)
    assert spec.loss_names == ("total", "features", "self_similarity", "style", "tv")
    assert spec.loss_names == resolve_loss_names(config, vgg("vgg19"))
    terms = spec.levels[-1].terms
    assert [term.layers for term in terms[:2]] == [("relu4_2",)] * 2
    weights = resolve_weights(config, vgg("vgg19"), terms)
    similar = 6 * STRENGTHS["self_similarity"][None]
    expected = {
        "features": 2,
        "self_similarity": similar,
        "style": 1000 * STRENGTHS["nnfm"][None],
        "tv": 65,
    }
    assert {name: float(weight) for name, weight in weights.terms.items()} == pytest.approx(expected)


@pytest.mark.parametrize("field", ["style_loss", "content_loss"])
def test_naming_the_default_loss_changes_nothing(field):
    for extractor, style in ((vgg("vgg19"), "wasserstein"), (wavelet(), "gram")):
        named = Config(**{field: (style if field == "style_loss" else "features",)})
        assert resolve_terms(named, extractor) == resolve_terms(Config(), extractor)


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


@pytest.mark.parametrize("chosen", [{"style_loss": ("gram",)}, {"content_loss": ("features",)}])
def test_a_loss_of_another_recipe_is_refused(chosen):
    (field,) = chosen
    with pytest.raises(
        ValueError, match=f"^{field} changes recipe normalized, not coursera; leave one out"
    ):
        resolve_terms(Config(recipe="coursera", **chosen), vgg("vgg19"))


def test_parse_shares():
    assert parse_shares("style_loss", ("gram:2", "moments"), STYLE_TERMS) == {"gram": 2.0, "moments": 1.0}


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
        parse_shares("style_loss", words, STYLE_TERMS)


def test_an_invalid_content_loss_is_refused():
    with pytest.raises(ValueError, match=r"unknown content_loss 'gram'; .* are features, self_similarity$"):
        resolve_terms(Config(content_loss=("gram",)), vgg("vgg19"))


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
    weights = resolve_weights(config, vgg("vgg19"), level.terms).layers["style"]
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
    level = levels(config, vgg("vgg19"))[-1]
    assert float(resolve_weights(config, vgg("vgg19"), level.terms).terms["tv"]) == 6.0
