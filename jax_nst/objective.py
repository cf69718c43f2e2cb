"""Pixels -> scalar: binds an extractor to the losses.

Targets, loss weights and params are arguments of the objective, never captured: a
sweep can vmap over any of them, and no weight becomes a constant of the program.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jax_nst.features import Extractor, Params, Stage
from jax_nst.losses import Losses, at_least_float32, content_loss, gram_matrix, style_loss
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
    wanted = {layer: at_least_float32(features[layer]) for layer in layers}
    return {
        layer: Target(value, recipe.content_scale(value) / len(layers)) for layer, value in wanted.items()
    }


def style_grams(
    extractor: Extractor, params: Params, style: ArrayLike, layers: Sequence[str]
) -> dict[str, jax.Array]:
    """The Gram matrices of a style, `[H', W', 3]` of any size: layer -> `[C, C]`."""
    carry, grams = jnp.asarray(style), {}
    for stage in extractor.stages(tuple(layers)):
        carry, features = stage(params, carry)
        found = {layer: gram_matrix(feature) for layer, feature in features.items()}
        carry = _after([gram[0, 0] for gram in found.values()], carry)
        grams |= found
    return {layer: grams[layer] for layer in layers}


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


REMATS = ("none", "block1", "all")
"""Which stages of the extractor are computed once more for the gradient, instead of kept: VGG's blocks, the
wavelets' scales."""


def make_objective(
    extractor: Extractor, variation: Callable[[jax.Array], jax.Array], *, remat: str = "none"
) -> Objective:
    """The function that is minimised.

    Args:
      extractor: where the features come from.
      variation: `(pixels) -> []`, the total variation of the recipe.
      remat: one of `REMATS`; less memory for more time (Chen et al. 2016, arXiv:1604.06174).

    Returns:
      `objective(pixels [H, W, 3], params, targets, loss_weights) -> ([], Losses)`, eq. 7 of
      Gatys et al. 2015 with a total variation. Which layers it computes is read
      from the keys of `targets`.
    """

    def objective(
        pixels: jax.Array, params: Params, targets: Targets, loss_weights: LossWeights
    ) -> tuple[jax.Array, Losses]:
        stages = extractor.stages(tuple(dict.fromkeys((*targets.content, *targets.style))))
        again = {"none": 0, "block1": 1, "all": len(stages)}[remat]
        carry, content, style = pixels, jnp.zeros(()), jnp.zeros(())
        for number, stage in enumerate(stages):
            # The losses are taken within the stage: else its features would be kept for them.
            part = functools.partial(_stage_losses, stage)
            part = jax.checkpoint(part) if number < again else part
            carry, of_content, of_style = part(params, carry, targets)
            content, style = content + of_content, style + of_style
            if number < again:
                carry = _after([of_content, of_style], carry)
        tv = variation(pixels)
        total = loss_weights.content * content + loss_weights.style * style + loss_weights.tv * tv
        return total, Losses(total, content, style, tv)

    return objective


def _after(values: Sequence[jax.Array], carry: Any) -> Any:
    """What the next stage takes, to be had only after `values`, `[]` each, of this one.

    Else XLA's CPU leaves them, and the features with them, to the end.
    """
    nothing = jax.lax.stop_gradient(0 * sum(values, jnp.zeros(())))
    return jax.tree.map(lambda x: x + nothing.astype(x.dtype), carry)


def _stage_losses(
    stage: Stage, params: Params, carry: Any, targets: Targets
) -> tuple[Any, jax.Array, jax.Array]:
    """What the next stage takes, and the content and style losses of the features of this one."""
    carry, features = stage(params, carry)
    content = [
        content_loss(features[name], *target)
        for name, target in targets.content.items()
        if name in features
    ]
    style = [
        style_loss(gram_matrix(features[name]), *target)
        for name, target in targets.style.items()
        if name in features
    ]
    return carry, sum(content, jnp.zeros(())), sum(style, jnp.zeros(()))
