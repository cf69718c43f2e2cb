"""Masks from images: grey ones as they are, coloured ones as a mask for each of their colours."""

import numpy as np

from jax_nst.images.picture import ImageError

Label = tuple[int, int, int] | None
"""The colour of a region in an image of labels, in 8-bit levels; None for a grey mask."""

MAX_LABELS = 16

_GREY = 8  # levels that the channels of a grey pixel differ by at most
_ALIKE = 48  # levels by which, in some channel, two labels differ at least
_LEAST = 1e-3  # share of the pixels that a label has at least


def masks_of(pixels: np.ndarray) -> dict[Label, np.ndarray]:
    """The masks that an image shows.

    A grey image is one mask: white is inside, black outside, and grey in between, for soft edges. In a
    coloured image each flat colour is the label of a region; black is none. Pixels of other colours, as
    JPEG makes them and antialiased edges have them, belong to the nearest label.

    Args:
      pixels: `[H, W, 3]`, RGB in [0, 1].

    Returns:
      Label -> `[H, W]`, float32 in [0, 1].

    Raises:
      ImageError: there are too many colours.
    """
    levels = np.rint(255 * np.asarray(pixels, np.float32)).astype(np.int32)
    if np.mean(np.ptp(levels, axis=-1) > _GREY) < _LEAST:
        return {None: np.asarray(pixels, np.float32).mean(axis=-1)}
    labels = _labels_of(levels)
    distances = np.stack([np.square(levels - label).sum(axis=-1) for label in labels])
    nearest = np.argmin(distances, axis=0)
    return {
        label: (nearest == number).astype(np.float32)
        for number, label in enumerate(labels)
        if max(label) > _ALIKE  # not black
    }


def same_label(label: Label, labels: list[Label]) -> Label:
    """That of `labels` which has about the colour of `label`; raises KeyError if there is none."""
    if label is None or None in labels:
        if label is None and None in labels:
            return None
        raise KeyError(label)
    distances = [int(np.max(np.abs(np.subtract(label, other)))) for other in labels if other]
    nearest = int(np.argmin(distances))
    if distances[nearest] > _ALIKE:
        raise KeyError(label)
    return labels[nearest]


def _labels_of(levels: np.ndarray) -> list[tuple[int, int, int]]:
    """The flat colours of an image of 8-bit levels, the most frequent first."""
    colours, counts = np.unique(levels.reshape(-1, 3), axis=0, return_counts=True)
    labels: list[np.ndarray] = []
    for index in np.argsort(-counts, kind="stable"):
        if counts[index] < _LEAST * counts.sum():
            break
        if all(np.max(np.abs(colours[index] - label)) > _ALIKE for label in labels):
            labels.append(colours[index])
    if not labels or len(labels) > MAX_LABELS:
        raise ImageError(
            f"has {'more than ' + str(MAX_LABELS) if labels else 'no flat'} colours; a mask is grey, or "
            "painted in a few flat colours"
        )
    return [(int(red), int(green), int(blue)) for red, green, blue in labels]
