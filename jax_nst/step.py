"""One update of the picture.

The variables are logits: pixels = sigmoid(logits) keeps every picture inside [0, 1], so what is
scored is what is saved. An iterate outside, clipped on saving, scores far worse.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jax_nst.features import Params
from jax_nst.losses import Losses
from jax_nst.objective import LossWeights, Objective, Targets

# One 8-bit level from black and white, where the sigmoid is so flat that a pixel could not move.
_MARGIN = 1 / 255


class State(NamedTuple):
    """What the next step needs."""

    logits: jax.Array
    """`[H, W, 3]`, the variables: where the next evaluation is made."""
    opt_state: optax.OptState
    best_logits: jax.Array
    """`[H, W, 3]`, of the lowest finite loss seen; the start before any."""
    best_value: jax.Array
    """`[]`, that loss; infinite before any."""


class Info(NamedTuple):
    """What a person wants to know of a step."""

    losses: Losses
    """At the logits that the step started from."""


def to_pixels(logits: jax.Array) -> jax.Array:
    """Logits -> pixels in [0, 1], of the same shape."""
    return jax.nn.sigmoid(logits)


def to_logits(pixels: jax.Array) -> jax.Array:
    """Pixels -> logits, of the same shape; black and white are moved in by one 8-bit level."""
    return jax.scipy.special.logit(jnp.clip(pixels, _MARGIN, 1 - _MARGIN))


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
        logits = to_logits(pixels)
        opt_state = optimizer.init(logits)
        # Optax leaves are weakly typed here and there; they would compile the second step anew.
        opt_state = jax.tree.map(lambda x: jnp.asarray(x).astype(jnp.asarray(x).dtype), opt_state)
        return State(logits, opt_state, logits, jnp.asarray(jnp.inf, logits.dtype))

    def update(
        state: State, params: Params, targets: Targets, loss_weights: LossWeights
    ) -> tuple[State, Info]:
        def of_logits(logits: jax.Array) -> tuple[jax.Array, Losses]:
            return objective(to_pixels(logits), params, targets, loss_weights)

        (value, losses), grads = jax.value_and_grad(of_logits, has_aux=True)(state.logits)
        # A comparison with NaN is false, so it is never the best.
        better = value < state.best_value
        best_logits = jnp.where(better, state.logits, state.best_logits)
        best_value = jnp.where(better, value, state.best_value)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.logits, value=value)
        logits = optax.apply_updates(state.logits, updates)
        return State(logits, opt_state, best_logits, best_value), Info(losses)

    return init, update
