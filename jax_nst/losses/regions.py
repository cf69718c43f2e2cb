"""Masks at the layers of an extractor: how much each position counts for each region of a picture."""

from collections.abc import Mapping, Sequence

import numpy as np

from jax_nst.losses.term import Target, Targets

REGIONS = "regions"
"""The key in `Targets` of where the regions of a picture are: layer -> `Target` of the weights of
positions, `[h, w, R]`, each of mean 1, and of the factors of the regions' losses, `[R]`."""

_BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16
_LEAST_WEIGHT = 1e-6  # of the mean, which divides


def region_targets(
    masks: Sequence[np.ndarray], factors: Sequence[float], shapes: Mapping[str, tuple[int, int]]
) -> Targets:
    """The entry `REGIONS` of the targets of a picture.

    The loss of a region is multiplied by its share of the picture: so each of its pixels feels the style as
    strongly as in a picture that is all one region.

    Args:
      masks: `[H, W]` of each region, in [0, 1], at the size of the picture.
      factors: of the regions' losses, beside their shares.
      shapes: layer -> (h, w).
    """
    shares = [factor * float(np.mean(mask)) for factor, mask in zip(factors, masks, strict=True)]
    return {
        REGIONS: {
            layer: Target(
                np.stack([position_weights(mask, shape) for mask in masks], axis=-1),
                np.array(shares, np.float32),
            )
            for layer, shape in shapes.items()
        }
    }


def position_weights(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """How much each position of a layer counts for a region: of mean 1.

    A feature sees a part of the picture, its receptive field, and counts as much as the mask covers that.
    Of neighbouring masks the weights add up to one everywhere before they are divided by their means, so
    that no position at a border is left unpainted, as it is where guides are 0 or 1 (Gatys et al. 2017,
    arXiv:1611.07865, section 4.1).

    Args:
      mask: `[H, W]`, in [0, 1].
      shape: (h, w) of the layer.

    Returns:
      `[h, w]`, float32.
    """
    weights = through_receptive_field(mask, shape)
    return weights / max(float(np.mean(weights)), _LEAST_WEIGHT)


def through_receptive_field(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The mean of a mask over the receptive field of each position, about.

    A binomial filter of variance 1 at each resolution, from the picture's to the layer's, each half the one
    before. For the first layer of each block of a VGG that has nearly the variance of the receptive field
    (the published 3 x 3 convolutions and poolings with equal weights).

    Args:
      mask: `[H, W]`.
      shape: (h, w) of the layer.

    Returns:
      `[h, w]`, float32.
    """
    weights = _smoothed(np.asarray(mask, np.float32))
    halvings = round(np.log2(max(1.0, weights.shape[0] / shape[0], weights.shape[1] / shape[1])))
    for left in reversed(range(halvings)):
        height, width = (-(-side // 2) for side in weights.shape)
        smaller = (height, width) if left else shape
        weights = _smoothed(_halved(weights, smaller))
    return weights


def _smoothed(weights: np.ndarray) -> np.ndarray:
    for axis in (0, 1):
        width = [(2, 2) if axis == other else (0, 0) for other in (0, 1)]
        padded = np.pad(weights, width, mode="edge")
        size = weights.shape[axis]
        parts = [np.take(padded, range(i, i + size), axis) for i in range(len(_BINOMIAL))]
        weights = np.sum([factor * part for factor, part in zip(_BINOMIAL, parts, strict=True)], axis=0)
    return weights


def _halved(weights: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Means over blocks of two by two, at most `shape` of them; an odd side repeats its last ones."""
    missing = [max(0, 2 * side - own) for side, own in zip(shape, weights.shape, strict=True)]
    padded = np.pad(weights, [(0, count) for count in missing], mode="edge")[: 2 * shape[0], : 2 * shape[1]]
    return padded.reshape(shape[0], 2, shape[1], 2).mean(axis=(1, 3))
