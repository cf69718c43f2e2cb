"""All measures of a picture, by name."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from jax_nst.images import MAX_SIZE, as_pictures, checked_pixels, cover, fit_size, resize, shrink
from jax_nst.metrics.artifacts import clipped_share, variation
from jax_nst.metrics.gaussians import mix, relative_distance
from jax_nst.metrics.luma import edge_agreement, ssim
from jax_nst.metrics.oklab import color_quantiles
from jax_nst.metrics.similarity import compare_similarities
from jax_nst.metrics.statistics import Gaussian, Statistics, statistics_of
from jax_nst.models.download import bundled
from jax_nst.models.extractor import Extractor, Params
from jax_nst.models.vgg import vgg
from jax_nst.models.wavelet import layers_at, wavelet
from jax_nst.models.weights import load_params
from jax_nst.runtime.values import as_names, as_reals, as_whole


class Metric(NamedTuple):
    """What a measure means."""

    better: Literal["lower", "higher", "near 1"]
    range: str
    doc: str


METRICS = {
    "style_distance_vgg": Metric(
        "lower",
        "0 and more",
        "Wasserstein-2 distance to the style on VGG19-lite's layers that were not painted with",
    ),
    "style_distance_wavelet": Metric(
        "lower", "0 and more", "the same on the wavelets' layers; none if it was painted with all of them"
    ),
    "content_ssim": Metric("higher", "-1 to 1", "structural similarity to the luma of the content"),
    "content_self_similarity": Metric(
        "lower", "0 to 2", "difference from the content in which places are alike, on relu3_4"
    ),
    "content_edges": Metric("higher", "-1 to 1", "correlation of the edges with those of the content"),
    "color_distance_style": Metric(
        "lower", "0 to 0.7", "distance of the sorted OkLab channels to those of the style"
    ),
    "color_distance_content": Metric(
        "lower", "0 to 0.7", "the same to those of the content: lower keeps its colours"
    ),
    "clipped": Metric("lower", "0 to 1", "share of the pixels with a channel at 0 or 255"),
    "variation_ratio": Metric(
        "near 1", "0 and more", "total variation over that of the style: above 1 is noisier, below smoother"
    ),
}
"""Name -> which way is better, the range, and what it is; in the order of tables."""

_BLOCKS = (("relu1_2", "relu1_1"), ("relu2_2", "relu2_1"), ("relu3_2", "relu3_1"))
"""VGG19-lite's layers to measure on: of each block the first that was not painted with."""

_DEEP = "relu3_4"
"""The deepest layer of VGG19-lite."""

_LEAST_VARIATION = 1e-9


class ContentSide(NamedTuple):
    """What pictures are compared with on the side of the content."""

    pixels: np.ndarray
    """`[H, W, 3]`."""
    samples: np.ndarray
    """See `Statistics`."""
    colors: np.ndarray
    """See `color_quantiles`."""


class StyleSide(NamedTuple):
    """What pictures are compared with on the side of the style."""

    vgg: dict[str, Gaussian]
    wavelet: dict[str, Gaussian]
    colors: np.ndarray
    """See `color_quantiles`."""
    variation: float


def content_side(content: np.ndarray, painted: Sequence[str] = ()) -> ContentSide:
    """Prepares a content, `[H, W, 3]` as the picture; `painted` as of `style_side`."""
    samples = _vgg_statistics(content, painted).samples
    return ContentSide(content, samples, color_quantiles([content], [1.0]))


def style_side(
    styles: Sequence[np.ndarray],
    shares: Sequence[float],
    shape: tuple[int, ...],
    painted: Sequence[str] = (),
) -> StyleSide:
    """Prepares a style, or several that make one.

    Args:
      styles: at the sizes that the run used them at.
      shares: one for each style; they add up to 1.
      shape: of the picture, [H, W, ...].
      painted: layers that the loss compared with the style; they are left out.
    """
    sides = [side for picture in (shape, *(style.shape for style in styles)) for side in picture[:2]]
    layers = wavelet_layers(shape, min(sides), painted)
    return StyleSide(
        _mixed([_vgg_statistics(style, painted) for style in styles], shares),
        _mixed([statistics_of(wavelet(), {}, style, layers=layers) for style in styles], shares),
        color_quantiles(styles, shares),
        sum(share * variation(style) for share, style in zip(shares, styles, strict=True)),
    )


def vgg_layers(painted: Sequence[str]) -> tuple[str, ...]:
    """The layers of VGG19-lite to measure on."""
    taken = {layer.replace("conv", "relu") for layer in painted}
    left = ([layer for layer in block if layer not in taken] for block in _BLOCKS)
    return tuple(block[0] for block in left if block)


def wavelet_layers(shape: tuple[int, ...], least: int, painted: Sequence[str]) -> tuple[str, ...]:
    """The wavelets' layers to measure on, of pictures of at least so many pixels on each side."""
    _, layers = layers_at((shape[0], shape[1]))
    fitting = [layer for layer in layers if wavelet().smallest_side((layer,)) <= least]
    return tuple(layer for layer in fitting if layer not in painted)


@functools.cache
def _vgg() -> tuple[Extractor, Params]:
    """VGG19-lite with the params that come with the package: every run is measured by the same network."""
    return vgg("vgg19-lite"), load_params(bundled(), [_DEEP], network="vgg19-lite")


def _vgg_statistics(pixels: np.ndarray, painted: Sequence[str]) -> Statistics:
    """Of contents, styles and pictures alike, so that those of one shape share a program."""
    return statistics_of(*_vgg(), pixels, layers=vgg_layers(painted), sampled=_DEEP)


def _mixed(found: Sequence[Statistics], shares: Sequence[float]) -> dict[str, Gaussian]:
    """The Gaussian of each layer of several styles together."""
    return {layer: mix([one.gaussians[layer] for one in found], shares) for layer in found[0].gaussians}


def measure(
    pixels: np.ndarray, content: ContentSide, style: StyleSide, names: Sequence[str] = tuple(METRICS)
) -> dict[str, float]:
    """Measures of a picture, as `measure_picture`; content and style may serve several pictures."""

    @functools.cache
    def of_vgg() -> Statistics:
        return statistics_of(*_vgg(), pixels, layers=tuple(style.vgg), sampled=_DEEP)

    def of_wavelet() -> Statistics:
        return statistics_of(wavelet(), {}, pixels, layers=tuple(style.wavelet))

    @functools.cache
    def colors() -> np.ndarray:
        return color_quantiles([pixels], [1.0])

    measures: dict[str, Callable[[], float]] = {
        "style_distance_vgg": lambda: relative_distance(of_vgg().gaussians, style.vgg),
        "style_distance_wavelet": lambda: relative_distance(of_wavelet().gaussians, style.wavelet),
        "content_ssim": lambda: ssim(pixels, content.pixels),
        "content_self_similarity": lambda: compare_similarities(of_vgg().samples, content.samples),
        "content_edges": lambda: edge_agreement(pixels, content.pixels),
        "color_distance_style": lambda: float(np.mean(np.abs(colors() - style.colors))),
        "color_distance_content": lambda: float(np.mean(np.abs(colors() - content.colors))),
        "clipped": lambda: clipped_share(pixels),
        "variation_ratio": lambda: variation(pixels) / max(style.variation, _LEAST_VARIATION),
    }
    return {name: measures[name]() for name in names}


def lines_of(measures: Mapping[str, float]) -> list[str]:
    """Measures in aligned lines, for people; what could not be measured is left out."""
    shown = {name: value for name, value in measures.items() if math.isfinite(value)}
    width = max(map(len, shown), default=0)
    return [f"{name:{width}} {value:9.4f}  {_wanted(name)}" for name, value in shown.items()]


def _wanted(name: str) -> str:
    better = METRICS[name].better
    return f"{better} is better" if better in ("lower", "higher") else better


def measure_picture(
    pixels: Any,
    content: Any,
    style: Any,
    *,
    blend: Sequence[float] | None = None,
    style_size: int | None = None,
    painted: Sequence[str] = (),
) -> dict[str, float]:
    """Measures a picture against its content and its style; see `METRICS`.

    Args:
      pixels: the picture, as `stylize` takes one.
      content: the same; resized and cropped to the shape of the picture.
      style: the same, or several, which make one style.
      blend: the share of each of several styles; equal ones if None.
      style_size: longer side of the style in pixels; None for the picture's, or the style's own if that is
        smaller. Take that of the run: statistics depend on it.
      painted: layers that the loss compared with the style, such as `scale1`; the style distances leave
        them out. VGG's `relu1_1`, `relu2_1` and `relu3_1` need not be named.

    Returns:
      Name -> value, in the order of `METRICS`; NaN for a style distance that has no layer left.

    Raises:
      ValueError: an argument is no picture, or there is not one share for each style.

    Example:
      >>> import numpy as np
      >>> from jax_nst import measure_picture
      >>> content, style = np.random.default_rng(0).random((2, 32, 40, 3), np.float32)
      >>> measures = measure_picture(content, content, style)
      >>> round(measures["content_ssim"], 6), measures["style_distance_vgg"] > 0
      (1.0, True)
    """
    picture = checked_pixels("pixels", pixels)
    shape = picture.shape[:2]
    styles = [
        _sized(checked_pixels("style", one), shape, style_size) for one in as_pictures("style", style)
    ]
    least = _vgg()[0].smallest_side((_DEEP,))
    if min(*shape, *(side for one in styles for side in one.shape[:2])) < least:
        raise ValueError(
            f"the picture and the style must have {least} pixels a side, or more, to be measured"
        )
    shares = _shares(blend, len(styles))
    painted = as_names("painted", painted)
    fitted = cover(checked_pixels("content", content), shape)
    return measure(picture, content_side(fitted, painted), style_side(styles, shares, shape, painted))


def _sized(style: np.ndarray, shape: tuple[int, ...], size: int | None) -> np.ndarray:
    """A style at its size for a picture of that shape."""
    if size is None:
        return shrink(style, max(shape))
    return resize(style, fit_size(style.shape, as_whole("style_size", size, 1, MAX_SIZE)))


def _shares(blend: Sequence[float] | None, count: int) -> tuple[float, ...]:
    """One for each style, of sum 1."""
    shares = as_reals("blend", (1.0,) * count if blend is None else blend)
    total = math.fsum(shares)
    if len(shares) != count or min(shares) < 0 or not 0 < total < math.inf:
        raise ValueError(
            f"blend must have a share of zero or more for each of {count} styles, not {shares}"
        )
    return tuple(share / total for share in shares)
