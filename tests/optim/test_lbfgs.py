"""L-BFGS against the textbook, against Optax, and under attack."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import EXAMPLES, make_loss_weights, make_targets, minimize, terms_on

from jax_nst import load_image
from jax_nst.losses import make_objective
from jax_nst.losses.recipes import find_recipe
from jax_nst.models.wavelet import wavelet
from jax_nst.optim.lbfgs import guarded_lbfgs
from jax_nst.optim.step import make_step

ENLARGE = 2.0  # of the initial inverse Hessian, by default
FIRST_STEP, LONGEST_STEP, SHORTEN, MEMORY_SIZE = 0.015, 0.3, 0.25, 50


def compiled(optimizer):
    """Its update as one program: operation by operation it takes several times as long to compile."""
    return optimizer._replace(update=jax.jit(optimizer.update))


def rosenbrock(x):
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def test_lbfgs_solves_rosenbrock_without_a_line_search():
    values, x, _ = minimize(rosenbrock, jnp.full(6, -0.5), guarded_lbfgs(1.0), 250)
    assert values.min() < 1e-8
    np.testing.assert_allclose(x, 1, atol=1e-3)


@pytest.mark.parametrize("enlarge", [1.0, ENLARGE])
def test_a_step_is_that_of_the_textbook(enlarge, rng):
    """After several steps, against H @ g with the inverse Hessian built as a matrix, eq. 7.16."""
    matrix = np.diag(np.linspace(1, 9, 5))
    x = jnp.asarray(rng.normal(size=5).astype(np.float32))
    optimizer = compiled(guarded_lbfgs(enlarge=enlarge))
    state, points, grads = optimizer.init(x), [], []
    for _ in range(4):
        gradient = jnp.asarray(matrix.astype(np.float32)) @ x
        points.append(np.asarray(x, np.float64))
        grads.append(np.asarray(gradient, np.float64))
        updates, state = optimizer.update(gradient, state, x, value=0.5 * x @ gradient)
        x = x + updates
    s, y = np.diff(points, axis=0), np.diff(grads, axis=0)
    inverse = enlarge * np.eye(5) * (s[-1] @ y[-1]) / (y[-1] @ y[-1])
    for a, b in zip(s, y, strict=True):
        v = np.eye(5) - np.outer(b, a) / (a @ b)
        inverse = v.T @ inverse @ v + np.outer(a, a) / (a @ b)
    np.testing.assert_allclose(updates, -inverse @ grads[-1], rtol=1e-3, atol=1e-4)


def test_directions_are_those_of_optax(rng):
    """With the usual scale of the initial inverse Hessian, along a given path longer than the memory."""
    matrix = np.diag(np.linspace(1, 9, 6)).astype(np.float32)
    x = jnp.asarray(rng.normal(size=6).astype(np.float32))
    ours = compiled(guarded_lbfgs(memory_size=3, enlarge=1.0, longest_step=np.inf))
    theirs = compiled(optax.scale_by_lbfgs(3))
    state, reference = ours.init(x), theirs.init(x)
    for step in range(8):
        gradient = matrix @ x
        updates, state = ours.update(gradient, state, x, value=jnp.float32(1))
        direction, reference = theirs.update(gradient, reference, x)
        if step:
            np.testing.assert_allclose(updates, -direction, rtol=1e-3, atol=1e-5)
        x = x + 0.5 * updates + 0.01 * rng.normal(size=6).astype(np.float32)


def two_loops(pairs, scale, gradient):
    """Algorithm 7.4 of Nocedal and Wright in float64; `pairs` are (s, y), the oldest first."""
    x, alphas = np.asarray(gradient, np.float64), []
    for s, y in reversed(pairs):
        alphas.append(s @ x / (s @ y))
        x = x - alphas[-1] * y
    x = scale * x
    for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
        x = x + (alpha - y @ x / (s @ y)) * s
    return x


def wander(rng, size, steps):
    """Points and gradients of a run; curvature is negative along some steps, and two steps are rejected."""
    matrix = rng.normal(size=(size, size)) / 8 + np.diag(np.linspace(0.3, 9, size))
    x, gradient, step_before = rng.normal(size=size), np.zeros(size), np.zeros(size)
    for step in range(steps):
        gradient = gradient - step_before if step in (3, 11) else matrix @ x
        yield np.float32(x), np.float32(gradient), np.float32(np.inf if step in (6, 15) else 1.0)
        step_before = 0.3 * rng.normal(size=size)
        x = x + step_before


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_compact_form_is_the_two_loops(dtype, rng):
    """Along a path longer than the memory, while it fills, with pairs left out, and after rejections."""
    memory_size, size, state = 5, 40, None
    optimizer = compiled(guarded_lbfgs(memory_size=memory_size, longest_step=np.inf, pairs_dtype=dtype))
    pairs, last, scale, skipped, compared = [], None, 1.0, 0, 0
    for x, gradient, value in wander(rng, size, 24):
        state = optimizer.init(jnp.asarray(x)) if state is None else state
        updates, state = optimizer.update(jnp.asarray(gradient), state, jnp.asarray(x), value=value)
        if not np.isfinite(value):
            pairs = []
            continue
        if last is not None:
            differences = x - last[0], gradient - last[1]
            s, y = (np.float64(jnp.asarray(difference).astype(dtype)) for difference in differences)
            convex = s @ y > 0
            skipped += not convex
            # The ring has a slot for each step, so a pair that is left out takes the place of the oldest.
            pairs = [*pairs, (s, y) if convex else None][-memory_size:]
            scale = ENLARGE * (s @ y) / (y @ y) if convex else scale
        last = x, gradient
        kept = [pair for pair in pairs if pair]
        if kept:
            compared += 1
            expected = -two_loops(kept, scale, gradient)
            error = np.linalg.norm(updates - expected) / np.linalg.norm(expected)
            assert error < 2e-6
    assert (skipped >= 2, compared >= 15) == (True, True)


def test_pairs_of_bfloat16_take_half_the_memory_and_solve_the_same(rng):
    x = jnp.full(6, -0.5)
    low = guarded_lbfgs(pairs_dtype=jnp.bfloat16)
    assert low.init(x).pairs.steps.nbytes * 2 == guarded_lbfgs().init(x).pairs.steps.nbytes
    values, x, _ = minimize(rosenbrock, x, low, 250)
    assert values.min() < 1e-8
    np.testing.assert_allclose(x, 1, atol=1e-3)


def test_pairs_of_negative_curvature_are_left_out():
    """On a concave slope every pair would be bad; the step uses the last good one."""
    optimizer = compiled(guarded_lbfgs(longest_step=np.inf))
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
    kept = [np.flatnonzero(np.diagonal(pairs.inverse)).tolist() for pairs in (good, state.pairs)]
    assert kept == [[0], [0]]
    np.testing.assert_array_equal(state.pairs.steps[0], good.steps[0])
    assert float(state.pairs.scale) == float(good.scale)
    # The step of one pair, eq. 7.16 of Nocedal and Wright.
    s, y = good.steps[0], good.changes[0]
    v = jnp.eye(2) - jnp.outer(y, s) / (y @ s)
    inverse = ENLARGE * v.T @ v * (s @ y) / (y @ y) + jnp.outer(s, s) / (s @ y)
    np.testing.assert_allclose(updates, -inverse @ worse, rtol=1e-3)
    assert float(jnp.vdot(updates, worse)) < 0


def test_a_bad_step_is_rejected_shortened_and_empties_the_memory():
    optimizer = compiled(guarded_lbfgs(1.0))
    x = jnp.asarray([1.0, 2.0])
    gradient = jnp.asarray([1.0, 1.0])
    updates, state = optimizer.update(gradient, optimizer.init(x), x, value=jnp.asarray(1.0))
    for bad in (jnp.asarray(100.0), jnp.asarray(jnp.nan), jnp.asarray(jnp.inf)):
        far = x + updates
        back, after = optimizer.update(jnp.full(2, jnp.nan), state, far, value=bad)
        retry = far + back - x
        np.testing.assert_allclose(jnp.linalg.norm(retry), SHORTEN * jnp.linalg.norm(updates), rtol=1e-4)
        assert float(jnp.vdot(retry, gradient)) < 0
        assert float(after.value) == 1.0
        assert (bool(state.accepted), bool(after.accepted)) == (True, False)
        assert float(jnp.abs(after.pairs.inverse).max()) == 0
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((back, after)))


def test_repeatedly_rejected_steps_shorten_until_one_is_accepted():
    """The loss is finite only in a narrow valley."""

    def wall(x):
        return jnp.where(jnp.abs(x[0]) > 1e-2, jnp.inf, jnp.sum(jnp.array([1e4, 1.0]) * x**2))

    values, *_ = minimize(wall, jnp.asarray([9e-3, 1.0]), guarded_lbfgs(50.0), 60)
    finite = values[np.isfinite(values)]
    assert len(finite) < len(values)
    assert finite[-1] < finite[0]


def hostile(optimizer, steps=60):
    """Losses of all evaluations, from black-and-white noise and with a huge style weight."""
    content = jnp.asarray(load_image(EXAMPLES / "cat.jpg", 72))
    style = jnp.asarray(load_image(EXAMPLES / "cypresses.jpg", 72))
    noise = jnp.asarray((np.random.default_rng(0).random(content.shape) > 0.5).astype(np.float32))
    terms = terms_on(find_recipe("normalized", "wavelet"), ("luma2",), ("scale1", "scale2", "scale3"))
    targets = make_targets(wavelet(), terms, {}, content, style)
    init, update = make_step(make_objective(wavelet(), terms), optimizer)
    state, step, losses = init(noise), jax.jit(update), []
    weights = make_loss_weights(terms, 1, 1e6, 0)
    for _ in range(steps):
        state, info = step(state, {}, targets, weights)
        losses.append(float(info.losses.total))
    return np.array(losses)


@pytest.mark.slow
def test_guarded_steps_converge_from_a_hostile_start_where_unguarded_ones_diverge():
    """Even with steps three times as long as L-BFGS proposes."""
    inner, rate = optax.scale_by_lbfgs(MEMORY_SIZE), 3.0

    def unguarded(grads, state, params=None, *, value, **extra):
        del value, extra
        direction, after = inner.update(grads, state, params)
        first = -grads * (FIRST_STEP * params.size**0.5 / jnp.linalg.norm(grads))
        return rate * jnp.where(state.count == 0, first, -direction), after

    loose = hostile(optax.GradientTransformationExtraArgs(inner.init, unguarded))
    assert loose.min() > 0.1 * loose[0]
    held = hostile(guarded_lbfgs(rate))
    assert held.min() < 1e-3 * held[0]
    assert held[-1] < 0.05 * held[0]
    assert hostile(guarded_lbfgs(1.0))[-1] < 1e-4 * held[0]


def test_steps_double_up_to_the_longest_one_allowed():
    """Down a slope without end."""
    x, optimizer = jnp.zeros(100), compiled(guarded_lbfgs(1.0))
    state, lengths = optimizer.init(x), []
    for _ in range(12):
        updates, state = optimizer.update(-jnp.ones(100), state, x, value=-jnp.sum(x))
        lengths.append(float(jnp.linalg.norm(updates)) / 10)
        x = x + updates
    assert lengths[0] == pytest.approx(FIRST_STEP, rel=1e-4)
    assert lengths[1] == pytest.approx(2 * FIRST_STEP, rel=1e-4)
    assert lengths[-1] == pytest.approx(LONGEST_STEP, rel=1e-4)


def test_steps_double_where_the_loss_is_concave():
    """No pair has positive curvature there, and the first step is far too short."""
    values, *_ = minimize(lambda x: jnp.sum(jnp.cos(x)), jnp.full(100, 1e-3), guarded_lbfgs(1.0), 20)
    assert values[0] > 99
    assert values.min() < -99.9


def test_constants_are_arguments():
    """The lengths of the first steps, and of the next one after a rejection."""
    given = {"first_step": 0.1, "lengthen": 3.0, "longest_step": 0.5, "shorten": 0.125, "max_rise": 0.0}
    optimizer, x, lengths = compiled(guarded_lbfgs(2.0, **given)), jnp.zeros(100), []
    state = optimizer.init(x)
    for value in (0.0, -1.0, -1.0 + 1e-3):  # down a slope of constant gradient, then a rise
        updates, state = optimizer.update(-jnp.ones(100), state, x, value=jnp.asarray(value))
        x = x + updates
        lengths.append(float(jnp.linalg.norm(x - state.point)) / 10)
    np.testing.assert_allclose(lengths, [0.2, 0.5, 0.125 * 0.5], rtol=1e-4)
    assert not bool(state.accepted)
    assert guarded_lbfgs(memory_size=7).init(x).pairs.steps.shape == (7, 100)
    assert guarded_lbfgs().init(x).pairs.steps.shape == (MEMORY_SIZE, 100)


def test_plain_jit_and_vmap_agree(rng):
    """One item of the batch is rejected halfway, the others are not."""
    optimizer, x = guarded_lbfgs(memory_size=3), jnp.asarray(rng.normal(size=(3, 5)), jnp.float32)
    scales = jnp.linspace(1.0, 9.0, 5)

    def step(x, state, factor):
        value, grads = jax.value_and_grad(lambda x: factor * 0.5 * jnp.sum(scales * x**2))(x)
        updates, state = optimizer.update(grads, state, x, value=value)
        return x + updates, state

    state, factors = jax.vmap(optimizer.init)(x), np.ones((6, 3), np.float32)
    factors[3, 1] = np.inf
    mapped, points = jax.jit(jax.vmap(step)), [x]
    for factor in factors:
        x, state = mapped(points[-1], state, factor)
        points.append(x)
    for index in range(3):
        for function in (step, jax.jit(step)):
            single, own = points[0][index], optimizer.init(points[0][index])
            for factor, expected in zip(factors[:, index], points[1:], strict=True):
                single, own = function(single, own, factor)
                np.testing.assert_allclose(single, expected[index], rtol=1e-3, atol=1e-4)
