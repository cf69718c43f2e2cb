"""A stage of an extractor in bands of rows."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jax_nst.models.extractor import Params, Stage


class Part(NamedTuple):
    """A stage, or what it gives for some rows alone."""

    stage: Stage
    rows: slice
    share: float
    """Of all rows."""


# Positions of a band, at least, and how many bands there are at most: each takes XLA time to compile.
_BAND, _MOST_BANDS = 2**17, 3


def whole(stage: Stage) -> Part:
    """All of a stage."""
    return Part(stage, slice(None), 1.0)


def bands(stage: Stage, carry: Any, reach: int) -> list[Part]:
    """A stage in bands of rows, which take less memory one after the other; whole if it is small.

    Args:
      stage: the one.
      carry: what it takes, a tree of `[h, w, C]`.
      reach: as `Extractor.reach`.

    Returns:
      Parts in order, each of an even number of rows but for the last. Each takes all of `carry`.
    """
    height, width = jax.tree.leaves(carry)[0].shape[:2]
    count = min(_MOST_BANDS, height * width // _BAND)
    if count < 2:
        return [whole(stage)]
    edges = sorted({*(2 * round(band * height / (2 * count)) for band in range(count)), height})

    def band(first: int, last: int) -> Part:
        start, stop = max(0, first - reach), min(last + reach, height)

        def of_rows(params: Params, carry: Any) -> Any:
            def own(x: jax.Array) -> jax.Array:
                factor = 1 if len(x) == stop - start else 2
                return x[(first - start) // factor : -(-(last - start) // factor)]

            return jax.tree.map(own, stage(params, jax.tree.map(lambda x: x[start:stop], carry)))

        return Part(of_rows, slice(first, last), (last - first) / height)

    return [band(first, last) for first, last in itertools.pairwise(edges)]


def join(parts: Sequence[Any]) -> Any:
    """What the parts of a stage give, trees of arrays, as one."""
    return jax.tree.map(lambda *rows: jnp.concatenate(rows), *parts) if len(parts) > 1 else parts[0]
