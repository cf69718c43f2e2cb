"""Rotation of pixels, without the empty corners that it leaves."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from jax_nst.images.resize import resize

_FINER = 2
"""Times finer than the pixels is the picture that is interpolated."""


def rotated_shape(shape: Sequence[int], angle: float) -> tuple[int, int]:
    """(height, width) of the largest upright rectangle inside a picture of `shape` [H, W, ...], rotated.

    If the shorter side is at most the longer one times |sin 2a|, two opposite corners of the rectangle lie
    on the long sides of the picture, half-way between them; else all four corners lie on its sides.

    Args:
      shape: of the picture.
      angle: in degrees.

    Returns:
      Whole pixels; at least one.
    """
    height, width = shape[:2]
    turns, rest = divmod(angle, 90)
    if rest == 0:
        return (height, width) if turns % 2 == 0 else (width, height)
    sine, cosine = abs(math.sin(math.radians(angle))), abs(math.cos(math.radians(angle)))
    longer, shorter = max(height, width), min(height, width)
    if shorter <= 2 * sine * cosine * longer:
        along, across = shorter / 2 / sine, shorter / 2 / cosine
        tall, wide = (across, along) if width >= height else (along, across)
    else:
        double = cosine**2 - sine**2
        tall, wide = (height * cosine - width * sine) / double, (width * cosine - height * sine) / double
    return max(1, math.floor(tall)), max(1, math.floor(wide))


def rotate(pixels: np.ndarray, angle: float) -> np.ndarray:
    """Rotates a picture counterclockwise about its centre, and crops it.

    It is enlarged, interpolated linearly and reduced again, which blurs little. Pillow's own bicubic
    interpolation overshoots by several percent.

    Args:
      pixels: `[H, W, C]` in [0, 1].
      angle: in degrees; multiples of 90 are exact.

    Returns:
      `[*rotated_shape, C]` in [0, 1].
    """
    turns, rest = divmod(angle, 90)
    if rest == 0:
        return np.ascontiguousarray(np.rot90(pixels, int(turns) % 4))
    shape = rotated_shape(pixels.shape, angle)
    height, width = (_FINER * side for side in shape)
    fine = resize(pixels, (_FINER * pixels.shape[0], _FINER * pixels.shape[1]))
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    # (x, y) of the result -> (x, y) of the picture; centre to centre, and y points down.
    left = fine.shape[1] / 2 - cosine * width / 2 + sine * height / 2
    top = fine.shape[0] / 2 - sine * width / 2 - cosine * height / 2
    matrix = (cosine, -sine, left, sine, cosine, top)
    channels = [
        Image.fromarray(np.ascontiguousarray(channel)).transform(
            (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
        )
        for channel in np.moveaxis(fine, -1, 0)
    ]
    return resize(np.stack([np.asarray(channel) for channel in channels], axis=-1), shape)
