import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import make_targets, picture, vgg_params

from jax_nst.losses.objective import LossWeights, make_objective
from jax_nst.losses.recipes import RECIPES
from jax_nst.models.vgg import vgg19
from jax_nst.optim.optimizers import OPTIMIZERS, make_optimizer
from jax_nst.optim.step import make_step, to_angles, to_pixels

LAYERS = {"content_layers": ("relu2_1",), "style_layers": ("relu1_1",)}


def make_problem(seed=0):
    params = vgg_params("vgg19", ("relu2_1",))
    content, style = jnp.asarray(picture(16, 20, seed)), jnp.asarray(picture(18, 14, seed + 10))
    targets = make_targets(vgg19(), RECIPES["normalized"], params, content, style, **LAYERS)
    return params, content, targets, LossWeights(jnp.float32(1), jnp.float32(1000), jnp.float32(1))


def make(name):
    objective = make_objective(vgg19(), RECIPES["normalized"].variation)
    return make_step(objective, make_optimizer(name))


def test_angles_and_pixels_are_inverse_and_pixels_stay_in_the_box():
    pixels = np.linspace(4 / 255, 1 - 4 / 255, 50, dtype=np.float32)
    np.testing.assert_allclose(to_pixels(to_angles(jnp.asarray(pixels))), pixels, atol=1e-6)
    far = to_pixels(jnp.linspace(-100, 100, 1001))
    assert 0 <= float(far.min()) < 0.001
    assert 0.999 < float(far.max()) <= 1
    black_and_white = to_angles(jnp.asarray([0.0, 1.0]))
    assert np.isfinite(black_and_white).all()
    assert np.abs(jax.vmap(jax.grad(to_pixels))(black_and_white)).min() > 0.1


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_plain_jit_and_vmap_agree(name):
    init, update = make(name)
    problems = [make_problem(seed) for seed in range(3)]
    params, weights = problems[0][0], problems[0][3]
    starts, targets = (
        jax.tree.map(lambda *x: jnp.stack(x), *(problem[i] for problem in problems)) for i in (1, 2)
    )
    states = jax.vmap(init)(starts)
    mapped = jax.jit(jax.vmap(update, in_axes=(0, None, 0, None)))
    curves = []
    for _ in range(5):
        states, info = mapped(states, params, targets, weights)
        curves.append(info.losses.total)
    for index, (_, start, target, _) in enumerate(problems):
        for step, count in ((update, 2 if index == 0 else 0), (jax.jit(update), len(curves))):
            state = init(start)
            for curve in curves[:count]:
                state, info = step(state, params, target, weights)
                assert float(info.losses.total) == pytest.approx(float(curve[index]), rel=2e-3)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_evaluation_a_step_and_no_second_compilation(name):
    init, update = make(name)
    traces = []

    def counted(*arguments):
        traces.append(1)
        return update(*arguments)

    step = jax.jit(counted, donate_argnums=0)
    for seed in range(2):  # another pair of pictures and other weights: the same program
        params, start, targets, weights = make_problem(seed)
        weights = LossWeights(*(weight * (1 + seed) for weight in weights))
        state = jax.jit(init)(start)
        for _ in range(4):
            state, _ = step(state, params, targets, weights)
    assert len(traces) == 1
    text = jax.jit(update).lower(jax.jit(init)(start), params, targets, weights).as_text()
    # Three convolutions forwards, three backwards: one value and gradient.
    assert text.count("stablehlo.convolution") == 6


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_best_iterate_is_kept(name):
    init, update = make(name)
    params, start, targets, weights = make_problem()
    state, step, seen = init(start), jax.jit(update), []
    for _ in range(15):
        angles = state.angles
        state, info = step(state, params, targets, weights)
        seen.append((float(info.losses.total), angles))
    value, angles = min(seen, key=lambda pair: pair[0])
    assert float(state.best_value) == pytest.approx(value / float(sum(weights)), rel=1e-5)
    np.testing.assert_array_equal(state.best_angles, angles)
    assert value < seen[0][0]


def test_a_loss_that_is_not_finite_is_never_the_best():
    def broken(pixels, params, targets, weights):
        del params, targets, weights
        from jax_nst.losses.terms import Losses

        value = jnp.where(jnp.max(pixels) > 0.7, jnp.nan, -jnp.sum(pixels))
        return value, Losses(value, value, value, value)

    init, update = make_step(broken, make_optimizer("lbfgs", learning_rate=20.0))
    state, values, step = init(jnp.full((4, 4, 3), 0.5)), [], jax.jit(update)
    weights = LossWeights(jnp.float32(1), jnp.float32(0), jnp.float32(0))
    for _ in range(20):
        state, info = step(state, (), (), weights)
        values.append(float(info.losses.total))
    assert np.isnan(values).any()
    assert float(state.best_value) == np.nanmin(values)
    assert np.isfinite(state.best_angles).all()
    assert float(to_pixels(state.best_angles).max()) <= 0.7
