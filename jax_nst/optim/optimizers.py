"""Name -> Optax transformation, of the angles of the pixels.

An update costs one evaluation of the loss and its gradient: no line search. L-BFGS is
guarded instead: it may take a step back. Both see the picture in other variables, in which the
loss curves more alike in all directions.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jax_nst.images.colours import OPPONENT, mix_colours

OPTIMIZERS = ("lbfgs", "adam")

LEARNING_RATES = {"lbfgs": 1.0, "adam": 0.05}
"""The defaults; L-BFGS: a factor of its step, Adam: radians a step."""

MEMORY_SIZE = 50
"""Pairs that L-BFGS remembers, two pictures each."""

# Root mean square of the first step, in radians: a length that means the same at every size.
_FIRST = 0.015
# Root mean square of the longest step, in radians but for the filter of `precondition`: far beyond, a sine
# has forgotten where it was.
_LONGEST = 0.3
# While there is no pair, a step is this many times the last one.
_LENGTHEN = 2.0
# s.y / y.y, the usual scale of the identity below the pairs, is that of the largest curvature along a step,
# too small for the rest. Times this, a loss is reached in a tenth fewer steps.
_ENLARGE = 2.0
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

    count: jax.Array  # pyright: ignore[reportIncompatibleMethodOverride]
    """`[]`, of updates."""
    point: jax.Array
    """`X`, the last point accepted."""
    gradient: jax.Array
    """`X`, there."""
    value: jax.Array
    """`[]`, the loss there; infinite before the first."""
    pairs: "Pairs"


class Pairs(NamedTuple):
    """What is remembered of the curvature: steps s, and how the gradient changed along them, y."""

    steps: jax.Array
    """`[memory_size, *X]`, a ring."""
    changes: jax.Array
    """`[memory_size, *X]`."""
    weights: jax.Array
    """`[memory_size]`, 1 / s.y; zero where there is no pair."""
    scale: jax.Array
    """`[]`, the inverse Hessian that the pairs are put on is this times the identity."""


def guarded_lbfgs(
    learning_rate: float, memory_size: int = MEMORY_SIZE
) -> optax.GradientTransformationExtraArgs:
    """L-BFGS with unit steps, one evaluation each, that cannot run away.

    Nocedal and Wright, Numerical Optimization, 2nd ed., algorithm 7.4. Pairs of non-positive
    curvature are left out; while there is no pair, steps go down the gradient and double.
    A point whose loss is not finite, or much above that of the last point accepted, is rejected:
    the next point is a shorter step down the gradient from the last one accepted, with an empty memory.

    Not by `optax.scale_by_lbfgs`, since that fixes the scale of the identity that its pairs are put on, see
    `_ENLARGE`, and remembers every pair.

    `update` takes the loss as `value`.
    """

    def init(params: Any) -> GuardedState:
        zeros = jnp.zeros((memory_size, *params.shape), params.dtype)
        pairs = Pairs(zeros, zeros, jnp.zeros(memory_size, params.dtype), jnp.ones((), params.dtype))
        nowhere = jnp.zeros_like(params)
        return GuardedState(
            jnp.zeros((), jnp.int32), nowhere, nowhere, jnp.asarray(jnp.inf, params.dtype), pairs
        )

    def update(updates: Any, state: Any, params: Any = None, *, value: Any, **extra_args: Any) -> Any:
        del extra_args
        grads = updates
        limit = state.value + _RAISE * jnp.abs(state.value)
        good = jnp.isfinite(value) & jnp.all(jnp.isfinite(grads)) & (value <= limit)
        # The place in the ring follows from the count, the same for all items of a batch. And a step is
        # taken back without a branch: the memory, a hundred pictures, is never copied.
        place = (state.count - 1) % memory_size
        s, y = params - state.point, grads - state.gradient
        pairs = _remember(state.pairs, place, s, y, good=good, first=state.count == 0)
        point = jnp.where(good, params, state.point)
        gradient = jnp.where(good, grads, state.gradient)
        moved = jnp.linalg.norm(s)
        first = learning_rate * _FIRST * params.size**0.5
        longer = jnp.where(state.count == 0, first, _LENGTHEN * moved)
        # Without a pair, at first or where the loss is concave, only the last step gives a scale.
        downhill = _along(-gradient, jnp.where(good, longer, _SHORTEN * moved))
        newton = -learning_rate * _inverse_hessian(pairs, place, gradient)
        step = jnp.where(jnp.any(pairs.weights > 0), newton, downhill)
        step = step * jnp.minimum(1, _LONGEST * params.size**0.5 / _norm(step))
        after = GuardedState(state.count + 1, point, gradient, jnp.where(good, value, state.value), pairs)
        return point - params + step, after

    update_: Any = update
    return optax.GradientTransformationExtraArgs(init, update_)


def _along(direction: jax.Array, length: jax.typing.ArrayLike) -> jax.Array:
    """`direction` with the given norm; zero if it is zero."""
    return direction * (length / _norm(direction))


def _norm(x: jax.Array) -> jax.Array:
    """The Euclidean norm, but never quite zero."""
    return jnp.maximum(jnp.linalg.norm(x), jnp.finfo(x.dtype).tiny)


def _remember(
    pairs: Pairs, place: jax.Array, s: jax.Array, y: jax.Array, *, good: jax.Array, first: jax.Array
) -> Pairs:
    """The pairs with one more, in place of the oldest; without any if it is not `good`.

    One with s.y <= 0 would make the approximation indefinite, and is no pair.
    """
    curvature = jnp.vdot(s, y)
    convex = good & ~first & (curvature > 1e-8 * jnp.linalg.norm(s) * jnp.linalg.norm(y))
    weights = jnp.where(good, pairs.weights, 0).at[place].set(jnp.where(convex, 1 / curvature, 0))
    return Pairs(
        # Zeros, since what is not finite would not become nothing by a weight of zero.
        pairs.steps.at[place].set(jnp.where(convex, s, 0)),
        pairs.changes.at[place].set(jnp.where(convex, y, 0)),
        weights,
        jnp.where(convex, _ENLARGE * curvature / jnp.vdot(y, y), pairs.scale),
    )


def _inverse_hessian(pairs: Pairs, newest: jax.Array, x: jax.Array) -> jax.Array:
    """Times x: the two loops of algorithm 7.4."""
    memory_size = pairs.weights.shape[0]
    oldest_first = (newest + 1 + jnp.arange(memory_size)) % memory_size

    def down(x: jax.Array, i: jax.Array) -> tuple[jax.Array, jax.Array]:
        alpha = pairs.weights[i] * jnp.vdot(pairs.steps[i], x)
        return x - alpha * pairs.changes[i], alpha

    def up(x: jax.Array, i_and_alpha: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        i, alpha = i_and_alpha
        beta = pairs.weights[i] * jnp.vdot(pairs.changes[i], x)
        return x + (alpha - beta) * pairs.steps[i], None

    x, alphas = jax.lax.scan(down, x, oldest_first, reverse=True)
    x, _ = jax.lax.scan(up, pairs.scale * x, (oldest_first, alphas))
    return x


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
    name: str, *, learning_rate: float | None = None
) -> optax.GradientTransformationExtraArgs:
    """The optimizer that `Config.optimizer` names, preconditioned.

    Args:
      name: one of `OPTIMIZERS`. `adam` (Kingma and Ba 2015) keeps its rate: a schedule that lowers it ends
        at a higher loss.
      learning_rate: None for the optimizer's own, `LEARNING_RATES`.

    Raises:
      ValueError: the name is unknown.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"unknown optimizer {name!r}; the valid ones are {', '.join(OPTIMIZERS)}")
    rate = LEARNING_RATES[name] if learning_rate is None else learning_rate
    if name == "lbfgs":
        return precondition(guarded_lbfgs(rate))
    return precondition(optax.with_extra_args_support(optax.adam(rate, b1=0.9, b2=0.99)))
