"""Config -> the terms of the objective and their weights."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jax_nst.losses import CONTENT_TERMS, PIXELS, STYLE_TERMS, LossWeights, Recipe, Term, find_recipe
from jax_nst.losses.recipes import default_loss, strength_of
from jax_nst.models.extractor import Extractor
from jax_nst.transfer.config import Config


def resolve_recipe(config: Config, extractor: Extractor) -> Recipe:
    """The recipe of the config for this extractor.

    Raises:
      ValueError: it is not defined on this extractor.
    """
    if isinstance(config.recipe, Recipe):
        return config.recipe
    recipe = find_recipe(config.recipe, extractor.name)
    if recipe.network not in (None, extractor.name) and extractor.name not in ("vgg19", "vgg16"):
        raise ValueError(
            f"recipe {recipe.name} is defined on all of {recipe.network}, not on {extractor.name}; take "
            f"recipe normalized, or features {recipe.network}"
        )
    return recipe


def resolve_terms(
    config: Config, extractor: Extractor, shape: tuple[int, int] | None = None
) -> tuple[tuple[float, Term], ...]:
    """The weighted terms of the objective, with their layers.

    Layers are those of the config, else of the term, else the defaults of the extractor, at the size of the
    picture where they depend on it.

    Args:
      config: what the user asked for.
      extractor: whose layers they are.
      shape: (height, width) of the picture; None for a usual one.

    Raises:
      ValueError: a layer is unknown or named twice, or a loss is unknown.
    """
    recipe = resolve_recipe(config, extractor)
    content, style = extractor.content_layers, extractor.style_layers
    if shape is not None and extractor.layers_at is not None:
        content, of_size = extractor.layers_at(shape)
        # One weight for each of the extractor's own layers, at every size.
        style = style if config.style_layer_weights else of_size
    given = {"content": config.content_layers, "style": config.style_layers, None: None}
    default = {"content": content, "style": style, None: (PIXELS,)}
    weighted = []
    for weight, term in _weighted_terms(config, recipe, extractor.name):
        layers = given[term.reference] or term.layers or default[term.reference]
        extractor.check_layers([layer for layer in layers if layer != PIXELS])
        if len(set(layers)) < len(layers):
            raise ValueError(
                f"a layer is named twice in {', '.join(layers)}; name each once in {term.reference}_layers"
            )
        if len(layers) < term.span:
            raise ValueError(
                f"the {term.reference} loss compares {term.span} layers with each other; give more layers"
            )
        if (config.mask or config.style_map) and term.reference == "style":
            _check_takes_weights(term)
        weighted.append((weight, dataclasses.replace(term, layers=tuple(layers), layer_weights=None)))
    return tuple(weighted)


def _check_takes_weights(term: Term) -> None:
    """Raises ValueError if masks are given and the statistic of a term cannot be that of a part."""
    if not term.takes_weights:
        able = [name for name, term in STYLE_TERMS.items() if term.takes_weights]
        raise ValueError(
            "this style loss takes no masks and no map of style_weight, because it is no mean over "
            f"positions; take one of {', '.join(able)}"
        )


def _weighted_terms(config: Config, recipe: Recipe, network: str) -> tuple[tuple[float, Term], ...]:
    """The terms of the recipe. Those of normalized compare what `content_loss` and `style_loss` name."""
    terms = recipe.terms
    for reference, known in (("content", CONTENT_TERMS), ("style", STYLE_TERMS)):
        field = f"{reference}_loss"
        words = getattr(config, field)
        if config.recipe == "normalized":
            words = (default_loss(reference, network),) if words is None else words
            terms = _replaced(terms, reference, parse_shares(field, words, known), known, network)
        elif words is not None:
            raise ValueError(f"{field} changes recipe normalized, not {recipe.name}; leave one out")
    return terms


def _replaced(
    terms: tuple[tuple[float, Term], ...],
    reference: str,
    shares: Mapping[str, float],
    known: Mapping[str, Term],
    network: str,
) -> tuple[tuple[float, Term], ...]:
    """`terms` with the losses of `shares` in place of the one that refers to `reference`.

    One loss alone is named `content` or `style`, as the one before; of several each has its own name.
    """
    (place,) = (i for i, (_, term) in enumerate(terms) if term.reference == reference)
    weight, own = terms[place]
    chosen = []
    for loss, share in shares.items():
        term = own if known[loss].name == own.name else known[loss]
        factor = share * strength_of(loss, network) / sum(shares.values())
        name = loss if len(shares) > 1 else reference
        chosen.append((weight * factor, dataclasses.replace(term, name=name)))
    return *terms[:place], *chosen, *terms[place + 1 :]


def parse_shares(field: str, words: tuple[str, ...], known: Mapping[str, Term]) -> dict[str, float]:
    """Name of a loss -> its share: `("gram:2", "moments")` -> `{"gram": 2.0, "moments": 1.0}`.

    Args:
      field: of `Config`, for messages.
      words: its value.
      known: name of a loss -> its term.

    Raises:
      ValueError: there is no name, one is unknown or stands twice, or a share is not a number above zero.
    """
    if not words:
        raise ValueError(f"{field} must name one of {', '.join(known)}, or several")
    shares: dict[str, float] = {}
    for word in words:
        name, _, number = word.partition(":")
        if name not in known:
            raise ValueError(f"unknown {field} {name!r}; the valid ones are {', '.join(known)}")
        if name in shares:
            raise ValueError(f"{field} names {name} twice; name each loss once")
        try:
            shares[name] = float(number or 1)
        except ValueError:
            shares[name] = math.nan
        if not 0 < shares[name] < math.inf:
            raise ValueError(f"the share of {name} in {field} must be above zero, not {number!r}")
    return shares


def resolve_loss_names(config: Config, extractor: Extractor) -> tuple[str, ...]:
    """`total`, and the name of each term; as `Spec.loss_names`."""
    return "total", *(term.name for _, term in resolve_terms(config, extractor))


def resolve_weights(config: Config, extractor: Extractor, resolved: tuple[Term, ...]) -> LossWeights:
    """The loss weights of resolved terms: those of the config, else those of the recipe. On the host.

    Raises:
      ValueError: there is not one weight for each style layer.
    """
    recipe = resolve_recipe(config, extractor)
    weighted = _weighted_terms(config, recipe, extractor.name)
    style_weight = None if isinstance(config.style_weight, str) else config.style_weight
    given = {"content": config.content_weight, "style": style_weight, None: config.tv_weight}
    terms: dict[str, Any] = {}
    layers: dict[str, Any] = {}
    for (weight, unresolved), term in zip(weighted, resolved, strict=True):
        alike = [other for other, its in recipe.terms if its.reference == term.reference]
        share = weight / sum(alike) if sum(alike) else 1 / len(alike)
        wanted = given[term.reference]
        terms[term.name] = np.float32(weight if wanted is None else wanted * share)
        layers[term.name] = _layer_weights(config, recipe, term, unresolved.layer_weights)
    return LossWeights(terms, layers)


def _layer_weights(config: Config, recipe: Recipe, term: Term, own: tuple[float, ...] | None) -> np.ndarray:
    """`[groups]`: the user's, else the term's own, else equal ones; of a pair of layers, their mean."""
    given = config.style_layer_weights if term.reference == "style" else None
    weights = given or own or (1.0,) * len(term.layers)
    if len(weights) != len(term.layers):
        raise ValueError(
            f"there are {len(term.layers)} style layers but {len(weights)} style_layer_weights; give one "
            f"for each of {', '.join(term.layers)}"
        )
    by_layer = dict(zip(term.layers, weights, strict=True))
    of_groups = np.array([np.mean([by_layer[layer] for layer in group]) for group in term.groups])
    if (given and recipe.mean_over_layers) or not (given or own):
        of_groups = of_groups / of_groups.sum()
    return of_groups.astype(np.float32)
