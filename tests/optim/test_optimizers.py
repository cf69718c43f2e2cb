"""The optimizers by name."""

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import minimize

from jax_nst.optim.optimizers import OPTIMIZERS, make_optimizer
from jax_nst.optim.precondition import amplify


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
        float(jnp.linalg.norm(optimizer.update(x, optimizer.init(x), x, value=jnp.asarray(1.0))[0]))
        for optimizer in (default, make_optimizer(name, learning_rate=0.5 * OPTIMIZERS[name][1]))
    ]
    assert lengths[1] == pytest.approx(0.5 * lengths[0], rel=1e-4)


def test_adam_keeps_its_rate():
    """Along a constant gradient each step is as long as the first."""
    optimizer, x = make_optimizer("adam"), jnp.ones((1, 1, 3))
    state, sizes = optimizer.init(x), []
    for _ in range(30):
        updates, state = optimizer.update(amplify(x), state, x, value=jnp.asarray(1.0))
        sizes.append(float(jnp.sqrt(jnp.mean(updates**2))))
    assert sizes[0] == pytest.approx(0.05, rel=0.5)
    np.testing.assert_allclose(sizes, sizes[0], rtol=1e-4)


def test_unknown_optimizer():
    with pytest.raises(ValueError, match="the valid ones are lbfgs, adam"):
        make_optimizer("sgd")
