"""Measures of artefacts: clipped pixels, and variation between neighbours."""

import numpy as np

from jax_nst.images import quantize


def clipped_share(pixels: np.ndarray) -> float:
    """Share of the pixels of which a channel is 0 or 255 after rounding to 8 bits.

    Takes `[H, W, 3]`. From 0 to 1; lower is better, unless the style has such colours itself.
    """
    levels = quantize(pixels)
    return float(np.mean(np.any((levels == 0) | (levels == 255), axis=-1)))


def variation(pixels: np.ndarray) -> float:
    """Mean squared difference downwards plus mean squared difference across, of `[H, W, 3]`.

    Mahendran and Vedaldi 2015 (arXiv:1412.0035), beta = 2, as means; as `total_variation`, in float64. Zero
    or more; 0 for a flat picture.
    """
    pixels = np.asarray(pixels, np.float64)
    differences = [np.diff(pixels, axis=axis) for axis in (0, 1)]
    return float(sum(np.mean(np.square(x)) for x in differences if x.size))
