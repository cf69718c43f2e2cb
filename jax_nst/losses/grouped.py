"""The statistics of terms, group of layers by group, of a picture or of a part of it."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jax_nst.losses.term import PIXELS, Term, at_least_float32, group_key
from jax_nst.models.extractor import Extractor, Features
from jax_nst.models.partition import Part

Group = tuple[str, ...]
"""Names of layers."""


def groups_of(terms: Sequence[Term]) -> list[tuple[Term, Group]]:
    """All groups of all terms."""
    return [(term, group) for term in terms for group in term.groups]


def key_of(term: Term, group: Group) -> str:
    """The name of a group of a term, among those of all terms."""
    return f"{term.name}/{group_key(group)}"


def network_layers(terms: Sequence[Term]) -> tuple[str, ...]:
    """The layers that the terms compare, but for the picture itself."""
    return tuple(dict.fromkeys(layer for term in terms for layer in term.layers if layer != PIXELS))


def is_reducible(term: Term, group: Group, features: Features) -> bool:
    """Whether a group can be reduced within a part: its positions combine, and all its layers are there."""
    return term.combine != "global" and all(layer in features for layer in group)


def needed(group: Group, features: Features) -> Features:
    """Those of the features that a group needs."""
    return {layer: features[layer] for layer in group if layer in features}


def statistic_of(
    extractor: Extractor, term: Term, group: Group, features: Features, weights: jax.Array | None = None
) -> Any:
    """The statistic of a group of layers, whatever units the extractor stores its features in.

    Args:
      extractor: gave the features.
      term: whose statistic.
      group: one of its groups.
      features: layer -> `[h, w, C]`.
      weights: see `Term.takes_weights`.
    """
    statistic = term.statistic if weights is None else functools.partial(term.statistic, weights=weights)
    own = [features[layer] for layer in group]
    units = [1.0 if layer == PIXELS else extractor.unit for layer in group]
    if term.degree is not None and len(set(units)) == 1:
        factor = units[0] ** term.degree
        return jax.tree.map(lambda x: factor * x, statistic(*own))
    in_units = zip(own, units, strict=True)
    return statistic(*(x if unit == 1 else unit * at_least_float32(x) for x, unit in in_units))


def share_of_mean(
    extractor: Extractor,
    term: Term,
    group: Group,
    features: Features,
    part: Part,
    weights: jax.Array | None = None,
) -> Any:
    """What a part contributes to the statistic of an additive term, a mean over all positions.

    Args:
      extractor: gave the features.
      term: whose statistic.
      group: one of its groups.
      features: layer -> `[h, w, C]`, at the positions of the part.
      part: where they are.
      weights: of the positions of the part, `[h, w]`; None: all alike.

    Returns:
      A tree of arrays that add up to the statistic over all parts.
    """
    share, outside = part.share(features, group)

    def mean(features: Features, weights: jax.Array | None = None) -> Any:
        return statistic_of(extractor, term, group, features, weights)

    if weights is not None:
        found = mean(features, part.own(group[-1], weights))
    else:
        found = mean({layer: part.own(layer, features[layer]) for layer in group})
    found = jax.tree.map(lambda x: share * x, found)
    if outside is None or weights is not None:
        return found
    # Positions that are not of the part were set to zero; they count as much as a position of zeros does.
    zeros = {layer: jnp.zeros((1, 1, x.shape[-1]), x.dtype) for layer, x in needed(group, features).items()}
    return jax.tree.map(lambda x, zero: x - outside * zero, found, mean(zeros))
