"""L-BFGS with unit steps: one evaluation of the loss and its gradient each, no line search, guarded."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax


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
    accepted: jax.Array
    """`[]`, whether the last point was accepted."""
    pairs: "Pairs"


class Pairs(NamedTuple):
    """The memory of the curvature: steps s, and the changes y of the gradient along them.

    `n` is the size of the variables, `m` that of the memory. S and Y have the pairs as rows, in a ring.
    """

    steps: jax.Array
    """`[m, n]`, S."""
    changes: jax.Array
    """`[m, n]`, Y."""
    inverse: jax.Array
    """`[m, m]`, R⁻¹, where R_ij = s_i.y_j if pair i is not younger than pair j, else 0. Zero where there
    is no pair."""
    products: jax.Array
    """`[m, m]`, y_i.y_j."""
    scale: jax.Array
    """`[]`, the initial inverse Hessian is this times the identity."""


def guarded_lbfgs(
    learning_rate: float = 1.0,
    *,
    memory_size: int = 50,
    first_step: float = 0.015,
    longest_step: float = 0.3,
    lengthen: float = 2.0,
    shorten: float = 0.25,
    enlarge: float = 2.0,
    max_rise: float = 0.5,
    pairs_dtype: jax.typing.DTypeLike = jnp.float32,
) -> optax.GradientTransformationExtraArgs:
    """L-BFGS with unit steps, one evaluation each, that cannot run away.

    The inverse Hessian is that of Nocedal and Wright, Numerical Optimization, 2nd ed., algorithm 7.4, in
    its compact representation, eq. 7.24 (Byrd, Nocedal and Schnabel 1994): two passes over the pairs as
    matrix products, where the two loops of the algorithm are a hundred operations that wait for each other.
    Pairs of non-positive curvature are left out; while there is no pair, steps go down the gradient and
    lengthen. A point whose loss is not finite, or much above that of the last accepted point, is rejected:
    the next point is a shorter step down the gradient from the last accepted one, with an empty memory.

    Not `optax.scale_by_lbfgs`, since that fixes the scale of the initial inverse Hessian, see `enlarge`,
    and keeps every pair. Lengths are root mean squares over the variables: the same at every size.

    Args:
      learning_rate: factor of every step; `update` takes another as `learning_rate`.
      memory_size: pairs that are kept, two arrays of the size of the variables each.
      first_step: length of the first step.
      longest_step: length above which a step is cut; of angles, a longer step wraps around the sine.
      lengthen: while there is no pair, a step is this many times as long as the last one.
      shorten: after a rejected step, the next is this many times as long.
      enlarge: factor of s.y / y.y, the usual scale of the initial inverse Hessian. That is the inverse of
        the largest curvature along a step, too small for other directions; twice that reaches a loss in a
        tenth fewer steps.
      max_rise: a step that raises the loss by more than this share of it is rejected.
      pairs_dtype: of the pairs, the largest arrays of a run; bfloat16 halves them. All sums are float32.

    Returns:
      An Optax transformation of one array; `update` needs the loss as `value`.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_nst import guarded_lbfgs
      >>> optimizer = guarded_lbfgs()
      >>> x = jnp.ones(3)
      >>> state = optimizer.init(x)
      >>> step, state = optimizer.update(2 * x, state, x, value=jnp.vdot(x, x))
    """

    def init(params: jax.Array) -> GuardedState:
        rows = jnp.zeros((memory_size, params.size), pairs_dtype)
        square = jnp.zeros((memory_size, memory_size), params.dtype)
        pairs = Pairs(rows, rows, square, square, jnp.ones((), params.dtype))
        nowhere = jnp.zeros_like(params)
        infinite = jnp.asarray(jnp.inf, params.dtype)
        return GuardedState(jnp.zeros((), jnp.int32), nowhere, nowhere, infinite, jnp.ones((), bool), pairs)

    @jax.named_scope("lbfgs")  # in profiles
    def update(
        updates: jax.Array,
        state: GuardedState,
        params: jax.Array | None = None,
        *,
        value: jax.Array,
        learning_rate: jax.Array | float = learning_rate,
        **extra_args: object,
    ) -> tuple[jax.Array, GuardedState]:
        del extra_args
        if params is None:
            raise ValueError("guarded_lbfgs needs params: call update(grads, state, params, value=loss)")
        limit = state.value + max_rise * jnp.abs(state.value)
        # Not `value <= limit`: before the first point the limit is infinite, or NaN if `max_rise` is zero.
        good = jnp.isfinite(value) & jnp.all(jnp.isfinite(updates)) & ~(value > limit)
        # The slot in the ring follows from the count, the same for all items of a batch. And a step is
        # rejected without a branch: the memory, a hundred pictures, is never copied.
        slot = (state.count - 1) % memory_size
        s, y = params - state.point, updates - state.gradient
        point = jnp.where(good, params, state.point)
        gradient = jnp.where(good, updates, state.gradient)
        pairs = _remember(state.pairs, slot, s, y, good=good, first=state.count == 0, enlarge=enlarge)
        moved = jnp.linalg.norm(s)
        first = learning_rate * first_step * params.size**0.5
        longer = jnp.where(state.count == 0, first, lengthen * moved)
        # Without a pair, at first or where the loss is concave, only the last step gives a length.
        downhill = _along(-gradient, jnp.where(good, longer, shorten * moved))
        newton = -learning_rate * _unflat(_inverse_hessian(pairs, _flat(gradient)), params.shape)
        step = jnp.where(jnp.any(jnp.diagonal(pairs.inverse) > 0), newton, downhill)
        step = step * jnp.minimum(1, longest_step * params.size**0.5 / _norm(step))
        value = jnp.where(good, value, state.value)
        return point - params + step, GuardedState(state.count + 1, point, gradient, value, good, pairs)

    return optax.GradientTransformationExtraArgs(init, update)  # pyright: ignore[reportArgumentType]


def _along(direction: jax.Array, length: jax.typing.ArrayLike) -> jax.Array:
    """`direction` with the given norm; zero if it is zero."""
    return direction * (length / _norm(direction))


def _norm(x: jax.Array) -> jax.Array:
    """The Euclidean norm, but never quite zero."""
    return jnp.maximum(jnp.linalg.norm(x), jnp.finfo(x.dtype).tiny)


def _remember(
    pairs: Pairs,
    slot: jax.Array,
    s: jax.Array,
    y: jax.Array,
    *,
    good: jax.Array,
    first: jax.Array,
    enlarge: float,
) -> Pairs:
    """Replaces the oldest pair by (s, y); empties the memory if the step is not `good`.

    A pair with s.y <= 0 would make the approximation indefinite, and is left out.
    """
    dtype = pairs.steps.dtype
    s, y = (_flat(x).astype(dtype).astype(x.dtype) for x in (s, y))
    curvature, square = jnp.vdot(s, y), jnp.vdot(y, y)
    convex = good & ~first & (curvature > 1e-8 * jnp.linalg.norm(s) * jnp.sqrt(square))
    # Zeros, since a weight of zero does not cancel what is not finite.
    s, y = jnp.where(convex, s, 0), jnp.where(convex, y, 0)
    steps, changes = pairs.steps.at[slot].set(s.astype(dtype)), pairs.changes.at[slot].set(y.astype(dtype))
    is_slot = jnp.arange(len(steps)) == slot
    in_row, in_column = is_slot[:, None], is_slot[None]
    is_kept = good & ~(in_row | in_column)
    inverse = jnp.where(is_kept, pairs.inverse, 0)
    products = jnp.where(is_kept, pairs.products, 0)
    # R gets a last column and loses its first row and column. In the same way the inverse gets a column,
    # and what it keeps does not change.
    weight = jnp.where(convex, 1 / curvature, 0)
    column = jnp.where(is_slot, weight, -weight * _product(inverse, _product(steps, y)))
    row = _product(changes, y)
    return Pairs(
        steps,
        changes,
        jnp.where(in_column, column[:, None], inverse),
        jnp.where(in_row, row[None], jnp.where(in_column, row[:, None], products)),
        jnp.where(convex, enlarge * curvature / square, pairs.scale),
    )


def _inverse_hessian(pairs: Pairs, gradient: jax.Array) -> jax.Array:
    """The approximate inverse Hessian times the gradient, `[n]`: eq. 7.24."""
    scale, inverse = pairs.scale, pairs.inverse
    curvatures = jnp.diagonal(inverse)
    curvatures = jnp.where(curvatures > 0, 1 / curvatures, 0)
    u = _product(inverse, _product(pairs.steps, gradient))
    v = scale * (_product(pairs.products, u) - _product(pairs.changes, gradient))
    v = _product(curvatures * u + v, inverse)
    return scale * gradient + _product(v, pairs.steps) - scale * _product(u, pairs.changes)


def _flat(x: jax.Array) -> jax.Array:
    """`[n]`, colour by colour: pixel by pixel, a TPU would store a picture in 43 times its bytes."""
    return (jnp.moveaxis(x, -1, 0) if x.ndim > 1 else x).ravel()


def _unflat(x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Undoes `_flat`."""
    return jnp.moveaxis(x.reshape(shape[-1:] + shape[:-1]), 0, -1) if len(shape) > 1 else x.reshape(shape)


def _product(left: jax.Array, right: jax.Array) -> jax.Array:
    """Matrix times vector, or vector times matrix, in float32 at full precision on any device."""
    dtype = jnp.promote_types(left.dtype, right.dtype)
    return jnp.matmul(left.astype(dtype), right.astype(dtype), precision=jax.lax.Precision.HIGHEST)
