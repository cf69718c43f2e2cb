"""Colour distance of pictures, in OkLab, whatever the places of the colours."""

from collections.abc import Sequence

import numpy as np

# Ottosson 2020, "A perceptual color space for image processing": linear sRGB to cone responses, and their
# cube roots to lightness, green-red and blue-yellow.
_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)

_QUANTILES = 4096


def to_oklab(pixels: np.ndarray) -> np.ndarray:
    """OkLab of sRGB (Ottosson 2020), `[..., 3]` -> `[..., 3]`, float64.

    Lightness is from 0 to 1; green-red and blue-yellow from about -0.3 to 0.3, 0 where grey.
    """
    coded = np.asarray(pixels, np.float64)
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _TO_CONES.T) @ _TO_LAB.T


def color_quantiles(pictures: Sequence[np.ndarray], shares: Sequence[float]) -> np.ndarray:
    """Quantiles of each channel of OkLab, `[4096, 3]`, at (i + ½) / 4096; of several pictures by shares."""
    colors = [to_oklab(picture).reshape(-1, 3) for picture in pictures]
    weights = np.concatenate(
        [np.full(len(x), share / len(x)) for x, share in zip(colors, shares, strict=True)]
    )
    wanted = (np.arange(_QUANTILES) + 0.5) / _QUANTILES * weights.sum()
    channels = []
    for channel in np.concatenate(colors).T:
        order = np.argsort(channel)
        sorted_weights = weights[order]
        middles = np.cumsum(sorted_weights) - sorted_weights / 2
        channels.append(np.interp(wanted, middles, channel[order]))
    return np.stack(channels, axis=-1)


def color_distance(pixels: np.ndarray, other: np.ndarray) -> float:
    """Distance of the colours of two pictures: mean difference of the sorted channels of OkLab.

    Mean over the channels of the one-dimensional Wasserstein-1 distance, ∫ |F⁻¹(q) - Fₜ⁻¹(q)| dq, taken at
    4096 quantiles; the channels are those of `to_oklab`.

    Args:
      pixels: `[H, W, 3]`.
      other: of any shape.

    Returns:
      From 0 to 0.7: 0 for equal distributions in each channel, 1/3 for black against white.
      Lower is nearer.
    """
    quantiles = [color_quantiles([picture], [1.0]) for picture in (pixels, other)]
    return float(np.mean(np.abs(quantiles[0] - quantiles[1])))
