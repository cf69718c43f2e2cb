"""The objective in tiles: equal to that of the whole picture, value and gradient."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import make_loss_weights, make_targets, picture, vgg_params

from jax_nst import (
    CONTENT,
    CROSS_LAYER,
    GRAM,
    MOMENTS,
    NEAREST,
    TOTAL_VARIATION,
    WASSERSTEIN,
    Target,
    Term,
    make_objective,
    vgg,
    wavelet,
)
from jax_nst.losses.objective import check_tiles, objective_in_tiles
from jax_nst.losses.references import layer_shapes, measure_statistics
from jax_nst.losses.references import make_targets as targets_of
from jax_nst.losses.regions import region_targets

MEAN_OF_EXP = Term(
    "exp",
    statistic=lambda features: jnp.mean(jnp.exp(-jnp.abs(features)), axis=(0, 1)),
    distance=lambda statistic, target: jnp.sum(jnp.square(statistic - target.value)),
    target=lambda statistic, num_positions: Target(statistic, 1.0),
    reference="style",
    combine="additive",
)
"""A user's own term; where features are zero it is not."""
EXTRACTORS = {
    "vgg19": vgg("vgg19"),
    "vgg16": vgg("vgg16", pooling="average"),
    "vgg19-lite": vgg("vgg19-lite", padding="replicate"),
    "winograd": vgg("vgg19", use_winograd=True),
    "wavelet": wavelet(),
}
VGG_LAYERS, WAVELET_LAYERS = ("relu1_1", "relu2_1", "relu3_1"), ("scale1", "scale2", "scale3")


def problem(name, dtype=np.float32, shape=(53, 40), additive=(CROSS_LAYER, MEAN_OF_EXP), depth=2):
    """An objective's extractor and terms, and its arguments; of so many stages."""
    extractor = EXTRACTORS[name]
    style = (WAVELET_LAYERS if name == "wavelet" else VGG_LAYERS)[:depth]
    content = (f"luma{depth}",) if name == "wavelet" else style[-1:]
    terms = [dataclasses.replace(CONTENT, layers=content)]
    terms += [dataclasses.replace(term, layers=style) for term in additive]
    terms.append(TOTAL_VARIATION)
    params = {} if name == "wavelet" else vgg_params(extractor.name, style, dtype)
    params = extractor.prepare(params)
    content, given = (jnp.asarray(picture(*of, seed), dtype) for seed, of in enumerate((shape, (40, 48))))
    targets = make_targets(extractor, terms, extractor.plain(params), content, given)
    weights = make_loss_weights(terms, *range(1, len(terms) + 1), dtype=dtype)
    return extractor, terms, (jnp.asarray(picture(*shape, 5), dtype), params, targets, weights)


def evaluate(extractor, terms, arguments, tile_size=None, transform=jax.jit):
    objective = make_objective(extractor, terms, tile_size=tile_size)
    return transform(jax.value_and_grad(objective, has_aux=True))(*arguments)


def assert_same(parts, *tile_sizes):
    """Value, losses and gradient to rounding, in float64."""
    (value, losses), gradient = evaluate(*parts)
    for tile_size in tile_sizes:
        (total, found), tiled = evaluate(*parts, tile_size)
        assert float(total) == pytest.approx(float(value), rel=1e-12)
        for term in losses:
            assert float(found[term]) == pytest.approx(float(losses[term]), rel=1e-11), term
        np.testing.assert_allclose(tiled, gradient, atol=1e-11 * float(jnp.abs(gradient).max()))


@pytest.mark.usefixtures("optimized")
@pytest.mark.parametrize("name", EXTRACTORS)
def test_value_and_gradient_are_those_of_the_whole_picture(name):
    """Content, products of layers, a mean of anything; odd sides, all poolings and paddings."""
    with jax.enable_x64(True):
        assert_same(problem(name, np.float64), 17)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "additive"), [("vgg19", (GRAM, WASSERSTEIN)), ("wavelet", (GRAM, MOMENTS))]
)
def test_several_terms_at_once_are_those_of_the_whole_picture(name, additive):
    with jax.enable_x64(True):
        assert_same(problem(name, np.float64, (87, 70), additive, depth=3), 40)


def test_a_tile_as_large_as_the_picture_is_the_picture():
    parts = problem("wavelet", additive=(GRAM,))
    for found, expected in zip(
        jax.tree.leaves(evaluate(*parts, 53)), jax.tree.leaves(evaluate(*parts)), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.usefixtures("optimized")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_lower_precisions_differ_no_more_than_they_round(precision):
    """Features of a tile are those of the picture, whatever their type; sums are float32."""
    extractor, terms, arguments = problem("vgg19", additive=(GRAM,))
    extractor = vgg("vgg19", precision=precision)
    arguments = arguments[0], extractor.prepare(arguments[1]), *arguments[2:]
    (value, _), gradient = evaluate(extractor, terms, arguments)
    (total, _), tiled = evaluate(extractor, terms, arguments, 16)
    assert float(total) == pytest.approx(float(value), rel=1e-5 if precision == "float32" else 2e-4)
    error = jnp.linalg.norm(tiled - gradient) / jnp.linalg.norm(gradient)
    assert float(error) < {"float32": 1e-5, "bfloat16": 2e-2, "float16": 3e-3}[precision]


def test_regions_are_those_of_the_whole_picture():
    """Two masks that overlap, each with its own style."""
    extractor, terms, (pixels, params, targets, weights) = problem("wavelet", additive=(WASSERSTEIN,))
    style = [term for term in terms if term.reference == "style"]
    layers = style[0].layers
    shapes = layer_shapes(extractor, params, pixels.shape, layers)
    ramp = np.broadcast_to(np.linspace(0, 1, 40, dtype=np.float32), (53, 40))
    positions = {layer: float(h * w) for layer, (h, w) in shapes.items()}

    @jax.jit
    def targets_of_style(pixels):
        return targets_of(style, measure_statistics(extractor, style, params, pixels), positions)

    of_regions = [targets_of_style(picture(40, 48, seed)) for seed in (3, 4)]
    name = style[0].name
    targets = {
        **targets,
        name: {layer: tuple(found[name][layer] for found in of_regions) for layer in layers},
        **region_targets([ramp, 1 - ramp**2], [1.0, 0.5], shapes),
    }
    parts = extractor, terms, (pixels, params, targets, weights)
    (value, _), gradient = evaluate(*parts)
    (total, _), tiled = evaluate(*parts, 16)
    assert float(total) == pytest.approx(float(value), rel=1e-5)
    np.testing.assert_allclose(tiled, gradient, atol=2e-5 * float(jnp.abs(gradient).max()))


def test_plain_jitted_and_mapped_agree():
    extractor, terms, (pixels, *rest) = problem("wavelet", additive=(GRAM,), shape=(40, 34), depth=1)
    plain = evaluate(extractor, terms, (pixels, *rest), 16, lambda f: f)[1]
    jitted = evaluate(extractor, terms, (pixels, *rest), 16)[1]
    mapped = evaluate(
        extractor,
        terms,
        (jnp.stack([pixels, pixels[::-1]]), *rest),
        16,
        lambda f: jax.jit(jax.vmap(f, in_axes=(0, None, None, None))),
    )[1]
    for found in (plain, mapped[0]):
        np.testing.assert_allclose(found, jitted, atol=1e-5 * float(jnp.abs(jitted).max()))


def test_memory_does_not_grow_with_the_picture():
    """Of the loop over tiles, by XLA's account: what it takes beside arrays of the picture's size."""
    extractor, terms, arguments = problem("wavelet", additive=(GRAM,), shape=(64, 64))

    def temporaries(side, tile_size):
        pixels = jax.ShapeDtypeStruct((side, side, 3), jnp.float32)
        targets = {
            **arguments[2],
            "content": {
                layer: Target(
                    jax.ShapeDtypeStruct((side // s, side // s, 32), jnp.float32), target.coefficient
                )
                for (layer, target), s in zip(arguments[2]["content"].items(), (2,), strict=True)
            },
        }
        objective = jax.jit(jax.grad(make_objective(extractor, terms, tile_size=tile_size), has_aux=True))
        compiled = objective.lower(pixels, arguments[1], targets, arguments[3]).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    small, large = temporaries(256, 64), temporaries(512, 64)
    assert large - small < 8 * (512**2 - 256**2) * 3 * 4
    assert small < 0.5 * temporaries(256, None)


def test_what_cannot_be_computed_in_tiles_is_refused_with_the_reason():
    extractor, terms, _ = problem("wavelet", additive=(GRAM,))
    with pytest.raises(ValueError, match="nearest loss needs all positions of the picture at once"):
        make_objective(
            extractor,
            [*terms, dataclasses.replace(NEAREST, layers=("scale1",), name="nearest")],
            tile_size=32,
        )
    with pytest.raises(ValueError, match="wavelet does not say how far its features see"):
        objective_in_tiles(dataclasses.replace(extractor, reach=None), terms, 32)
    with pytest.raises(ValueError, match="no term compares layers"):
        check_tiles(extractor, [TOTAL_VARIATION])
    with pytest.raises(ValueError, match="at least 1, not 0"):
        objective_in_tiles(extractor, terms, 0).tiling((64, 64, 3))
