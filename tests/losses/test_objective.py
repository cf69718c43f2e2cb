"""The objective: gradients, memory-saving evaluation, and terms of every kind."""

import dataclasses
import functools
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import make_loss_weights, make_targets, picture, terms_on, vgg_params

from jax_nst.losses import LossWeights, make_objective
from jax_nst.losses.content import CONTENT
from jax_nst.losses.cross_layer import CROSS_LAYER
from jax_nst.losses.gram import GRAM, gram_matrix
from jax_nst.losses.moments import MOMENTS
from jax_nst.losses.recipes import RECIPES, find_recipe
from jax_nst.losses.references import count_positions
from jax_nst.losses.term import PIXELS, Term, relative_to_power, squared_difference
from jax_nst.losses.variation import (
    ABSOLUTE_VARIATION,
    TOTAL_VARIATION,
    absolute_variation,
    total_variation,
)
from jax_nst.losses.wasserstein import WASSERSTEIN
from jax_nst.models.partition import REMATS
from jax_nst.models.vgg import vgg
from jax_nst.models.wavelet import wavelet
from jax_nst.runtime.platform import current_platform

VGG_LAYERS = (("relu2_2",), ("relu1_1", "relu2_1"))
NORMALIZED = terms_on(find_recipe("normalized", "vgg19"), *VGG_LAYERS)
NORMALIZED_SHALLOW = terms_on(find_recipe("normalized", "vgg19"), ("relu2_1",), ("relu1_1", "relu2_1"))
OF_WAVELETS = find_recipe("normalized", "wavelet")


def on(term, *layers, **changes):
    """A term on these layers."""
    return dataclasses.replace(term, layers=layers, **changes)


def sorted_channels(features):
    """Each channel's values in order: a statistic that needs all positions at once."""
    return jnp.sort(features.reshape(-1, features.shape[-1]), axis=0)


def scaled_means(first, second):
    """The mean of one layer times that of another."""
    return jnp.mean(first) * jnp.mean(second)


SORTED = Term(
    "sorted",
    statistic=sorted_channels,
    distance=squared_difference,
    target=relative_to_power,
    reference="content",
    combine="global",
)


def problem(extractor, terms, params, content, style):
    return make_objective(extractor, terms), make_targets(extractor, terms, params, content, style)


@functools.cache
def compiled(extractor, terms):
    """Losses and their gradient, compiled once for all loss weights and references."""
    return jax.jit(jax.value_and_grad(make_objective(extractor, terms), has_aux=True))


def directional_error(evaluate, x, arguments, rng):
    """Relative difference of the gradient and central differences, along random directions.

    The steps are tiny: a longer one crosses the kink of some ReLU. Each pixel moves uphill, so that nothing
    cancels: beside a small sum, the rounding of the two values would count, which depends on the processor.
    """
    gradient, worst = np.asarray(evaluate(x, *arguments)[1]), 0.0
    for _ in range(3):
        direction = np.abs(rng.normal(size=x.shape)) * np.sign(gradient)
        h = 1e-8
        after, before = (float(evaluate(x + step * direction, *arguments)[0][0]) for step in (h, -h))
        numeric = (after - before) / (2 * h)
        analytic = float(np.sum(gradient * direction))
        worst = max(worst, abs(numeric - analytic) / abs(analytic))
    return worst


NETWORKS = ("vgg19", "vgg16", "vgg19-lite", "wavelet")


def recipes_of(network):
    """The recipes of a network, each with its terms, named after it: one program evaluates all of them."""
    layers = (("luma2",), ("scale1", "scale2")) if network == "wavelet" else VGG_LAYERS
    return [
        (
            recipe,
            tuple(
                dataclasses.replace(term, name=f"{recipe.name} {term.name}")
                for term in terms_on(recipe, *layers)
            ),
        )
        for recipe in RECIPES
        if (recipe.network or "vgg19") == network
    ]


def weigh(terms, own, values, dtype=np.float32):
    """Loss weights of `terms`, which are zero but for those of a recipe."""
    given = dict(zip((term.name for term in own), values, strict=True))
    return make_loss_weights(terms, *(given.get(term.name, 0) for term in terms), dtype=dtype)


def test_every_recipe_is_of_a_network():
    assert sum(len(recipes_of(network)) for network in NETWORKS) == len(RECIPES)


@pytest.mark.parametrize("network", NETWORKS[:3])
def test_gradient_of_every_recipe_against_finite_differences(network, rng):
    extractor, recipes = vgg(network), recipes_of(network)
    terms = tuple(term for _, own in recipes for term in own)
    with jax.enable_x64(True):
        params = vgg_params(network, VGG_LAYERS[0], np.float64)
        content, style, start = (jnp.asarray(picture(14, 12, seed), jnp.float64) for seed in range(3))
        targets = make_targets(extractor, terms, params, content, style)
        for recipe, own in recipes:
            values = *(weight for weight, _ in recipe.terms[:-1]), 1e-3
            given = weigh(terms, own, values, np.float64)
            error = directional_error(compiled(extractor, terms), start, (params, targets, given), rng)
            assert error < 1e-5, recipe.name


@pytest.mark.slow
def test_gradient_through_the_full_default_network_against_finite_differences(rng):
    extractor = vgg("vgg19")
    recipe = find_recipe("normalized", "vgg19")
    terms = terms_on(recipe, extractor.content_layers, extractor.style_layers)
    with jax.enable_x64(True):
        params = vgg_params("vgg19", ("relu5_1",), np.float64)
        content, style, start = (jnp.asarray(picture(18, 32, s), jnp.float64) for s in range(3))
        targets = make_targets(extractor, terms, params, content, style)
        given = make_loss_weights(terms, 1, 1000, 65, dtype=np.float64)
        evaluate = compiled(extractor, terms)
        assert directional_error(evaluate, start, (params, targets, given), rng) < 1e-5


@pytest.mark.slow
def test_gradient_through_the_wavelets_against_finite_differences(rng):
    terms = terms_on(OF_WAVELETS, ("luma2",), ("scale1", "scale2", "scale5"))
    with jax.enable_x64(True):
        content, style, start = (jnp.asarray(picture(65, 70, s), jnp.float64) for s in range(3))
        targets = make_targets(wavelet(), terms, {}, content, style)
        given = make_loss_weights(terms, 1, 1000, 5, dtype=np.float64)
        assert directional_error(compiled(wavelet(), terms), start, ({}, targets, given), rng) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("term", [MOMENTS, CROSS_LAYER, WASSERSTEIN], ids=lambda term: term.name)
@pytest.mark.parametrize("features", ["vgg19", "wavelet"])
def test_gradient_of_other_style_terms_against_finite_differences(features, term, rng):
    """Of odd sides, in stages that are recomputed."""
    extractor = wavelet() if features == "wavelet" else vgg(features)
    layers = ("scale1", "scale2", "scale3") if features == "wavelet" else ("relu1_1", "relu2_1")
    terms = (on(term, *layers),)
    with jax.enable_x64(True):
        params = {} if features == "wavelet" else vgg_params(features, layers, np.float64)
        style, start = (jnp.asarray(picture(21, 19, seed), jnp.float64) for seed in range(2))
        targets = make_targets(extractor, terms, params, start, style)
        evaluate = jax.jit(jax.value_and_grad(make_objective(extractor, terms, remat="all"), has_aux=True))
        given = make_loss_weights(terms, 1, dtype=np.float64)
        assert directional_error(evaluate, start, (params, targets, given), rng) < 1e-5


@pytest.fixture
def small():
    params = vgg_params("vgg19", VGG_LAYERS[0])
    content, style = (jnp.asarray(picture(20, 24, seed)) for seed in range(2))
    objective, targets = problem(vgg("vgg19"), NORMALIZED, params, content, style)
    return objective, params, targets, content, style


def weights(*values, dtype=np.float32):
    """Loss weights of `NORMALIZED`."""
    return make_loss_weights(NORMALIZED, *values, dtype=dtype)


OTHER_REMATS = [
    case
    for case in itertools.product(("vgg19", "wavelet"), REMATS, (100, 10**6))
    if case != ("vgg19", "all", 100)
]


def measured(extractor, terms, params, targets, given, start, remat):
    """Losses, gradient and the number of convolutions of the program."""
    objective = make_objective(extractor, terms, remat=remat)
    # All arguments but the picture are captured, which is a program of its own for each remat.
    jitted = jax.jit(jax.value_and_grad(lambda x: objective(x, params, targets, given), has_aux=True))
    (total, losses), gradient = jitted(start)
    count = jitted.lower(start).as_text().count("stablehlo.convolution")
    assert float(total) == float(losses.total)
    return {name: float(loss) for name, loss in losses.as_dict().items()}, np.asarray(gradient), count


def assert_equal_results(actual, expected):
    """Losses to 1e-5, gradients to 1e-3 and to 1e-5 of the largest."""
    assert actual[0] == pytest.approx(expected[0], rel=1e-5)
    gradient = expected[1]
    np.testing.assert_allclose(actual[1], gradient, rtol=1e-3, atol=1e-5 * np.abs(gradient).max())


@pytest.mark.parametrize(
    ("features", "remat", "band"),
    [("vgg19", "all", 100), *(pytest.param(*case, marks=pytest.mark.slow) for case in OTHER_REMATS)],
)
def test_rematerialisation_and_bands_change_neither_losses_nor_gradient(features, remat, band, monkeypatch):
    shape = (39, 48)
    content, style, start = (jnp.asarray(picture(*shape, seed)) for seed in (0, 1, 5))
    params = {} if features == "wavelet" else vgg_params(features, ("relu2_1",))
    extractor = wavelet() if features == "wavelet" else vgg(features)
    layers = (("relu2_1",), ("relu1_1", "relu2_1")) if params else (("luma2",), ("scale1", "scale2"))
    terms = terms_on(find_recipe("normalized", features), *layers)
    problem = (
        extractor,
        terms,
        params,
        make_targets(extractor, terms, params, content, style),
        make_loss_weights(terms, 1, 1000, 5),
        start,
    )
    exact = measured(*problem, "none")
    monkeypatch.setattr("jax_nst.models.partition._BAND", band)
    found = measured(*problem, remat)
    assert_equal_results(found, exact)
    # The convolutions of the finest stage, or of all, are computed once more.
    assert found[2] >= exact[2] + {"none": 0, "block1": 1, "all": 2}[remat]


TERMS_OF_ALL_KINDS = {
    "vgg19": (
        on(CONTENT, "relu1_2", "conv2_1"),
        on(GRAM, "relu1_1", "relu2_1"),
        on(MOMENTS, "relu1_2", "relu2_1"),
        on(WASSERSTEIN, "relu1_2"),
        on(CROSS_LAYER, "relu1_1", "relu2_1"),  # of two stages
        on(CROSS_LAYER, "conv1_2", "relu1_2", name="of_one_stage"),
        on(SORTED, "conv2_1"),
        on(
            CONTENT,
            "relu1_1",
            "relu1_2",
            name="aligned_pair",
            statistic=lambda first, second: first * second,
            span=2,
        ),
        on(GRAM, PIXELS, name="palette"),
        on(CONTENT, PIXELS, name="likeness"),
        TOTAL_VARIATION,
    ),
    "wavelet": (
        on(CONTENT, "luma1", "luma2"),
        on(GRAM, "scale1", "scale2"),
        on(MOMENTS, "scale1", "scale2"),
        on(CROSS_LAYER, "scale1", "scale2"),
        on(CROSS_LAYER, "luma1", "scale1", name="of_one_stage"),
        on(SORTED, "scale2"),
        on(GRAM, PIXELS, name="palette"),
        TOTAL_VARIATION,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("features", TERMS_OF_ALL_KINDS)
def test_terms_of_all_kinds_are_the_same_in_every_remat_and_in_bands(features, monkeypatch):
    """Aligned, additive and global ones, of one stage, of two stages and of the pixels."""
    shape = (39, 48)
    content, style, start = (jnp.asarray(picture(*shape, seed)) for seed in (0, 1, 5))
    terms = TERMS_OF_ALL_KINDS[features]
    extractor = wavelet() if features == "wavelet" else vgg(features)
    params = {} if features == "wavelet" else vgg_params(features, ("relu2_1",))
    problem = (
        extractor,
        terms,
        params,
        make_targets(extractor, terms, params, content, style),
        make_loss_weights(terms, *range(1, len(terms) + 1)),
        start,
    )
    exact = measured(*problem, "none")
    # Each term against its plain definition, first.
    positions = count_positions(extractor, params, (*shape, 3), [la for t in terms for la in t.layers])
    wanted = [layer for layer in positions if layer != PIXELS]
    found, of_content, of_style = (
        extractor.apply(params, x, wanted) | {PIXELS: x} for x in (start, content, style)
    )
    for term in terms:
        reference = {"content": of_content, "style": of_style, None: None}[term.reference]
        losses = []
        for group in term.groups:
            target = None
            if reference is not None:
                statistic = term.statistic(*(reference[layer] for layer in group))
                target = term.target(statistic, positions[group[-1]])
            losses.append(float(term.distance(term.statistic(*(found[layer] for layer in group)), target)))
        assert exact[0][term.name] == pytest.approx(np.mean(losses), rel=1e-4)
    assert all(loss > 0 for loss in exact[0].values())
    monkeypatch.setattr("jax_nst.models.partition._BAND", 100)
    for remat in REMATS:
        assert_equal_results(measured(*problem, remat), exact)


@pytest.mark.slow
def test_rematerialisation_is_the_same_in_a_batch(small, monkeypatch):
    _, params, targets, content, style = small
    monkeypatch.setattr("jax_nst.models.partition._BAND", 100)
    starts = jnp.stack([content, style])
    gradients = []
    for remat in ("none", "all"):
        objective = make_objective(vgg("vgg19"), NORMALIZED, remat=remat)
        of_one = jax.grad(lambda x, f=objective: f(x, params, targets, weights(1, 1000, 5))[0])
        gradients.append(jax.jit(jax.vmap(of_one))(starts))
    np.testing.assert_allclose(*gradients, rtol=1e-3, atol=1e-5 * float(jnp.abs(gradients[0]).max()))


@pytest.mark.parametrize("style_term", [GRAM, pytest.param(MOMENTS, marks=pytest.mark.slow)])
def test_rematerialisation_takes_less_memory(style_term, monkeypatch):
    """All of VGG19, by XLA's own account of its buffers."""
    monkeypatch.setattr("jax_nst.models.partition._BAND", 2**14)
    extractor, num_bytes = vgg("vgg19"), {}
    terms = (
        on(CONTENT, *extractor.content_layers),
        on(style_term, *extractor.style_layers),
        TOTAL_VARIATION,
    )
    params = vgg_params("vgg19", ("relu5_1",))
    blank = jnp.full((256, 256, 3), 0.5)
    targets = jax.eval_shape(lambda x: make_targets(extractor, terms, params, x, x), blank)
    for remat in REMATS:
        objective = make_objective(extractor, terms, remat=remat)
        gradient = jax.jit(jax.grad(lambda *arguments, f=objective: f(*arguments)[0]))
        lowered = gradient.lower(blank, params, targets, make_loss_weights(terms, 1, 1000, 5))
        compiled = lowered.compile(dict(current_platform().compiler_options))
        num_bytes[remat] = compiled.memory_analysis().temp_size_in_bytes
    assert num_bytes["block1"] < 0.8 * num_bytes["none"]
    assert num_bytes["all"] < 0.6 * num_bytes["none"]


@pytest.mark.parametrize(("precision", "most"), [("bfloat16", 0.1), ("float16", 0.05)])
def test_losses_of_features_in_a_lower_precision_are_float32(precision, most, small):
    _, params, _, content, style = small
    start = jnp.asarray(picture(20, 24, 5))
    values, gradients = [], []
    for each in ("float32", precision):
        extractor = vgg("vgg19", precision=each)
        objective, targets = problem(extractor, NORMALIZED, params, content, style)
        evaluate = jax.value_and_grad(
            lambda x, f=objective, t=targets: f(x, params, t, weights(1, 1000, 5))[0]
        )
        value, gradient = jax.jit(evaluate)(start)
        assert {x.dtype for x in jax.tree.leaves(targets)} == {jnp.dtype("float32")}
        assert value.dtype == gradient.dtype == jnp.float32
        values.append(float(value))
        gradients.append(np.asarray(gradient))
    assert values[1] == pytest.approx(values[0], rel=0.2 * most)
    error = np.linalg.norm(gradients[1] - gradients[0]) / np.linalg.norm(gradients[0])
    assert 0 < error < most


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_all_products_of_a_lower_precision_have_its_operands(precision):
    """So that tensor cores compute them: convolutions and Gram matrices, forwards and backwards."""
    extractor, pixels = vgg("vgg19", precision=precision), jnp.asarray(picture(20, 24))
    params = extractor.prepare(vgg_params("vgg19", ("relu2_1",)))
    objective, targets = problem(extractor, NORMALIZED_SHALLOW, params, pixels, pixels)
    gradient = jax.jit(jax.grad(objective, has_aux=True))
    given = make_loss_weights(NORMALIZED_SHALLOW, 1, 1000, 5)
    text = gradient.lower(pixels, params, targets, given).as_text()
    name = {"bfloat16": "bf16", "float16": "f16"}[precision]
    of_type = r"tensor<(?:\d+x)*(\w+)>"
    products = re.findall(rf"stablehlo.(convolution|dot_general)\W.*\({of_type}, {of_type}\)", text)
    assert set(products) == {("convolution", name, name), ("dot_general", name, name)}
    # Three convolutions forwards and backwards, none for the kernels; two Gram matrices of two products.
    assert sorted(kind for kind, *_ in products) == 6 * ["convolution"] + 4 * ["dot_general"]


def values_and_gradients(features, terms, params, given, start, *references):
    """Losses and gradients in float32 and in float16, each with targets of its own precision."""
    found = []
    for precision in ("float32", "float16"):
        make = wavelet if features == "wavelet" else functools.partial(vgg, features)
        extractor = make(precision=precision)
        targets = make_targets(extractor, terms, params, *references)
        (_, losses), gradient = compiled(extractor, terms)(start, params, targets, given)
        found.append((losses.as_dict(), np.asarray(gradient)))
    return found


@pytest.mark.parametrize("network", NETWORKS)
def test_losses_of_every_recipe_in_float16_are_those_in_float32(network):
    """Absolute ones, too, and of terms that know nothing of units: VGG's features are divided by 32."""
    recipes = recipes_of(network)
    if network == "vgg19":
        of_absolute = next(recipe for recipe, _ in recipes if recipe.name == "nazianafis")
        others = (
            *(on(term, *VGG_LAYERS[1]) for term in (MOMENTS, CROSS_LAYER)),
            on(SORTED, *VGG_LAYERS[0]),
            on(GRAM, PIXELS, name="palette"),
            on(GRAM, PIXELS, "relu1_1", name="both", statistic=scaled_means, span=2),
        )
        recipes = [(recipe, own + others * (recipe is of_absolute)) for recipe, own in recipes]
    terms = tuple(term for _, own in recipes for term in own)
    params = {} if network == "wavelet" else vgg_params(network, VGG_LAYERS[0])
    pictures = [jnp.asarray(picture(20, 24, seed)) for seed in range(3)]
    for recipe, own in recipes:
        values = [weight for weight, _ in recipe.terms] + [1.0] * (len(own) - len(recipe.terms))
        given = weigh(terms, own, values)
        (exact, expected), (low, gradient) = values_and_gradients(network, terms, params, given, *pictures)
        for name, value in exact.items():
            assert float(low[name]) == pytest.approx(float(value), rel=0.01), name
        assert np.linalg.norm(gradient - expected) < 0.05 * np.linalg.norm(expected), recipe.name


@pytest.mark.parametrize("size", [1e-12, 1e-6, 1e6, 1e12])
@pytest.mark.parametrize("features", ["vgg19", "wavelet"])
def test_gradients_in_float16_neither_vanish_nor_overflow(features, size, rng):
    """Of losses of any size, from noise: derivatives would underflow at 1e-6, and overflow at 1e6."""
    layers = (("luma2",), ("scale1", "scale2")) if features == "wavelet" else VGG_LAYERS
    terms = terms_on(find_recipe("normalized", features), *layers)
    params = {} if features == "wavelet" else vgg_params(features, VGG_LAYERS[0])
    content, style = (jnp.asarray(picture(20, 24, seed)) for seed in range(2))
    noise = jnp.asarray(rng.uniform(size=(20, 24, 3)).astype(np.float32))
    given = make_loss_weights(terms, *(size * weight for weight in (1, 1000, 0)))
    (_, expected), (_, gradient) = values_and_gradients(
        features, terms, params, given, noise, content, style
    )
    assert np.linalg.norm(gradient - expected) < 0.05 * np.linalg.norm(expected)


def test_total_is_the_weighted_sum_of_the_terms(small):
    objective, params, targets, _, style = small
    total, losses = objective(style, params, targets, weights(2, 30, 0.5))
    expected = 2 * losses["content"] + 30 * losses["style"] + 0.5 * losses["tv"]
    assert float(total) == float(losses.total) == pytest.approx(float(expected), rel=1e-6)


def test_a_loss_is_the_sum_over_layers_by_their_factors(small):
    objective, params, targets, content, _ = small
    given = weights(1, 1, 1)

    def style_loss(*factors):
        layers = {**given.layers, "style": jnp.asarray(factors, jnp.float32)}
        return float(objective(content, params, targets, LossWeights(given.terms, layers))[1]["style"])

    first, second = style_loss(1, 0), style_loss(0, 1)
    assert min(first, second) > 0
    assert style_loss(0.75, 0.2) == pytest.approx(0.75 * first + 0.2 * second, rel=1e-5)


def test_content_and_style_losses_of_the_references_themselves_are_zero(small):
    objective, params, targets, content, style = small
    assert float(objective(content, params, targets, weights(1, 1, 1))[1]["content"]) < 1e-10
    assert float(objective(style, params, targets, weights(1, 1, 1))[1]["style"]) < 1e-10


def test_style_may_have_any_size(small):
    _, params, _, content, _ = small
    style = jnp.asarray(picture(33, 17, 5))
    targets = make_targets(vgg("vgg19"), NORMALIZED, params, content, style)
    features = vgg("vgg19").apply(params, style, ("relu2_1",))["relu2_1"]
    np.testing.assert_allclose(targets["style"]["relu2_1"].value, gram_matrix(features), rtol=1e-5)


def test_targets_have_one_entry_for_each_group_of_terms_with_a_reference(small):
    *_, targets, _, _ = small
    assert {name: list(groups) for name, groups in targets.items()} == {
        "content": ["relu2_2"],
        "style": ["relu1_1", "relu2_1"],
    }


@pytest.mark.slow
def test_blank_content_and_style_have_a_finite_loss_and_gradient():
    blank, start = jnp.full((64, 64, 3), 0.5), jnp.asarray(picture(64, 64))
    layers = ("scale1", "scale2")
    terms = (*terms_on(OF_WAVELETS, ("luma1",), layers), on(MOMENTS, *layers), on(CROSS_LAYER, *layers))
    objective, targets = problem(wavelet(), terms, {}, blank, blank)
    given = make_loss_weights(terms, 1, 1000, 5, 1000, 1000)
    value_and_grad = jax.jit(jax.value_and_grad(lambda x: objective(x, {}, targets, given)[0]))
    for x in (start, blank):
        value, gradient = value_and_grad(x)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


def test_plain_jit_and_vmap_over_every_argument_agree(small):
    objective, params, targets, content, style = small
    starts = jnp.stack([content, style])
    several = jax.tree.map(lambda *x: jnp.stack(x), weights(1, 10, 1), weights(2, 1000, 0))
    both = jax.tree.map(lambda x: jnp.stack([x, 1.1 * x]), targets)
    mapped = jax.vmap(objective, in_axes=(0, None, 0, 0))(starts, params, both, several)[1].as_dict()
    for index in range(2):
        one = jax.tree.map(lambda x, index=index: x[index], (both, several))
        single = objective(starts[index], params, *one)[1].as_dict()
        jitted = jax.jit(objective)(starts[index], params, *one)[1].as_dict()
        assert list(single) == list(jitted) == list(mapped) == ["total", "content", "style", "tv"]
        for name, value in single.items():
            assert float(jitted[name]) == pytest.approx(float(value), rel=1e-4)
            assert float(mapped[name][index]) == pytest.approx(float(value), rel=1e-4)


def test_no_large_array_is_captured(small):
    """Params and targets are arguments: a captured kernel would be a constant of the program."""
    objective, params, targets, content, _ = small
    jaxpr = jax.make_jaxpr(objective)(content, params, targets, weights(1, 1, 1))
    assert all(np.size(constant) <= 16 for constant in jaxpr.consts)


@pytest.mark.parametrize(
    ("term", "variation"), [(TOTAL_VARIATION, total_variation), (ABSOLUTE_VARIATION, absolute_variation)]
)
def test_a_term_of_the_pixels_alone_evaluates_no_network(term, variation):
    pixels = jnp.asarray(picture(20, 24))
    given = make_loss_weights((term,), 1)
    for remat in REMATS:
        objective = jax.jit(make_objective(vgg("vgg19"), (term,), remat=remat))
        total, losses = objective(pixels, {}, {}, given)
        assert float(total) == float(losses["tv"]) == pytest.approx(float(variation(pixels)), rel=1e-6)
        assert "stablehlo.convolution" not in objective.lower(pixels, {}, {}, given).as_text()


def test_a_reference_may_be_compared_by_its_pixels_alone():
    content, start = (jnp.asarray(picture(20, 24, seed)) for seed in range(2))
    terms = (on(CONTENT, PIXELS),)
    objective, targets = problem(vgg("vgg19"), terms, {}, content, content)
    slow = np.mean((start - content) ** 2) / np.mean(content**2)
    loss = objective(start, {}, targets, make_loss_weights(terms, 1))[1]["content"]
    assert float(loss) == pytest.approx(float(slow), rel=1e-5)


@pytest.mark.parametrize("term", [MOMENTS, GRAM, CROSS_LAYER, WASSERSTEIN], ids=lambda term: term.name)
def test_weights_of_ones_change_nothing_and_a_mask_is_a_cut(term, rng):
    """Weights of mean 1 that are zero outside of some rows give the statistic of these rows alone."""
    features = [rng.random((size, 4, channels), np.float32) for size, channels in ((12, 3), (6, 5))]
    features = [jnp.asarray(x) for x in features[2 - term.span :]]
    height = len(features[-1])
    weights = np.zeros((height, 4), np.float32)
    weights[: height // 3] = 3
    ones = term.statistic(*features, weights=jnp.ones((height, 4)))
    cut = term.statistic(*(x[: len(x) // 3] for x in features))
    masked = jax.jit(term.statistic)(*features, weights=jnp.asarray(weights))
    for found, expected in ((ones, term.statistic(*features)), (masked, cut)):
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), found, expected)
