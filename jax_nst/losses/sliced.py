"""Style by the sorted projections of the features: sliced Wasserstein and the histograms of channels."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from jax_nst.losses.term import Term, at_least_float32, check_rank, relative_to_power, squared_difference

_NUM_SHARES = 512


def sorted_shares(features: jax.Array, *, rotate: bool) -> jax.Array:
    """Means of the equal shares of the sorted projections of the features on each direction.

    The size does not depend on that of the picture, so styles can be averaged, which gives the
    Wasserstein barycentre of each direction.

    Args:
      features: `[h, w, C]`.
      rotate: project on C random orthonormal directions, the same ones at every call; without, the
        directions are the channels themselves.

    Returns:
      `[C, 512]`, each row in increasing order; float32 at least. With fewer positions than shares, one
      position stands for several shares.
    """
    check_rank("features", features, "h w C")
    channels = features.shape[-1]
    flat = at_least_float32(features).reshape(-1, channels)
    # Rows of positions: sorting along another axis takes longer.
    rows = flat.T
    if rotate:
        directions = jnp.asarray(random_directions(channels), flat.dtype)
        rows = jnp.matmul(directions, rows, precision=jax.lax.Precision.HIGHEST)
    num_shares = min(len(flat), _NUM_SHARES)
    of_shares = (np.arange(_NUM_SHARES) + 0.5) * num_shares / _NUM_SHARES
    return share_means(num_shares, rows)[:, of_shares.astype(int)]


@functools.cache
def random_directions(num: int) -> np.ndarray:
    """`[num, num]`, orthogonal, uniformly distributed, a function of `num` alone.

    Fixed, unlike in Heitz et al.: L-BFGS needs the same objective at every step.
    """
    q, r = np.linalg.qr(np.random.default_rng(0).standard_normal((num, num)))
    return q * np.sign(np.diagonal(r))


def _share_means(num_shares: int, rows: jax.Array) -> jax.Array:
    return _share_means_forward(num_shares, rows)[0]


share_means = jax.custom_vjp(_share_means, nondiff_argnums=(0,))
"""`(num_shares, rows [D, N]) -> [D, num_shares]`, the means of consecutive runs of each sorted row.

`num_shares` is at most N. The runs are equally long, but for one value where N is no multiple.
"""


def _share_means_forward(num_shares: int, rows: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    ordered = _sort(rows)
    bounds, lengths = _bounds(num_shares, rows)
    # Runs of equal length, the shorter ones filled with a value that counts nothing.
    offsets = np.arange(int(lengths.max()))
    indices = np.minimum(bounds[:-1, None] + offsets, rows.shape[1] - 1)
    own = offsets < lengths.T
    means = jnp.sum(jnp.where(own[None], ordered[:, indices], 0), axis=2) / lengths
    return means, (rows, ordered[:, bounds[:-1]], ordered[:, bounds[1:] - 1])


def _share_means_backward(
    num_shares: int, residuals: tuple[jax.Array, ...], cotangents: jax.Array
) -> tuple[jax.Array]:
    """The cotangent of a value is that of its run; equal values of several runs get the mean of these.

    Sorting and looking up the run of each value take less than half of the time of `argsort`. With a
    permutation equal values would have different gradients, and a flat area would not stay flat.
    """
    rows, first, last = residuals
    _, lengths = _bounds(num_shares, rows)
    return (jax.vmap(_look_up)(rows, first, last, cotangents / lengths),)


def _look_up(values: jax.Array, first: jax.Array, last: jax.Array, of_runs: jax.Array) -> jax.Array:
    """Values `[N]`, and of the runs their first and last values and their cotangents, `[num_shares]`."""
    # The runs in which the last value of this one occurs: from `low` up to, not including, `high`.
    low, high = jnp.searchsorted(last, last), jnp.searchsorted(first, last, side="right")
    sums = jnp.cumulative_sum(of_runs, include_initial=True)
    of_last = jnp.where(high - low > 1, (sums[high] - sums[low]) / (high - low), of_runs)
    found = jnp.minimum(jnp.searchsorted(last, values), len(last) - 1)
    return jnp.where(values < last[found], of_runs[found], of_last[found])


def _bounds(num_shares: int, rows: jax.Array) -> tuple[np.ndarray, np.ndarray]:
    """Where runs of sorted values begin and end, `[num_shares + 1]`; their lengths, `[1, num_shares]`."""
    bounds = np.arange(num_shares + 1) * rows.shape[1] // num_shares
    return bounds, np.diff(bounds)[None].astype(rows.dtype)


def _sort(rows: jax.Array) -> jax.Array:
    """Sorts the last axis as integers of the same order, which XLA's CPU does in a fifth of the time."""
    integer = jnp.int64 if rows.dtype == jnp.float64 else jnp.int32
    bits = jax.lax.bitcast_convert_type(rows, integer)
    # Negative numbers have their magnitudes in reverse; doing it twice undoes it.
    return jax.lax.bitcast_convert_type(_reverse_negative(jnp.sort(_reverse_negative(bits))), rows.dtype)


def _reverse_negative(bits: jax.Array) -> jax.Array:
    return jnp.where(bits < 0, bits ^ jnp.iinfo(bits.dtype).max, bits)


share_means.defvjp(_share_means_forward, _share_means_backward)

SLICED = Term(
    "sliced",
    statistic=functools.partial(sorted_shares, rotate=True),
    distance=squared_difference,
    target=relative_to_power,
    reference="style",
    combine="global",
    degree=1,
)
"""Sorted projections on random directions, each layer relative to its power.

The sliced Wasserstein distance (Heitz, Vanhoey, Chambon and Belcour 2021, arXiv:2006.07229) of quantile
functions averaged over 512 equal shares: exact where the numbers of positions divide 512, at most the exact
distance where they are multiples of 512, and near it with many positions.
"""

SORTED = dataclasses.replace(
    SLICED, name="sorted", statistic=functools.partial(sorted_shares, rotate=False)
)
"""Sorted values of each channel, relative to the power of the layer.

The histograms of channels that Risser, Wilmot and Barnes 2017 (arXiv:1701.08893) match, without bins.
"""
