"""One update of the picture: a pair of pure functions, `init` and `update`."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax

from jax_nst.losses import Losses, LossWeights, Objective, Targets
from jax_nst.models.extractor import Params
from jax_nst.optim.bounds import to_angles, to_pixels


class State(NamedTuple):
    """State that the next step needs."""

    angles: jax.Array
    """`[H, W, 3]`, the variables: where the next evaluation is made."""
    opt_state: optax.OptState
    best_angles: jax.Array
    """`[H, W, 3]`, of the lowest finite loss seen; the start before any."""
    best_value: jax.Array
    """`[]`, that loss over the sum of the loss weights; infinite before any."""


class Info(NamedTuple):
    """Measurements of a step, for people."""

    losses: Losses
    """At the angles that the step started from."""
    accepted: jax.Array
    """`[]`, whether the optimizer kept these angles; always true for one that does not reject steps."""
    length: jax.Array
    """`[]`, root mean square of the step from them, in radians."""


class Controls(NamedTuple):
    """The numbers in which steps of one program may differ."""

    loss_weights: LossWeights
    learning_rate: Any = None
    """`[]`, of an optimizer whose `update` takes it; None: that which the optimizer was made with."""


class Update(Protocol):
    """Makes one evaluation of the loss and its gradient, and a step."""

    def __call__(
        self,
        state: State,
        params: Params,
        targets: Targets,
        loss_weights: LossWeights,
        learning_rate: jax.Array | None = None,
    ) -> tuple[State, Info]:
        """The last two are those of `Controls`."""
        ...


Init = Callable[[jax.Array], State]
"""`(pixels [H, W, 3]) -> State`."""
Move = Callable[..., tuple[State, Info]]
"""`(state, value [], gradient of the angles [H, W, 3], losses, learning rate or None) -> (State, Info)`."""


def make_step(objective: Objective, optimizer: optax.GradientTransformation) -> tuple[Init, Update]:
    """The pair that drives the picture; jit, vmap and donation are the caller's.

    Args:
      objective: as `make_objective` returns it.
      optimizer: any Optax transformation of one array; it gets the loss as `value`.

    Returns:
      `init(pixels [H, W, 3]) -> State` and `update(state, params, targets, loss_weights) -> (State,
      Info)`, which makes one evaluation of the loss and its gradient. It takes a `learning_rate`, too, for
      optimizers whose own `update` takes one.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jax_nst import TOTAL_VARIATION, LossWeights, wavelet
      >>> from jax_nst import guarded_lbfgs, make_objective, make_step
      >>> objective = make_objective(wavelet(), [TOTAL_VARIATION])
      >>> init, update = make_step(objective, guarded_lbfgs())
      >>> weights = LossWeights({"tv": jnp.asarray(1.0)}, {"tv": jnp.ones(1)})
      >>> state = init(0.5 + 0.1 * jnp.eye(4)[..., None])
      >>> state, before = jax.jit(update)(state, {}, {}, weights)
      >>> state, after = jax.jit(update)(state, {}, {}, weights)
      >>> bool(after.losses.total < before.losses.total), bool(after.accepted)
      (True, True)
    """
    init, move = make_move(optimizer)

    def update(
        state: State,
        params: Params,
        targets: Targets,
        loss_weights: LossWeights,
        learning_rate: jax.Array | None = None,
    ) -> tuple[State, Info]:
        def of_angles(angles: jax.Array) -> tuple[jax.Array, Losses]:
            total, losses = objective(to_pixels(angles), params, targets, loss_weights)
            return unit_scale(loss_weights) * total, losses

        (value, losses), grads = jax.value_and_grad(of_angles, has_aux=True)(state.angles)
        return move(state, value, grads, losses, learning_rate)

    return init, update


def unit_scale(loss_weights: LossWeights) -> jax.Array:
    """What the total is multiplied by, `[]`, so that squared gradients cannot overflow float32.

    One over the sum of the loss weights.
    """
    weights = list(loss_weights.terms.values())
    total_weight = sum(weights, jnp.zeros((), jnp.result_type(*weights, jnp.float32)))
    return 1 / jnp.maximum(total_weight, jnp.finfo(jnp.float32).tiny)


def make_move(optimizer: optax.GradientTransformation) -> tuple[Init, Move]:
    """The part of `make_step` that follows the evaluation of the loss and its gradient.

    Args:
      optimizer: see `make_step`.

    Returns:
      `init(pixels [H, W, 3]) -> State`, and a `Move`, whose value is the total times `unit_scale`.
    """
    with_extra_args = optax.with_extra_args_support(optimizer)

    def init(pixels: jax.Array) -> State:
        angles = to_angles(pixels)
        opt_state = with_extra_args.init(angles)
        # Optax leaves are weakly typed here and there; they would compile the second step anew.
        opt_state = jax.tree.map(lambda x: jnp.asarray(x).astype(jnp.asarray(x).dtype), opt_state)
        return State(angles, opt_state, angles, jnp.asarray(jnp.inf, angles.dtype))

    def move(
        state: State,
        value: jax.Array,
        grads: jax.Array,
        losses: Losses,
        learning_rate: jax.Array | None = None,
    ) -> tuple[State, Info]:
        # A comparison with NaN is false, so it is never the best.
        better = value < state.best_value
        best_angles = jnp.where(better, state.angles, state.best_angles)
        best_value = jnp.where(better, value, state.best_value)
        rate = {} if learning_rate is None else {"learning_rate": learning_rate}
        updates, opt_state = with_extra_args.update(
            grads, state.opt_state, state.angles, value=value, **rate
        )
        updates = jnp.asarray(updates)
        accepted = optax.tree.get(opt_state, "accepted", jnp.ones((), bool))
        info = Info(losses, accepted, jnp.sqrt(jnp.mean(jnp.square(updates))))
        return State(state.angles + updates, opt_state, best_angles, best_value), info

    return init, move


def share_counts(tree: Any) -> Any:
    """`in_axes` of a `State` under `vmap`: None for counts of steps, which all items share, else 0."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: None if getattr(path[-1], "name", "") == "count" else 0, tree
    )
