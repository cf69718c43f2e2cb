"""Pixels -> scalar: the weighted sum of the terms.

Targets, loss weights and params are arguments of the objective, never captured: a sweep can vmap over any
of them, and no network weight becomes a constant of the program.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jax_nst.losses.grouped import (
    Group,
    groups_of,
    is_reducible,
    key_of,
    needed,
    network_layers,
    share_of_mean,
    statistic_of,
)
from jax_nst.losses.regions import REGIONS
from jax_nst.losses.scaling import with_scaled_gradient
from jax_nst.losses.term import PIXELS, Losses, LossWeights, Target, Targets, Term, group_key
from jax_nst.models.extractor import Extractor, Features, Params
from jax_nst.models.partition import MOST_BANDS, Part, Reduce, reduce_features, reduce_tile, sum_over_tiles
from jax_nst.models.shards import reduce_over_rows, sum_over_shared_tiles
from jax_nst.models.tiles import Tiling, tiling_of

Objective = Callable[[jax.Array, Params, Targets, LossWeights], tuple[jax.Array, Losses]]
"""`(pixels [H, W, 3], params, targets, loss weights) -> (total [], Losses)`."""


class InTiles(NamedTuple):
    """An objective that a caller evaluates tile by tile: the sum over tiles, and what follows from it."""

    tiling: Callable[[tuple[int, ...]], Tiling]
    """`([H, W, 3]) -> Tiling`."""
    sums: Callable[..., dict[str, Any]]
    """`(window, params, targets, tiling, place) ->` a tree of arrays to be added up over the tiles."""
    total: Callable[..., tuple[jax.Array, Losses]]
    """`(sums, pixels, targets, loss weights) -> (total [], Losses)`."""


def make_objective(
    extractor: Extractor,
    terms: Sequence[Term],
    *,
    remat: str = "none",
    tile_size: int | None = None,
    mesh: Mesh | None = None,
    most_bands: int = MOST_BANDS,
) -> Objective:
    """The function that is minimised: eq. 7 of Gatys et al. 2015, for any terms.

    Args:
      extractor: where the features come from.
      terms: what is compared, each with its layers.
      remat: one of `partition.REMATS`.
      tile_size: the largest side of tiles in pixels that the picture is computed in, one after the other;
        None: it is computed whole.
      mesh: devices that share the rows of the picture, or its tiles, see `models.shards`.
      most_bands: into which a rematerialised stage is split; one where devices share the rows.

    Returns:
      `objective(pixels, params, targets, loss_weights)`; pure, for one picture.

    Raises:
      ValueError: as `check_tiles`, if there is a `tile_size`.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jax_nst import TOTAL_VARIATION, LossWeights, make_objective, wavelet
      >>> objective = make_objective(wavelet(), [TOTAL_VARIATION])
      >>> weights = LossWeights({"tv": jnp.asarray(2.0)}, {"tv": jnp.ones(1)})
      >>> total, losses = jax.jit(objective)(jnp.eye(4)[..., None], {}, {}, weights)
      >>> float(total), float(losses["tv"])
      (2.0, 1.0)
    """
    layers = network_layers(terms)
    reduce_all = (
        functools.partial(reduce_features, most_bands=most_bands)
        if mesh is None
        else functools.partial(reduce_over_rows, mesh=mesh)
    )

    def objective(
        pixels: jax.Array, params: Params, targets: Targets, loss_weights: LossWeights
    ) -> tuple[jax.Array, Losses]:
        sums, kept = {}, {}
        if layers:
            reduce, arguments = _reduce(extractor, terms), _at_positions(terms, targets)
            sums, kept = reduce_all(extractor, params, pixels, layers, reduce, arguments, remat=remat)
        return _total(extractor, terms, sums, {**kept, PIXELS: pixels}, targets, loss_weights)

    def in_tiles(
        pixels: jax.Array, params: Params, targets: Targets, loss_weights: LossWeights
    ) -> tuple[jax.Array, Losses]:
        tiling = parts.tiling(pixels.shape)
        if len(tiling.places) == 1:
            return objective(pixels, params, targets, loss_weights)

        def of_tile(
            place: jax.Array, pixels: jax.Array, params: Params, targets: Targets
        ) -> dict[str, Any]:
            return parts.sums(tiling.cut(pixels, place), params, targets, tiling, place)

        sums = sum_all(of_tile, jnp.asarray(tiling.rows()), (pixels, params, targets))
        return parts.total(sums, pixels, targets, loss_weights)

    sum_all = sum_over_tiles if mesh is None else functools.partial(sum_over_shared_tiles, mesh=mesh)
    made = objective
    if tile_size is not None:
        parts, made = objective_in_tiles(extractor, terms, tile_size), in_tiles
    return with_scaled_gradient(made) if extractor.precision == "float16" else made


def objective_in_tiles(extractor: Extractor, terms: Sequence[Term], tile_size: int) -> InTiles:
    """The parts of `make_objective` in tiles, for a caller that loops over the tiles.

    Raises:
      ValueError: as `check_tiles`.
    """
    check_tiles(extractor, terms)
    layers, reduce = network_layers(terms), _reduce(extractor, terms)

    def tiling(shape: tuple[int, ...]) -> Tiling:
        return tiling_of(extractor, layers, (shape[0], shape[1]), tile_size)

    def sums(
        window: jax.Array, params: Params, targets: Targets, tiling: Tiling, place: jax.Array
    ) -> dict[str, Any]:
        arguments = _at_positions(terms, targets)
        found, _, _ = reduce_tile(
            extractor, params, window, layers, reduce, arguments, tiling=tiling, place=place
        )
        return found

    def total(
        sums: dict[str, Any], pixels: jax.Array, targets: Targets, loss_weights: LossWeights
    ) -> tuple[jax.Array, Losses]:
        return _total(extractor, terms, sums, {PIXELS: pixels}, targets, loss_weights)

    return InTiles(tiling, sums, total)


def check_tiles(extractor: Extractor, terms: Sequence[Term]) -> None:
    """Raises ValueError, saying why, if a picture cannot be computed in tiles."""
    if not network_layers(terms):
        raise ValueError(
            "no term compares layers of the network, so tiles save nothing; leave tile_size out"
        )
    if extractor.reach is None:
        raise ValueError(
            f"{extractor.name} does not say how far its features see, which tiles need; leave tile_size out"
        )
    for term, group in groups_of(terms):
        if term.combine == "global" and group != (PIXELS,):
            raise ValueError(
                f"the {term.name} loss needs all positions of the picture at once, so that it cannot be "
                "computed in tiles; leave tile_size out, or give another loss"
            )


def _total(
    extractor: Extractor,
    terms: Sequence[Term],
    sums: Mapping[str, Any],
    kept: Features,
    targets: Targets,
    loss_weights: LossWeights,
) -> tuple[jax.Array, Losses]:
    """The total and the losses, from what the parts were reduced to."""

    def distances(term: Term) -> jax.Array:
        found = [_distance(extractor, term, group, sums, kept, targets) for group in term.groups]
        return jnp.stack(found)

    losses = {term.name: jnp.sum(loss_weights.layers[term.name] * distances(term)) for term in terms}
    zero = jnp.zeros((), kept[PIXELS].dtype)
    total = sum((loss_weights.terms[name] * loss for name, loss in losses.items()), zero)
    return total, Losses(total, losses)


def _distance(
    extractor: Extractor,
    term: Term,
    group: Group,
    sums: Mapping[str, Any],
    kept: Features,
    targets: Targets,
) -> jax.Array:
    """That of a group of layers from its target, `[]`; with regions, their weighted sum."""
    found = sums.get(key_of(term, group))
    if found is not None and term.combine == "aligned":
        return found
    regions = targets.get(REGIONS) if term.reference == "style" else None
    if found is None:
        weights = _of_regions(regions[group[-1]].value) if regions else (None,)
        of_regions = tuple(statistic_of(extractor, term, group, kept, own) for own in weights)
        found = of_regions if regions else of_regions[0]
    target: Any = targets[term.name][group_key(group)] if term.target else None
    if not regions:
        return term.distance(found, target)
    of_each = [term.distance(*pair) for pair in zip(found, target, strict=True)]
    return jnp.sum(regions[group[-1]].coefficient * jnp.stack(of_each))


def _at_positions(terms: Sequence[Term], targets: Targets) -> Targets:
    """Those of the targets that parts need: they are of positions."""
    names = {REGIONS, *(term.name for term in terms if term.combine == "aligned")}
    return {name: of_term for name, of_term in targets.items() if name in names}


def _reduce(extractor: Extractor, terms: Sequence[Term]) -> Reduce:
    """Of each part: the distances of aligned terms, the shares of means, and what others need whole."""

    def reduce(features: Features, part: Part, targets: Targets) -> tuple[dict[str, Any], Features]:
        sums, kept = {}, {}
        for term, group in groups_of(terms):
            if not is_reducible(term, group, features):
                kept |= needed(group, features)
            elif term.combine == "aligned":
                sums[key_of(term, group)] = _aligned_distance(
                    extractor, term, group, features, part, targets[term.name][group_key(group)]
                )
            else:
                regions = targets.get(REGIONS) if term.reference == "style" else None
                sums[key_of(term, group)] = _mean_of_regions(
                    extractor, term, group, features, part, regions
                )
        return sums, kept

    return reduce


def _aligned_distance(
    extractor: Extractor, term: Term, group: Group, features: Features, part: Part, target: Target
) -> jax.Array:
    """The sum over the positions of a part."""
    layer = group[-1]
    value = jax.tree.map(lambda x: part.cut(layer, x, features[layer].shape), target.value)
    statistic = statistic_of(extractor, term, group, features)
    # A position where the statistic is the target adds nothing.
    own = jax.tree.map(lambda x, other: part.own(layer, x, other), statistic, value)
    return term.distance(own, Target(value, target.coefficient))


def _mean_of_regions(
    extractor: Extractor,
    term: Term,
    group: Group,
    features: Features,
    part: Part,
    regions: Mapping[str, Target] | None,
) -> Any:
    """The share of a part in a statistic; where there are regions, a tuple of theirs."""
    if not regions:
        return share_of_mean(extractor, term, group, features, part)
    last = group[-1]
    weights = part.cut(last, regions[last].value, features[last].shape)
    return tuple(share_of_mean(extractor, term, group, features, part, own) for own in _of_regions(weights))


def _of_regions(weights: jax.Array) -> tuple[jax.Array, ...]:
    """`[h, w, R]` as R arrays."""
    return tuple(weights[..., region] for region in range(weights.shape[-1]))
