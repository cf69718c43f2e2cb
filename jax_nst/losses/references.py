"""Targets: the statistics of reference pictures, and what terms make of them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jax_nst.losses.grouped import (
    groups_of,
    is_reducible,
    key_of,
    needed,
    network_layers,
    share_of_mean,
    statistic_of,
)
from jax_nst.losses.term import PIXELS, Targets, Term, group_key
from jax_nst.models.extractor import Extractor, Features, Params
from jax_nst.models.partition import Part, Reduce, reduce_features, reduce_tile
from jax_nst.models.tiles import Tiling

Statistics = dict[str, dict[str, Any]]
"""Name of a term -> key of a group -> statistic."""


class Reduced(NamedTuple):
    """What the parts of a picture were reduced to."""

    sums: dict[str, Any]
    """Name of a group of a term -> its statistic, where that is a mean over positions."""
    kept: Features
    """The features that other groups need, whole."""


def measure_statistics(
    extractor: Extractor,
    terms: Sequence[Term],
    params: Params,
    pixels: ArrayLike,
    weights: Mapping[str, jax.Array] | None = None,
) -> Statistics:
    """The statistics of a reference picture for all of `terms`, computed sparing memory.

    Args:
      extractor: gives the features.
      terms: whose statistics.
      params: of the extractor.
      pixels: `[H, W, 3]`.
      weights: of the positions, for a part of the picture: layer -> `[h, w]`, of mean 1; None: all alike.
    """
    pixels, layers, reduced = jnp.asarray(pixels), network_layers(terms), Reduced({}, {})
    if layers:
        reduce = _reduce(extractor, terms)
        found = reduce_features(extractor, params, pixels, layers, reduce, weights, remat="all")
        reduced = Reduced(*found)
    return finish_statistics(extractor, terms, reduced, pixels, weights)


def reduced_of_tile(
    extractor: Extractor,
    terms: Sequence[Term],
    params: Params,
    pixels: jax.Array,
    weights: Mapping[str, jax.Array] | None,
    *,
    reduced: Reduced,
    tiling: Tiling,
    place: jax.Array,
) -> Reduced:
    """Adds a tile to what the tiles before were reduced to; see `measure_statistics`.

    Args:
      extractor: as there, and so the others that are not named here.
      reduced: of the tiles before; `nothing_reduced` before the first.
      tiling: how the picture is divided.
      place: `[6]`, a row of `Tiling.rows`.
    """
    window, layers = tiling.cut(pixels, place), network_layers(terms)
    reduce = _reduce(extractor, terms)
    sums, kept, tile = reduce_tile(
        extractor, params, window, layers, reduce, weights, tiling=tiling, place=place
    )
    return Reduced(
        jax.tree.map(jnp.add, reduced.sums, sums),
        {layer: tile.put(layer, reduced.kept[layer], x) for layer, x in kept.items()},
    )


def nothing_reduced(
    extractor: Extractor, terms: Sequence[Term], params: Params, weights: Any, *, tiling: Tiling
) -> Reduced:
    """What no tile is reduced to: zeros; see `reduced_of_tile`."""
    layers, reduce = network_layers(terms), _reduce(extractor, terms)

    def of_tile(params: Params, window: jax.Array, weights: Any, place: jax.Array) -> Any:
        return reduce_tile(extractor, params, window, layers, reduce, weights, tiling=tiling, place=place)[
            :2
        ]

    window = jax.ShapeDtypeStruct((*tiling.window, 3), jnp.float32)
    sums, kept = jax.eval_shape(of_tile, params, window, weights, tiling.rows()[0])
    whole = extractor.feature_shapes(params, tiling.shape, layers)
    reduced = Reduced(sums, {layer: whole[layer] for layer in kept})
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), reduced)


def finish_statistics(
    extractor: Extractor,
    terms: Sequence[Term],
    reduced: Reduced,
    pixels: jax.Array,
    weights: Mapping[str, jax.Array] | None = None,
) -> Statistics:
    """The statistics of a picture from what its parts were reduced to; see `measure_statistics`."""
    features = {**reduced.kept, PIXELS: pixels}
    statistics: Statistics = {}
    for term, group in groups_of(terms):
        found = reduced.sums.get(key_of(term, group))
        if found is None:
            own = None if weights is None else weights[group[-1]]
            found = statistic_of(extractor, term, group, features, own)
        statistics.setdefault(term.name, {})[group_key(group)] = found
    return statistics


def _reduce(extractor: Extractor, terms: Sequence[Term]) -> Reduce:
    """Sums means over positions, and keeps what other groups need."""

    def reduce(features: Features, part: Part, weights: Any) -> tuple[dict[str, Any], Features]:
        sums, kept = {}, {}
        for term, group in groups_of(terms):
            if term.combine == "additive" and is_reducible(term, group, features):
                own, last = None, group[-1]
                if weights is not None:
                    own = part.cut(last, weights[last], features[last].shape)
                sums[key_of(term, group)] = share_of_mean(extractor, term, group, features, part, own)
            else:
                kept |= needed(group, features)
        return sums, kept

    return reduce


def mix_statistics(
    terms: Sequence[Term], statistics: Sequence[Statistics], shares: jax.Array
) -> Statistics:
    """One style of several, by `shares`, `[styles]`, as `Term.mix` says."""
    mixed: Statistics = {}
    for term, group in groups_of(terms):
        of_styles = [found[term.name][group_key(group)] for found in statistics]
        mixed.setdefault(term.name, {})[group_key(group)] = (term.mix or _mean_of)(of_styles, shares)
    return mixed


def _mean_of(statistics: Sequence[Any], shares: jax.Array) -> Any:
    """The mean of trees of arrays, weighted by `shares`, `[styles]`."""
    return jax.tree.map(
        lambda *of_styles: sum(
            (share * x for share, x in zip(shares, of_styles, strict=True)),
            start=jnp.zeros_like(of_styles[0]),
        ),
        *statistics,
    )


def make_targets(
    terms: Sequence[Term], statistics: Statistics, num_positions: Mapping[str, ArrayLike]
) -> Targets:
    """Targets from the statistics of the references.

    Args:
      terms: all with a reference.
      statistics: of these terms.
      num_positions: layer -> how many positions the picture has there; see `count_positions`.
    """
    targets: Targets = {}
    for term, group in groups_of(terms):
        assert term.target is not None
        statistic = statistics[term.name][group_key(group)]
        target = term.target(statistic, num_positions[group[-1]])
        targets.setdefault(term.name, {})[group_key(group)] = target
    return targets


def layer_shapes(
    extractor: Extractor, params: Params, shape: tuple[int, ...], layers: Sequence[str]
) -> dict[str, tuple[int, int]]:
    """(height, width) of each layer, of a picture of `shape` [H, W, 3]."""
    own = tuple(layer for layer in dict.fromkeys(layers) if layer != PIXELS)
    features = extractor.feature_shapes(params, shape, own)
    height, width = shape[:2]
    return {PIXELS: (height, width)} | {
        layer: (feature.shape[0], feature.shape[1]) for layer, feature in features.items()
    }


def count_positions(
    extractor: Extractor, params: Params, shape: tuple[int, ...], layers: Sequence[str]
) -> dict[str, float]:
    """How many positions each layer has, of a picture of `shape` [H, W, 3].

    In floats: JAX's own integers end at 2^31.
    """
    shapes = layer_shapes(extractor, params, shape, layers)
    return {layer: float(math.prod(of_layer)) for layer, of_layer in shapes.items()}
