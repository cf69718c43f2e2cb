"""The items of a run: what may differ between the pictures of one program."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jax_nst.losses import LossWeights, Targets
from jax_nst.optim import Controls
from jax_nst.transfer.colors import Color, color_of
from jax_nst.transfer.config import Config
from jax_nst.transfer.masks import Regions
from jax_nst.transfer.pictures import Grain, Start, grain_of, start_of, style_scales
from jax_nst.transfer.spec import Level, Spec, learning_rate_of, resolve_level_weights


class Look(NamedTuple):
    """A style picture as an item takes it."""

    style: int | None
    """Its index; None for the one that a region brings."""
    scale: float | None = None
    """Longer side relative to the picture's; None: as the level says."""
    angle: float = 0.0
    """By which it is rotated, in degrees."""


class Item(NamedTuple):
    """One picture to be painted: the inputs that may differ between the items of one program."""

    content: int
    """Index of the content."""
    styles: tuple[int, ...]
    """Indices of the styles that make its style."""
    shares: tuple[float, ...]
    """Share of each of these styles; they add up to 1."""
    loss_weights: Mapping[Level, LossWeights]
    """At each level, on the host."""
    start: Start
    color: Color = Color()
    regions: Regions = ()
    """Where its style comes from; none for the whole style everywhere."""
    grain: Grain | None = None
    """Added to the content."""
    angles: tuple[float, ...] = (0.0,)
    """Of the copies of each style, in degrees; they have equal shares."""
    scales: tuple[float, ...] = ()
    """Longer side of each style relative to the picture's; none: as the level says."""
    learning_rate: np.ndarray | None = None
    """`[]`; None for an optimizer that brings its own."""

    def controls(self, level: Level) -> Controls:
        """The numbers of its steps at a level."""
        return Controls(self.loss_weights[level], self.learning_rate)

    @property
    def looks(self) -> list["Look"]:
        """Each of its styles, at its size, by each angle."""
        scales = self.scales or (None,) * len(self.styles)
        return [
            Look(index, scale, angle)
            for index, scale in zip(self.styles, scales, strict=True)
            for angle in self.angles
        ]

    @property
    def pixels_key(self) -> Any:
        """Items of one key share the pixels of their content."""
        return self.content, self.grain

    @property
    def content_key(self) -> Any:
        """Items of one key share the targets of their content."""
        return self.pixels_key, self.color if self.color.mode == "keep" else None, self.regions

    @property
    def style_key(self) -> Any:
        """Items of one key share the targets of their style."""
        return self.styles, self.shares, self.angles, self.scales, self.recolored_by, self.regions

    @property
    def recolored_by(self) -> Any:
        """The content that the colours of its styles depend on, and how; None if on none."""
        return (self.pixels_key, self.color) if self.color.mode != "style" else None


def make_item(
    config: Config,
    spec: Spec,
    content: int,
    styles: Sequence[int],
    shares: Sequence[float],
    regions: Regions = (),
) -> Item:
    """The inputs of one picture.

    Raises:
      ValueError: a loss weight, or the number of sizes of the styles, does not fit.
    """
    last, rate = spec.levels[-1], learning_rate_of(config)
    return Item(
        content,
        tuple(styles),
        tuple(shares),
        resolve_level_weights(config, spec),
        start_of(config, last.size),
        color_of(config),
        regions,
        grain_of(config, last.shape),
        config.style_angle or (0.0,),
        style_scales(config, last.size, len(styles)),
        None if rate is None else np.asarray(rate, np.float32),
    )


class Prepared(NamedTuple):
    """Inputs of one item, ready for the devices."""

    content: Targets
    """Of the terms that refer to the content, and where the regions are."""
    style: Targets
    """Of the terms that refer to the style."""
    start: np.ndarray
    """`[H, W, 3]`."""
    controls: Controls
