"""Gaussian blur and noise of pixels; the same seed gives the same noise."""

import itertools

import jax
import numpy as np
from PIL import Image

_CELLS = 64
"""The coarsest grain has at least so many cells along the longer side."""


def blur(pixels: np.ndarray, deviation: float) -> np.ndarray:
    """Convolves with a Gaussian; at the border, only pixels of the picture count.

    Args:
      pixels: `[H, W, C]`.
      deviation: standard deviation of the Gaussian, in pixels.
    """

    def weights(length: int) -> np.ndarray:
        """`[length, length]`, rows add up to 1."""
        x = np.arange(length, dtype=np.float32)
        gaussian = np.exp(-(((x[:, None] - x) / max(deviation, 0.01)) ** 2) / 2)
        return gaussian / gaussian.sum(axis=1, keepdims=True)

    rows, columns = (weights(length) for length in pixels.shape[:2])
    return np.stack([rows @ channel @ columns.T for channel in np.moveaxis(pixels, -1, 0)], axis=-1)


def white_noise(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Independent standard normal numbers."""
    return np.asarray(jax.random.normal(jax.random.key(seed), shape, np.float32))


def grain(shape: tuple[int, int], seed: int) -> np.ndarray:
    """Grey noise at several scales, `[H, W, 1]`, of mean 0 and standard deviation 1.

    It is the sum of octaves of equal variance: white noise in cells of 1, 2, 4, ... pixels, enlarged
    smoothly, with at least 64 cells along the longer side. So smaller copies have grain too.

    Args:
      shape: (height, width).
      seed: same seed, same noise.
    """
    total = np.zeros(shape, np.float32)
    for octave in itertools.takewhile(lambda n: n == 0 or max(shape) >= _CELLS * 2**n, itertools.count()):
        cells = tuple(-(-side // 2**octave) for side in shape)
        key = jax.random.fold_in(jax.random.key(seed), octave)
        noise = np.asarray(jax.random.normal(key, cells, np.float32))
        enlarged = Image.fromarray(noise).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
        total += _normalized(np.asarray(enlarged))
    return _normalized(total)[..., None]


def _normalized(x: np.ndarray) -> np.ndarray:
    """Mean 0 and standard deviation 1; of a single number, 0."""
    return (x - x.mean()) / max(float(x.std()), 1e-6)
