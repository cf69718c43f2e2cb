"""Colour control: the pictures as a run sees them, and the picture as it leaves the run."""

from typing import Any, NamedTuple

import numpy as np

from jax_nst.images.color_transfer import fade, match_colors, match_luminance, mix, with_chroma
from jax_nst.transfer.config import Config


class Color(NamedTuple):
    """Whose colours the picture gets."""

    mode: str = "style"
    """As `Config.color`."""
    amount: float = 1.0
    """As `Config.color_amount`."""


def color_of(config: Config) -> Color:
    """The colour control of a transfer; an amount of 0 is that of `style`."""
    return Color(config.color, config.color_amount) if config.color_amount else Color()


def seen_picture(color: Color, pixels: Any) -> Any:
    """A content, or a picture to be scored, as the run sees it: without the chroma that is put back later.

    Args:
      color: of the item.
      pixels: `[H, W, 3]`; an array of NumPy or JAX, or traced.
    """
    return fade(pixels, color.amount) if color.mode == "keep" else pixels


def seen_style(color: Color, style: np.ndarray, content: np.ndarray) -> np.ndarray:
    """A style as the run sees it.

    Args:
      color: of the item.
      style: `[H', W', 3]`.
      content: `[H, W, 3]`, in its own colours.

    Returns:
      `[H', W', 3]`: with the colours of the content (`match`), or as grey of the content's luminance
      statistics (`keep`), by the amount.
    """
    if color.mode == "match":
        return mix(style, match_colors(style, content), color.amount)
    if color.mode == "keep":
        return mix(style, match_luminance(style, content), color.amount)
    return style


def finish_picture(color: Color, painted: np.ndarray, content: np.ndarray) -> np.ndarray:
    """The picture as it leaves the run: with the chroma of the content where colours are kept.

    Args:
      color: of the item.
      painted: `[H, W, 3]`.
      content: `[H, W, 3]`, in its own colours.
    """
    if color.mode != "keep":
        return painted
    if color.amount < 1:
        painted = fade(painted, 1 - 1 / (1 - color.amount))  # restores the chroma that was removed before
    return with_chroma(painted, content, color.amount)
