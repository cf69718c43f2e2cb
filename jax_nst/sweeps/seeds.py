"""Means and spread over seeds: of losses and measures, and of every pixel."""

import math
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from jax_nst.images import ImageError, load_image, quantize, shrink
from jax_nst.sweeps.card import Card
from jax_nst.sweeps.job import THUMBNAILS
from jax_nst.sweeps.thumbnails import Thumbnail, read_thumbnail, write_thumbnail
from jax_nst.transfer.outcome import Status

WHITE = 0.25
"""Deviation, of a range of 1, that is white on a map; the same on all, so that they can be compared."""

_SIDE = 256  # longer side of a map, in pixels


class Group(NamedTuple):
    """Items that differ in nothing but their seed."""

    labels: dict[str, str]
    """Of what they share."""
    members: list[int]
    """Their places among the cards."""
    mean: dict[str, float]
    """Name of a loss or measure -> mean of the items that have it."""
    spread: dict[str, float]
    """Name -> standard deviation; without those of which fewer than two items have a value."""


class Deviation(NamedTuple):
    """How much the pictures of a group differ."""

    map: Thumbnail
    """Grey: black where the pictures agree, white at `WHITE` and more."""
    rms: float
    """Root mean square over the pixels."""


def group_seeds(cards: Sequence[Card]) -> list[Group]:
    """Groups the items that were painted to their end by all labels but the seed, in order of appearance.

    The mean of n values is m = sum(x) / n, and their standard deviation sqrt(sum((x - m)²) / (n - 1)),
    which estimates that of all seeds from those that were tried.

    Returns:
      The groups; none if the seed does not vary.
    """
    found: dict[tuple[object, ...], list[int]] = {}
    for number, card in enumerate(cards):
        if "seed" in card.labels and card.file and not Status.of(card.status).is_early:
            shared = [pair for pair in card.labels.items() if pair[0] != "seed"]
            found.setdefault((card.outside, *shared), []).append(number)
    if all(len(members) == 1 for members in found.values()):
        return []
    return [_group(cards, members) for members in found.values()]


def _group(cards: Sequence[Card], members: list[int]) -> Group:
    labels = {name: label for name, label in cards[members[0]].labels.items() if name != "seed"}
    values: dict[str, list[float]] = {}
    for number in members:
        for name, value in {**cards[number].losses, **cards[number].measures}.items():
            values.setdefault(name, []).append(value)
    mean = {name: float(np.mean(of_name)) for name, of_name in values.items()}
    spread = {name: float(np.std(x, ddof=1)) for name, x in values.items() if len(x) > 1}
    return Group(labels, members, mean, spread)


def deviation_of(pictures: Iterable[np.ndarray]) -> np.ndarray | None:
    """Deviation of each pixel over pictures: sqrt(mean over channels of their variance), `[H, W]`.

    The variance of n values is sum((x - mean)²) / (n - 1). It is updated by each picture (Welford 1962), so
    that one is held at a time.

    Args:
      pictures: each `[H, W, C]`; those of another shape than the first are left out.

    Returns:
      The deviation; None of fewer than two pictures.
    """
    count, mean, squares = 0, np.zeros((1, 1, 1), np.float32), np.zeros((1, 1), np.float32)
    for pixels in pictures:
        if count and pixels.shape != mean.shape:
            continue
        count += 1
        change = pixels - mean
        # (x - old mean)(x - new mean), summed over channels; in place, for pictures may be large.
        squares = squares + np.einsum("hwc,hwc->hw", change, change) * (1 - 1 / count)
        change /= count
        mean = np.add(mean, change, out=change)
    return None if count < 2 else np.sqrt(squares / ((count - 1) * mean.shape[-1]))


def make_deviation(folder: Path, files: Iterable[str], name: str) -> Deviation | None:
    """Writes the map of the deviation of some pictures, as a small PNG among the thumbnails.

    Args:
      folder: of the sweep.
      files: of the pictures; those that are missing or damaged are left out.
      name: of the map, without a suffix.

    Returns:
      The deviation; None of fewer than two pictures.

    Raises:
      FileError: the map cannot be written.
    """
    found = deviation_of(_read(folder / file for file in files))
    if found is None:
        return None
    grey = np.repeat(np.minimum(found / WHITE, 1).astype(np.float32)[..., None], 3, axis=-1)
    buffer = BytesIO()
    Image.fromarray(quantize(shrink(grey, _SIDE))[..., 0]).save(buffer, format="PNG")
    path = folder / THUMBNAILS / f"{name}.png"
    write_thumbnail(path, buffer.getvalue())
    return Deviation(read_thumbnail(folder, path), math.sqrt(float(np.mean(found**2))))


def _read(paths: Iterable[Path]) -> Iterable[np.ndarray]:
    for path in paths:
        try:
            yield load_image(path)
        except ImageError:
            continue
