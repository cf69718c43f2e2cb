"""Masks at the layers, and an objective with regions against plain ones."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import make_loss_weights, make_targets, picture, terms_on, vgg_params

from jax_nst.losses import make_objective
from jax_nst.losses.cross_layer import CROSS_LAYER
from jax_nst.losses.gram import GRAM
from jax_nst.losses.moments import MOMENTS
from jax_nst.losses.recipes import find_recipe
from jax_nst.losses.references import layer_shapes, measure_statistics
from jax_nst.losses.regions import REGIONS, position_weights, region_targets, through_receptive_field
from jax_nst.models.partition import REMATS
from jax_nst.models.vgg import CONVOLUTIONS, vgg
from jax_nst.models.wavelet import wavelet

CONTENT, STYLE = ("relu2_2",), ("relu1_1", "relu2_1")
SHAPE = (20, 24)


def weights_of(terms):
    """Loss weights of one for each term."""
    return make_loss_weights(terms, *[1.0] * len(terms))


def halves():
    """A mask of the left half, with a soft edge, and the rest."""
    across = np.clip((14 - np.arange(SHAPE[1])) / 4, 0, 1).astype(np.float32)
    left = np.tile(across, (SHAPE[0], 1))
    return left, 1 - left


def with_regions(terms, extractor, params, styles, masks, factors):
    """Targets of the content `picture(0)`, and of each mask's own style."""
    targets = make_targets(extractor, terms, params, picture(*SHAPE), styles[0])
    style_names = [term.name for term in terms if term.reference == "style"]
    of_styles = [make_targets(extractor, terms, params, picture(*SHAPE), style) for style in styles]
    for name in style_names:
        targets[name] = {key: tuple(of[name][key] for of in of_styles) for key in targets[name]}
    layers = [group[-1] for term in terms if term.reference == "style" for group in term.groups]
    return targets | region_targets(masks, factors, layer_shapes(extractor, params, (*SHAPE, 3), layers))


def spread(impulse):
    """Variance of the positions of weights along an axis, in pixels."""
    weights = impulse.sum(axis=0) / impulse.sum()
    at = np.arange(len(weights))
    return float(np.sum(weights * at**2) - np.sum(weights * at) ** 2)


@pytest.mark.parametrize("block", [1, 2, 3, 4, 5])
def test_spread_is_about_that_of_the_receptive_field_of_vgg(block):
    """A feature's mean over its receptive field, had all kernels equal weights."""
    variance, stride = 0.0, 1
    for number, count in enumerate(CONVOLUTIONS["vgg19"][:block], start=1):
        variance += (count if number < block else 1) * stride**2 * 2 / 3  # of each 3 x 3 convolution
        if number < block:
            variance += stride**2 / 4  # of two pixels' mean
            stride *= 2
    size = 256
    # The weights of one position for the pixels: which pixels' impulses it sees.
    position = size // stride // 2
    seen = np.zeros(size)
    for pixel in range(size):
        mask = np.zeros((4, size), np.float32)
        mask[:, pixel] = 1
        seen[pixel] = through_receptive_field(mask, (max(1, 4 // stride), size // stride))[0, position]
    assert spread(seen[None]) == pytest.approx(variance, rel=0.3, abs=0.4)


@pytest.mark.parametrize("shape", [(20, 24), (10, 12), (5, 6), (3, 3), (2, 3)])
def test_weights_of_masks_that_cover_everything_add_up_to_one(shape):
    one, other = (through_receptive_field(mask, shape) for mask in halves())
    assert one.shape == shape
    np.testing.assert_allclose(one + other, 1, atol=1e-6)
    assert one.min() >= 0


@pytest.mark.parametrize("shape", [(39, 47), (19, 23), (9, 11), (4, 5), (20, 24)])
def test_weights_have_a_mean_of_one_at_odd_sizes(shape, rng):
    weights = position_weights(rng.random((39, 47), np.float32), shape)
    assert weights.shape == shape
    assert weights.mean() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("remat", REMATS)
def test_a_mask_of_ones_equals_no_mask(remat):
    extractor, params = vgg("vgg19"), vgg_params("vgg19", CONTENT)
    content_term, _, variation = terms_on(find_recipe("normalized", "vgg19"), CONTENT, STYLE)
    of_style = (dataclasses.replace(term, layers=STYLE) for term in (GRAM, MOMENTS, CROSS_LAYER))
    terms = [content_term, *of_style, variation]
    weights, pixels = weights_of(terms), jnp.asarray(picture(*SHAPE, seed=3))
    plain = make_targets(extractor, terms, params, picture(*SHAPE), picture(*SHAPE, seed=2))
    ones = with_regions(
        terms, extractor, params, [picture(*SHAPE, seed=2)], [np.ones(SHAPE, np.float32)], [1.0]
    )
    objective = jax.jit(jax.value_and_grad(make_objective(extractor, terms, remat=remat), has_aux=True))
    (_, expected), gradient = objective(pixels, params, plain, weights)
    (_, losses), masked = objective(pixels, params, ones, weights)
    assert set(losses) == {term.name for term in terms}
    for name, loss in losses.as_dict().items():
        assert float(loss) == pytest.approx(float(expected.as_dict()[name]), rel=1e-5)
    np.testing.assert_allclose(masked, gradient, atol=1e-5 * float(jnp.abs(gradient).max()))


@pytest.mark.parametrize("features", ["vgg19", pytest.param("wavelet", marks=pytest.mark.slow)])
def test_losses_of_regions_are_those_of_their_statistics(features, monkeypatch):
    """Written out: the sum over regions of factor, share and distance; the same in bands."""
    extractor = wavelet() if features == "wavelet" else vgg(features)
    params = {} if features == "wavelet" else vgg_params(features, CONTENT)
    layers = ("scale1", "scale2") if features == "wavelet" else STYLE
    content = ("luma1",) if features == "wavelet" else CONTENT
    terms = terms_on(find_recipe("normalized", features), content, layers)
    (style_term,) = (term for term in terms if term.reference == "style")
    masks, factors, styles = halves(), (1.0, 0.5), [picture(*SHAPE, seed=seed) for seed in (2, 5)]
    pixels, weights = jnp.asarray(picture(*SHAPE, seed=3)), weights_of(terms)
    targets = with_regions(terms, extractor, params, styles, masks, factors)
    _, losses = jax.jit(make_objective(extractor, terms))(pixels, params, targets, weights)
    of_layers = extractor.apply(params, pixels, layers)
    expected = 0.0
    for index, layer in enumerate(layers):
        for mask, factor, target in zip(masks, factors, targets[style_term.name][layer], strict=True):
            own = jnp.asarray(position_weights(mask, of_layers[layer].shape[:2]))
            flat = of_layers[layer].reshape(-1, of_layers[layer].shape[-1])
            statistic = jnp.einsum("pc,p,pd->cd", flat, own.ravel(), flat) / len(flat)
            distance = jnp.sum(target.coefficient * jnp.square(statistic - target.value))
            expected += (
                float(weights.layers[style_term.name][index]) * factor * mask.mean() * float(distance)
            )
    assert float(losses[style_term.name]) == pytest.approx(expected, rel=1e-4)
    monkeypatch.setattr("jax_nst.models.partition._BAND", 100)

    def gradient_of(remat):
        objective = make_objective(extractor, terms, remat=remat)
        return jax.jit(jax.grad(objective, has_aux=True))(pixels, params, targets, weights)[0]

    gradient, plain = gradient_of("all"), gradient_of("none")
    assert np.abs(plain).max() > 0
    np.testing.assert_allclose(gradient, plain, atol=1e-4 * float(jnp.abs(plain).max()))


def test_regions_under_vmap_and_jit_are_those_of_each_picture():
    extractor, params = vgg("vgg19"), vgg_params("vgg19", CONTENT)
    terms = terms_on(find_recipe("normalized", "vgg19"), CONTENT, STYLE)
    styles = [picture(*SHAPE, seed=seed) for seed in (2, 5)]
    weights, objective = weights_of(terms), make_objective(extractor, terms)
    each = [
        with_regions(terms, extractor, params, styles, masks, (1.0, 1.0))
        for masks in (halves(), halves()[::-1])
    ]
    batch = jax.tree.map(lambda *x: jnp.stack(x), *each)
    pixels = jnp.stack([picture(*SHAPE, seed=seed) for seed in (3, 4)])
    mapped, _ = jax.jit(jax.vmap(objective, in_axes=(0, None, 0, None)))(pixels, params, batch, weights)
    for index, targets in enumerate(each):
        alone, _ = jax.jit(objective)(pixels[index], params, targets, weights)
        assert float(mapped[index]) == pytest.approx(float(alone), rel=1e-5)


def test_nothing_pulls_where_no_mask_is():
    """Only positions whose receptive field reaches a region have a gradient of the style."""
    extractor, params = vgg("vgg19"), vgg_params("vgg19", ("relu1_1",))
    terms = [dataclasses.replace(GRAM, layers=("relu1_1",))]
    mask = np.zeros(SHAPE, np.float32)
    mask[:, :6] = 1
    targets = with_regions(terms, extractor, params, [picture(*SHAPE, seed=2)], [mask], [1.0])
    objective = make_objective(extractor, terms)
    gradient = jax.grad(lambda x: objective(x, params, targets, weights_of(terms))[0])(
        jnp.asarray(picture(*SHAPE, seed=3))
    )
    columns = np.abs(np.asarray(gradient)).sum(axis=(0, 2))
    assert columns[:6].min() > 0
    assert columns[6 + 3 :].max() == 0  # two positions of the filter, one of the convolution


@pytest.mark.parametrize("remat", ["plain", "bands"])
def test_weighted_statistics_of_a_reference_are_those_of_its_part(remat, monkeypatch):
    if remat == "bands":
        monkeypatch.setattr("jax_nst.models.partition._BAND", 100)
    extractor, params = vgg("vgg19"), vgg_params("vgg19", STYLE)
    terms = [dataclasses.replace(term, layers=STYLE) for term in (GRAM, MOMENTS, CROSS_LAYER)]
    pixels = jnp.asarray(picture(*SHAPE))
    shapes = layer_shapes(extractor, params, (*SHAPE, 3), STYLE)
    weights = {layer: jnp.asarray(position_weights(halves()[0], shapes[layer])) for layer in STYLE}
    found = measure_statistics(extractor, terms, params, pixels, weights)
    features = extractor.apply(params, pixels, STYLE)
    for term in terms:
        for group in term.groups:
            own = [features[layer] for layer in group]
            expected = term.statistic(*own, weights=weights[group[-1]])
            jax.tree.map(
                lambda x, y: np.testing.assert_allclose(
                    x, y, rtol=1e-3, atol=1e-4 * float(jnp.abs(y).max())
                ),
                found[term.name]["+".join(group)],
                expected,
            )


def test_the_entry_of_regions_is_no_name_of_a_term():
    assert REGIONS not in {term.name for term in (GRAM, MOMENTS, CROSS_LAYER)}
