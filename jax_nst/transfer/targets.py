"""Items and pictures -> the inputs of the engine: targets, starts and loss weights."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jax_nst.images import resize, rotate
from jax_nst.losses import Targets
from jax_nst.losses.references import Statistics, count_positions, layer_shapes
from jax_nst.losses.regions import position_weights, region_targets
from jax_nst.runtime.malloc import give_back
from jax_nst.runtime.platform import Platform
from jax_nst.transfer.colors import finish_picture, seen_picture, seen_style
from jax_nst.transfer.item import Item, Look, Prepared
from jax_nst.transfer.masks import Region, Regions, check_proportions, fit_mask, keep_uncovered
from jax_nst.transfer.network import Network
from jax_nst.transfer.pictures import (
    Source,
    fit_content,
    fit_style,
    rotated_style,
    starting_pixels,
    style_shape,
)
from jax_nst.transfer.spec import Level
from jax_nst.transfer.target_programs import check_style_fits, target_programs

_MOST_KEPT = 2**28
"""Bytes of the statistics of styles that a level keeps; others are computed anew for each content."""


class Preparation:
    """Prepares the items of one level; targets that several of them share are computed once."""

    def __init__(
        self,
        network: Network,
        level: Level,
        platform: Platform,
        contents: Sequence[Source],
        styles: Sequence[Source],
        fetch: Callable[[Any], Any] = jax.device_get,
    ) -> None:
        """`fetch` decides where targets are kept; on the host by default."""
        self._network, self.level, self._contents, self._styles = network, level, contents, styles
        self._programs = target_programs(network.extractor, level.terms, platform)
        self._platform = platform
        self._fetch = fetch
        layers = [layer for term in level.terms for layer in term.layers]
        self.positions = count_positions(network.extractor, network.params, (*level.shape, 3), layers)
        """How many each layer has; an argument of the programs of targets."""
        self._pixels_cache: dict[Any, np.ndarray] = {}
        self._content_cache: dict[Any, Targets] = {}
        self._style_cache: dict[Any, Targets] = {}
        self._statistics_cache: dict[Any, Statistics] = {}

    def prepare(self, item: Item, start: np.ndarray | None = None) -> Prepared:
        """The targets and the start of an item; it begins as `item.start` says if None.

        Raises ValueError if a picture of the item cannot be used.
        """
        pixels = self._content_pixels(item)
        style = self._style_targets(item)
        content = self._content_targets(item)
        if start is None:
            styles = []
            if item.start.init == "style":
                styles = [self._style_pixels(item, Look(index)) for index in item.styles]
            start = starting_pixels(item.start, seen_picture(item.color, pixels), styles, item.shares)
        return Prepared(content, style, resize(start, self.level.shape), item.controls(self.level))

    def finish(self, item: Item) -> Callable[[np.ndarray], np.ndarray]:
        """`(painted [H, W, 3]) -> [H, W, 3]`, which makes the picture that leaves the run."""
        content = self._plain_content(item)
        masks = [fit_mask(region.mask, self.level.shape) for region in item.regions if region.weight]

        def finished(painted: np.ndarray) -> np.ndarray:
            picture = finish_picture(item.color, painted, content)
            return keep_uncovered(masks, picture, content) if item.regions else picture

        return finished

    def forget(self, but: set[Any]) -> None:
        """Forgets the contents of earlier batches, which come one after the other, but for these keys.

        The targets of styles, which cost little from their statistics, are forgotten with them.
        """
        self._pixels_cache = {i: pixels for i, pixels in self._pixels_cache.items() if i in but}
        self._content_cache = {key: made for key, made in self._content_cache.items() if key[0] in but}
        self._style_cache = {}
        self._statistics_cache = {
            key: made for key, made in self._statistics_cache.items() if key[1] is None or key[1][0] in but
        }

    def abstract(self, num_regions: int = 0) -> tuple[Targets, Targets]:
        """The shapes of the targets of one item, of its content and of its style."""
        params, pixels = self._network.params, jax.ShapeDtypeStruct((*self.level.shape, 3), np.float32)
        statistics = self._programs.statistics.eval_shape(params, pixels, None)
        content = self._programs.content.eval_shape(params, pixels, None, self.positions)
        style = self._programs.style.eval_shape([statistics], np.ones(1, np.float32), self.positions)
        if num_regions:
            blank = (Region(np.ones(self.level.shape, np.float32)),) * num_regions
            content |= jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), self._places(blank))
            style = _by_region([style] * num_regions)
        return content, style

    def _plain_content(self, item: Item) -> np.ndarray:
        """The content without grain: its colours are kept, and where nothing is painted it is."""
        return self._content_pixels(item._replace(grain=None))

    def _content_pixels(self, item: Item) -> np.ndarray:
        if item.pixels_key not in self._pixels_cache:
            shape, load, error = self._contents[item.content]
            if shape is None:
                raise ValueError(error)
            pixels = load()
            if tuple(pixels.shape) != tuple(shape):
                raise ValueError("the content is not of the size that its file says; save it anew")
            self._pixels_cache[item.pixels_key] = fit_content(self.level, pixels, item.grain)
        return self._pixels_cache[item.pixels_key]

    def _content_targets(self, item: Item) -> Targets:
        if item.content_key not in self._content_cache:
            pixels = seen_picture(item.color, self._content_pixels(item))
            targets = self._run(self._programs.content, self._network.params, pixels, None, self.positions)
            if item.regions:
                targets |= self._fetch(self._places(item.regions))
            self._content_cache[item.content_key] = targets
        return self._content_cache[item.content_key]

    def _places(self, regions: Regions) -> Targets:
        """Where the regions are at the layers of the style."""
        masks = [fit_mask(region.mask, self.level.shape) for region in regions]
        return region_targets(masks, [region.weight for region in regions], self._shapes(self.level.shape))

    def _shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, int]]:
        """(h, w) of the layers whose positions style terms weight, of a picture of that shape."""
        of_style = (term for term in self.level.terms if term.reference == "style")
        layers = tuple(dict.fromkeys(group[-1] for term in of_style for group in term.groups))
        shapes = layer_shapes(self._network.extractor, self._network.params, (*shape[:2], 3), layers)
        return {layer: shapes[layer] for layer in layers}

    def _style_targets(self, item: Item) -> Targets:
        if item.style_key not in self._style_cache:
            of_regions = [self._targets_of_region(item, region) for region in item.regions]
            targets = _by_region(of_regions) if of_regions else self._targets_of_region(item, None)
            self._style_cache[item.style_key] = targets
        return self._style_cache[item.style_key]

    def _targets_of_region(self, item: Item, region: Region | None) -> Targets:
        """The targets of the style of one region; None: of the whole picture."""
        own = region is not None and region.picture is not None
        looks = [Look(None, None, angle) for angle in item.angles] if own else item.looks
        statistics = [self._statistics(item, look, region) for look in looks]
        shares = np.repeat(np.asarray((1.0,) if own else item.shares, np.float32), len(item.angles))
        return self._run(self._programs.style, statistics, shares / len(item.angles), self.positions)

    def _statistics(self, item: Item, look: Look, region: Region | None) -> Statistics:
        """Those of a style, or without an index, of the region's own; of the part that its mask marks."""
        mask = None if region is None else region.style_mask
        key = look, item.recolored_by, None if mask is None and look.style is not None else region
        if key in self._statistics_cache:
            return self._statistics_cache[key]
        whole = self._style_pixels(item, look, region)
        pixels = rotated_style(self._network.extractor, self.level, whole, look.angle)
        weights = None
        if mask is not None:
            assert region is not None
            check_proportions(region.name, mask.shape, whole.shape)
            fitted, shapes = fit_mask(mask, whole.shape[:2]), self._shapes(pixels.shape)
            fitted = rotate(fitted[..., None], look.angle)[..., 0]
            if not fitted.any():
                raise ValueError(
                    f"{region.name}: what it marks of the style is cut off with the corners when that is "
                    f"rotated by {look.angle:g} degrees; give other angles"
                )
            weights = {layer: position_weights(fitted, shape) for layer, shape in shapes.items()}
        found = self._run(self._programs.statistics, self._network.params, pixels, weights)
        kept = jax.tree.leaves([found, *self._statistics_cache.values()])
        # Every content goes through all styles again: the first ones are worth as much as the last.
        if sum(leaf.nbytes for leaf in kept) <= _MOST_KEPT:
            self._statistics_cache[key] = found
        return found

    def _run(self, program: Callable[..., Any], *arguments: Any) -> Any:
        """Runs a program that needs much memory once; else it would be kept beside that of the next."""
        found = self._fetch(jax.block_until_ready(program(*arguments)))
        give_back()
        return found

    def _style_pixels(self, item: Item, look: Look, region: Region | None = None) -> np.ndarray:
        """A style as the run sees it, not yet rotated; without an index, the region's own."""
        own = region.picture if region is not None and look.style is None else None
        pixels = self._styles[look.style or 0].load() if own is None else own
        extractor = self._network.extractor
        if np.ndim(pixels) == 3:  # else `fit_style` says what is wrong
            shape = style_shape(extractor, self.level, pixels.shape, look.scale)
            check_style_fits(self._network, self.level, self._platform, shape)
        fitted = fit_style(extractor, self.level, pixels, look.scale)
        return seen_style(item.color, fitted, self._plain_content(item))


def _by_region(of_regions: Sequence[Targets]) -> Targets:
    """The targets of each region as tuples of them, as `losses.objective` takes them."""
    return {
        name: {group: tuple(targets[name][group] for targets in of_regions) for group in of_term}
        for name, of_term in of_regions[0].items()
    }
