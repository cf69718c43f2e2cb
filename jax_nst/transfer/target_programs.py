"""The programs that compute targets, once before the first step of a level."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jax_nst.losses import Targets, Term
from jax_nst.losses.grouped import network_layers
from jax_nst.losses.references import (
    Reduced,
    Statistics,
    finish_statistics,
    make_targets,
    measure_statistics,
    mix_statistics,
    nothing_reduced,
    reduced_of_tile,
)
from jax_nst.models.extractor import Extractor, Params
from jax_nst.models.tiles import Tiling, tiling_of
from jax_nst.runtime.memory import memory_limit
from jax_nst.runtime.platform import Platform
from jax_nst.transfer.by_shape import ByShape
from jax_nst.transfer.network import Network
from jax_nst.transfer.spec import Level
from jax_nst.transfer.tile_programs import is_large, tile_size_of_once

# Of memory for a pixel of a style: any network takes the first, and the named ones about half the second.
_LEAST_BYTES, _MANY_BYTES = 100, 1000


class Measured:
    """A program of the statistics of a picture, which is computed whole, or in tiles if it is large."""

    def __init__(
        self,
        extractor: Extractor,
        terms: tuple[Term, ...],
        options: Mapping[str, Any],
        then: Callable[..., Any] = lambda statistics: statistics,
    ) -> None:
        """`then(statistics, ...)` makes the result; it takes what follows the weights."""
        self._extractor, self._terms = extractor, terms
        self._tile_size = tile_size_of_once(extractor, terms)
        plain = extractor.plain

        def whole(params: Params, pixels: jax.Array, weights: Any, *more: Any) -> Any:
            return then(measure_statistics(extractor, terms, plain(params), pixels, weights), *more)

        def tile(
            reduced: Reduced, params: Params, pixels: jax.Array, weights: Any, place: jax.Array
        ) -> Any:
            return reduced_of_tile(
                extractor, terms, plain(params), pixels, weights,
                reduced=reduced, tiling=self._tiling(pixels.shape), place=place,
            )  # fmt: skip

        def finish(reduced: Reduced, pixels: jax.Array, weights: Any, *more: Any) -> Any:
            return then(finish_statistics(extractor, terms, reduced, pixels, weights), *more)

        self._whole = ByShape(whole, options)
        self._tile = ByShape(tile, options, donate=True)
        self._finish = ByShape(finish, options)

    def __call__(self, params: Params, pixels: jax.Array, weights: Any, *more: Any) -> Any:
        """The result, of `pixels` `[H, W, 3]` and weights as `measure_statistics` takes them."""
        return self.compile(params, pixels, weights, *more)[0](params, pixels, weights, *more)

    def eval_shape(self, *arguments: Any) -> Any:
        """The shape of the result; compiles nothing."""
        return self._whole.eval_shape(*arguments)

    def lower(self, *arguments: Any) -> Any:
        """The program that computes a picture whole, not yet compiled."""
        return self._whole.lower(*arguments)

    def compile(
        self, params: Params, pixels: Any, weights: Any, *more: Any
    ) -> tuple[Callable[..., Any], int]:
        """The program for arguments of these shapes (arrays, or `ShapeDtypeStruct`s), and its bytes."""
        if self._tile_size is None or not is_large(pixels.shape):
            return self._whole.compile(params, pixels, weights, *more)
        extractor, tiling = self._extractor, self._tiling(pixels.shape)
        rows = tiling.rows()

        def nothing() -> Reduced:
            plain = extractor.plain(params)
            return nothing_reduced(extractor, self._terms, plain, weights, tiling=tiling)

        shapes = jax.eval_shape(nothing)
        tile, of_tile = self._tile.compile(shapes, params, pixels, weights, rows[0])
        finish, of_finish = self._finish.compile(shapes, pixels, weights, *more)

        def run(params: Params, pixels: jax.Array, weights: Any, *more: Any) -> Any:
            reduced = nothing()
            for row in rows:
                reduced = jax.block_until_ready(tile(reduced, params, pixels, weights, row))
            return finish(reduced, pixels, weights, *more)

        return run, max(of_tile, of_finish)

    def _tiling(self, shape: Sequence[int]) -> Tiling:
        assert self._tile_size is not None
        layers = network_layers(self._terms)
        return tiling_of(self._extractor, layers, (shape[0], shape[1]), self._tile_size)


class TargetPrograms(NamedTuple):
    """Programs that run once, before the first step."""

    content: Measured
    """`(params, content [H, W, 3], None, positions) -> Targets`."""
    statistics: Measured
    """`(params, style [H', W', 3], weights of positions or None) -> Statistics`."""
    style: ByShape
    """`(statistics of each style, shares, positions) -> Targets`."""


@functools.lru_cache(maxsize=8)
def target_programs(extractor: Extractor, terms: tuple[Term, ...], platform: Platform) -> TargetPrograms:
    """The programs that compute the targets of these terms."""
    of_content, of_style = (
        tuple(term for term in terms if term.reference == reference) for reference in ("content", "style")
    )
    options = dict(platform.compiler_options)

    def content(statistics: Statistics, positions: Any) -> Targets:
        return make_targets(of_content, statistics, positions)

    def style(statistics: Sequence[Statistics], shares: jax.Array, positions: Any) -> Targets:
        return make_targets(of_style, mix_statistics(of_style, statistics, shares), positions)

    return TargetPrograms(
        Measured(extractor, of_content, options, content),
        Measured(extractor, of_style, options),
        ByShape(style, options),
    )


def check_style_fits(network: Network, level: Level, platform: Platform, shape: tuple[int, int]) -> None:
    """Raises ValueError if the statistics of a style of `shape` (height, width) take too much memory.

    Only for a style that may be too large is its program compiled here.
    """
    limit, num_pixels = memory_limit(jax.local_devices()[0]), math.prod(shape)
    if _MANY_BYTES * num_pixels <= limit:
        return
    needed = _LEAST_BYTES * num_pixels
    if needed <= limit:
        pixels = jax.ShapeDtypeStruct((*shape, 3), np.float32)
        programs = target_programs(network.extractor, level.terms, platform)
        _, needed = programs.statistics.compile(network.params, pixels, None)
    if needed > limit:
        height, width = shape
        raise ValueError(
            f"the style image at {width} x {height} pixels takes {needed / 2**30:.1f} GB or more of "
            f"memory, but {limit / 2**30:.1f} are left; give a smaller style_scale, style_size or size"
        )
