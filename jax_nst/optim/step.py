"""One update of the picture.

The variables are angles: pixels = (1 + sin(angle)) / 2 keeps every picture inside [0, 1], so what is
scored is what is saved; an iterate outside, clipped on saving, scores far worse. Logits do so too, but
their slope at black and white is nearly nothing, and dark parts of a photograph stay as they are.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jax_nst.losses.objective import LossWeights, Objective, Targets
from jax_nst.losses.terms import Losses
from jax_nst.models.extractor import Params

# A start is moved this far in from black and white, where the slope is zero.
_MARGIN = 4 / 255


class State(NamedTuple):
    """What the next step needs."""

    angles: jax.Array
    """`[H, W, 3]`, the variables: where the next evaluation is made."""
    opt_state: optax.OptState
    best_angles: jax.Array
    """`[H, W, 3]`, of the lowest finite loss seen; the start before any."""
    best_value: jax.Array
    """`[]`, that loss over the sum of the loss weights; infinite before any."""


class Info(NamedTuple):
    """What a person wants to know of a step."""

    losses: Losses
    """At the angles that the step started from."""


def to_pixels(angles: jax.Array) -> jax.Array:
    """Angles -> pixels in [0, 1], of the same shape."""
    return 0.5 + 0.5 * jnp.sin(angles)


def to_angles(pixels: jax.Array) -> jax.Array:
    """Pixels -> angles, of the same shape; black and white are moved in by four 8-bit levels."""
    return jnp.arcsin(2 * jnp.clip(pixels, _MARGIN, 1 - _MARGIN) - 1)


Update = Callable[[State, Params, Targets, LossWeights], tuple[State, Info]]


def make_step(
    objective: Objective, optimizer: optax.GradientTransformationExtraArgs
) -> tuple[Callable[[jax.Array], State], Update]:
    """The pair that drives the picture; jit, vmap and donation are the caller's.

    Returns:
      `init(pixels [H, W, 3]) -> State` and `update(state, params, targets, loss_weights) -> (State,
      Info)`, which makes one evaluation of the loss and its gradient.
    """

    def init(pixels: jax.Array) -> State:
        angles = to_angles(pixels)
        opt_state = optimizer.init(angles)
        # Optax leaves are weakly typed here and there; they would compile the second step anew.
        opt_state = jax.tree.map(lambda x: jnp.asarray(x).astype(jnp.asarray(x).dtype), opt_state)
        return State(angles, opt_state, angles, jnp.asarray(jnp.inf, angles.dtype))

    def update(
        state: State, params: Params, targets: Targets, loss_weights: LossWeights
    ) -> tuple[State, Info]:
        # The optimizer is told of the mean under the weights: with large ones, squares would overflow.
        scale = 1 / jnp.maximum(sum(loss_weights, jnp.zeros(())), jnp.finfo(jnp.float32).tiny)

        def of_angles(angles: jax.Array) -> tuple[jax.Array, Losses]:
            total, losses = objective(to_pixels(angles), params, targets, loss_weights)
            return scale * total, losses

        (value, losses), grads = jax.value_and_grad(of_angles, has_aux=True)(state.angles)
        # A comparison with NaN is false, so it is never the best.
        better = value < state.best_value
        best_angles = jnp.where(better, state.angles, state.best_angles)
        best_value = jnp.where(better, value, state.best_value)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.angles, value=value)
        angles = state.angles + jnp.asarray(updates)
        return State(angles, opt_state, best_angles, best_value), Info(losses)

    return init, update
