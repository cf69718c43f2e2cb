"""The loop over steps, in chunks, of one picture or of a batch."""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from jax_nst.programs import MAX_CHUNK, Advance
from jax_nst.step import State

# How long the host leaves the device alone, in seconds.
_CHUNK_SECONDS = 0.5


class Chunk(NamedTuple):
    """What one chunk of steps did."""

    state: State
    """After it; consumed when the loop goes on."""
    first: int
    """Number of its first evaluation; that of the start is 0."""
    losses: np.ndarray
    """`[evaluations, ..., 4]`: total, content, style, tv, of a picture or of each one of a batch."""
    seconds: np.ndarray
    """`[evaluations]`, when each was done, since the loop began."""


def steps_in_chunks(
    advance: Advance,
    state: State,
    arguments: tuple[Any, ...],
    num_steps: int,
    *,
    save_every: int = 0,
    fetch: Callable[[jax.Array], np.ndarray] = np.asarray,
    in_step: bool = False,
) -> Iterator[Chunk]:
    """Makes `num_steps` updates, which is one evaluation more, in chunks of about `_CHUNK_SECONDS`.

    Args:
      advance: the loop on the device.
      state: where it begins; consumed.
      arguments: of `advance`, after the state.
      num_steps: of updates.
      save_every: a chunk ends at each multiple of it, if not 0.
      fetch: how losses come to the host.
      in_step: chunks of a fixed length, the same for every process of several.
    """
    began = time.perf_counter()
    done, total, chunk = 0, num_steps + 1, MAX_CHUNK if in_step else 1
    while done < total:
        count = min(chunk, total - done)
        if save_every:
            # The step that is to be saved ends a chunk; step k is evaluation k + 1.
            count = min(count, save_every - (done - 1) % save_every)
        before = time.perf_counter() - began
        state, blocks = advance(state, *arguments, count)
        losses = np.concatenate([fetch(block) for block in blocks])[:count]  # waits for the device
        took = time.perf_counter() - began - before
        yield Chunk(state, done, losses, before + took * np.arange(1, count + 1) / count)
        done += count
        if not in_step:
            chunk = max(1, min(MAX_CHUNK, 2 * count, int(_CHUNK_SECONDS * count / took)))
