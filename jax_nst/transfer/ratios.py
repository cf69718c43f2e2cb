"""Proportions of pictures, such as `4:3`."""

from jax_nst.runtime.values import shown

MAX_RATIO = 100.0
"""Of the sides of a cropped content."""


def parse_ratios(crop: tuple[str, ...]) -> tuple[float, ...]:
    """Width over height of each of the proportions, such as `4:3`.

    Raises:
      ValueError: one is not of that form, or out of range.
    """
    ratios = []
    for text in crop:
        width, _, height = text.partition(":")
        try:
            ratio = float(width) / float(height)
        except (ValueError, ZeroDivisionError):
            ratio = 0.0
        if not 1 / MAX_RATIO <= ratio <= MAX_RATIO:
            raise ValueError(f"crop must be proportions such as 4:3,3:4, not {shown(text)}")
        ratios.append(ratio)
    return tuple(ratios)
