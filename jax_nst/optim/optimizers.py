"""The optimizers that can be named, each with its default learning rate."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import optax

from jax_nst.optim.lbfgs import guarded_lbfgs
from jax_nst.optim.precondition import precondition


def _adam(learning_rate: float, *, unit: float = 1.0) -> optax.GradientTransformationExtraArgs:
    """A step of the rate 1 is `unit` radians."""
    # A constant rate: a schedule that lowers it ends at a higher loss.
    return optax.chain(optax.scale_by_adam(b1=0.9, b2=0.99), _scale_by_rate(learning_rate, unit))


def _scale_by_rate(learning_rate: float, unit: float) -> optax.GradientTransformationExtraArgs:
    """As `optax.scale_by_learning_rate`, but `update` takes another rate."""

    def update(
        updates: jax.Array,
        state: optax.EmptyState,
        params: jax.Array | None = None,
        *,
        learning_rate: jax.Array | float = learning_rate,
        **extra_args: object,
    ) -> tuple[jax.Array, optax.EmptyState]:
        del params, extra_args
        return -unit * learning_rate * updates, state

    return optax.GradientTransformationExtraArgs(optax.init_empty_state, update)  # pyright: ignore


OPTIMIZERS: dict[str, tuple[Callable[..., optax.GradientTransformation], float]] = {
    "lbfgs": (guarded_lbfgs, 1.0),
    "adam": (_adam, 0.05),
}
"""Name -> (learning rate -> transformation, default rate): a factor of L-BFGS' step, radians for Adam."""


PAIRS = ("float32", "bfloat16")
"""Types of the pairs that `lbfgs` remembers, the largest first."""
NUM_PAIRS = (50, 20, 10, 5)
"""How many pairs it remembers, the most wanted first."""


def make_optimizer(
    name: str, *, learning_rate: float | None = None, **settings: Any
) -> optax.GradientTransformationExtraArgs:
    """The optimizer of that name, preconditioned; the same object for the same arguments.

    Args:
      name: one of `OPTIMIZERS`: `lbfgs`, or `adam` (Kingma and Ba 2015, arXiv:1412.6980).
      learning_rate: None for the optimizer's own; its `update` takes another as `learning_rate`, which
        may be traced.
      **settings: more arguments of the transformation, such as `pairs_dtype` of `guarded_lbfgs`.

    Raises:
      ValueError: the name is unknown.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"unknown optimizer {name!r}; the valid ones are {', '.join(OPTIMIZERS)}")
    rate = OPTIMIZERS[name][1] if learning_rate is None else learning_rate
    return _make(name, rate, tuple(sorted(settings.items())))


@functools.cache
def _make(
    name: str, learning_rate: float, settings: tuple[tuple[str, Any], ...]
) -> optax.GradientTransformationExtraArgs:
    return precondition(OPTIMIZERS[name][0](learning_rate, **dict(settings)))
