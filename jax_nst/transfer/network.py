"""Config -> the extractor that it asks for, with its params."""

import dataclasses
import warnings
from typing import NamedTuple

import jax

from jax_nst.losses import Recipe
from jax_nst.losses.recipes import find_recipe
from jax_nst.losses.term import PIXELS
from jax_nst.models.download import DownloadError, find_or_download
from jax_nst.models.extractor import Extractor, Params
from jax_nst.models.features import check_params
from jax_nst.models.vgg import LAYERS, network_of, vgg
from jax_nst.models.wavelet import wavelet
from jax_nst.models.weights import load_params
from jax_nst.runtime.files import sha256
from jax_nst.runtime.platform import Platform, current_platform
from jax_nst.transfer.config import Config
from jax_nst.transfer.terms import resolve_terms

_OF_A_NETWORK = {"weights": None, "pooling": "max", "padding": "zeros", "precision": "auto"}
"""Settings of a network that is named -> their defaults."""
_OF_A_VGG = ("weights", "pooling", "padding")


class Network(NamedTuple):
    """An extractor with its params."""

    extractor: Extractor
    params: Params
    weights_sha256: str | None
    """Of the file that `params` came from; None where there is none."""


def load_network(
    config: Config,
    *,
    params: Params | None = None,
    platform: Platform | None = None,
    quiet: bool = True,
) -> Network:
    """The extractor that the config asks for, with its params.

    Args:
      config: `features`, `weights`, `recipe`, `pooling`, `padding`, `precision` and the layers count.
      params: of the network, instead of those of a file.
      platform: what the device wants; the current one if None.
      quiet: no progress bar of a download.

    Raises:
      ValueError: a layer is unknown, or the recipe is not for this extractor.
      WeightsError: the weight file is missing, or not what it should be.
      DownloadError: it cannot be downloaded; with `auto`, where VGG19-lite will do, only a warning.
    """
    platform = platform or current_platform()
    if isinstance(config.features, Extractor):
        for name, default in _OF_A_NETWORK.items():
            if getattr(config, name) != default:
                raise ValueError(f"{name} is that of a named network; set it in the extractor you pass")
        return _given(config, config.features, params)
    if config.features == "wavelet":
        of_vgg = any(getattr(config, name) != _OF_A_NETWORK[name] for name in _OF_A_VGG)
        if of_vgg or params is not None:
            raise ValueError(
                f"params, {', '.join(_OF_A_VGG[:-1])} and {_OF_A_VGG[-1]} are those of a VGG, but features "
                "are wavelet; leave one out"
            )
        return _given(config, wavelet(precision=_precision(config, platform)), {})
    if params is not None:
        if config.weights:
            raise ValueError("params and weights both are those of the network; leave one out")
        check_params(params, "", ())
        name = network_of(params) if config.features == "auto" else config.features
        extractor = _vgg(name, config, platform)
        check_params(params, name, _layers_of(config, extractor))
        return _given(config, extractor, params)
    name = (_recipe_network(config) or "vgg19") if config.features == "auto" else config.features
    extractor = _vgg(name, config, platform)
    layers = _layers_of(config, extractor)
    try:
        path = find_or_download(name, config.weights, quiet=quiet)
    except DownloadError as error:
        if config.features != "auto" or not _lite_will_do(config):
            raise
        warnings.warn(
            "painting with VGG19-lite, the first three blocks of VGG19, which come with this program. "
            f"For all of VGG19: {error}",
            UserWarning,
            stacklevel=2,
        )
        return load_network(dataclasses.replace(config, features="vgg19-lite"), platform=platform)
    params = load_params(path, layers, network=name)
    return Network(extractor, extractor.prepare(jax.device_put(params)), sha256(path))


def _layers_of(config: Config, extractor: Extractor) -> list[str]:
    """The layers that the terms compare."""
    layers = [layer for _, term in resolve_terms(config, extractor) for layer in term.layers]
    return [layer for layer in dict.fromkeys(layers) if layer != PIXELS]


def _given(config: Config, extractor: Extractor, params: Params | None) -> Network:
    resolve_terms(config, extractor)  # raises if they do not fit
    return Network(extractor, extractor.prepare({} if params is None else params), None)


def _precision(config: Config, platform: Platform) -> str:
    return platform.precision if config.precision == "auto" else config.precision


def _vgg(name: str, config: Config, platform: Platform) -> Extractor:
    return vgg(
        name,
        pooling=config.pooling,
        padding=config.padding,
        precision=_precision(config, platform),
        use_winograd=platform.winograd,
    )


def _recipe_network(config: Config) -> str | None:
    recipe = config.recipe
    return recipe.network if isinstance(recipe, Recipe) else find_recipe(recipe, "").network


def _lite_will_do(config: Config) -> bool:
    layers = (*(config.content_layers or ()), *(config.style_layers or ()))
    return not _recipe_network(config) and set(layers) <= set(LAYERS["vgg19-lite"])
