"""What measures need of the features of a picture, computed by one program: Gaussians, and samples."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jax_nst.losses import gram_matrix
from jax_nst.losses.term import at_least_float32
from jax_nst.models.extractor import Extractor, Params
from jax_nst.runtime.platform import Platform, current_platform

_MOST = 32  # rows and columns of samples


class Gaussian(NamedTuple):
    """Mean and covariance of the features of a layer over its positions, float64."""

    mean: np.ndarray
    """`[C]`."""
    covariance: np.ndarray
    """`[C, C]`."""


class Statistics(NamedTuple):
    """Statistics of one picture, on the host."""

    gaussians: dict[str, Gaussian]
    """Layer -> its Gaussian."""
    samples: np.ndarray
    """`[positions, C]`, float64, of another layer; empty if none was named."""


def statistics_of(
    extractor: Extractor,
    params: Params,
    pixels: np.ndarray,
    *,
    layers: Sequence[str] = (),
    sampled: str | None = None,
) -> Statistics:
    """Statistics of the features of a picture.

    Args:
      extractor: where the features come from.
      params: of the extractor.
      pixels: `[H, W, 3]`.
      layers: to fit Gaussians to.
      sampled: layer to sample at a regular grid of at most 32 x 32 positions.
    """
    if not layers and sampled is None:
        return Statistics({}, np.empty((0, 0)))
    found, samples = _compute(current_platform())(
        params, jnp.asarray(pixels, jnp.float32), extractor=extractor, layers=tuple(layers), sampled=sampled
    )
    gaussians = {
        layer: Gaussian(np.asarray(mean, np.float64), np.asarray(covariance, np.float64))
        for layer, (mean, covariance) in found.items()
    }
    return Statistics(gaussians, np.asarray(samples, np.float64))


@functools.cache
def _compute(platform: Platform) -> Callable[..., Any]:
    options = dict(platform.compiler_options)
    static = ("extractor", "layers", "sampled")
    return jax.jit(_moments_and_samples, static_argnames=static, compiler_options=options)


def _moments_and_samples(
    params: Params, pixels: jax.Array, *, extractor: Extractor, layers: tuple[str, ...], sampled: str | None
) -> tuple[dict[str, tuple[jax.Array, jax.Array]], Any]:
    wanted = dict.fromkeys((*layers, sampled) if sampled else layers)
    features = {
        layer: extractor.unit * at_least_float32(x)
        for layer, x in extractor.apply(params, pixels, tuple(wanted)).items()
    }
    moments = {}
    for layer in layers:
        mean = jnp.mean(features[layer], axis=(0, 1))
        moments[layer] = mean, gram_matrix(features[layer] - mean[None, None])  # centred: no cancellation
    return moments, _sample(features[sampled]) if sampled else jnp.empty((0, 0))


def _sample(features: jax.Array) -> jax.Array:
    rows, columns = (np.linspace(0, n - 1, min(n, _MOST)).round().astype(int) for n in features.shape[:2])
    return features[rows][:, columns].reshape(-1, features.shape[-1])
