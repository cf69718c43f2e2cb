"""Pixels -> scalar: the weighted sum of the terms.

Targets, loss weights and params are arguments of the objective, never captured: a sweep can vmap over any
of them, and no network weight becomes a constant of the program.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jax_nst.losses.regions import REGIONS
from jax_nst.losses.scaling import with_scaled_gradient
from jax_nst.losses.term import (
    PIXELS,
    Losses,
    LossWeights,
    Target,
    Targets,
    Term,
    at_least_float32,
    group_key,
)
from jax_nst.models.extractor import Extractor, Features, Params
from jax_nst.models.partition import Part, Reduce, reduce_features

Objective = Callable[[jax.Array, Params, Targets, LossWeights], tuple[jax.Array, Losses]]
"""`(pixels [H, W, 3], params, targets, loss weights) -> (total [], Losses)`."""

Statistics = dict[str, dict[str, Any]]
"""Name of a term -> key of a group -> statistic."""


def make_objective(extractor: Extractor, terms: Sequence[Term], *, remat: str = "none") -> Objective:
    """The function that is minimised: eq. 7 of Gatys et al. 2015, for any terms.

    Args:
      extractor: where the features come from.
      terms: what is compared, each with its layers.
      remat: one of `partition.REMATS`.

    Returns:
      `objective(pixels, params, targets, loss_weights)`; pure, for one picture.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jax_nst import TOTAL_VARIATION, LossWeights, make_objective, wavelet
      >>> objective = make_objective(wavelet(), [TOTAL_VARIATION])
      >>> weights = LossWeights({"tv": jnp.asarray(2.0)}, {"tv": jnp.ones(1)})
      >>> total, losses = jax.jit(objective)(jnp.eye(4)[..., None], {}, {}, weights)
      >>> float(total), float(losses["tv"])
      (2.0, 1.0)
    """

    def objective(
        pixels: jax.Array, params: Params, targets: Targets, loss_weights: LossWeights
    ) -> tuple[jax.Array, Losses]:
        found = _distances(extractor, terms, params, pixels, targets, remat)
        losses = {name: jnp.sum(loss_weights.layers[name] * of_term) for name, of_term in found.items()}
        zero = jnp.zeros((), pixels.dtype)
        total = sum((loss_weights.terms[name] * loss for name, loss in losses.items()), zero)
        return total, Losses(total, losses)

    return with_scaled_gradient(objective) if extractor.precision == "float16" else objective


def _distances(
    extractor: Extractor,
    terms: Sequence[Term],
    params: Params,
    pixels: jax.Array,
    targets: Targets,
    remat: str,
) -> dict[str, jax.Array]:
    """Name of a term -> `[groups]`, the distance of each group of layers."""

    def reduce(features: Features, part: Part, aligned: Targets) -> tuple[dict[str, Any], Features]:
        sums, kept = {}, {}
        for term, group in _groups(terms):
            if not _in_parts(term, group, features):
                kept |= _needed(group, features)
                continue
            if term.combine == "additive":
                statistic = _statistics(extractor, term, group, features, aligned.get(REGIONS), part.rows)
                sums[_key(term, group)] = jax.tree.map(lambda x: part.share * x, statistic)
            else:
                value, coefficient = aligned[term.name][group_key(group)]
                value = jax.tree.map(lambda x: x[part.rows], value)
                statistic = _statistic(extractor, term, group, features)
                sums[_key(term, group)] = term.distance(statistic, Target(value, coefficient))
        return sums, kept

    at_positions = {REGIONS, *(term.name for term in terms if term.combine == "aligned")}
    aligned = {name: of_term for name, of_term in targets.items() if name in at_positions}
    sums, kept = _reduce(extractor, terms, params, pixels, reduce, aligned, remat)
    regions = targets.get(REGIONS)

    def distance(term: Term, group: tuple[str, ...]) -> jax.Array:
        found = sums.get(_key(term, group))
        if found is not None and term.combine == "aligned":
            return found
        if found is None:
            found = _statistics(extractor, term, group, kept, regions)
        target: Any = targets[term.name][group_key(group)] if term.target else None
        if regions is None or term.reference != "style":
            return term.distance(found, target)
        factors = regions[group[-1]].coefficient
        of_regions = [term.distance(*pair) for pair in zip(found, target, strict=True)]
        return jnp.sum(factors * jnp.stack(of_regions))

    return {term.name: jnp.stack([distance(term, group) for group in term.groups]) for term in terms}


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

    def reduce(features: Features, part: Part, weights: Any) -> tuple[dict[str, Any], Features]:
        sums, kept = {}, {}
        for term, group in _groups(terms):
            if term.combine == "additive" and _in_parts(term, group, features):
                own = None if weights is None else weights[group[-1]][part.rows]
                statistic = _statistic(extractor, term, group, features, own)
                sums[_key(term, group)] = jax.tree.map(lambda x: part.share * x, statistic)
            else:
                kept |= _needed(group, features)
        return sums, kept

    sums, kept = _reduce(extractor, terms, params, jnp.asarray(pixels), reduce, weights, "all")
    statistics: Statistics = {}
    for term, group in _groups(terms):
        found = sums.get(_key(term, group))
        if found is None:
            own = None if weights is None else weights[group[-1]]
            found = _statistic(extractor, term, group, kept, own)
        statistics.setdefault(term.name, {})[group_key(group)] = found
    return statistics


def mix_statistics(
    terms: Sequence[Term], statistics: Sequence[Statistics], shares: jax.Array
) -> Statistics:
    """One style of several, by `shares`, `[styles]`, as `Term.mix` says."""
    mixed: Statistics = {}
    for term, group in _groups(terms):
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
    for term, group in _groups(terms):
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
    pixels = jax.ShapeDtypeStruct(shape, jnp.float32)

    def features_of(params: Params, pixels: jax.Array) -> Features:
        return extractor.apply(extractor.plain(params), pixels, own)

    features = jax.eval_shape(features_of, params, pixels) if own else {}
    height, width = shape[:2]
    return {PIXELS: (height, width)} | {layer: feature.shape[:2] for layer, feature in features.items()}


def count_positions(
    extractor: Extractor, params: Params, shape: tuple[int, ...], layers: Sequence[str]
) -> dict[str, float]:
    """How many positions each layer has, of a picture of `shape` [H, W, 3].

    In floats: JAX's own integers end at 2^31.
    """
    shapes = layer_shapes(extractor, params, shape, layers)
    return {layer: float(math.prod(of_layer)) for layer, of_layer in shapes.items()}


def _reduce(
    extractor: Extractor,
    terms: Sequence[Term],
    params: Params,
    pixels: jax.Array,
    reduce: Reduce,
    arguments: Any,
    remat: str,
) -> tuple[dict[Any, Any], Features]:
    """`reduce_features` of all layers of `terms`; the picture itself is kept too."""
    layers = tuple(dict.fromkeys(layer for term in terms for layer in term.layers if layer != PIXELS))
    if not layers:
        return {}, {PIXELS: pixels}
    sums, kept = reduce_features(extractor, params, pixels, layers, reduce, arguments, remat=remat)
    return sums, {**kept, PIXELS: pixels}


def _groups(terms: Sequence[Term]) -> list[tuple[Term, tuple[str, ...]]]:
    return [(term, group) for term in terms for group in term.groups]


def _key(term: Term, group: tuple[str, ...]) -> str:
    return f"{term.name}/{group_key(group)}"


def _in_parts(term: Term, group: tuple[str, ...], features: Features) -> bool:
    """Whether the group can be reduced within a part: all its layers are of one stage."""
    return term.combine != "global" and all(layer in features for layer in group)


def _needed(group: tuple[str, ...], features: Features) -> Features:
    return {layer: features[layer] for layer in group if layer in features}


def _statistics(
    extractor: Extractor,
    term: Term,
    group: tuple[str, ...],
    features: Features,
    regions: Mapping[str, Target] | None,
    rows: slice = slice(None),
) -> Any:
    """The statistic of a group of layers; of a style term where there are regions, a tuple of theirs."""
    if regions is None or term.reference != "style":
        return _statistic(extractor, term, group, features)
    weights = regions[group[-1]].value[rows]
    return tuple(
        _statistic(extractor, term, group, features, weights[..., region])
        for region in range(weights.shape[-1])
    )


def _statistic(
    extractor: Extractor,
    term: Term,
    group: tuple[str, ...],
    features: Features,
    weights: jax.Array | None = None,
) -> Any:
    """The statistic of a group of layers, whatever units the extractor stores its features in."""
    statistic = term.statistic if weights is None else functools.partial(term.statistic, weights=weights)
    own = [features[layer] for layer in group]
    units = [1.0 if layer == PIXELS else extractor.unit for layer in group]
    if term.degree is not None and len(set(units)) == 1:
        factor = units[0] ** term.degree
        return jax.tree.map(lambda x: factor * x, statistic(*own))
    in_units = zip(own, units, strict=True)
    return statistic(*(x if unit == 1 else unit * at_least_float32(x) for x, unit in in_units))
