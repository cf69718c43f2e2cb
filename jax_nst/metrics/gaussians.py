"""Style distance: Wasserstein-2 between Gaussians fitted to features."""

from collections.abc import Mapping, Sequence

import numpy as np

from jax_nst.metrics.statistics import Gaussian, statistics_of
from jax_nst.models.extractor import Extractor, Params

_FLOOR = 1e-12
"""Least power of a layer to divide by; that of a style whose features are all zero."""


def mix(gaussians: Sequence[Gaussian], shares: Sequence[float]) -> Gaussian:
    """Mean and covariance of the mixture of several Gaussians, by shares that add up to 1."""
    means = np.stack([one.mean for one in gaussians])
    covariances = np.stack([one.covariance for one in gaussians])
    mean = np.tensordot(shares, means, axes=1)
    spread = means - mean
    between = np.einsum("n,ni,nj->ij", shares, spread, spread)
    return Gaussian(mean, np.tensordot(shares, covariances, axes=1) + between)


def wasserstein2(first: Gaussian, second: Gaussian) -> float:
    """Squared Wasserstein-2 distance, |μ - μₜ|² + tr(S + Sₜ - 2 (Sₜ^½ S Sₜ^½)^½).

    Dowson and Landau 1982. The trace of the last root is the sum of the singular values of S^½ Sₜ^½, which
    loses no digits where the two are equal.

    Returns:
      Zero or more; 0 for equal Gaussians. Lower is nearer.
    """
    traces = np.trace(first.covariance) + np.trace(second.covariance)
    cross = np.linalg.norm(_root(first.covariance) @ _root(second.covariance), "nuc")
    distance = np.sum(np.square(first.mean - second.mean)) + traces - 2 * cross
    return max(0.0, float(distance))


def _root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric root; rounding below zero counts as zero."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def relative_distance(found: Mapping[str, Gaussian], target: Mapping[str, Gaussian]) -> float:
    """Mean over layers of `wasserstein2`, relative to the power of the target; NaN if there is no layer."""
    if not target:
        return float("nan")
    return float(np.mean([wasserstein2(found[layer], own) / _power(own) for layer, own in target.items()]))


def _power(gaussian: Gaussian) -> float:
    """tr S + |μ|², the mean square of the features."""
    return max(_FLOOR, float(np.trace(gaussian.covariance) + np.sum(np.square(gaussian.mean))))


def style_distance(
    pixels: np.ndarray,
    style: np.ndarray,
    extractor: Extractor,
    params: Params,
    *,
    layers: Sequence[str],
) -> float:
    """Distance of the features of two pictures, as Gaussians over positions.

    Mean over layers of W₂² / (tr Sₜ + |μₜ|²), see `wasserstein2`. Heusel et al. 2017 (arXiv:1706.08500)
    compare sets of pictures by W₂² of Inception's features. A loss lowers it on its own layers whatever
    the picture looks like: take others.

    Args:
      pixels: `[H, W, 3]`.
      style: of any shape.
      extractor: where the features come from.
      params: of the extractor.
      layers: of the extractor.

    Returns:
      Zero or more: 0 for equal statistics, 1 for features that are all zero. Lower is better.
    """
    found, target = (statistics_of(extractor, params, x, layers=layers).gaussians for x in (pixels, style))
    return relative_distance(found, target)
