import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import make_targets, picture, vgg_params

from jax_nst.losses.objective import REMATS, LossWeights, make_objective
from jax_nst.losses.recipes import RECIPES
from jax_nst.losses.terms import absolute_variation, gram_matrix, total_variation
from jax_nst.models.vgg import vgg16, vgg19
from jax_nst.models.wavelet import wavelet
from jax_nst.transfer.programs import compiler_options

VGG_LAYERS = (("relu2_2",), ("relu1_1", "relu2_1"))
DEFAULT_LAYERS = (vgg19().content_layers, vgg19().style_layers)


def problem(extractor, params, recipe, content, style, content_layers, style_layers):
    targets = make_targets(
        extractor,
        recipe,
        params,
        content,
        style,
        content_layers=content_layers,
        style_layers=style_layers,
    )
    return make_objective(extractor, recipe.variation), targets


def weights(*values, dtype=jnp.float32):
    return LossWeights(*(jnp.asarray(value, dtype) for value in values))


def directional_error(objective, x, arguments, rng):
    """Relative difference of the gradient and central differences, along random directions.

    The steps are tiny: a longer one crosses the kink of some ReLU.
    """
    (_, _), gradient = jax.jit(jax.value_and_grad(objective, has_aux=True))(x, *arguments)
    gradient, jitted, worst = np.asarray(gradient), jax.jit(objective), 0.0
    for _ in range(3):
        direction = rng.normal(size=x.shape)
        h = 1e-8
        after, before = (float(jitted(x + step * direction, *arguments)[0]) for step in (h, -h))
        numeric = (after - before) / (2 * h)
        analytic = float(np.sum(gradient * direction))
        worst = max(worst, abs(numeric - analytic) / abs(analytic))
    return worst


@pytest.mark.parametrize("name", RECIPES)
def test_gradient_of_every_recipe_against_finite_differences(name, rng):
    recipe = RECIPES[name]
    extractor = vgg16() if name == "sushant097" else vgg19()
    with jax.enable_x64(True):
        params = vgg_params(extractor.name, VGG_LAYERS[0], np.float64)
        content, style, start = (jnp.asarray(picture(14, 12, seed), jnp.float64) for seed in range(3))
        objective, targets = problem(extractor, params, recipe, content, style, *VGG_LAYERS)
        given = weights(recipe.content_weight, recipe.style_weight, 1e-3, dtype=jnp.float64)
        assert directional_error(objective, start, (params, targets, given), rng) < 1e-5


def test_gradient_of_the_whole_default_network_against_finite_differences(rng):
    with jax.enable_x64(True):
        params = vgg_params("vgg19", ("relu5_1",), np.float64)
        content, style, start = (jnp.asarray(picture(18, 32, s), jnp.float64) for s in range(3))
        objective, targets = problem(
            vgg19(), params, RECIPES["normalized"], content, style, *DEFAULT_LAYERS
        )
        given = weights(1, 1000, 65, dtype=jnp.float64)
        assert directional_error(objective, start, (params, targets, given), rng) < 1e-5


def test_gradient_of_the_wavelets_against_finite_differences(rng):
    with jax.enable_x64(True):
        content, style, start = (jnp.asarray(picture(65, 70, s), jnp.float64) for s in range(3))
        extractor = wavelet()
        objective, targets = problem(
            extractor, {}, RECIPES["normalized"], content, style, ("luma2",), ("scale1", "scale2", "scale5")
        )
        given = weights(1, 1000, 5, dtype=jnp.float64)
        assert directional_error(objective, start, ({}, targets, given), rng) < 1e-5


@pytest.fixture
def small():
    params = vgg_params("vgg19", VGG_LAYERS[0])
    content, style = (jnp.asarray(picture(20, 24, seed)) for seed in range(2))
    objective, targets = problem(vgg19(), params, RECIPES["normalized"], content, style, *VGG_LAYERS)
    return objective, params, targets, content, style


@pytest.mark.parametrize("band", [100, 10**6])
@pytest.mark.parametrize("remat", REMATS)
@pytest.mark.parametrize("features", ["vgg19", "wavelet"])
def test_what_is_computed_twice_changes_nothing(features, remat, band, monkeypatch):
    """Not in bands of rows either."""
    shape = (39, 48)
    content, style = (jnp.asarray(picture(*shape, seed)) for seed in range(2))
    params = vgg_params("vgg19", ("relu2_1",)) if features == "vgg19" else {}
    extractor = {"vgg19": vgg19, "wavelet": wavelet}[features]()
    layers = (("relu2_1",), ("relu1_1", "relu2_1")) if params else (("luma2",), ("scale1", "scale2"))
    recipe = RECIPES["normalized"]
    _, targets = problem(extractor, params, recipe, content, style, *layers)
    start = jnp.asarray(picture(*shape, 5))

    def measured(remat):
        objective = make_objective(extractor, recipe.variation, remat=remat)
        jitted = jax.jit(
            jax.value_and_grad(lambda x: objective(x, params, targets, weights(1, 1000, 5))[0])
        )
        value, gradient = jitted(start)
        count = jitted.lower(start).as_text().count("stablehlo.convolution")
        return float(value), np.asarray(gradient), count

    exact = measured("none")
    monkeypatch.setattr("jax_nst.models.partition._BAND", band)
    value, gradient, count = measured(remat)
    assert value == pytest.approx(exact[0], rel=1e-5)
    np.testing.assert_allclose(gradient, exact[1], rtol=1e-3, atol=1e-5 * np.abs(exact[1]).max())
    # The convolutions of the finest stage once more, or of all.
    assert count >= exact[2] + {"none": 0, "block1": 1, "all": 2}[remat]


def test_what_is_computed_twice_is_so_in_a_batch(small, monkeypatch):
    _, params, targets, content, style = small
    monkeypatch.setattr("jax_nst.models.partition._BAND", 100)
    starts = jnp.stack([content, style])
    gradients = []
    for remat in ("none", "all"):
        objective = make_objective(vgg19(), RECIPES["normalized"].variation, remat=remat)
        of_one = jax.grad(lambda x, f=objective: f(x, params, targets, weights(1, 1000, 5))[0])
        gradients.append(jax.jit(jax.vmap(of_one))(starts))
    np.testing.assert_allclose(*gradients, rtol=1e-3, atol=1e-5 * float(jnp.abs(gradients[0]).max()))


def test_what_is_computed_twice_needs_less_memory(monkeypatch):
    """The whole VGG, by XLA's own account of its buffers."""
    monkeypatch.setattr("jax_nst.models.partition._BAND", 2**14)
    extractor, recipe, num_bytes = vgg19(), RECIPES["normalized"], {}
    params = vgg_params("vgg19", ("relu5_1",))
    blank = jnp.full((256, 256, 3), 0.5)
    _, targets = problem(extractor, params, recipe, blank, blank, *DEFAULT_LAYERS)
    for remat in REMATS:
        objective = make_objective(extractor, recipe.variation, remat=remat)
        gradient = jax.jit(jax.grad(lambda *arguments, f=objective: f(*arguments)[0]))
        compiled = gradient.lower(blank, params, targets, weights(1, 1000, 5)).compile(compiler_options())
        num_bytes[remat] = compiled.memory_analysis().temp_size_in_bytes
    assert num_bytes["block1"] < 0.8 * num_bytes["none"]
    assert num_bytes["all"] < 0.6 * num_bytes["none"]


def test_losses_of_features_in_bfloat16_are_float32(small):
    _, params, _, content, style = small
    start = jnp.asarray(picture(20, 24, 5))
    values, gradients = [], []
    for precision in ("float32", "bfloat16"):
        extractor = vgg19(precision=precision)
        objective, targets = problem(extractor, params, RECIPES["normalized"], content, style, *VGG_LAYERS)
        value, gradient = jax.value_and_grad(
            lambda x, f=objective, t=targets: f(x, params, t, weights(1, 1000, 5))[0]
        )(start)
        assert {x.dtype for x in jax.tree.leaves(targets)} == {jnp.dtype("float32")}
        assert value.dtype == gradient.dtype == jnp.float32
        values.append(float(value))
        gradients.append(np.asarray(gradient))
    assert values[1] == pytest.approx(values[0], rel=0.02)
    error = np.linalg.norm(gradients[1] - gradients[0]) / np.linalg.norm(gradients[0])
    assert 0 < error < 0.1


def test_total_is_the_weighted_sum_of_the_terms(small):
    objective, params, targets, _, style = small
    total, losses = objective(style[:20, :24], params, targets, weights(2, 30, 0.5))
    expected = 2 * losses.content + 30 * losses.style + 0.5 * losses.tv
    assert float(total) == float(losses.total) == pytest.approx(float(expected), rel=1e-6)


def test_content_and_style_are_zero_on_themselves(small):
    objective, params, targets, content, style = small
    assert float(objective(content, params, targets, weights(1, 1, 1))[1].content) < 1e-10
    assert float(objective(style, params, targets, weights(1, 1, 1))[1].style) < 1e-10


def test_style_may_have_any_size(small):
    _, params, _, content, _ = small
    style = jnp.asarray(picture(33, 17, 5))
    _, targets = problem(vgg19(), params, RECIPES["normalized"], content, style, *VGG_LAYERS)
    features = vgg19().apply(params, style, ("relu2_1",))["relu2_1"]
    np.testing.assert_allclose(targets.style["relu2_1"].value, gram_matrix(features), rtol=1e-5)


def test_a_blank_content_or_style_has_a_finite_loss():
    blank, start = jnp.full((64, 64, 3), 0.5), jnp.asarray(picture(64, 64))
    objective, targets = problem(
        wavelet(), {}, RECIPES["normalized"], blank, blank, ("luma1",), ("scale1", "scale2")
    )
    value, gradient = jax.value_and_grad(lambda x: objective(x, {}, targets, weights(1, 1000, 5))[0])(start)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_plain_jit_and_vmap_over_every_argument_agree(small):
    objective, params, targets, content, style = small
    starts = jnp.stack([content, style])
    several = weights([1, 2], [10, 1000], [1, 0])
    both = jax.tree.map(lambda x: jnp.stack([x, 1.1 * x]), targets)
    mapped = jax.vmap(objective, in_axes=(0, None, 0, 0))(starts, params, both, several)[1]
    for index in range(2):
        one = jax.tree.map(lambda x, index=index: x[index], (both, several))
        single = objective(starts[index], params, *one)[1]
        jitted = jax.jit(objective)(starts[index], params, *one)[1]
        for field in single._fields:
            assert float(getattr(jitted, field)) == pytest.approx(float(getattr(single, field)), rel=1e-4)
            assert float(getattr(mapped, field)[index]) == pytest.approx(
                float(getattr(single, field)), rel=1e-4
            )


def test_nothing_large_is_captured(small):
    """Params and targets are arguments: a captured kernel would be a constant of the program."""
    objective, params, targets, content, _ = small
    jaxpr = jax.make_jaxpr(objective)(content, params, targets, weights(1, 1, 1))
    assert all(np.size(constant) <= 16 for constant in jaxpr.consts)


@pytest.mark.parametrize("variation", [total_variation, absolute_variation])
def test_variation_is_the_recipes(variation, small):
    _, params, targets, content, _ = small
    _, losses = make_objective(vgg19(), variation)(content, params, targets, weights(0, 0, 1))
    assert float(losses.total) == pytest.approx(float(variation(content)), rel=1e-6)
