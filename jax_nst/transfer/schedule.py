"""Coarse to fine: the sizes that a picture is painted at, one after the other, and the layers at each."""

import dataclasses
import math

from jax_nst.transfer.config import Config
from jax_nst.transfer.network import Network
from jax_nst.transfer.problem import check_content, check_side, least_side, picture_shape, picture_size

COARSEST = 256
"""Pixels, the longer side of the picture that `auto` begins with, or as near as halving comes."""

_FACTOR = 2  # from one size to the next
_SHARE, _MOST = 0.3, 30  # of the steps, and steps, at each size but the last


def scale_configs(network: Network, config: Config, shape: tuple[int, ...]) -> list[Config]:
    """One config for each size, coarse to fine; the last one paints the picture itself.

    The last one has all the steps, the others a few: more make no difference to the last.
    The coarsest settles the large shapes, so that `auto` has one of about as many pixels for every size.
    Where a config leaves the layers open, each size has those that its extractor wants there.

    Args:
      network: has a least size, below which `auto` does not go.
      config: `scales` says how many sizes; `auto` begins at about `COARSEST`.
      shape: [H, W, 3] of the content.

    Raises:
      ValueError: the picture is too small for the network, at one of the sizes.
    """
    size = picture_size(config, shape)
    if config.scales == "auto":
        count = 1 + max(0, round(math.log(size / COARSEST, _FACTOR)))
    else:
        count = int(config.scales)
    sizes = [max(1, round(size * _FACTOR**-power)) for power in reversed(range(1, count))]
    scales = [_with_layers(network, _coarser(config, size, coarse), shape) for coarse in sizes]
    if config.scales == "auto":
        scales = [x for x in scales if min(picture_shape(x, shape)) >= least_side(network, x)]
    last = _with_layers(network, config, shape)
    check_content(network, last, shape)
    what, remedy = (
        "the picture at one of its smaller sizes",
        f"give fewer scales than {count}, or a larger size",
    )
    for scale in scales:
        check_side(what, picture_shape(scale, shape), network, scale, remedy)
    return [*scales, last]


def _coarser(config: Config, size: int, coarse: int) -> Config:
    """The config of a coarser size; a given size of the style shrinks along."""
    style_scale = config.style_size / size if config.style_size else config.style_scale
    steps = max(1, min(_MOST, round(_SHARE * config.steps)))
    return dataclasses.replace(config, size=coarse, steps=steps, style_size=None, style_scale=style_scale)


def _with_layers(network: Network, config: Config, shape: tuple[int, ...]) -> Config:
    """The config with the layers of its size, where it leaves them open."""
    if network.extractor.layers_at is None:
        return config
    content, style = network.extractor.layers_at(picture_shape(config, shape))
    if config.style_layer_weights is not None:
        style = None  # one weight for each of the extractor's own, at every size
    return dataclasses.replace(
        config,
        content_layers=config.content_layers or content,
        style_layers=config.style_layers or style,
    )
