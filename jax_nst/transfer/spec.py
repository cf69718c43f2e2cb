"""Config -> Spec: every setting resolved once, into records that are hashable and look nothing up.

Compiled programs are keyed by parts of a `Spec`, and a sweep groups its items by it. What may differ
between the items of one program, such as loss weights, is an argument and not part of the `Spec`.
"""

import dataclasses
import math
from typing import Any

import numpy as np
import optax

from jax_nst.images import fit_size
from jax_nst.losses import STYLE_TERMS, LossWeights, Recipe, Term, find_recipe
from jax_nst.losses.term import PIXELS
from jax_nst.models.extractor import Extractor
from jax_nst.models.partition import REMATS
from jax_nst.optim import make_optimizer
from jax_nst.runtime.platform import Platform
from jax_nst.transfer.config import DEFAULT_SIZE, Config

_FACTOR = 2  # from one level to the next
_SHARE, _MOST = 0.3, 30  # of the steps, and steps, at each level but the last


@dataclasses.dataclass(frozen=True)
class Level:
    """One size of the coarse-to-fine schedule.

    Attributes:
      shape: (height, width) of the picture.
      steps: updates.
      terms: of the objective, with their layers.
      style_size: longer side of the styles in pixels; None for the picture's, or as `style_scale` says.
      style_scale: longer side of the styles relative to the picture's; None if `style_size` says it.
    """

    shape: tuple[int, int]
    steps: int
    terms: tuple[Term, ...]
    style_size: int | None
    style_scale: float | None

    @property
    def size(self) -> int:
        """Longer side of the picture in pixels."""
        return max(self.shape)


@dataclasses.dataclass(frozen=True)
class Spec:
    """All that decides the programs of a transfer.

    Attributes:
      extractor: where the features come from.
      levels: coarse to fine; the last one paints the picture itself.
      optimizer: of the angles of the pixels.
      remats: choices of `partition.REMATS`, the most wanted first; the first that fits is taken.
      tolerance: stop when `config.PATIENCE` steps have lowered the loss by no more than this share, if > 0.
      save_every: chunks of steps end at multiples of this; 0: anywhere.
      platform: what the device wants.
    """

    extractor: Extractor
    levels: tuple[Level, ...]
    optimizer: optax.GradientTransformation
    remats: tuple[str, ...]
    tolerance: float
    save_every: int
    platform: Platform

    @property
    def loss_names(self) -> tuple[str, ...]:
        """Columns of histories and tables: `total`, and the name of each term."""
        return "total", *(term.name for term in self.levels[-1].terms)

    @property
    def num_steps(self) -> int:
        """Updates of all levels; each level after the first begins with one evaluation more."""
        return sum(level.steps + 1 for level in self.levels) - 1


def resolve(config: Config, extractor: Extractor, shape: tuple[int, ...], platform: Platform) -> Spec:
    """The settings of one transfer, resolved.

    Args:
      config: what the user asked for.
      extractor: the network, as `load_network` chose it.
      shape: [H, W, 3] of the content.
      platform: see `runtime.platform`.

    Raises:
      ValueError: a setting does not fit, or the picture is too small for the network at one of its levels.
    """
    return Spec(
        extractor=extractor,
        levels=_levels(config, extractor, shape),
        optimizer=_optimizer(config),
        remats=REMATS if config.remat == "auto" else (config.remat,),
        tolerance=config.tolerance,
        save_every=config.save_every,
        platform=platform,
    )


def _optimizer(config: Config) -> optax.GradientTransformation:
    if isinstance(config.optimizer, str):
        return make_optimizer(config.optimizer, learning_rate=config.learning_rate)
    return config.optimizer


def picture_size(config: Config, shape: tuple[int, ...]) -> int:
    """Longer side of the picture, in pixels, of a content of `shape` [H, W, 3]."""
    return config.size or min(DEFAULT_SIZE, max(shape[:2]))


def picture_shape(config: Config, shape: tuple[int, ...]) -> tuple[int, int]:
    """(height, width) of the picture, of a content of `shape` [H, W, 3]."""
    return fit_size(shape, picture_size(config, shape))


def _levels(config: Config, extractor: Extractor, shape: tuple[int, ...]) -> tuple[Level, ...]:
    """Coarse to fine. The last level has all the steps, the others a few: more make no difference to it.

    The coarsest level settles the large shapes, so `auto` begins at about the same size for every picture,
    `Extractor.coarsest_size`.
    """
    size = picture_size(config, shape)
    if config.scales == "auto":
        count = 1 + max(0, round(math.log(size / extractor.coarsest_size, _FACTOR)))
    else:
        count = int(config.scales)
    sizes = [max(1, round(size * _FACTOR**-power)) for power in reversed(range(1, count))]
    coarse = [_coarse_level(config, extractor, shape, smaller) for smaller in sizes]
    if config.scales == "auto":
        coarse = [level for level in coarse if min(level.shape) >= least_side(extractor, level)]
    last_shape = fit_size(shape, size)
    terms = tuple(term for _, term in resolve_terms(config, extractor, last_shape))
    last = Level(last_shape, config.steps, terms, config.style_size, config.style_scale)
    check_side("the content image", last, extractor, last.shape, "give a larger size, or another image")
    remedy = f"give fewer scales than {count}, or a larger size"
    for level in coarse:
        check_side("the picture at one of its smaller sizes", level, extractor, level.shape, remedy)
    return *coarse, last


def _coarse_level(config: Config, extractor: Extractor, shape: tuple[int, ...], size: int) -> Level:
    """A level of that size; a given size of the style shrinks along."""
    level_shape = fit_size(shape, size)
    full = picture_size(config, shape)
    style_scale = config.style_size / full if config.style_size else config.style_scale
    steps = max(1, min(_MOST, round(_SHARE * config.steps)))
    terms = tuple(term for _, term in resolve_terms(config, extractor, level_shape))
    return Level(level_shape, steps, terms, None, style_scale)


def least_side(extractor: Extractor, level: Level) -> int:
    """Pixels that the shorter side of a picture must have at least."""
    layers = [layer for term in level.terms for layer in term.layers if layer != PIXELS]
    return extractor.smallest_side(tuple(layers)) if layers else 1


def check_side(what: str, level: Level, extractor: Extractor, shape: tuple[int, int], remedy: str) -> None:
    """Raises ValueError if `what`, of `shape` (height, width), is too small; it ends with the remedy."""
    least = least_side(extractor, level)
    height, width = shape
    if min(height, width) < least:
        raise ValueError(
            f"{what} is {width} x {height} pixels, but {extractor.name} needs {least} on the shorter side; "
            f"{remedy}"
        )


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
      ValueError: a layer is unknown or named twice, or a style loss is unknown.
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
    for weight, term in _with_style_loss(config, recipe):
        layers = given[term.reference] or term.layers or default[term.reference]
        extractor.check_layers([layer for layer in layers if layer != PIXELS])
        if len(set(layers)) < len(layers):
            raise ValueError(f"a layer is named twice in {', '.join(layers)}")
        if len(layers) < term.span:
            raise ValueError(f"{term.name} compares {term.span} layers with each other; give more layers")
        weighted.append((weight, dataclasses.replace(term, layers=tuple(layers), layer_weights=None)))
    return tuple(weighted)


def _with_style_loss(config: Config, recipe: Recipe) -> tuple[tuple[float, Term], ...]:
    """The terms of the recipe, those of style replaced by the ones that `style_loss` names."""
    if config.style_loss is None:
        return recipe.terms
    if recipe.name != "normalized":
        raise ValueError(f"style_loss changes recipe normalized, not {recipe.name}; leave one out")
    own = {term.name: term for _, term in recipe.terms}
    shares = parse_style_loss(config.style_loss)
    weight = sum(weight for weight, term in recipe.terms if term.reference == "style")
    chosen = []
    for name, share in shares.items():
        term = STYLE_TERMS[name]
        chosen.append((weight * share / sum(shares.values()), own.get(term.name, term)))
    before = [(weight, term) for weight, term in recipe.terms if term.reference == "content"]
    after = [(weight, term) for weight, term in recipe.terms if term.reference is None]
    return *before, *chosen, *after


def parse_style_loss(words: tuple[str, ...]) -> dict[str, float]:
    """Name of a style term -> its share: `("gram:2", "moments")` -> `{"gram": 2.0, "moments": 1.0}`.

    Raises:
      ValueError: there is no name, one is unknown or stands twice, or a share is not a number above zero.
    """
    if not words:
        raise ValueError(f"style_loss must name one of {', '.join(STYLE_TERMS)}, or several")
    shares: dict[str, float] = {}
    for word in words:
        name, _, number = word.partition(":")
        if name not in STYLE_TERMS:
            raise ValueError(f"unknown style_loss {name!r}; the valid ones are {', '.join(STYLE_TERMS)}")
        if name in shares:
            raise ValueError(f"style_loss names {name} twice; name each loss once")
        try:
            shares[name] = float(number or 1)
        except ValueError:
            shares[name] = math.nan
        if not 0 < shares[name] < math.inf:
            raise ValueError(f"the share of {name} in style_loss must be above zero, not {number!r}")
    return shares


def resolve_loss_names(config: Config, extractor: Extractor) -> tuple[str, ...]:
    """`total`, and the name of each term; as `Spec.loss_names`."""
    return "total", *(term.name for _, term in resolve_terms(config, extractor))


def resolve_weights(config: Config, extractor: Extractor, level: Level) -> LossWeights:
    """The loss weights: those of the config, else those of the recipe. On the host.

    Raises:
      ValueError: there is not one weight for each style layer.
    """
    recipe = resolve_recipe(config, extractor)
    weighted = _with_style_loss(config, recipe)
    given = {"content": config.content_weight, "style": config.style_weight, None: config.tv_weight}
    terms: dict[str, Any] = {}
    layers: dict[str, Any] = {}
    for (weight, unresolved), term in zip(weighted, level.terms, strict=True):
        alike = [other for other, its in weighted if its.reference == term.reference]
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
