"""The pictures of a transfer at the sizes that it needs them: content, style and start."""

import math
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jax_nst.images import (
    Picture,
    blur,
    bounded_size,
    checked_pixels,
    cover,
    crop,
    crop_shape,
    fit_size,
    grain,
    load_bounded,
    read_head,
    resize,
    resize_picture,
    rotate,
    rotated_shape,
    white_noise,
)
from jax_nst.models.extractor import Extractor
from jax_nst.runtime.values import as_reals
from jax_nst.transfer.config import DEFAULT_SIZE, INITS, MAX_SIZE, Config
from jax_nst.transfer.masks import files_of_masks
from jax_nst.transfer.spec import Level, check_side, crop_ratio, least_side, picture_shape, picture_size

Pixels = np.ndarray | jax.Array
"""`[H, W, 3]`, RGB in [0, 1]."""

PictureLike = Pixels | str | os.PathLike[str] | Any
"""Pixels, 8-bit levels (uint8), the path of an image file, or an image of Pillow."""


class Source(NamedTuple):
    """A picture that is read when its turn comes."""

    shape: tuple[int, ...] | None
    """[H, W, 3] of a content; None if it cannot be read. That of a style is not asked for."""
    load: Callable[[], Pixels]
    """Gives it, or raises ValueError."""
    error: str = ""
    """Why it cannot be read."""


class Start(NamedTuple):
    """Where a run begins."""

    init: str
    """As `Config.init`."""
    seed: int
    """Of the noise."""
    blur: float = 0.0
    """Standard deviation of a Gaussian, relative to the longer side."""
    noise: float = 0.0
    """Standard deviation of noise added."""


class Grain(NamedTuple):
    """Noise that is added to a content."""

    shape: tuple[int, int]
    """(height, width) at which it is made: of the picture at its full size."""
    amount: float
    """Standard deviation."""
    seed: int


def start_of(config: Config, size: int) -> Start:
    """Where a run begins whose picture has a longer side of `size` pixels."""
    return Start(config.init, config.seed, config.init_blur / size, config.init_noise)


def grain_of(config: Config, shape: tuple[int, int]) -> Grain | None:
    """The noise in a content whose picture has `shape` (height, width), if there is any."""
    return Grain(shape, config.noise, config.seed) if config.noise else None


def files_of(config: Config) -> dict[str, str]:
    """The image files that settings name: role, such as `init` or `mask 1` -> path."""
    masks = {f"mask {number}": path for number, path in enumerate(files_of_masks(config.mask), 1)}
    init = {} if config.init in INITS else {"init": config.init}
    return {**init, **masks, **({"style_weight": config.style_map} if config.style_map else {})}


def load_content(content: PictureLike, config: Config) -> Picture:
    """A content as it is in its file; with alpha, or if large, at the size of the picture made of it.

    One that is not a file is composited over white.

    Raises:
      ValueError: it is no picture, or cannot be read.
    """
    if not isinstance(content, str | os.PathLike):
        return Picture(checked_pixels("content", content), None)
    picture = load_bounded(content, lambda shape: _size_to_read(config, shape))
    if picture.alpha is None:
        return picture
    shape = picture.pixels.shape
    ratio = crop_ratio(config, shape)
    if ratio is not None:
        picture = Picture(crop(picture.pixels, ratio), crop(picture.alpha, ratio))
    # Resized alone, the hidden colour of transparent pixels would bleed into their neighbours.
    return resize_picture(picture, picture_shape(config, shape))


def content_shape(content: PictureLike, config: Config, *, flat: bool = False) -> tuple[int, int, int]:
    """[H, W, 3] of what `load_content` returns, or if `flat` `read_content`, from the head of the file.

    Raises:
      ValueError: it is no picture, or the file is missing or not an image.
    """
    if not isinstance(content, str | os.PathLike):
        return checked_pixels("content", content).shape
    shape, has_alpha = read_head(content)
    size = bounded_size(shape, _size_to_read(config, shape))
    read = shape if size is None else (*fit_size(shape, size), 3)
    return (*picture_shape(config, read), 3) if has_alpha and not flat else read


def _size_to_read(config: Config, shape: tuple[int, ...]) -> int:
    """Longer side at which a large content is read, so that its part in the picture has the right size."""
    size, ratio = picture_size(config, shape), crop_ratio(config, shape)
    return size if ratio is None else math.ceil(size * max(shape) / max(crop_shape(shape, ratio)))


def load_style(style: PictureLike, config: Config) -> np.ndarray:
    """The pixels of a style, composited over white; of a large file, at the size that it is used at.

    Raises:
      ValueError: it is no picture, or cannot be read.
    """

    def wanted(shape: tuple[int, ...]) -> int:
        size = config.size or DEFAULT_SIZE  # of the largest picture
        size = config.style_size or math.ceil((config.style_scale or 1) * size)
        size = max(config.style_sizes or (size,))
        # A long style may be used larger, see `style_shape`.
        return max(size, math.ceil(_ENOUGH * max(shape[:2]) / min(shape[:2])))

    if isinstance(style, str | os.PathLike):
        return load_bounded(style, wanted).flat
    return checked_pixels("style", style)


_ENOUGH = 256  # pixels on the shorter side; networks need an eighth of it or less


def read_content(content: PictureLike, config: Config) -> np.ndarray:
    """The pixels of a content; from a file as `load_content`, but composited over white."""
    if isinstance(content, str | os.PathLike):
        return load_bounded(content, lambda shape: _size_to_read(config, shape)).flat
    return checked_pixels("content", content)


def fit_content(level: Level, content: Pixels, added: Grain | None = None) -> np.ndarray:
    """The content, checked, at the shape of the picture; cropped if that has other proportions."""
    pixels = checked_pixels("content", content)
    if added is None:
        return _fitted(pixels, level.shape)
    pixels = _fitted(pixels, added.shape) + added.amount * grain(added.shape, added.seed)
    return resize(np.clip(pixels, 0, 1), level.shape)


def _fitted(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    height, width = shape
    if fit_size(pixels.shape, max(shape)) != shape:
        pixels = crop(pixels, width / height)
    return resize(pixels, shape)


def fit_style(extractor: Extractor, level: Level, style: Pixels, scale: float | None = None) -> np.ndarray:
    """The style, checked, at its size for a picture of that level; see `style_shape`."""
    pixels = checked_pixels("style", style)
    return resize(pixels, style_shape(extractor, level, pixels.shape, scale))


def rotated_style(extractor: Extractor, level: Level, fitted: np.ndarray, angle: float) -> np.ndarray:
    """A style as `fit_style` gives it, rotated by an angle in degrees; its strokes keep their size."""
    check_rotated(extractor, level, fitted.shape, angle)
    return rotate(fitted, angle)


def check_rotated(extractor: Extractor, level: Level, shape: tuple[int, ...], angle: float) -> None:
    """Raises ValueError if a style, fitted to `shape` [H, W, ...], is too small when rotated."""
    what = f"the style image, rotated by {angle:g} degrees and without its corners,"
    remedy = "give a larger style_size, or other angles"
    check_side(what, level, extractor, rotated_shape(shape, angle), remedy)


def style_shape(
    extractor: Extractor, level: Level, shape: tuple[int, ...], scale: float | None = None
) -> tuple[int, int]:
    """(height, width) for a picture of that level of a style of `shape` [H, W, 3].

    Args:
      extractor: the network.
      level: of the picture; says how large styles are.
      shape: of the style.
      scale: longer side relative to that of the picture, of a style with a size of its own.

    Raises:
      ValueError: it is too small for the network.
    """
    own = max(shape[:2])
    # A long style in a small picture: large enough for the network.
    least = math.ceil(least_side(extractor, level) * own / min(shape[:2]))
    scale = level.style_scale if scale is None else scale
    if level.style_size is not None:
        size = level.style_size
    elif scale is not None:
        size = min(MAX_SIZE, max(least, round(scale * level.size)))
    else:
        size = min(max(least, level.size), own)
    fitted = fit_size(shape, size)
    check_side("the style image", level, extractor, fitted, "give a larger style_size, or another image")
    return fitted


def starting_pixels(
    start: Start, content: np.ndarray, styles: Sequence[np.ndarray], shares: Sequence[float]
) -> np.ndarray:
    """`[H, W, 3]`, where the run begins. Of several styles, their mean by `shares`."""
    pixels = _initial(start, content, styles, shares)
    if start.blur:
        pixels = blur(pixels, start.blur * max(pixels.shape[:2]))
    if start.noise:
        pixels = pixels + start.noise * white_noise(pixels.shape, start.seed)
    return np.clip(pixels, 0, 1) if start.blur or start.noise else pixels


def _initial(
    start: Start, content: np.ndarray, styles: Sequence[np.ndarray], shares: Sequence[float]
) -> np.ndarray:
    """The picture to start from, or noise about grey."""
    shape = content.shape[:2]
    if start.init == "content":
        return content
    if start.init == "noise":
        return np.clip(0.5 + 0.1 * white_noise(content.shape, start.seed), 0, 1)
    if start.init == "style":
        mixed = sum(share * cover(style, shape) for share, style in zip(shares, styles, strict=True))
        return np.asarray(mixed, np.float32)
    return cover(load_bounded(start.init, lambda own: _covering(own, shape)).pixels, shape)


def _covering(own: tuple[int, ...], shape: tuple[int, ...]) -> int:
    """Longer side at which a picture of shape `own` covers `shape`."""
    return math.ceil(max(own[:2]) * max(shape[0] / own[0], shape[1] / own[1]))


def style_scales(config: Config, size: int, num_styles: int) -> tuple[float, ...]:
    """The longer side of each style relative to a picture of `size` pixels; none if all have one size.

    Raises:
      ValueError: there are sizes, but not one for each style.
    """
    if config.style_sizes is None:
        return ()
    if len(config.style_sizes) != num_styles:
        raise ValueError(
            f"style_sizes has {len(config.style_sizes)} sizes, but the number of styles that make one "
            f"(blend) is {num_styles}; give a size for each"
        )
    return tuple(own / size for own in config.style_sizes)


def blend_shares(blend: Sequence[float] | None, num_styles: int) -> tuple[float, ...]:
    """The shares of the styles, which add up to 1.

    Raises:
      ValueError: there is not one for each style, or they are not shares.
    """
    if blend is None:
        blend = (1.0,) * num_styles
    blend = as_reals("blend", blend)
    if len(blend) != num_styles:
        raise ValueError(f"blend has {len(blend)} shares for {num_styles} styles; give one for each")
    total = sum(blend)
    if not (0 < total < float("inf") and all(share >= 0 for share in blend)):
        raise ValueError(f"the shares of blend must be zero or more, and not all zero, not {tuple(blend)}")
    return tuple(share / total for share in blend)
