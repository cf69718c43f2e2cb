"""Colours of one picture taken over by another: luminance and chroma, mean and covariance.

All of it works on sRGB values, not in linear light. Both were tried on two contents and six styles. In
linear light the same maps tint the shadows: outlines that are black in the style become olive or blue, dark
strokes with the content's chroma become ochre or teal, and up to 23 % of the channels are clipped, against
3 % for sRGB.
"""

from typing import Any

import numpy as np

LUMINANCE = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in the luminance (luma of ITU-R BT.601); they add up to 1."""

_EPSILON = 1e-5
"""Added to variances, so that a picture of one colour can be matched; 0.8 of 255 levels squared."""


def luminance(pixels: Any) -> Any:
    """The luminance of sRGB pixels, `[H, W, 3]` -> `[H, W, 1]`; arrays of NumPy or JAX."""
    red, green, blue = LUMINANCE.tolist()
    return red * pixels[..., :1] + green * pixels[..., 1:2] + blue * pixels[..., 2:]


def fade(pixels: Any, amount: float) -> Any:
    """Takes that share of the chroma away, which keeps the luminance; all of it leaves grey.

    Args:
      pixels: `[H, W, 3]`; an array of NumPy or JAX.
      amount: from 0, which changes nothing, to 1.
    """
    return mix(pixels, luminance(pixels), amount)


def mix(start: Any, end: Any, amount: float) -> Any:
    """`start` at amount 0 and `end` at 1, both exactly; linear between."""
    return (1 - amount) * start + amount * end


def match_colors(pixels: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Gives the colours of a picture the mean and the covariance of another's, clipped to [0, 1].

    The linear colour transfer of Gatys et al. (2017, "Controlling perceptual factors in neural style
    transfer", arXiv:1611.07865, section 5); see `color_map` for the matrix.

    Args:
      pixels: `[H, W, 3]`.
      reference: `[H', W', 3]`, whose colours are taken.

    Returns:
      `[H, W, 3]`, of the type of `pixels`.
    """
    matrix, offset = color_map(pixels, reference)
    return np.clip(pixels @ matrix + offset, 0, 1).astype(pixels.dtype)


def color_map(pixels: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The affine map of `match_colors` before it clips, in float64.

    Of all matrices A with A S Aᵀ = T, where S and T are the covariances, this is the symmetric positive
    definite one, A = S^-½ (S^½ T S^½)^½ S^-½: the Monge map between Gaussians (Pitié and Kokaram 2007, "The
    linear Monge-Kantorovitch linear colour mapping for example-based colour transfer"; mode `sym` in the
    code of Gatys et al.). It moves colours the least in the mean square. The matrix of image analogies,
    T^½ S^-½, can also rotate hues; in pictures the two are hard to tell apart.

    Args:
      pixels: `[H, W, 3]`.
      reference: `[H', W', 3]`.

    Returns:
      `matrix` `[3, 3]` and `offset` `[3]`, to be used as `pixels @ matrix + offset`.
    """
    (mean, covariance), (wanted, target) = _moments(pixels), _moments(reference)
    root, inverse = _power(covariance, 0.5), _power(covariance, -0.5)
    matrix = inverse @ _power(root @ target @ root, 0.5) @ inverse
    return matrix, wanted - mean @ matrix


def match_luminance(pixels: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The luminance of a picture, shifted and scaled to the mean and deviation of another's.

    Luminance-only transfer begins with this (Gatys et al. 2017, section 5).

    Args:
      pixels: `[H, W, 3]`.
      reference: `[H', W', 3]`.

    Returns:
      `[H, W, 1]`, clipped to [0, 1], of the type of `pixels`.
    """
    found, wanted = (luminance(np.asarray(x, np.float64)) for x in (pixels, reference))
    scale = np.sqrt((wanted.var() + _EPSILON) / (found.var() + _EPSILON))
    return np.clip((found - found.mean()) * scale + wanted.mean(), 0, 1).astype(pixels.dtype)


def with_chroma(pixels: np.ndarray, reference: np.ndarray, amount: float = 1.0) -> np.ndarray:
    """The luminance of a picture with the chroma of another, pixel by pixel.

    Where that colour is out of gamut, which is less than 2 % of a painted picture, its chroma is reduced to
    the most that its luminance allows. Clipping the channels looks the same there, but would change the
    luminance, which the run has painted.

    Args:
      pixels: `[H, W, 3]`; their luminance is kept.
      reference: `[H, W, 3]`.
      amount: share of the reference's chroma; the rest is that of `pixels`.

    Returns:
      `[H, W, 3]` in [0, 1], of the type of `pixels`.
    """
    level = luminance(pixels)
    chroma = mix(pixels - level, reference - luminance(reference), amount)
    room = np.where(chroma > 0, 1 - level, level)
    size = np.abs(chroma)
    share = np.min(np.where(size > room, room / np.maximum(size, 1e-12), 1), axis=-1, keepdims=True)
    return np.clip(level + share * chroma, 0, 1).astype(pixels.dtype)


def _moments(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean `[3]` and regularized covariance `[3, 3]` of the colours, in float64."""
    colors = np.reshape(pixels, (-1, 3)).astype(np.float64)
    mean = colors.mean(axis=0)
    centred = colors - mean
    return mean, centred.T @ centred / len(colors) + _EPSILON * np.eye(3)


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """A power of a symmetric positive definite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 1e-30) ** exponent) @ vectors.T
