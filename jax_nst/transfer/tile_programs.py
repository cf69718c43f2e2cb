"""A step of one picture in tiles, as programs that the host calls tile by tile.

On a CPU, where XLA runs loops slowly, they take the place of the loop within the objective. Each is
compiled once, whatever the number of tiles. The host waits for each tile, since a program that stands in
JAX's queue has its memory already.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jax_nst.losses import Losses, LossWeights, Targets, Term
from jax_nst.losses.objective import InTiles, check_tiles
from jax_nst.models.extractor import Extractor, Params
from jax_nst.optim import Controls, State, to_pixels
from jax_nst.optim.step import Move, unit_scale
from jax_nst.runtime.malloc import give_back
from jax_nst.transfer.by_shape import ByShape, bytes_of

Step = Callable[..., tuple[State, jax.Array]]
"""`(state, params, targets, controls) -> (state, row [1, names])`: one update."""


_LARGE, _TILE = 2**19, 512
"""Pixels of a picture that is measured in tiles, and the side of these."""


def is_large(shape: Sequence[int]) -> bool:
    """Whether a picture of `shape` (height, width, ...) is measured in tiles, where that is possible."""
    return math.prod(shape[:2]) > _LARGE


def tile_size_of_once(extractor: Extractor, terms: Sequence[Term]) -> int | None:
    """The side of tiles of what is computed once for a picture; None if it cannot be computed in tiles."""
    try:
        check_tiles(extractor, terms)
    except ValueError:
        return None
    return _TILE


class TilePrograms(NamedTuple):
    """The programs of a step, in the order in which they run, and that of a score."""

    pixels: ByShape
    """`(angles) -> pixels`."""
    zeros: ByShape
    """`(pixels, params, targets) -> sums`, all zero."""
    add: ByShape
    """`(sums, pixels, params, targets, place) -> sums`."""
    total: ByShape
    """`(sums, pixels, targets, loss_weights) -> (value, Losses, gradients of the sums, of the pixels)`."""
    pull: ByShape
    """`(gradient of the pixels, pixels, params, targets, gradients of the sums, place) -> gradient`."""
    move: ByShape
    """`(state, gradient of the pixels, value, Losses, learning rate or None) -> (state, row)`."""
    score: ByShape
    """`(sums, pixels, targets, loss_weights) -> Losses`, not in a step."""
    parts: InTiles


def tile_programs(
    parts: InTiles, move: Move, as_row: Callable[[Losses], jax.Array], options: Mapping[str, Any]
) -> TilePrograms:
    """The programs of a step.

    Args:
      parts: of the objective.
      move: what follows the evaluation; see `make_move`.
      as_row: `(Losses) -> [names]`.
      options: of the compiler.
    """

    def zeros(pixels: jax.Array, params: Params, targets: Targets) -> Any:
        tiling = parts.tiling(pixels.shape)
        window = jax.ShapeDtypeStruct((*tiling.window, 3), pixels.dtype)
        of_tile = jax.eval_shape(
            lambda *arguments: parts.sums(*arguments[:3], tiling, arguments[3]),
            window, params, targets, tiling.rows()[0],
        )  # fmt: skip
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), of_tile)

    def add(sums: Any, pixels: jax.Array, params: Params, targets: Targets, place: jax.Array) -> Any:
        tiling = parts.tiling(pixels.shape)
        of_tile = parts.sums(tiling.cut(pixels, place), params, targets, tiling, place)
        return jax.tree.map(jnp.add, sums, of_tile)

    def total(sums: Any, pixels: jax.Array, targets: Targets, loss_weights: LossWeights) -> Any:
        def value(sums: Any, pixels: jax.Array) -> tuple[jax.Array, Losses]:
            total, losses = parts.total(sums, pixels, targets, loss_weights)
            return unit_scale(loss_weights) * total, losses

        (found, losses), gradients = jax.value_and_grad(value, argnums=(0, 1), has_aux=True)(sums, pixels)
        return found, losses, *gradients

    def score(sums: Any, pixels: jax.Array, targets: Targets, loss_weights: LossWeights) -> Losses:
        return parts.total(sums, pixels, targets, loss_weights)[1]

    def pull(
        gradient: jax.Array, pixels: jax.Array, params: Params, targets: Targets, of_sums: Any, place: Any
    ) -> jax.Array:
        tiling = parts.tiling(pixels.shape)

        def sums(window: jax.Array) -> Any:
            return parts.sums(window, params, targets, tiling, place)

        (of_window,) = jax.vjp(sums, tiling.cut(pixels, place))[1](of_sums)
        return tiling.add(gradient, of_window, place)

    def moved(
        state: State, gradient: jax.Array, value: jax.Array, losses: Losses, learning_rate: Any
    ) -> tuple[State, jax.Array]:
        (of_angles,) = jax.vjp(to_pixels, state.angles)[1](gradient)
        state, info = move(state, value, of_angles, losses, learning_rate)
        return state, as_row(info.losses)[None]

    return TilePrograms(
        ByShape(to_pixels, options),
        ByShape(zeros, options),
        ByShape(add, options, donate=True),
        ByShape(total, options),
        ByShape(pull, options, donate=True),
        ByShape(moved, options, donate=True),
        ByShape(score, options),
        parts,
    )


def compile_step(
    programs: TilePrograms, state: State, params: Params, targets: Targets, controls: Controls
) -> tuple[Step, int]:
    """One update, tile by tile.

    Args:
      programs: of the step.
      state: and the others: arguments of the step, as arrays or `ShapeDtypeStruct`s.

    Returns:
      The step, whose state is donated, and the bytes that it takes of the device.
    """
    rows = programs.parts.tiling(state.angles.shape).rows()
    pixels = programs.pixels.eval_shape(state.angles)
    sums = programs.zeros.eval_shape(pixels, params, targets)
    value, losses, of_sums, gradient = programs.total.eval_shape(
        sums, pixels, targets, controls.loss_weights
    )
    to_picture, _ = programs.pixels.compile(state.angles)
    zeros, _ = programs.zeros.compile(pixels, params, targets)
    add, of_add = programs.add.compile(sums, pixels, params, targets, rows[0])
    total, of_total = programs.total.compile(sums, pixels, targets, controls.loss_weights)
    pull, of_pull = programs.pull.compile(gradient, pixels, params, targets, of_sums, rows[0])
    move, of_move = programs.move.compile(state, gradient, value, losses, controls.learning_rate)

    def step(state: State, params: Params, targets: Targets, controls: Controls) -> Any:
        # What the tiles of a pass took and freed would lie beside what the next pass takes.
        give_back()
        pixels = to_picture(state.angles)
        sums = zeros(pixels, params, targets)
        for row in rows:
            sums = jax.block_until_ready(add(sums, pixels, params, targets, row))
        give_back()
        value, losses, of_sums, gradient = total(sums, pixels, targets, controls.loss_weights)
        for row in rows:
            gradient = jax.block_until_ready(pull(gradient, pixels, params, targets, of_sums, row))
        del pixels
        give_back()
        return move(state, gradient, value, losses, controls.learning_rate)

    # What lies beside the programs that do not take it.
    held, network, given = bytes_of(state), bytes_of(params), bytes_of((params, targets))
    return step, max(held + of_add, held + network + of_total, held + of_pull, given + of_move)


def score_in_tiles(
    programs: TilePrograms, pixels: jax.Array, params: Params, targets: Targets, loss_weights: LossWeights
) -> Losses:
    """The losses of a picture, `[H, W, 3]`, without a gradient."""
    sums = programs.zeros(pixels, params, targets)
    for row in programs.parts.tiling(pixels.shape).rows():
        sums = jax.block_until_ready(programs.add(sums, pixels, params, targets, row))
    return programs.score(sums, pixels, targets, loss_weights)
