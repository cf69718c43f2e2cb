"""The optimizers by name."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import minimize

from jax_nst.optim.optimizers import OPTIMIZERS, make_optimizer
from jax_nst.optim.precondition import amplify, precondition


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


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_default_rate_is_the_table_s(name, rng):
    """And the same arguments give the same object, by which programs are cached."""
    default = make_optimizer(name)
    assert default is make_optimizer(name) is make_optimizer(name, learning_rate=OPTIMIZERS[name][1])
    assert default is not make_optimizer(name, learning_rate=0.5)
    x = jnp.asarray(rng.normal(size=(2, 5, 3)), jnp.float32)
    lengths = [
        np.linalg.norm(jax.jit(optimizer.update)(x, optimizer.init(x), x, value=jnp.asarray(1.0))[0])
        for optimizer in (default, make_optimizer(name, learning_rate=0.5 * OPTIMIZERS[name][1]))
    ]
    assert lengths[1] == pytest.approx(0.5 * lengths[0], rel=1e-4)


def test_adam_keeps_its_rate():
    """Along a constant gradient each step is as long as the first."""
    optimizer, x = make_optimizer("adam"), jnp.ones((1, 1, 3))
    state, sizes, update = optimizer.init(x), [], jax.jit(optimizer.update)
    for _ in range(30):
        updates, state = update(amplify(x), state, x, value=jnp.asarray(1.0))
        sizes.append(float(jnp.sqrt(jnp.mean(updates**2))))
    assert sizes[0] == pytest.approx(0.05, rel=0.5)
    np.testing.assert_allclose(sizes, sizes[0], rtol=1e-4)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_rate_may_be_an_argument(name, rng):
    """Of several runs at once, each with its own, beside optimizers that were made with these rates."""
    start = jnp.asarray(rng.normal(size=(2, 5, 3)), jnp.float32)
    rates = jnp.asarray([0.02, 1.5])

    def run(optimizer, **given):
        def step(carry, _):
            x, state = carry
            value, gradient = jax.value_and_grad(lambda x: quadratic(x.ravel()))(x)
            updates, state = optimizer.update(gradient, state, x, value=value, **given)
            return (x + updates, state), value

        return jax.lax.scan(step, (start, optimizer.init(start)), length=8)[1]

    one = make_optimizer(name)
    at_once = jax.jit(jax.vmap(lambda rate: run(one, learning_rate=rate)))(rates)
    for values, rate in zip(at_once, rates, strict=True):
        made = make_optimizer(name, learning_rate=float(rate))
        np.testing.assert_allclose(values, run(made), rtol=1e-3)
    assert len({float(values[-1]) for values in at_once}) == 2


def test_the_state_of_adam_is_that_of_optax():
    """By which checkpoints are read that were written when the rate was part of the program."""
    x = jnp.ones((2, 5, 3))
    states = [optimizer.init(x) for optimizer in (make_optimizer("adam"), precondition(optax.adam(0.05)))]
    paths = [
        [(jax.tree_util.keystr(path), leaf.shape) for path, leaf in jax.tree.leaves_with_path(state)]
        for state in states
    ]
    assert paths[0] == paths[1]


def test_unknown_optimizer():
    with pytest.raises(ValueError, match="the valid ones are lbfgs, adam"):
        make_optimizer("sgd")
