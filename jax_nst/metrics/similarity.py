"""Content measure of deep features: how alike each place is to each other place."""

import numpy as np

from jax_nst.metrics.statistics import statistics_of
from jax_nst.models.extractor import Extractor, Params

_FLOOR = 1e-12


def compare_similarities(samples: np.ndarray, targets: np.ndarray) -> float:
    """As `self_similarity`, of features `[positions, C]`."""
    found, wanted = (_distances(x) for x in (samples, targets))
    return float(np.sum(np.abs(found - wanted)) / len(found))


def _distances(samples: np.ndarray) -> np.ndarray:
    """Cosine distances between positions, `[n, n]`; each column has the sum 1."""
    unit = samples / np.maximum(np.linalg.norm(samples, axis=1, keepdims=True), _FLOOR)
    distances = np.maximum(1 - unit @ unit.T, 0)
    return distances / np.maximum(distances.sum(axis=0), _FLOOR)


def self_similarity(
    pixels: np.ndarray, content: np.ndarray, extractor: Extractor, params: Params, *, layer: str
) -> float:
    """Difference of the self-similarities of two pictures, which do not depend on colours or strokes.

    Mean over columns of Σ |D̂ - D̂ₜ|, where D has the cosine distances of features between positions, and
    each column of D̂ is that of D divided by its sum: the content term of Kolkin, Salavon and
    Shakhnarovich 2019 (STROTSS, arXiv:1904.12785), times the number of positions. Positions are a regular
    grid of 32 x 32 at most.

    Args:
      pixels: `[H, W, 3]`.
      content: of the same shape.
      extractor: where the features come from.
      params: of the extractor.
      layer: of the extractor, a deep one.

    Returns:
      From 0 to 2; 0 for equal self-similarities. Lower is better.
    """
    found, target = (statistics_of(extractor, params, x, sampled=layer) for x in (pixels, content))
    return compare_similarities(found.samples, target.samples)
