"""Config -> the extractor that it asks for, with its params."""

import dataclasses
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

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
    others: Iterable[Config] = (),
    params: Params | None = None,
    platform: Platform | None = None,
    quiet: bool = True,
) -> Network:
    """The extractor that the config asks for, with its params.

    Args:
      config: `features`, `weights`, `recipe`, `pooling`, `padding`, `precision` and the layers count.
      others: of a sweep, which differ in the last five of these; the params have the layers of all, and
        `adapted` makes their networks from this one.
      params: of the network, instead of those of a file.
      platform: what the device wants; the current one if None.
      quiet: no progress bar of a download.

    Raises:
      ValueError: a layer is unknown, or the recipe is not for this extractor.
      WeightsError: the weight file is missing, or not what it should be.
      DownloadError: it cannot be downloaded; with `auto`, where VGG19-lite will do, only a warning.
    """
    platform = platform or current_platform()
    # Of several items those that count here are few.
    every = list({_deciding(each): each for each in (config, *others)}.values())
    if len({_precision(each, platform) for each in every}) > 1:
        # Of the params of lower precisions those of others cannot be made.
        config = dataclasses.replace(config, precision="float32")
    for each in every:
        _check_settings(each, params)
    if isinstance(config.features, Extractor):
        return _given(every, config.features, params)
    if config.features == "wavelet":
        return _given(every, wavelet(precision=_precision(config, platform)), {})
    if params is not None:
        check_params(params, "", ())
        name = network_of(params) if config.features == "auto" else config.features
        extractor = _vgg(name, config, platform)
        check_params(params, name, _layers_of(every, extractor))
        return _given(every, extractor, params)
    name = (_recipe_network(every) or "vgg19") if config.features == "auto" else config.features
    extractor = _vgg(name, config, platform)
    layers = _layers_of(every, extractor)
    try:
        path = find_or_download(name, config.weights, quiet=quiet)
    except DownloadError as error:
        if config.features != "auto" or not _lite_will_do(every):
            raise
        warnings.warn(
            "painting with VGG19-lite, the first three blocks of VGG19, which come with this program. "
            f"For all of VGG19: {error}",
            UserWarning,
            stacklevel=2,
        )
        lite = [dataclasses.replace(each, features="vgg19-lite") for each in (config, *every)]
        return load_network(lite[0], others=lite[1:], platform=platform)
    params = load_params(path, layers, network=name)
    return Network(extractor, extractor.prepare(jax.device_put(params)), sha256(path))


def extractor_of(network: Network, config: Config, platform: Platform) -> Extractor:
    """The extractor of a network with the pooling, padding and precision of a config.

    Args:
      network: of `load_network`, which was told of the config.
      config: one of those of a sweep.
      platform: as `load_network`.
    """
    if isinstance(config.features, Extractor):
        return network.extractor
    if network.extractor.name == "wavelet":
        return wavelet(precision=_precision(config, platform))
    return _vgg(network.extractor.name, config, platform)


def adapted(network: Network, extractor: Extractor) -> Network:
    """The network with another extractor, of `extractor_of`, and the same params, prepared for it."""
    if extractor is network.extractor:
        return network
    params = network.extractor.plain(network.params)
    return network._replace(extractor=extractor, params=extractor.prepare(params))


def _deciding(config: Config) -> tuple[Any, ...]:
    """The settings that decide which params a network needs."""
    layers = config.content_layers, config.style_layers, config.content_loss, config.style_loss
    return config.recipe, layers, *(getattr(config, name) for name in _OF_A_NETWORK)


def _check_settings(config: Config, params: Params | None) -> None:
    """Raises ValueError if settings belong to another kind of network than the one asked for."""
    if isinstance(config.features, Extractor):
        for name, default in _OF_A_NETWORK.items():
            if getattr(config, name) != default:
                raise ValueError(f"{name} is that of a named network; set it in the extractor you pass")
    elif config.features == "wavelet":
        of_vgg = any(getattr(config, name) != _OF_A_NETWORK[name] for name in _OF_A_VGG)
        if of_vgg or params is not None:
            raise ValueError(
                f"params, {', '.join(_OF_A_VGG[:-1])} and {_OF_A_VGG[-1]} are those of a VGG, but features "
                "are wavelet; leave one out"
            )
    elif params is not None and config.weights:
        raise ValueError("params and weights both are those of the network; leave one out")


def _layers_of(configs: Sequence[Config], extractor: Extractor) -> list[str]:
    """The layers that the terms compare."""
    terms = [term for config in configs for _, term in resolve_terms(config, extractor)]
    layers = [layer for term in terms for layer in term.layers]
    return [layer for layer in dict.fromkeys(layers) if layer != PIXELS]


def _given(every: Sequence[Config], extractor: Extractor, params: Params | None) -> Network:
    _layers_of(every, extractor)  # raises if they do not fit
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


def _recipe_network(configs: Sequence[Config]) -> str | None:
    """The network that the recipes are defined on, if they are on one.

    Raises:
      ValueError: they are on several.
    """
    recipes = [
        config.recipe if isinstance(config.recipe, Recipe) else find_recipe(config.recipe, "")
        for config in configs
    ]
    named = {recipe.network: recipe.name for recipe in recipes if recipe.network}
    if len(named) > 1:
        found = " and ".join(f"{recipe} of {network}" for network, recipe in named.items())
        raise ValueError(f"a sweep has one network, but its recipes are {found}; name one with features")
    return next(iter(named), None)


def _lite_will_do(configs: Sequence[Config]) -> bool:
    layers = [x for each in configs for x in (*(each.content_layers or ()), *(each.style_layers or ()))]
    return not _recipe_network(configs) and set(layers) <= set(LAYERS["vgg19-lite"])
