"""Pixels -> scalar: binds an extractor to the losses.

Targets, loss weights and params are arguments of the objective, never captured: a
sweep can vmap over any of them, and no weight becomes a constant of the program.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jax_nst.features import Extractor, Params
from jax_nst.losses import Losses, content_loss, gram_matrix, style_loss
from jax_nst.recipes import Recipe


class Target(NamedTuple):
    """What a layer should look like, and what a squared difference from it costs."""

    value: jax.Array
    """Content: features `[h, w, C]`. Style: Gram matrix `[C, C]`."""
    coefficient: jax.Array
    """`[]`, or `[C, C]` where each entry of a Gram matrix has its own."""


class Targets(NamedTuple):
    """Layer name -> target, computed once before the first step."""

    content: dict[str, Target]
    style: dict[str, Target]


class LossWeights(NamedTuple):
    """Factors of the three terms, each `[]`."""

    content: jax.Array
    style: jax.Array
    tv: jax.Array


Objective = Callable[[jax.Array, Params, Targets, LossWeights], tuple[jax.Array, Losses]]


def content_targets(
    extractor: Extractor, recipe: Recipe, params: Params, content: ArrayLike, layers: Sequence[str]
) -> dict[str, Target]:
    """The features of a content, `[H, W, 3]`, at the size of the picture to be made."""
    features = extractor.apply(params, jnp.asarray(content), tuple(layers))
    return {
        layer: Target(features[layer], recipe.content_scale(features[layer]) / len(layers))
        for layer in layers
    }


def style_grams(
    extractor: Extractor, params: Params, style: ArrayLike, layers: Sequence[str]
) -> dict[str, jax.Array]:
    """The Gram matrices of a style, `[H', W', 3]` of any size: layer -> `[C, C]`."""
    features = extractor.apply(params, jnp.asarray(style), tuple(layers))
    return {layer: gram_matrix(features[layer]) for layer in layers}


def mix_grams(grams: Sequence[Mapping[str, jax.Array]], shares: jax.Array) -> dict[str, jax.Array]:
    """One style of several: the mean of their Gram matrices by `shares`, `[styles]`."""
    return {
        layer: sum(
            (share * gram[layer] for share, gram in zip(shares, grams, strict=True)),
            start=jnp.zeros_like(first),
        )
        for layer, first in grams[0].items()
    }


def style_targets(
    extractor: Extractor,
    recipe: Recipe,
    grams: Mapping[str, jax.Array],
    weights: Sequence[ArrayLike] | jax.Array,
    positions: Mapping[str, ArrayLike],
) -> dict[str, Target]:
    """Gram matrices with what a difference from them costs.

    Args:
      extractor: where they come from.
      recipe: says what a difference costs.
      grams: of one style, or a mixture of several: layer -> `[C, C]`.
      weights: one for each layer, in the order of `grams`.
      positions: how many the picture has in each layer, `num_positions`.
    """
    scales = {
        layer: recipe.style_scale(gram, positions[layer], extractor.relative_to_entries)
        for layer, gram in grams.items()
    }
    return {
        layer: Target(grams[layer], weight * scale)
        for weight, (layer, scale) in zip(weights, scales.items(), strict=True)
    }


def num_positions(
    extractor: Extractor, params: Params, shape: tuple[int, ...], layers: Sequence[str]
) -> dict[str, int]:
    """How many positions each layer has, of a picture of `shape` [H, W, 3]."""
    pixels = jax.ShapeDtypeStruct(shape, jnp.float32)
    features = jax.eval_shape(lambda x: extractor.apply(params, x, tuple(layers)), pixels)
    return {layer: math.prod(feature.shape[:2]) for layer, feature in features.items()}


def make_objective(extractor: Extractor, variation: Callable[[jax.Array], jax.Array]) -> Objective:
    """The function that is minimised.

    Args:
      extractor: where the features come from.
      variation: `(pixels) -> []`, the total variation of the recipe.

    Returns:
      `objective(pixels [H, W, 3], params, targets, loss_weights) -> ([], Losses)`, eq. 7 of
      Gatys et al. 2015 with a total variation. Which layers it computes is read
      from the keys of `targets`.
    """

    def objective(
        pixels: jax.Array, params: Params, targets: Targets, loss_weights: LossWeights
    ) -> tuple[jax.Array, Losses]:
        layers = tuple(dict.fromkeys((*targets.content, *targets.style)))
        features = extractor.apply(params, pixels, layers)
        content = sum(
            (content_loss(features[layer], *target) for layer, target in targets.content.items()),
            start=jnp.zeros(()),
        )
        style = sum(
            (style_loss(gram_matrix(features[layer]), *target) for layer, target in targets.style.items()),
            start=jnp.zeros(()),
        )
        tv = variation(pixels)
        total = loss_weights.content * content + loss_weights.style * style + loss_weights.tv * tv
        return total, Losses(total, content, style, tv)

    return objective
