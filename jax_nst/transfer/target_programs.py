"""The programs that compute targets, once before the first step of a level."""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jax_nst.losses import Targets, Term
from jax_nst.losses.objective import Statistics, make_targets, measure_statistics, mix_statistics
from jax_nst.models.extractor import Extractor, Params
from jax_nst.runtime.memory import memory_limit
from jax_nst.runtime.platform import Platform
from jax_nst.transfer.network import Network
from jax_nst.transfer.programs import ByShape
from jax_nst.transfer.spec import Level

# Of memory for a pixel of a style: any network takes the first, and the named ones about half the second.
_LEAST_BYTES, _MANY_BYTES = 100, 1000


class TargetPrograms(NamedTuple):
    """Programs that run once, before the first step."""

    content: ByShape
    """`(params, content [H, W, 3], positions) -> Targets`."""
    statistics: ByShape
    """`(params, style [H', W', 3], weights of positions or None) -> Statistics`."""
    style: ByShape
    """`(statistics of each style, shares, positions) -> Targets`."""


@functools.lru_cache(maxsize=8)
def target_programs(extractor: Extractor, terms: tuple[Term, ...], platform: Platform) -> TargetPrograms:
    """The programs that compute the targets of these terms."""
    of_content, of_style = (
        tuple(term for term in terms if term.reference == reference) for reference in ("content", "style")
    )
    plain = extractor.plain

    def content(params: Params, pixels: jax.Array, positions: Any) -> Targets:
        statistics = measure_statistics(extractor, of_content, plain(params), pixels)
        return make_targets(of_content, statistics, positions)

    def statistics(params: Params, pixels: jax.Array, weights: Any) -> Statistics:
        return measure_statistics(extractor, of_style, plain(params), pixels, weights)

    def style(statistics: Sequence[Statistics], shares: jax.Array, positions: Any) -> Targets:
        return make_targets(of_style, mix_statistics(of_style, statistics, shares), positions)

    options = dict(platform.compiler_options)
    return TargetPrograms(*(ByShape(function, options) for function in (content, statistics, style)))


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
