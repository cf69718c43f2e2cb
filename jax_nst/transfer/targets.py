"""Items and pictures -> the inputs of the engine: targets, starts and loss weights."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jax_nst.images import resize, rotate
from jax_nst.losses import LossWeights, Targets, Term
from jax_nst.losses.objective import (
    Statistics,
    count_positions,
    layer_shapes,
    make_targets,
    measure_statistics,
    mix_statistics,
)
from jax_nst.losses.regions import position_weights, region_targets
from jax_nst.models.extractor import Extractor, Params
from jax_nst.runtime.malloc import give_back
from jax_nst.runtime.memory import memory_limit
from jax_nst.runtime.platform import Platform
from jax_nst.transfer.config import Config
from jax_nst.transfer.masks import Region, Regions, check_proportions, fit_mask
from jax_nst.transfer.network import Network
from jax_nst.transfer.pictures import (
    Grain,
    Source,
    Start,
    fit_content,
    fit_style,
    grain_of,
    rotated_style,
    start_of,
    starting_pixels,
    style_scales,
    style_shape,
)
from jax_nst.transfer.programs import ByShape
from jax_nst.transfer.spec import Level, Spec, resolve_level_weights


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
    regions: Regions = ()
    """Where its style comes from; none for the whole style everywhere."""
    grain: Grain | None = None
    """Added to the content."""
    angles: tuple[float, ...] = (0.0,)
    """Of the copies of each style, in degrees; they have equal shares."""
    scales: tuple[float, ...] = ()
    """Longer side of each style relative to the picture's; none: as the level says."""

    @property
    def pixels_key(self) -> Any:
        """Items of one key share the pixels of their content."""
        return self.content, self.grain

    @property
    def content_key(self) -> Any:
        """Items of one key share the targets of their content."""
        return self.pixels_key, self.regions

    @property
    def style_key(self) -> Any:
        """Items of one key share the targets of their style."""
        return self.styles, self.shares, self.regions, self.angles, self.scales


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
    last = spec.levels[-1]
    return Item(
        content,
        tuple(styles),
        tuple(shares),
        resolve_level_weights(config, spec),
        start_of(config, last.size),
        regions,
        grain_of(config, last.shape),
        config.style_angle or (0.0,),
        style_scales(config, last.size, len(styles)),
    )


class Prepared(NamedTuple):
    """Inputs of one item, ready for the devices."""

    content: Targets
    """Of the terms that refer to the content, and where the regions are."""
    style: Targets
    """Of the terms that refer to the style."""
    start: np.ndarray
    """`[H, W, 3]`."""
    loss_weights: LossWeights


class TargetPrograms(NamedTuple):
    """Programs that run once, before the first step."""

    content: ByShape
    """`(params, content [H, W, 3], positions) -> Targets`."""
    statistics: ByShape
    """`(params, style [H', W', 3], weights of positions or None) -> Statistics`."""
    style: ByShape
    """`(statistics of each style, shares, positions) -> Targets`."""


@functools.lru_cache(maxsize=8)
def target_programs(extractor: Extractor, terms: tuple[Term, ...], platform: Platform) -> TargetPrograms:
    """The programs that compute the targets of these terms."""
    of_content, of_style = (
        tuple(term for term in terms if term.reference == reference) for reference in ("content", "style")
    )
    plain = extractor.plain

    def content(params: Params, pixels: jax.Array, positions: Any) -> Targets:
        statistics = measure_statistics(extractor, of_content, plain(params), pixels)
        return make_targets(of_content, statistics, positions)

    def statistics(params: Params, pixels: jax.Array, weights: Any) -> Statistics:
        return measure_statistics(extractor, of_style, plain(params), pixels, weights)

    def style(statistics: Sequence[Statistics], shares: jax.Array, positions: Any) -> Targets:
        return make_targets(of_style, mix_statistics(of_style, statistics, shares), positions)

    options = dict(platform.compiler_options)
    return TargetPrograms(*(ByShape(function, options) for function in (content, statistics, style)))


_MOST_KEPT = 2**28
"""Bytes of the statistics of styles that a level keeps; others are computed anew for each content."""

# Of memory for a pixel of a style: any network takes the first, and the named ones about half the second.
_LEAST_BYTES, _MANY_BYTES = 100, 1000


def check_style_fits(network: Network, level: Level, platform: Platform, shape: tuple[int, int]) -> None:
    """Raises ValueError if the statistics of a style of `shape` (height, width) take too much memory.

    Only for a style that may be too large is its program compiled here.
    """
    limit, num_pixels = memory_limit(jax.local_devices()[0]), math.prod(shape)
    if _MANY_BYTES * num_pixels <= limit:
        return
    needed = _LEAST_BYTES * num_pixels
    if needed <= limit:
        pixels = jax.ShapeDtypeStruct((*shape, 3), np.float32)
        programs = target_programs(network.extractor, level.terms, platform)
        _, needed = programs.statistics.compile(network.params, pixels, None)
    if needed > limit:
        height, width = shape
        raise ValueError(
            f"the style image at {width} x {height} pixels takes {needed / 2**30:.1f} GB or more of "
            f"memory, but {limit / 2**30:.1f} are left; give a smaller style_scale, style_size or size"
        )


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
        self._kept_bytes = 0

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
                styles = [self._style_pixels(index) for index in item.styles]
            start = starting_pixels(item.start, pixels, styles, item.shares)
        return Prepared(content, style, resize(start, self.level.shape), item.loss_weights[self.level])

    def forget(self, but: set[Any]) -> None:
        """Forgets the contents of earlier batches, which come one after the other, but for these keys.

        The targets of styles, which cost little from their statistics, are forgotten with them.
        """
        self._pixels_cache = {i: pixels for i, pixels in self._pixels_cache.items() if i in but}
        self._content_cache = {key: made for key, made in self._content_cache.items() if key[0] in but}
        self._style_cache = {}

    def abstract(self, num_regions: int = 0) -> tuple[Targets, Targets]:
        """The shapes of the targets of one item, of its content and of its style."""
        params, pixels = self._network.params, jax.ShapeDtypeStruct((*self.level.shape, 3), np.float32)
        statistics = self._programs.statistics.eval_shape(params, pixels, None)
        content = self._programs.content.eval_shape(params, pixels, self.positions)
        style = self._programs.style.eval_shape([statistics], np.ones(1, np.float32), self.positions)
        if num_regions:
            blank = (Region(np.ones(self.level.shape, np.float32)),) * num_regions
            content |= jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), self._places(blank))
            style = _by_region([style] * num_regions)
        return content, style

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
            pixels = self._content_pixels(item)
            targets = self._run(self._programs.content, self._network.params, pixels, self.positions)
            if item.regions:
                targets |= self._fetch(self._places(item.regions))
            self._content_cache[item.content_key] = targets
        return self._content_cache[item.content_key]

    def _places(self, regions: Regions) -> Targets:
        """Where the regions are at the layers of the style."""
        masks = [fit_mask(region.mask, self.level.shape) for region in regions]
        return region_targets(masks, [region.weight for region in regions], self._shapes(self.level.shape))

    def _shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, int]]:
        """(h, w) of the layers that the style terms weight the positions of, of a picture of that shape."""
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
        styles, shares = ((None,), (1.0,)) if own else (item.styles, item.shares)
        scales = (None,) * len(styles) if own or not item.scales else item.scales
        statistics = [
            self._statistics(index, scale, angle, region)
            for index, scale in zip(styles, scales, strict=True)
            for angle in item.angles
        ]
        shares = np.repeat(np.asarray(shares, np.float32), len(item.angles)) / len(item.angles)
        return self._run(self._programs.style, statistics, shares, self.positions)

    def _statistics(
        self, index: int | None, scale: float | None, angle: float, region: Region | None
    ) -> Statistics:
        """Those of a style, or with no index of the region's own; of the part that its mask marks.

        The style and its mask are rotated by the angle.
        """
        mask = None if region is None else region.style_mask
        key = index, scale, angle, None if mask is None and index is not None else region
        if key in self._statistics_cache:
            return self._statistics_cache[key]
        if index is None:
            assert region is not None
            assert region.picture is not None
            pixels = fit_style(self._network.extractor, self.level, region.picture)
        else:
            pixels = self._style_pixels(index, scale)
        whole, pixels = pixels, rotated_style(self._network.extractor, self.level, pixels, angle)
        weights = None
        if mask is not None:
            assert region is not None
            check_proportions(region.name, mask.shape, whole.shape)
            fitted, shapes = fit_mask(mask, whole.shape[:2]), self._shapes(pixels.shape)
            fitted = rotate(fitted[..., None], angle)[..., 0]
            if not fitted.any():
                raise ValueError(
                    f"{region.name}: what it marks of the style is cut off with the corners when that is "
                    f"rotated by {angle:g} degrees; give other angles"
                )
            weights = {layer: position_weights(fitted, shape) for layer, shape in shapes.items()}
        found = self._run(self._programs.statistics, self._network.params, pixels, weights)
        self._kept_bytes += sum(leaf.nbytes for leaf in jax.tree.leaves(found))
        # Every content goes through all styles again: the first ones are worth as much as the last.
        if self._kept_bytes <= _MOST_KEPT:
            self._statistics_cache[key] = found
        return found

    def _run(self, program: Callable[..., Any], *arguments: Any) -> Any:
        """Runs a program that needs much memory once; else it would be kept beside that of the next."""
        found = self._fetch(jax.block_until_ready(program(*arguments)))
        give_back()
        return found

    def _style_pixels(self, index: int, scale: float | None = None) -> np.ndarray:
        pixels, extractor = self._styles[index].load(), self._network.extractor
        if np.ndim(pixels) == 3:  # else `fit_style` says what is wrong
            shape = style_shape(extractor, self.level, pixels.shape, scale)
            check_style_fits(self._network, self.level, self._platform, shape)
        return fit_style(extractor, self.level, pixels, scale)


def _by_region(of_regions: Sequence[Targets]) -> Targets:
    """The targets of each region as tuples of them, as `losses.objective` takes them."""
    return {
        name: {group: tuple(targets[name][group] for targets in of_regions) for group in of_term}
        for name, of_term in of_regions[0].items()
    }
