"""Config -> the extractor it asks for, with its weights and its layers."""

import dataclasses
import warnings
from typing import NamedTuple

import jax

from jax_nst.losses.recipes import RECIPES
from jax_nst.models.download import DownloadError, find_or_download
from jax_nst.models.extractor import Extractor, Params, choose_precision
from jax_nst.models.vgg import LAYERS, network_of, vgg16, vgg19, vgg19_lite
from jax_nst.models.wavelet import wavelet
from jax_nst.models.weights import load_params
from jax_nst.runtime.files import sha256
from jax_nst.transfer.config import Config


class Network(NamedTuple):
    """An extractor with what it needs."""

    extractor: Extractor
    params: Params
    weights_sha256: str | None
    """Of the file that `params` came from; None where there is none."""


def load_network(config: Config, *, params: Params | None = None, quiet: bool = True) -> Network:
    """The extractor that the config asks for, with its weights.

    Args:
      config: `features`, `weights`, `recipe`, `pooling` and the layers count.
      params: a VGG's, instead of those of a file.
      quiet: no progress bar of a download.

    Raises:
      ValueError: a layer is unknown, or the recipe is not for this extractor.
      WeightsError: the weights are not what they should be.
      DownloadError: they cannot be downloaded; with `auto`, where VGG19-lite will do, only a warning.
    """
    recipe = RECIPES[config.recipe]
    if config.features == "wavelet":
        if config.weights or config.pooling != "max":
            raise ValueError(
                "weights and pooling are those of a VGG, but features are wavelet; leave one out"
            )
        _check(config, _wavelet(config))
        return Network(_wavelet(config), {}, None)
    if params is not None:
        network = network_of(params) if config.features == "auto" else config.features
        extractor = _vgg(network, config)
        _check(config, extractor)
        return Network(extractor, extractor.prepare(params), None)
    network = (recipe.network or "vgg19") if config.features == "auto" else config.features
    extractor = _vgg(network, config)
    layers = _check(config, extractor)
    try:
        path = find_or_download(network, config.weights, quiet=quiet)
    except DownloadError as error:
        if config.features != "auto" or not _lite_will_do(config):
            raise
        warnings.warn(
            "painting with VGG19-lite, the first three blocks of VGG19, which come with this program. "
            f"For all of VGG19: {error}",
            UserWarning,
            stacklevel=2,
        )
        return load_network(dataclasses.replace(config, features="vgg19-lite"))
    params = load_params(path, (*layers.content, *layers.style), network=network)
    return Network(extractor, extractor.prepare(jax.device_put(params)), sha256(path))


def _wavelet(config: Config) -> Extractor:
    return wavelet(precision=choose_precision(config.precision))


def _vgg(network: str, config: Config) -> Extractor:
    precision = choose_precision(config.precision)
    make = {"vgg19": vgg19, "vgg16": vgg16, "vgg19-lite": vgg19_lite}[network]
    return make(pooling=config.pooling, precision=precision)


def _lite_will_do(config: Config) -> bool:
    layers = (*(config.content_layers or ()), *(config.style_layers or ()))
    return not RECIPES[config.recipe].network and set(layers) <= set(LAYERS["vgg19-lite"])


def _check(config: Config, extractor: Extractor) -> "Layers":
    """The layers that count; raises ValueError if the config does not fit the extractor."""
    recipe = RECIPES[config.recipe]
    if recipe.network and extractor.name not in ("vgg19", "vgg16"):
        raise ValueError(
            f"recipe {recipe.name} is defined on all of {recipe.network}, not on {extractor.name}; take "
            f"recipe normalized, or features {recipe.network}"
        )
    return choose_layers(config, extractor)


class Layers(NamedTuple):
    """Which layers count, and how much."""

    content: tuple[str, ...]
    style: tuple[str, ...]
    style_weights: tuple[float, ...]
    """One for each style layer."""


def choose_layers(config: Config, extractor: Extractor) -> Layers:
    """The layers of the config, else those of its recipe, else those of the extractor.

    Raises:
      ValueError: a layer is unknown, or there is not one weight for each style layer.
    """
    recipe = RECIPES[config.recipe]
    content = config.content_layers or recipe.content_layers or extractor.content_layers
    style = config.style_layers or recipe.style_layers or extractor.style_layers
    for layers in (content, style):
        extractor.check_layers(layers)
        if len(set(layers)) < len(layers):
            raise ValueError(f"a layer is named twice in {', '.join(layers)}")
    weights = config.style_layer_weights
    if weights is None:
        weights = recipe.style_layer_weights or (1 / len(style),) * len(style)
    elif config.recipe == "normalized":
        weights = tuple(weight / sum(weights) for weight in weights)
    if len(weights) != len(style):
        raise ValueError(
            f"there are {len(style)} style layers but {len(weights)} style_layer_weights; give one for "
            f"each of {', '.join(style)}"
        )
    return Layers(content, style, weights)
