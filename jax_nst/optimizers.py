"""Name -> Optax transformation, of the angles of the pixels.

An update costs one evaluation of the loss and its gradient: no line search. L-BFGS is
guarded instead: it may take a step back. Both see the picture in other variables, in which the
loss curves more alike in all directions.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jax_nst.colours import OPPONENT, mix_colours

OPTIMIZERS = ("lbfgs", "adam")

LEARNING_RATES = {"lbfgs": 1.0, "adam": 0.1}
"""The defaults; L-BFGS: a factor of its step, Adam: radians a step."""

MEMORY_SIZE = 50
"""Pairs that L-BFGS remembers, two pictures each."""

# Root mean square of the first step, in radians: a length that means the same at every size.
_FIRST = 0.015
# Root mean square of the longest step, in radians: far beyond, a sine has forgotten where it was.
_LONGEST = 0.3
# While there is no pair, a step is this many times the last one.
_LENGTHEN = 2.0
# A step that raises the loss by more than this share of it is taken back.
_RAISE = 0.5
# The next try is this share of the length of the step taken back.
_SHORTEN = 0.25


# The gain of a frequency f, in cycles a pixel, is (f^2 + _KNEE^2)^(-_POWER / 2) ...
_POWER, _KNEE = 0.4, 0.01
# ... times that of its colour: luminance, red against green, blue against yellow.
_COLOUR_GAINS = (1.0, 0.5, 0.7)


class GuardedState(NamedTuple):
    """State of `guarded_lbfgs`. `X` is the shape of the variables."""

    lbfgs: Any
    """`optax.ScaleByLBFGSState`; holds the last point accepted and its gradient, `X`."""
    value: jax.Array
    """`[]`, the loss at the last point accepted; infinite before the first."""


def guarded_lbfgs(
    learning_rate: float, memory_size: int = MEMORY_SIZE
) -> optax.GradientTransformationExtraArgs:
    """Optax' two-loop recursion, one evaluation a step, that cannot run away.

    Nocedal and Wright, Numerical Optimization, 2nd ed., algorithm 7.4, with unit steps. Pairs of
    non-positive curvature are skipped; while there is no pair, steps go down the gradient and double.
    A point whose loss is not finite, or much above that of the last point accepted, is rejected:
    the next point is a shorter step down the gradient from the last one accepted, with an empty memory.

    `update` takes the loss as `value`.
    """
    inner = optax.scale_by_lbfgs(memory_size)
    two_loop: Any = inner.update

    def init(params: Any) -> GuardedState:
        return GuardedState(inner.init(params), jnp.asarray(jnp.inf, params.dtype))

    def update(updates: Any, state: Any, params: Any = None, *, value: Any, **extra_args: Any) -> Any:
        del extra_args
        grads = updates
        lbfgs = state.lbfgs
        limit = state.value + _RAISE * jnp.abs(state.value)
        good = jnp.isfinite(value) & jnp.all(jnp.isfinite(grads)) & (value <= limit)
        # Taking a step back is the same update, made at the last point with an empty memory: pairs count by
        # their weights. No branch: the memory, a hundred pictures, is never copied. And Optax' count
        # is that of the steps, the same for all items of a batch, which so read the memory at one place.
        point = jnp.where(good, params, lbfgs.params)
        gradient = jnp.where(good, grads, lbfgs.updates)
        emptied = lbfgs._replace(weights_memory=jnp.zeros_like(lbfgs.weights_memory))
        direction, after = two_loop(
            gradient, _choose(good, _skip_bad_pair(lbfgs, params, grads), emptied), point
        )
        moved = jnp.linalg.norm(params - lbfgs.params)
        first = learning_rate * _FIRST * params.size**0.5
        longer = jnp.where(lbfgs.count == 0, first, _LENGTHEN * moved)
        # Without a pair, at first or where the loss is concave, only the last step gives a scale.
        downhill = _along(-gradient, jnp.where(good, longer, _SHORTEN * moved))
        step = jnp.where(jnp.any(after.weights_memory > 0), -learning_rate * direction, downhill)
        step = step * jnp.minimum(1, _LONGEST * params.size**0.5 / _norm(step))
        return point - params + step, GuardedState(after, jnp.where(good, value, state.value))

    update_: Any = update
    return optax.GradientTransformationExtraArgs(init, update_)


def _along(direction: jax.Array, length: jax.typing.ArrayLike) -> jax.Array:
    """`direction` with the given norm; zero if it is zero."""
    return direction * (length / _norm(direction))


def _norm(x: jax.Array) -> jax.Array:
    """The Euclidean norm, but never quite zero."""
    return jnp.maximum(jnp.linalg.norm(x), jnp.finfo(x.dtype).tiny)


def _choose(condition: jax.Array, yes: Any, no: Any) -> Any:
    """`yes` or `no`, states that share their memory of pairs and their count."""
    small = ("params", "updates", "weights_memory")
    chosen = {name: jnp.where(condition, getattr(yes, name), getattr(no, name)) for name in small}
    return yes._replace(**chosen)


def _skip_bad_pair(state: Any, params: jax.Array, grads: jax.Array) -> Any:
    """Makes the next update store its last good pair once more, if the new one is not convex.

    Optax stores every pair. One with s.y <= 0 would make the approximation indefinite;
    a pair stored twice changes nothing: the inverse it makes already takes y to s.
    """
    s, y = params - state.params, grads - state.updates
    last = (state.count - 2) % state.weights_memory.shape[0]
    replay = state._replace(
        params=params - state.diff_params_memory[last],
        updates=grads - state.diff_updates_memory[last],
    )
    convex = jnp.vdot(s, y) > 1e-8 * jnp.linalg.norm(s) * jnp.linalg.norm(y)
    return _choose((state.count > 0) & ~convex, replay, state)


class PreconditionedState(NamedTuple):
    """State of `precondition`."""

    inner: optax.OptState
    variables: jax.Array
    """`[H, W, 3]`, z: what the inner optimizer moves; zero at first."""


def precondition(optimizer: optax.GradientTransformationExtraArgs) -> optax.GradientTransformationExtraArgs:
    """The optimizer in variables z of a picture x, x = start + P z, where P is `amplify`.

    A change of variables, Nocedal and Wright, section 5.1: for gradients P^T g the curvature is P^T H P.
    Low frequencies move the features less than high ones do, colours more than
    luminance does; P makes up for a part of that.
    """

    def init(params: Any) -> PreconditionedState:
        variables = jnp.zeros_like(params)
        return PreconditionedState(optimizer.init(variables), variables)

    def update(updates: Any, state: Any, params: Any = None, **extra_args: Any) -> Any:
        del params
        inner: Any = optimizer.update
        steps, after = inner(amplify(updates), state.inner, state.variables, **extra_args)
        return amplify(steps), PreconditionedState(after, state.variables + steps)

    update_: Any = update
    return optax.GradientTransformationExtraArgs(init, update_)


def amplify(x: jax.Array) -> jax.Array:
    """P: each frequency of each opponent colour times its gain, `[H, W, 3]` -> `[H, W, 3]`.

    Linear and symmetric; white noise keeps its mean square.
    """
    h, w, _ = x.shape
    down, across = jnp.fft.fftfreq(h)[:, None, None], jnp.fft.rfftfreq(w)[None, :, None]
    gains = (jnp.square(down) + jnp.square(across) + _KNEE**2) ** (-_POWER / 2)
    gains = (gains * jnp.asarray(_COLOUR_GAINS)[None, None]).astype(x.dtype)
    gains = gains / jnp.sqrt(jnp.mean(jnp.square(gains)))
    spectrum = jnp.fft.rfft2(mix_colours(x, OPPONENT.T), axes=(0, 1))
    return mix_colours(jnp.fft.irfft2(spectrum * gains, s=(h, w), axes=(0, 1)), OPPONENT)


def make_optimizer(
    name: str, *, learning_rate: float | None = None, num_steps: int
) -> optax.GradientTransformationExtraArgs:
    """The optimizer that `Config.optimizer` names, preconditioned.

    Args:
      name: one of `OPTIMIZERS`. `adam` (Kingma and Ba 2015) lowers its rate to zero
        along a half cosine over `num_steps`.
      learning_rate: None for the optimizer's own, `LEARNING_RATES`.
      num_steps: how many updates there will be.

    Raises:
      ValueError: the name is unknown.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"unknown optimizer {name!r}; the valid ones are {', '.join(OPTIMIZERS)}")
    rate = LEARNING_RATES[name] if learning_rate is None else learning_rate
    if name == "lbfgs":
        return precondition(guarded_lbfgs(rate))
    schedule = optax.cosine_decay_schedule(rate, num_steps)
    return precondition(optax.with_extra_args_support(optax.adam(schedule, b1=0.9, b2=0.99)))
