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

from jax_nst.losses.recipes import Recipe
from jax_nst.losses.terms import Losses, at_least_float32, content_loss, gram_matrix, style_loss
from jax_nst.models.extractor import Extractor, Params
from jax_nst.models.partition import Part, bands, join, whole


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
        parts = bands(stage, carry, extractor.reach)
        carry, _, found = _measure(parts, layers, params, carry, {}, sparing=True)
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
    params = extractor.plain(params)
    features = jax.eval_shape(lambda x: extractor.apply(params, x, tuple(layers)), pixels)
    return {layer: math.prod(feature.shape[:2]) for layer, feature in features.items()}


REMATS = ("none", "block1", "all")
"""Which stages of the extractor are computed once more for the gradient, instead of kept: VGG's blocks, the
wavelets' scales. Large ones then in bands of rows."""


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
        num_again = {"none": 0, "block1": 1, "all": len(stages)}[remat]
        carry, content, style = pixels, jnp.zeros(()), jnp.zeros(())
        for number, stage in enumerate(stages):
            again = number < num_again
            parts = bands(stage, carry, extractor.reach) if again else [whole(stage)]
            carry, of_content, grams = _measure(
                parts, tuple(targets.style), params, carry, targets.content, sparing=again
            )
            of_style = [style_loss(gram, *targets.style[layer]) for layer, gram in grams.items()]
            content, style = content + of_content, style + sum(of_style, jnp.zeros(()))
        tv = variation(pixels)
        total = loss_weights.content * content + loss_weights.style * style + loss_weights.tv * tv
        return total, Losses(total, content, style, tv)

    return objective


def _measure(
    parts: Sequence[Part],
    style_layers: Sequence[str],
    params: Params,
    carry: Any,
    targets: Mapping[str, Target],
    *,
    sparing: bool,
) -> tuple[Any, jax.Array, dict[str, jax.Array]]:
    """What the next stage takes, the content loss of the features of this one, and their Gram matrices.

    Args:
      parts: of the stage.
      style_layers: whose Gram matrices are wanted.
      params: of the extractor.
      carry: what the stage takes.
      targets: of the content.
      sparing: of memory: one part after the other, each computed again for the gradient.
    """
    found = []
    for part in parts:
        # The sums are taken within the part: else its features would be kept for them.
        of_part = functools.partial(_measure_part, part, tuple(style_layers))
        of_part = _computed_again(of_part) if sparing else of_part
        after, content, grams = of_part(params, carry, targets)
        if sparing:
            carry, after = _after([content, *(gram[0, 0] for gram in grams.values())], (carry, after))
        found.append((after, content, grams))
    afters, contents, grams = zip(*found, strict=True)
    return join(afters), sum(contents, jnp.zeros(())), jax.tree.map(lambda *of: sum(of[1:], of[0]), *grams)


def _measure_part(
    part: Part, style_layers: Sequence[str], params: Params, carry: Any, targets: Mapping[str, Target]
) -> tuple[Any, jax.Array, dict[str, jax.Array]]:
    after, features = part.stage(params, carry)
    content = [
        content_loss(features[layer], target.value[part.rows], target.coefficient)
        for layer, target in targets.items()
        if layer in features
    ]
    grams = {
        layer: part.share * gram_matrix(features[layer]) for layer in style_layers if layer in features
    }
    return after, sum(content, jnp.zeros(())), grams


def _computed_again(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same, of which nothing is kept for the gradient but the arguments.

    As `jax.checkpoint`, but that XLA's CPU takes what is computed again for what it has already: here it
    follows from the gradient that it is computed for.
    """

    def backward(arguments: Any, cotangents: Any) -> Any:
        params, carry, targets = arguments
        carry = _after([jnp.ravel(cotangent)[0] for cotangent in jax.tree.leaves(cotangents)], carry)
        return jax.vjp(function, params, carry, targets)[1](cotangents)

    again = jax.custom_vjp(function)
    again.defvjp(lambda *arguments: (function(*arguments), arguments), backward)
    return again


def _after(values: Sequence[jax.Array], carry: Any) -> Any:
    """What comes next, to be had only after `values`, `[]` each.

    Else XLA's CPU leaves them, and the features with them, to the end.
    """
    nothing = jax.lax.stop_gradient(0 * sum(values, jnp.zeros(())))
    return jax.tree.map(lambda x: x + nothing.astype(x.dtype), carry)
