"""Pixels -> scalar: binds an extractor to the losses.

Targets, loss weights and params are arguments of the objective, never captured: a
sweep can vmap over any of them, and no weight becomes a constant of the program.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

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


def make_targets(
    extractor: Extractor,
    recipe: Recipe,
    params: Params,
    content: jax.Array,
    style: jax.Array,
    *,
    content_layers: Sequence[str],
    style_layers: Sequence[str],
    style_layer_weights: Sequence[float],
) -> Targets:
    """The features of the content and the Gram matrices of the style, with their coefficients.

    Args:
      extractor: where the features come from.
      recipe: says what a difference costs.
      params: of the extractor.
      content: `[H, W, 3]`, at the size of the picture to be made.
      style: `[H', W', 3]`, of any size.
      content_layers: their losses are averaged.
      style_layers: the layers whose Gram matrices count.
      style_layer_weights: one for each style layer.
    """
    p = extractor.apply(params, content, tuple(content_layers))
    a = extractor.apply(params, style, tuple(style_layers))
    # Only the shapes: how many positions the picture will have in each style layer.
    shapes = jax.eval_shape(lambda x: extractor.apply(params, x, tuple(style_layers)), content)
    content_targets = {
        layer: Target(p[layer], recipe.content_scale(p[layer]) / len(content_layers))
        for layer in content_layers
    }
    style_targets = {}
    for layer, weight in zip(style_layers, style_layer_weights, strict=True):
        gram = gram_matrix(a[layer])
        h, w, _ = shapes[layer].shape
        scale = recipe.style_scale(gram, h * w, extractor.relative_to_entries)
        style_targets[layer] = Target(gram, weight * scale)
    return Targets(content_targets, style_targets)


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
