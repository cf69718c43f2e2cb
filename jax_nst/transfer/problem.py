"""Pictures and settings -> what is minimised and where it begins, for one picture."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jax_nst.images import Picture, cover, fit_size, load_picture, read_head, resize, resize_picture
from jax_nst.losses.objective import LossWeights, Target, Targets, num_positions
from jax_nst.losses.recipes import RECIPES
from jax_nst.losses.terms import Losses
from jax_nst.models.extractor import Extractor, Params
from jax_nst.runtime.malloc import give_back
from jax_nst.transfer.config import DEFAULT_SIZE, MAX_SIZE, Config
from jax_nst.transfer.network import Network, choose_layers
from jax_nst.transfer.programs import score_program, target_programs

Pixels = np.ndarray | jax.Array
"""`[H, W, 3]`, RGB in [0, 1]."""


class Problem(NamedTuple):
    """What is minimised, and where it begins."""

    start: np.ndarray
    """`[H, W, 3]`."""
    arguments: tuple[Params, Targets, LossWeights]
    """Of the objective, after the pixels."""
    extractor: Extractor
    recipe: str

    def score(self, pixels: Pixels) -> Losses:
        """The losses of any picture of the size of `start`."""
        program = score_program(self.extractor, self.recipe)
        return program(jnp.asarray(pixels, jnp.float32), *self.arguments)


def make_problem(
    network: Network,
    content: Pixels,
    styles: Sequence[Pixels],
    *,
    config: Config,
    blend: Sequence[float] | None = None,
    start: np.ndarray | None = None,
) -> Problem:
    """Checks and resizes the images, and computes the targets.

    Args:
      network: what compares pictures.
      content: of any size; resized.
      styles: one or more, each of any size.
      config: the settings.
      blend: one share for each style; equal ones if None.
      start: `[H, W, 3]`, resized; where `config.init` says if None.

    Raises:
      ValueError: as `stylize`.
    """
    shares = blend_shares(blend, len(styles))
    content = fit_content(network, config, content)
    fitted = [fit_style(network, config, style, content.shape) for style in styles]
    programs = target_programs(config, network.extractor)
    give_back()  # each program needs much once; what the last one had would be held beside that
    grams = [programs.grams(network.params, style) for style in fitted]
    style = jax.block_until_ready(style_part(network, config, grams, shares, content.shape))
    give_back()
    targets = Targets(programs.content(network.params, content), style)
    if start is None:
        start = starting_pixels(config, content, fitted, shares)
    start = resize(start, content.shape[:2])
    arguments = (network.params, targets, loss_weights(network, config))
    return Problem(start, arguments, network.extractor, config.recipe)


def blend_shares(blend: Sequence[float] | None, num_styles: int) -> tuple[float, ...]:
    """The shares of the styles, which add up to 1.

    Raises:
      ValueError: there is not one for each style, or they are not shares.
    """
    if blend is None:
        blend = (1.0,) * num_styles
    if len(blend) != num_styles:
        raise ValueError(f"blend has {len(blend)} shares for {num_styles} styles; give one for each")
    total = sum(blend)
    if not (0 < total < float("inf") and all(share >= 0 for share in blend)):
        raise ValueError(f"the shares of blend must be zero or more, and not all zero, not {tuple(blend)}")
    return tuple(share / total for share in blend)


def load_content(path: str, config: Config) -> Picture:
    """A content as it is in its file; one with alpha at the size of the picture that it is saved with.

    Raises:
      ImageError: it cannot be read.
    """
    picture = load_picture(path)
    if picture.alpha is None:
        return picture
    # By itself, the hidden colour of transparent pixels would bleed into their neighbours.
    return resize_picture(picture, picture_size(config, picture.pixels.shape))


def content_shape(path: str, config: Config) -> tuple[int, int, int]:
    """[H, W, 3] of what `load_content` gives.

    Raises:
      ImageError: the file is missing or not an image.
    """
    shape, has_alpha = read_head(path)
    return (*picture_shape(config, shape), 3) if has_alpha else shape


def picture_size(config: Config, shape: tuple[int, ...]) -> int:
    """Longer side of the picture, in pixels, of a content of `shape` [H, W, 3]."""
    return config.size or min(DEFAULT_SIZE, max(shape[:2]))


def picture_shape(config: Config, shape: tuple[int, ...]) -> tuple[int, int]:
    """(height, width) of the picture, of a content of `shape` [H, W, 3]."""
    return fit_size(shape, picture_size(config, shape))


def least_side(network: Network, config: Config) -> int:
    """Pixels that the shorter side of a picture must have at least."""
    layers = choose_layers(config, network.extractor)
    return network.extractor.smallest_side((*layers.content, *layers.style))


def check_side(what: str, shape: tuple[int, int], network: Network, config: Config, remedy: str) -> None:
    """Raises ValueError if what has the shape (height, width) is too small; it ends with the remedy."""
    least = least_side(network, config)
    height, width = shape
    if min(height, width) < least:
        raise ValueError(
            f"{what} is {width} x {height} pixels, but {network.extractor.name} needs {least} on the "
            f"shorter side; {remedy}"
        )


def check_content(network: Network, config: Config, shape: tuple[int, ...]) -> None:
    """Raises ValueError if the picture of a content of `shape` [H, W, 3] is too small."""
    remedy = "give a larger size, or another image"
    check_side("the content image", picture_shape(config, shape), network, config, remedy)


def fit_content(network: Network, config: Config, content: Pixels) -> np.ndarray:
    """The content, checked, at the size of the picture."""
    pixels = _checked_pixels("content", content)
    check_content(network, config, pixels.shape)
    return resize(pixels, picture_shape(config, pixels.shape))


def fit_style(
    network: Network, config: Config, style: Pixels, content_shape: tuple[int, ...]
) -> np.ndarray:
    """The style, checked, at its size for a picture of `content_shape`."""
    pixels = _checked_pixels("style", style)
    own = max(pixels.shape)
    # A long style in a small picture: large enough for the network.
    least = math.ceil(least_side(network, config) * own / min(pixels.shape[:2]))
    if config.style_size is not None:
        size = config.style_size
    elif config.style_scale is not None:
        size = min(MAX_SIZE, max(least, round(config.style_scale * max(content_shape))))
    else:
        size = min(max(least, max(content_shape)), own)
    shape = fit_size(pixels.shape, size)
    check_side("the style image", shape, network, config, "give a larger style_size, or another image")
    return resize(pixels, shape)


def style_part(
    network: Network,
    config: Config,
    grams: Sequence[dict[str, jax.Array]],
    shares: Sequence[float],
    content_shape: tuple[int, ...],
) -> dict[str, Target]:
    """The style's targets from the Gram matrices of each style, mixed by `shares`."""
    extractor, params, _ = network
    layers = choose_layers(config, extractor)
    return target_programs(config, extractor).style(
        grams,
        np.asarray(shares, np.float32),
        np.asarray(layers.style_weights, np.float32),
        num_positions(extractor, params, content_shape, layers.style),
    )


def loss_weights(network: Network, config: Config) -> LossWeights:
    """The weights of the config, else those of its recipe and of the extractor."""
    recipe = RECIPES[config.recipe]
    tv_weight = network.extractor.tv_weight if recipe.tv_weight is None else recipe.tv_weight
    defaults = (recipe.content_weight, recipe.style_weight, tv_weight)
    given = (config.content_weight, config.style_weight, config.tv_weight)
    return LossWeights(
        *(
            jnp.asarray(default if weight is None else weight, jnp.float32)
            for weight, default in zip(given, defaults, strict=True)
        )
    )


def starting_pixels(
    config: Config, content: np.ndarray, styles: Sequence[np.ndarray], shares: Sequence[float]
) -> np.ndarray:
    """`[H, W, 3]`, where the run begins. Of several styles, their mean by `shares`."""
    shape = content.shape[:2]
    if config.init == "content":
        return content
    if config.init == "noise":
        noise = jax.random.normal(jax.random.key(config.seed), content.shape)
        return np.asarray(jnp.clip(0.5 + 0.1 * noise, 0, 1))
    if config.init == "style":
        mixed = sum(share * cover(style, shape) for share, style in zip(shares, styles, strict=True))
        return np.asarray(mixed, np.float32)
    return cover(load_picture(config.init).pixels, shape)


def _checked_pixels(name: str, pixels: Pixels) -> np.ndarray:
    array = np.asarray(pixels, np.float32)
    if array.ndim != 3 or array.shape[-1] != 3 or 0 in array.shape:
        raise ValueError(f"{name} must have shape [H, W, 3], not {list(array.shape)}")
    if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
        raise ValueError(f"{name} must be finite and lie in [0, 1]")
    return array
