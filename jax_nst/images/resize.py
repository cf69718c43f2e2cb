"""Resizing, in float and antialiased."""

import numpy as np
from PIL import Image

from jax_nst.images.picture import Picture


def fit_size(shape: tuple[int, ...], size: int) -> tuple[int, int]:
    """Returns (height, width) with the aspect ratio of `shape` and a longer side of `size` pixels."""
    scale = size / max(shape[:2])
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def resize(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resizes with an antialiased Lanczos filter, `[H, W, C]` -> `[*shape, C]`, clipped to [0, 1]."""
    if pixels.shape[:2] == tuple(shape):
        return pixels
    height, width = shape
    channels = [
        Image.fromarray(np.ascontiguousarray(channel)).resize((width, height), Image.Resampling.LANCZOS)
        for channel in np.moveaxis(np.asarray(pixels, np.float32), -1, 0)
    ]
    return np.clip(np.stack([np.asarray(channel) for channel in channels], axis=-1), 0, 1)


def shrink(pixels: np.ndarray, size: int) -> np.ndarray:
    """Resizes to a longer side of `size`, keeping the aspect ratio; smaller images are unchanged."""
    return resize(pixels, fit_size(pixels.shape, min(size, max(pixels.shape[:2]))))


def cover(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resizes to the smallest size that covers `shape`, keeping the aspect ratio, and crops the centre.

    Returns:
      `[*shape, 3]`.
    """
    scale = max(shape[0] / pixels.shape[0], shape[1] / pixels.shape[1])
    height = max(shape[0], round(pixels.shape[0] * scale))
    width = max(shape[1], round(pixels.shape[1] * scale))
    top, left = (height - shape[0]) // 2, (width - shape[1]) // 2
    return resize(pixels, (height, width))[top : top + shape[0], left : left + shape[1]]


def resize_picture(picture: Picture, size: int) -> Picture:
    """Resizes pixels and alpha to a longer side of `size`, keeping the aspect ratio."""
    shape = fit_size(picture.pixels.shape, size)
    if picture.alpha is None or picture.pixels.shape[:2] == shape:
        return Picture(resize(picture.pixels, shape), picture.alpha)
    # Premultiplied alpha keeps the colour of transparent pixels from bleeding into visible ones.
    alpha = resize(picture.alpha[..., None], shape)
    premultiplied = resize(picture.pixels * picture.alpha[..., None], shape)
    return Picture(np.clip(premultiplied / np.maximum(alpha, 1e-6), 0, 1), alpha[..., 0])
