"""The training-free extractor: rectified wavelet responses, for a machine without VGG.

Brochard, Zhang and Mallat, "Generalized Rectifier Wavelet Covariance Models for Texture
Synthesis", ICLR 2022 (arXiv:2203.07902): the covariances of rectified wavelet
coefficients, within a scale and between neighbouring scales, describe a texture.

Layer `scale{s}`, s = 1 (finest) ... 8, on the picture halved s-1 times, `[h, w, 196]` (100 for s = 1):
for each of 3 opponent colours, 8 orientations and 4 phases, the rectified response to a 7x7 Gabor wavelet;
the 3 low-pass colours; a constant; and the responses of scale s-1, averaged
over 2x2 blocks. The Gram product of the last with the first equals, exactly, that of the finer
responses with the coarser ones enlarged, at a quarter of the work.
Layer `luma{s}`, `[h, w, 32]`: the responses of the luminance alone.
A picture of twice the size is compared at one scale more.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_nst.images import OPPONENT, mix_colours
from jax_nst.models.extractor import PRECISIONS, Extractor, Features, Params, Stage, dtype_of, products_of

NUM_SCALES = 8
NUM_ORIENTATIONS = 8
KERNEL_SIZE = 7

_RADIUS = KERNEL_SIZE // 2
_FREQUENCY = np.pi / 2  # radians a pixel
_SIGMA = 1.5  # pixels, of the Gaussian envelope

# Luminance, red-green, blue-yellow. The last two are doubled: they vary less in pictures.
_OPPONENT = OPPONENT * np.sqrt([[1 / 3], [8], [6]])

_BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)

LAYERS = (
    *(f"scale{scale}" for scale in range(1, NUM_SCALES + 1)),
    *(f"luma{scale}" for scale in range(1, NUM_SCALES + 1)),
)

# In a picture with the area of a square of so many pixels, such as one of 480 x 320.
_SIDE = 400
# The finest scale is left to the style: that is where its brush strokes are.
_CONTENT_SCALES, _COARSEST = (2, 3), 5


def layers_at(shape: tuple[int, int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The content and the style layers of a picture of `shape`, (height, width) in pixels.

    They reach as far across the picture at every size, so that it looks the same: at twice the
    size the content is compared one scale coarser, and the style at one scale more.
    """
    octaves = round(math.log2(math.sqrt(math.prod(shape)) / _SIDE))
    most = math.floor(math.log2(min(shape) / _smallest_side((f"scale{_COARSEST}",))))
    octaves = max(min(octaves, most, NUM_SCALES - _COARSEST), 1 - min(_CONTENT_SCALES))
    content = [scale + octaves for scale in _CONTENT_SCALES]
    style = range(1, _COARSEST + octaves + 1)
    return tuple(f"luma{scale}" for scale in content), tuple(f"scale{scale}" for scale in style)


def gabor_bank() -> np.ndarray:
    """Zero-mean Gabor wavelets of unit norm, `[7, 7, 16]`: real parts, then imaginary parts."""
    y, x = np.mgrid[-_RADIUS : _RADIUS + 1, -_RADIUS : _RADIUS + 1]
    envelope = np.exp(-(x**2 + y**2) / (2 * _SIGMA**2))
    waves = []
    for part in (np.cos, np.sin):
        for theta in np.arange(NUM_ORIENTATIONS) * np.pi / NUM_ORIENTATIONS:
            wave = part(_FREQUENCY * (x * np.cos(theta) + y * np.sin(theta)))
            wave = envelope * (wave - np.sum(envelope * wave) / np.sum(envelope))
            waves.append(wave / np.linalg.norm(wave))
    return np.stack(waves, axis=-1).astype(np.float32)


@functools.cache
def _colour_bank() -> np.ndarray:
    """`gabor_bank` of each opponent colour, on RGB: `[7, 7, 3, 48]`, luminance first."""
    bank = np.einsum("yxk,oc->yxcok", gabor_bank(), _OPPONENT)
    return bank.reshape(KERNEL_SIZE, KERNEL_SIZE, 3, -1).astype(np.float32)


@functools.cache
def _halving(size: int) -> np.ndarray:
    """Blurs by a binomial, mirrored at the borders, and keeps every other place: `[ceil(n/2), n]`."""
    half = np.arange(-(-size // 2))
    matrix = np.zeros((len(half), size), np.float32)
    for tap, weight in enumerate(_BINOMIAL):
        place = np.abs(2 * half + tap - 2)
        np.add.at(matrix, (half, np.minimum(place, 2 * (size - 1) - place)), weight)
    return matrix


def _halve(x: jax.Array) -> jax.Array:
    """Blurred by a binomial and halved, `[h, w, C]` -> `[ceil(h/2), ceil(w/2), C]`."""
    h, w, _ = x.shape
    # By products of matrices: as sums of strided slices it takes XLA four times as long to compile.
    product = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)
    return product("jw,hwc->hjc", _halving(w), product("ih,hwc->iwc", _halving(h), x))


@jax.custom_vjp
def _average_blocks(x: jax.Array) -> jax.Array:
    """Means over 2x2 blocks, the last repeated at an odd border, `[h, w, C]` -> as `_halve`."""
    h, w, channels = x.shape
    if h % 2 or w % 2:
        x = jnp.pad(x, ((0, h % 2), (0, w % 2), (0, 0)), mode="edge")
    return jnp.mean(x.reshape(-(-h // 2), 2, -(-w // 2), 2, channels), axis=(1, 3))


def _average_forward(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return _average_blocks(x), x[..., :0]  # nothing but its shape is needed


def _average_backward(like: jax.Array, cotangent: jax.Array) -> tuple[jax.Array]:
    # Enlarged, and what was repeated counts twice. Autodiff makes five arrays as large as x for that.
    counts = []
    for axis, size in enumerate(like.shape[:2]):
        cotangent = jax.lax.slice_in_dim(jnp.repeat(cotangent, 2, axis), 0, size, axis=axis)
        counts.append(np.where(np.arange(size) == size - size % 2, 2, 1))
    return (cotangent * (np.outer(*counts)[..., None] / 4).astype(cotangent.dtype),)


_average_blocks.defvjp(_average_forward, _average_backward)  # pyright: ignore[reportFunctionMemberAccess]


def _filter(rgb: jax.Array, precision: str) -> jax.Array:
    """The wavelet coefficients of the opponent colours, `[h, w, 3]` -> `[h, w, 48]`."""
    r, dtype = _RADIUS, dtype_of(precision, rgb.dtype)
    mirrored = jnp.pad(rgb, ((r, r), (r, r), (0, 0)), mode="reflect")
    # Padded the same and cropped: on a CPU the gradient of a "VALID" convolution is six times slower. The
    # barrier keeps XLA from making one of the two.
    y = jax.lax.conv_general_dilated(
        (mirrored - 0.5)[None].astype(dtype),  # the wavelets do not see a constant, but bfloat16 does
        jnp.asarray(_colour_bank(), dtype),
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=products_of(precision),
    )
    return jax.lax.optimization_barrier(y)[0][r:-r, r:-r]


def _scale(
    params: Params, carry: tuple[jax.Array, jax.Array | None], *, number: int, layers: Any, precision: str
) -> tuple[tuple[jax.Array, jax.Array], Features]:
    """One scale, of the picture halved and the responses of the finer scale, averaged."""
    del params
    rgb, finer = carry
    y = _filter(rgb, precision)
    luma = y[..., : 2 * NUM_ORIENTATIONS]
    low = mix_colours(rgb, _OPPONENT.T).astype(y.dtype)
    own = [jax.nn.relu(y), jax.nn.relu(-y), low, jnp.ones_like(low[..., :1])]
    features = {
        f"scale{number}": jnp.concatenate(own if finer is None else [*own, finer], axis=-1),
        f"luma{number}": jax.nn.relu(jnp.concatenate([luma, -luma], axis=-1)),
    }
    after = _halve(rgb), _average_blocks(jnp.concatenate(own[:2], axis=-1))
    return after, {layer: value for layer, value in features.items() if layer in layers}


def _stages(layers: Sequence[str], *, precision: str) -> list[Stage]:
    scale = functools.partial(_scale, layers=layers, precision=precision)

    def finest(params: Params, pixels: jax.Array) -> Any:
        return scale(params, (pixels, None), number=1)

    coarsest = max(int(layer[-1]) for layer in layers)
    return [finest, *(functools.partial(scale, number=number) for number in range(2, coarsest + 1))]


def _smallest_side(layers: Sequence[str]) -> int:
    # A mirrored border needs one position more than it is wide, at the coarsest scale.
    return (_RADIUS + 1) * 2 ** (max(int(layer[-1]) for layer in layers) - 1)


def wavelet(*, precision: str = "float32") -> Extractor:
    """The extractor; its params are `{}`, and it is the same object for the same precision.

    Raises:
      ValueError: the precision is unknown.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}; the valid ones are {', '.join(PRECISIONS)}")
    return _make(precision)


@functools.cache
def _make(precision: str) -> Extractor:
    content_layers, style_layers = layers_at((_SIDE, _SIDE))
    return Extractor(
        name="wavelet",
        layers=LAYERS,
        content_layers=content_layers,
        style_layers=style_layers,
        layers_at=layers_at,
        stages=functools.partial(_stages, precision=precision),
        radius=_RADIUS + 1,
        smallest_side=_smallest_side,
    )
