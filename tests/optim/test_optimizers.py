import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import EXAMPLES, make_targets

from jax_nst import load_image
from jax_nst.losses.objective import LossWeights, make_objective
from jax_nst.losses.recipes import RECIPES
from jax_nst.models.wavelet import wavelet
from jax_nst.optim import optimizers as module
from jax_nst.optim.optimizers import OPTIMIZERS, amplify, guarded_lbfgs, make_optimizer, precondition
from jax_nst.optim.step import make_step


def minimize(function, x, optimizer, steps):
    """Values of all evaluations, the last point and its state."""
    state, values = optimizer.init(x), []
    update = jax.jit(optimizer.update)
    evaluate = jax.jit(jax.value_and_grad(function))
    for _ in range(steps):
        value, grads = evaluate(x)
        updates, state = update(grads, state, x, value=value)
        values.append(float(value))
        x = x + updates
    return np.array(values), x, state


def rosenbrock(x):
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def quadratic(x):
    return 0.5 * jnp.sum(jnp.linspace(1.0, 50.0, x.size) * x**2)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_minimises_a_quadratic(name):
    rate = {"lbfgs": 1.0, "adam": 0.1}[name]
    values, *_ = minimize(
        lambda x: quadratic(x.ravel()),
        jnp.ones((2, 5, 3)),
        make_optimizer(name, learning_rate=rate),
        150,
    )
    assert values[-1] < 1e-4 * values[0]


@pytest.mark.parametrize("shape", [(6, 8, 3), (5, 7, 3), (1, 1, 3)])
def test_amplify_is_a_gain_of_each_frequency_of_each_colour(shape, rng):
    """Against a matrix of complex waves, one frequency after the other."""
    x = rng.normal(size=shape).astype(np.float32)
    h, w, _ = shape
    gains = np.empty(shape)
    for i in range(h):
        for j in range(w):
            down, across = (min(k, n - k) / n for k, n in ((i, h), (j, w)))
            of_frequency = (down**2 + across**2 + module._KNEE**2) ** (-module._POWER / 2)
            gains[i, j] = of_frequency * np.array(module._COLOUR_GAINS)
    colours = np.array([[1, 1, 1], [1, -1, 0], [-1, -1, 2]], float)
    colours /= np.linalg.norm(colours, axis=1, keepdims=True)
    waves_down, waves_across = (
        np.exp(-2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n) for n in (h, w)
    )
    spectrum = np.einsum("ai,bj,ijc,oc->abo", waves_down, waves_across, x, colours) * gains
    back = np.einsum("ia,jb,abo,oc->ijc", waves_down.conj().T, waves_across.conj().T, spectrum, colours)
    expected = back.real / (h * w)
    actual = amplify(jnp.asarray(x))
    ratio = np.linalg.norm(actual) / np.linalg.norm(expected)
    np.testing.assert_allclose(actual, ratio * expected, atol=1e-5)


def test_amplify_is_symmetric_and_keeps_the_power_of_noise(rng):
    x, y = rng.normal(size=(2, 64, 81, 3)).astype(np.float32)
    assert float(jnp.vdot(amplify(x), y)) == pytest.approx(float(jnp.vdot(x, amplify(y))), abs=0.05)
    assert float(jnp.mean(amplify(x) ** 2)) == pytest.approx(1, abs=0.05)
    mapped = jax.vmap(amplify)(jnp.stack([x, y]))
    np.testing.assert_allclose(mapped[1], jax.jit(amplify)(y), atol=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_precondition_is_a_change_of_variables(name, rng):
    """The same points as the inner optimizer finds for f(start + P z), from z = 0."""
    inner = {"lbfgs": guarded_lbfgs(1.0), "adam": optax.with_extra_args_support(optax.adam(0.1))}[name]
    start = jnp.asarray(rng.normal(size=(4, 6, 3)).astype(np.float32))

    def function(x):
        return quadratic(x.ravel())

    values, x, _ = minimize(function, start, precondition(inner), 12)
    expected, z, _ = minimize(lambda z: function(start + amplify(z)), jnp.zeros_like(start), inner, 12)
    np.testing.assert_allclose(values, expected, rtol=1e-2)
    np.testing.assert_allclose(x, start + amplify(z), atol=1e-2)


def test_lbfgs_solves_rosenbrock_without_a_line_search():
    values, x, _ = minimize(rosenbrock, jnp.full(6, -0.5), guarded_lbfgs(1.0), 250)
    assert values.min() < 1e-8
    np.testing.assert_allclose(x, 1, atol=1e-3)


def test_a_step_is_that_of_the_textbook(rng):
    """Direction after several steps against H @ g with the inverse Hessian built as a matrix, eq. 7.16."""
    matrix = np.diag(np.linspace(1, 9, 5))
    x = jnp.asarray(rng.normal(size=5).astype(np.float32))
    optimizer = guarded_lbfgs(1.0)
    state, points, grads = optimizer.init(x), [], []
    for _ in range(4):
        gradient = jnp.asarray(matrix.astype(np.float32)) @ x
        points.append(np.asarray(x, np.float64))
        grads.append(np.asarray(gradient, np.float64))
        updates, state = optimizer.update(gradient, state, x, value=0.5 * x @ gradient)
        x = x + updates
    s, y = np.diff(points, axis=0), np.diff(grads, axis=0)
    inverse = module._ENLARGE * np.eye(5) * (s[-1] @ y[-1]) / (y[-1] @ y[-1])
    for a, b in zip(s, y, strict=True):
        v = np.eye(5) - np.outer(b, a) / (a @ b)
        inverse = v.T @ inverse @ v + np.outer(a, a) / (a @ b)
    np.testing.assert_allclose(updates, -inverse @ grads[-1], rtol=1e-3, atol=1e-4)


def test_directions_are_those_of_optax(monkeypatch, rng):
    """On the usual scale of the identity; along a path of its own, longer than the memory."""
    monkeypatch.setattr(module, "_ENLARGE", 1.0)
    monkeypatch.setattr(module, "_LONGEST", np.inf)
    matrix = np.diag(np.linspace(1, 9, 6)).astype(np.float32)
    x = jnp.asarray(rng.normal(size=6).astype(np.float32))
    ours, theirs = guarded_lbfgs(1.0, memory_size=3), optax.scale_by_lbfgs(3)
    state, reference = ours.init(x), theirs.init(x)
    for step in range(8):
        gradient = matrix @ x
        updates, state = ours.update(gradient, state, x, value=jnp.float32(1))
        direction, reference = theirs.update(gradient, reference, x)
        if step:
            np.testing.assert_allclose(updates, -direction, rtol=1e-3, atol=1e-5)
        x = x + 0.5 * updates + 0.01 * rng.normal(size=6).astype(np.float32)


def test_pairs_of_negative_curvature_are_left_out(monkeypatch):
    """On a concave slope every pair would be bad: it goes down by the last good one."""
    monkeypatch.setattr(module, "_LONGEST", np.inf)
    optimizer = guarded_lbfgs(1.0)
    x = jnp.asarray([1.0, 0.5])
    state = optimizer.init(x)
    # One good pair, then one with s.y < 0.
    updates, state = optimizer.update(jnp.asarray([2.0, 1.0]), state, x, value=jnp.asarray(5.0))
    x1 = x + updates
    updates, state = optimizer.update(jnp.asarray([1.9, 0.9]), state, x1, value=jnp.asarray(4.9))
    good = state.pairs
    x2 = x1 + updates
    worse = jnp.asarray([1.9, 0.9]) - 0.5 * updates  # y = -s / 2
    updates, state = optimizer.update(worse, state, x2, value=jnp.asarray(4.8))
    assert np.flatnonzero(good.weights).tolist() == np.flatnonzero(state.pairs.weights).tolist() == [0]
    np.testing.assert_array_equal(state.pairs.steps[0], good.steps[0])
    assert float(state.pairs.scale) == float(good.scale)
    # The step of one pair, eq. 7.16 of Nocedal and Wright.
    s, y = good.steps[0], good.changes[0]
    v = jnp.eye(2) - jnp.outer(y, s) / (y @ s)
    inverse = module._ENLARGE * v.T @ v * (s @ y) / (y @ y) + jnp.outer(s, s) / (s @ y)
    np.testing.assert_allclose(updates, -inverse @ worse, rtol=1e-3)
    assert float(jnp.vdot(updates, worse)) < 0


def test_a_bad_step_is_taken_back_shortened_and_forgets():
    optimizer = guarded_lbfgs(1.0)
    x = jnp.asarray([1.0, 2.0])
    gradient = jnp.asarray([1.0, 1.0])
    updates, state = optimizer.update(gradient, optimizer.init(x), x, value=jnp.asarray(1.0))
    for bad in (jnp.asarray(100.0), jnp.asarray(jnp.nan), jnp.asarray(jnp.inf)):
        far = x + updates
        back, after = optimizer.update(jnp.full(2, jnp.nan), state, far, value=bad)
        retry = far + back - x
        np.testing.assert_allclose(
            jnp.linalg.norm(retry), module._SHORTEN * jnp.linalg.norm(updates), rtol=1e-4
        )
        assert float(jnp.vdot(retry, gradient)) < 0
        assert float(after.value) == 1.0
        assert float(jnp.abs(after.pairs.weights).max()) == 0
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((back, after)))


def test_repeated_rejections_get_ever_shorter_and_recover():
    """A wall: the loss is finite only in a narrow valley."""

    def wall(x):
        return jnp.where(jnp.abs(x[0]) > 1e-2, jnp.inf, jnp.sum(jnp.array([1e4, 1.0]) * x**2))

    values, *_ = minimize(wall, jnp.asarray([9e-3, 1.0]), guarded_lbfgs(50.0), 60)
    finite = values[np.isfinite(values)]
    assert len(finite) < len(values)
    assert finite[-1] < finite[0]


def hostile(optimizer, steps=60):
    """Black-and-white noise to begin with and a huge style weight; losses of all evaluations."""
    content = jnp.asarray(load_image(EXAMPLES / "cat.jpg", 72))
    style = jnp.asarray(load_image(EXAMPLES / "cypresses.jpg", 72))
    noise = jnp.asarray((np.random.default_rng(0).random(content.shape) > 0.5).astype(np.float32))
    recipe = RECIPES["normalized"]
    targets = make_targets(
        wavelet(),
        recipe,
        {},
        content,
        style,
        content_layers=("luma2",),
        style_layers=("scale1", "scale2", "scale3"),
    )
    init, update = make_step(make_objective(wavelet(), recipe.variation), optimizer)
    state, step, losses = init(noise), jax.jit(update), []
    weights = LossWeights(*(jnp.float32(weight) for weight in (1, 1e6, 0)))
    for _ in range(steps):
        state, info = step(state, {}, targets, weights)
        losses.append(float(info.losses.total))
    return np.array(losses)


def test_the_guard_brings_a_hostile_start_home_where_the_unguarded_loop_diverges():
    """With steps three times as long as L-BFGS proposes, too: without a guard that never ends well."""
    inner, rate = optax.scale_by_lbfgs(module.MEMORY_SIZE), 3.0

    def unguarded(grads, state, params=None, *, value, **extra):
        del value, extra
        direction, after = inner.update(grads, state, params)
        first = module._along(-grads, module._FIRST * params.size**0.5)
        return rate * jnp.where(state.count == 0, first, -direction), after

    loose = hostile(optax.GradientTransformationExtraArgs(inner.init, unguarded))
    assert loose.min() > 0.1 * loose[0]
    held = hostile(guarded_lbfgs(rate))
    assert held.min() < 1e-3 * held[0]
    assert held[-1] < 0.05 * held[0]
    assert hostile(guarded_lbfgs(1.0))[-1] < 1e-4 * held[0]


def test_no_step_is_longer_than_a_sine_remembers():
    """Down a slope without end, steps double until they are as long as they may be."""
    x, optimizer = jnp.zeros(100), guarded_lbfgs(1.0)
    state, lengths = optimizer.init(x), []
    for _ in range(12):
        updates, state = optimizer.update(-jnp.ones(100), state, x, value=-jnp.sum(x))
        lengths.append(float(jnp.linalg.norm(updates)) / 10)
        x = x + updates
    assert lengths[0] == pytest.approx(module._FIRST, rel=1e-4)
    assert lengths[1] == pytest.approx(2 * module._FIRST, rel=1e-4)
    assert lengths[-1] == pytest.approx(module._LONGEST, rel=1e-4)


def test_steps_double_where_the_loss_is_concave():
    """No pair has positive curvature there, and the first step may be far too short."""
    values, *_ = minimize(lambda x: jnp.sum(jnp.cos(x)), jnp.full(100, 1e-3), guarded_lbfgs(1.0), 20)
    assert values[0] > 99
    assert values.min() < -99.9


def test_adam_keeps_its_rate():
    """Along a constant gradient each step is as long as the first."""
    optimizer, x = make_optimizer("adam"), jnp.ones((1, 1, 3))
    state, sizes = optimizer.init(x), []
    for _ in range(30):
        updates, state = optimizer.update(amplify(x), state, x, value=jnp.asarray(1.0))
        sizes.append(float(jnp.sqrt(jnp.mean(updates**2))))
    assert sizes[0] == pytest.approx(module.LEARNING_RATES["adam"], rel=0.5)
    np.testing.assert_allclose(sizes, sizes[0], rtol=1e-4)


def test_unknown_optimizer():
    with pytest.raises(ValueError, match="the valid ones are lbfgs, adam"):
        make_optimizer("sgd")
