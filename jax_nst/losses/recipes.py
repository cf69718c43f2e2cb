"""Named published definitions of the loss, each as coefficients of the same sums.

With G = F^T F / M over the M = h w positions of a layer (`losses.gram_matrix`), every published
style loss is a coefficient times sum((G - A)^2), and every content loss one times
sum((F - P)^2). Published code takes both images at one size; here each Gram matrix is
divided by its own M, which at equal sizes is the published number exactly.

A published weight belongs to the activation scale of its network. With features s
times larger, a content term is s^2 and a style term s^4 times larger, so
the same picture needs its weights divided by that. `Recipe.published` keeps the
numbers as printed; the weights beside it are those that paint with Keras' kernels.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jax_nst.losses.terms import absolute_variation, total_variation

# The least mean square that a loss is made relative to. Below it a channel is empty, such as those of
# colour in a pencil drawing: relative to nothing, all else would give way to it. Paintings reach 1e-3.
_FLOOR = 1e-3


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One definition of the loss.

    Attributes:
      name: as `--recipe` takes it.
      content_weight: factor of the content term.
      style_weight: factor of the style term.
      tv_weight: factor of the total variation; None for the extractor's own.
      content_scale: `(P [h, w, C]) -> []`, the coefficient of sum((F - P)^2) in a layer.
      style_scale: `(A [C, C], M, relative_to_entries) -> []` or `[C, C]`, the coefficient of
        (G - A)^2 in a layer; M is the picture's number of positions.
      variation: `(pixels) -> []`.
      network: the extractor it was published with; None for any.
      content_layers: None for the extractor's own, as below.
      style_layers: None for the extractor's own.
      style_layer_weights: None for the mean over layers.
      published: (content, style, tv) weights as printed, where they differ from the above.
    """

    name: str
    content_weight: float
    style_weight: float
    tv_weight: float | None
    content_scale: Callable[[jax.Array], jax.Array]
    style_scale: Callable[[jax.Array, ArrayLike, bool], jax.Array]
    variation: Callable[[jax.Array], jax.Array] = total_variation
    network: str | None = None
    content_layers: tuple[str, ...] | None = None
    style_layers: tuple[str, ...] | None = None
    style_layer_weights: tuple[float, ...] | None = None
    published: tuple[float, float, float] | None = None


def _relative_content(target: jax.Array) -> jax.Array:
    return 1.0 / (target.size * jnp.maximum(jnp.mean(jnp.square(target)), _FLOOR))


def _relative_style(target: jax.Array, positions: ArrayLike, relative_to_entries: bool) -> jax.Array:
    del positions
    if relative_to_entries:
        power = jnp.maximum(jnp.diagonal(target), _FLOOR)
        return 1.0 / (target.size * power[:, None] * power[None, :])
    return 1.0 / (target.size * jnp.maximum(jnp.mean(jnp.square(target)), _FLOOR))


def _mean_content(target: jax.Array) -> jax.Array:
    return jnp.asarray(1.0 / target.size)


def _gatys_style(target: jax.Array, positions: ArrayLike, relative_to_entries: bool) -> jax.Array:
    # sum((F F^T - A)^2) / (4 N^2 M^2): the M^2 is in the Gram matrices.
    del positions, relative_to_entries
    return jnp.asarray(1.0 / (4 * target.size))


def _nazianafis_style(target: jax.Array, positions: ArrayLike, relative_to_entries: bool) -> jax.Array:
    # sum over entries, of Gram matrices divided by C h w.
    del positions, relative_to_entries
    return jnp.asarray(1.0 / target.size)


def _udacity_style(target: jax.Array, positions: ArrayLike, relative_to_entries: bool) -> jax.Array:
    # mean over the C^2 entries of undivided Gram matrices, over C h w.
    del relative_to_entries
    return jnp.asarray(positions / (target.shape[0] * target.size))


_STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")

# torchvision's networks take input divided by ImageNet's standard deviation, about 0.225 of
# [0, 1], so their activations are about 255 * 0.225 times smaller. Ratio of style to content: s^2.
_TORCHVISION = (255 * 0.225) ** 2

_ALL = (
    # Each term relative to its target: the same look at every size and with every extractor.
    Recipe("normalized", 1.0, 1000.0, None, _relative_content, _relative_style),
    # Gatys, Ecker and Bethge 2015 (arXiv:1508.06576): alpha / beta = 1e-3, w = 1/5. As printed the content
    # is a sum and the style nearly a mean, and the content wins, more so the larger the picture; the style
    # weight here gives the balance of coursera's recipe at 512 pixels.
    Recipe(
        "gatys2015",
        1.0,
        1e7,
        0.0,
        lambda target: jnp.asarray(0.5),
        _gatys_style,
        network="vgg19",
        content_layers=("relu4_2",),
        style_layers=_STYLE,
        published=(1.0, 1000.0, 0.0),
    ),
    # The exercise of Coursera's "Convolutional Neural Networks" (Ng et al.): alpha 10, beta 40, w = 0.2;
    # Adam, start from the content. Same activation scale.
    Recipe(
        "coursera",
        10.0,
        40.0,
        0.0,
        lambda target: jnp.asarray(1.0 / (4 * target.size)),
        _gatys_style,
        network="vgg19",
        content_layers=("relu4_2",),
        style_layers=_STYLE,
    ),
    # github.com/nazianafis/Neural-Style-Transfer: L-BFGS, start from the content, height 400. torchvision's
    # network on 0-255 input, so about the same activation scale.
    Recipe(
        "nazianafis",
        1e5,
        3e4,
        1.0,
        _mean_content,
        _nazianafis_style,
        variation=absolute_variation,
        network="vgg19",
        content_layers=("relu4_2",),
        style_layers=_STYLE,
    ),
    # Udacity's deep-learning-v2-pytorch exercise: Adam 0.003. "conv" there is ReLU in effect, which works
    # in place.
    Recipe(
        "udacity",
        1.0,
        1e6 / _TORCHVISION,
        0.0,
        _mean_content,
        _udacity_style,
        network="vgg19",
        content_layers=("relu4_2",),
        style_layers=_STYLE,
        style_layer_weights=(1.0, 0.75, 0.2, 0.2, 0.2),
        published=(1.0, 1e6, 0.0),
    ),
    # github.com/sushant097: VGG16, content from the last layer, Adam 0.003 (0.5, 0.999), 300 x 300.
    Recipe(
        "sushant097",
        10.0,
        1e4 / _TORCHVISION,
        0.0,
        _mean_content,
        _udacity_style,
        network="vgg16",
        content_layers=("relu4_3",),
        style_layers=("relu1_2", "relu2_2", "relu3_3", "relu4_3"),
        style_layer_weights=(1.0, 1.0, 1.0, 1.0),
        published=(10.0, 1e4, 0.0),
    ),
)

RECIPES = {recipe.name: recipe for recipe in _ALL}
"""Name -> recipe."""
