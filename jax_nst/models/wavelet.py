"""Training-free extractor: rectified wavelet coefficients.

Brochard, Zhang and Mallat, "Generalized Rectifier Wavelet Covariance Models for Texture Synthesis", ICLR
2022 (arXiv:2203.07902), describe a texture by the covariances of rectified wavelet coefficients within a
scale and between neighbouring scales.

Layer `scale{s}`, s = 1 (finest) ... 8, `[h, w, 196]` (100 channels for s = 1), is computed on the image
downsampled by 2^(s-1). Its channels are:

- the rectified responses to 7x7 Gabor wavelets: 3 opponent colours, 8 orientations, 4 phases;
- the 3 low-pass colours, and a constant;
- the responses of scale s-1, averaged over 2x2 blocks. Their Gram product with the responses of scale s
  equals that of the unaveraged ones with the responses of scale s upsampled, at a quarter of the cost.

Layer `luma{s}`, `[h, w, 32]`, holds the responses of the luminance only.
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
_FREQUENCY = np.pi / 2  # radians per pixel
_SIGMA = 1.5  # standard deviation of the Gaussian envelope, in pixels

# Red-green and blue-yellow are doubled, because images vary less in them than in luminance.
_OPPONENT = OPPONENT * np.sqrt([[1 / 3], [8], [6]])

_BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)

LAYERS = (
    *(f"scale{scale}" for scale in range(1, NUM_SCALES + 1)),
    *(f"luma{scale}" for scale in range(1, NUM_SCALES + 1)),
)

# Scales for an image with the area of a 400 x 400 square, such as one of 480 x 320. The content leaves the
# finest scale to the style, whose brush strokes appear there.
_SIDE, _CONTENT_SCALES, _COARSEST = 400, (2, 3), 5


def layers_at(shape: tuple[int, int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Chooses layers that cover the same fraction of the image at every size, so that results look alike.

    At twice the size, content layers are one scale coarser, and style layers include one more scale.

    Args:
      shape: (height, width) in pixels.

    Returns:
      Content layers and style layers.
    """
    octaves = round(math.log2(math.sqrt(math.prod(shape)) / _SIDE))
    most = math.floor(math.log2(min(shape) / _smallest_side((f"scale{_COARSEST}",))))
    octaves = max(min(octaves, most, NUM_SCALES - _COARSEST), 1 - min(_CONTENT_SCALES))
    content = [scale + octaves for scale in _CONTENT_SCALES]
    style = range(1, _COARSEST + octaves + 1)
    return tuple(f"luma{scale}" for scale in content), tuple(f"scale{scale}" for scale in style)


def gabor_bank() -> np.ndarray:
    """Returns zero-mean Gabor wavelets of unit norm, `[7, 7, 16]`: real parts, then imaginary parts."""
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
    """Returns kernels that apply `gabor_bank` to each opponent colour, luminance first, `[7, 7, 3, 48]`."""
    bank = np.einsum("yxk,oc->yxcok", gabor_bank(), _OPPONENT)
    return bank.reshape(KERNEL_SIZE, KERNEL_SIZE, 3, -1).astype(np.float32)


@functools.cache
def _halving(size: int) -> np.ndarray:
    """Returns the matrix that blurs with a binomial filter, mirrored at borders, and downsamples by 2.

    Returns:
      `[ceil(size / 2), size]`.
    """
    half = np.arange(-(-size // 2))
    matrix = np.zeros((len(half), size), np.float32)
    for tap, weight in enumerate(_BINOMIAL):
        position = np.abs(2 * half + tap - 2)
        np.add.at(matrix, (half, np.minimum(position, 2 * (size - 1) - position)), weight)
    return matrix


def _halve(x: jax.Array) -> jax.Array:
    """Blurs and downsamples by 2, `[h, w, C]` -> `[ceil(h/2), ceil(w/2), C]`."""
    h, w, _ = x.shape
    # Matrix products, because XLA takes four times as long to compile sums of strided slices.
    product = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)
    return product("jw,hwc->hjc", _halving(w), product("ih,hwc->iwc", _halving(h), x))


@jax.custom_vjp
def _average_blocks(x: jax.Array) -> jax.Array:
    """Averages 2x2 blocks, with odd sizes edge-padded, `[h, w, C]` -> `[ceil(h/2), ceil(w/2), C]`."""
    h, w, channels = x.shape
    if h % 2 or w % 2:
        x = jnp.pad(x, ((0, h % 2), (0, w % 2), (0, 0)), mode="edge")
    return jnp.mean(x.reshape(-(-h // 2), 2, -(-w // 2), 2, channels), axis=(1, 3))


def _average_forward(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return _average_blocks(x), x[..., :0]  # an empty array that carries the shape


def _average_backward(like: jax.Array, cotangent: jax.Array) -> tuple[jax.Array]:
    # Upsamples, with padded rows and columns counted twice. Autodiff would allocate five arrays of the size
    # of x.
    counts = []
    for axis, size in enumerate(like.shape[:2]):
        cotangent = jax.lax.slice_in_dim(jnp.repeat(cotangent, 2, axis), 0, size, axis=axis)
        counts.append(np.where(np.arange(size) == size - size % 2, 2, 1))
    return (cotangent * (np.outer(*counts)[..., None] / 4).astype(cotangent.dtype),)


_average_blocks.defvjp(_average_forward, _average_backward)  # pyright: ignore[reportFunctionMemberAccess]


def _filter(rgb: jax.Array, precision: str) -> jax.Array:
    """Computes wavelet coefficients of the opponent colours, `[h, w, 3]` -> `[h, w, 48]`."""
    r, dtype = _RADIUS, dtype_of(precision, rgb.dtype)
    mirrored = jnp.pad(rgb, ((r, r), (r, r), (0, 0)), mode="reflect")
    # A "SAME" convolution, cropped, because on a CPU the gradient of a "VALID" one is six times slower. The
    # barrier keeps XLA from merging the crop into the convolution, which would make it "VALID" again.
    y = jax.lax.conv_general_dilated(
        (mirrored - 0.5)[None].astype(dtype),  # zero-mean wavelets ignore the shift; bfloat16 rounds less
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
    """Computes the layers of one scale, and its image and averaged responses for the next."""
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
    # Mirror padding needs one position more than its width, at the coarsest scale.
    return (_RADIUS + 1) * 2 ** (max(int(layer[-1]) for layer in layers) - 1)


def _reach(layers: Sequence[str]) -> int:
    """A filter sees three positions further at its resolution, a halving before it two at its own."""
    finer = 2 ** (max(int(layer[-1]) for layer in layers) - 1)
    return _RADIUS * finer + len(_BINOMIAL) // 2 * (finer - 1)


def wavelet(*, precision: str = "float32") -> Extractor:
    """Returns the wavelet extractor; its params are `{}`.

    Cached, so that equal arguments give the same object, by which programs are cached in turn.

    Raises:
      ValueError: the precision is unknown.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_nst import wavelet
      >>> wavelet().apply({}, jnp.zeros((16, 24, 3)), ["scale1"])["scale1"].shape
      (16, 24, 100)
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
        reach=_reach,
        temporaries=((-0.4, -0.4), (1.8, 0.6), (2.7, 0.9)),
        kept_in_tiles=0.55,
        smallest_side=_smallest_side,
        precision=precision,
    )
