"""Coarse to fine: the sizes that a picture is painted at, one after the other."""

import dataclasses
import math

from jax_nst.config import Config
from jax_nst.problem import picture_size

COARSEST = 128
"""Pixels, the longer side of the coarsest picture that `auto` begins with."""

_FACTOR = 2  # from one size to the next


def scale_configs(config: Config, shape: tuple[int, ...]) -> list[Config]:
    """One config for each size, coarse to fine; the last one paints the picture itself.

    Each has all the steps: the coarser ones together cost a third of the last at the most.

    Args:
      config: `scales` says how many sizes; `auto` for as many as `COARSEST` allows.
      shape: [H, W, 3] of the content.
    """
    size = picture_size(config, shape)
    if config.scales == "auto":
        count = 1 + max(0, math.floor(math.log(size / COARSEST, _FACTOR) + 1e-9))
    else:
        count = int(config.scales)
    ratios = [_FACTOR**-power for power in reversed(range(1, count))]
    coarser = [
        dataclasses.replace(
            config,
            size=max(1, round(size * ratio)),
            style_size=config.style_size and max(1, round(config.style_size * ratio)),
        )
        for ratio in ratios
    ]
    return [*coarser, config]
