"""Measures of what a run painted, against its content and its styles at the sizes that it used."""

from collections.abc import Sequence

import numpy as np

from jax_nst.losses import PIXELS
from jax_nst.metrics.measures import ContentSide, StyleSide, content_side, measure, style_side
from jax_nst.models.extractor import Extractor
from jax_nst.runtime.platform import current_platform
from jax_nst.transfer.config import Config
from jax_nst.transfer.pictures import Pixels, blend_shares, fit_content, fit_style, style_scales
from jax_nst.transfer.spec import Level, resolve


def painted_layers(level: Level) -> tuple[str, ...]:
    """The layers that the terms of a level compare with the style."""
    layers = [layer for term in level.terms if term.reference == "style" for layer in term.layers]
    return tuple(layer for layer in dict.fromkeys(layers) if layer != PIXELS)


def content_of(level: Level, content: Pixels) -> ContentSide:
    """The content at the shape of the pictures of a level, ready to be compared with them."""
    return content_side(fit_content(level, content), painted_layers(level))


def style_of(
    extractor: Extractor,
    level: Level,
    styles: Sequence[Pixels],
    shares: Sequence[float],
    scales: Sequence[float] = (),
) -> StyleSide:
    """The styles at their sizes for pictures of a level, ready to be compared with them.

    For `scales` see `Item`.
    """
    pairs = zip(styles, scales or (None,) * len(styles), strict=True)
    fitted = [fit_style(extractor, level, style, scale) for style, scale in pairs]
    return style_side(fitted, shares, level.shape, painted_layers(level))


def measure_run(
    extractor: Extractor,
    config: Config,
    content: Pixels,
    styles: Sequence[Pixels],
    blend: Sequence[float] | None,
    pixels: np.ndarray,
) -> dict[str, float]:
    """The measures of a picture that a run with these settings painted; see `metrics.METRICS`.

    Args:
      extractor: the network that painted.
      config: the settings of the run.
      content: as the run was given it, and so are the others.
      styles: the same.
      blend: the same.
      pixels: `[H, W, 3]`, the picture.
    """
    level = resolve(config, extractor, content.shape, current_platform()).levels[-1]
    shares, scales = blend_shares(blend, len(styles)), style_scales(config, level.size, len(styles))
    style = style_of(extractor, level, styles, shares, scales)
    return measure(pixels, content_of(level, content), style)
