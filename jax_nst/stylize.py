"""The loop over steps, and the Python API: two pictures in, one out."""

import dataclasses
import functools
import importlib.metadata
import math
import os
import platform
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jax_nst.config import DEFAULT_SIZE, Config
from jax_nst.features import Extractor, Params
from jax_nst.images import cover, fit_size, load_image, resize
from jax_nst.losses import Losses
from jax_nst.objective import LossWeights, Targets, make_objective, make_targets
from jax_nst.optimizers import make_optimizer
from jax_nst.recipes import RECIPES, Recipe
from jax_nst.step import State, Update, make_step, to_pixels
from jax_nst.vgg import network_of, vgg16, vgg19
from jax_nst.wavelet import wavelet
from jax_nst.weights import WeightsError, find_or_download, load_params, sha256

# The most steps that the device does before the host looks at it, and how long they may take, in seconds.
MAX_CHUNK = 32
_CHUNK_SECONDS = 0.5


class Network(NamedTuple):
    """An extractor with what it needs."""

    extractor: Extractor
    params: Params
    weights_sha256: str | None
    """Of the file that `params` came from; None where there is none."""


class Progress(NamedTuple):
    """What a callback is told."""

    step: int
    """Updates done so far."""
    num_steps: int
    entries: list[dict[str, float]]
    """What was added to `history["steps"]` since the last call."""
    best_pixels: Callable[[], np.ndarray]
    """Gives the best picture so far, `[H, W, 3]`."""
    history: dict[str, Any]
    """`Result.history` as it is so far."""


Callback = Callable[[Progress], bool | None]
"""Called after each chunk of steps; a true answer ends the run early."""


Advance = Callable[..., tuple[State, jax.Array]]
"""`(state, params, targets, loss_weights, count) -> (state, losses)`: `count` updates. Losses are rows of
total, content, style, tv; the first `count` rows count. The state given is consumed."""


class Result(NamedTuple):
    """What came of a transfer."""

    pixels: np.ndarray
    """`[H, W, 3]`, float32 in [0, 1]: the best picture of the run, not the last."""
    history: dict[str, Any]
    """Ready for JSON: `config`, `versions`, `device`, `weights_sha256`, `compile_seconds`, and `steps`, one
    entry an evaluation: `step`, `seconds` since the loop began, `total`, and the terms
    unweighted, `content`, `style`, `tv`. Entry 0 is the start."""
    score: Callable[[np.ndarray], Losses]
    """`(pixels [H, W, 3]) -> Losses`: the same objective, of any picture of that size."""


def picture_size(config: Config, shape: tuple[int, ...]) -> int:
    """Longer side of the picture, in pixels, of a content of `shape` [H, W, 3]."""
    return config.size or min(DEFAULT_SIZE, max(shape[:2]))


def load_network(config: Config, *, params: Params | None = None, quiet: bool = True) -> Network:
    """The extractor that the config asks for, with its weights.

    Args:
      config: `features`, `weights`, `recipe`, `pooling` and the layers count.
      params: a VGG's, instead of those of a file.
      quiet: no progress bar of a download.

    Raises:
      ValueError: a layer is unknown, or the recipe is not for this extractor.
      WeightsError: the weights were asked for and are not to be had. With `auto`, and no file named,
        that is only a warning.
    """
    recipe = RECIPES[config.recipe]
    if config.features == "wavelet":
        return _checked(config, Network(wavelet(), {}, None))
    if params is not None:
        network = network_of(params) if config.features == "auto" else config.features
        return _checked(config, Network(_vgg(network, config), params, None))
    network = (recipe.network or "vgg19") if config.features == "auto" else config.features
    extractor = _checked(config, Network(_vgg(network, config), {}, None)).extractor
    try:
        path = find_or_download(network, config.weights, quiet=quiet)
    except WeightsError as error:
        if config.features != "auto" or config.weights or recipe.network or _names_layers(config):
            raise
        warnings.warn(
            f"no {network.upper()} weights, so the training-free wavelets paint instead; the picture will "
            f"be simpler. For {network.upper()}: {error}",
            UserWarning,
            stacklevel=2,
        )
        return Network(wavelet(), {}, None)
    content_layers, style_layers, _ = _layers(config, extractor)
    params = load_params(path, (*content_layers, *style_layers), network=network)
    return Network(extractor, jax.tree.map(jnp.asarray, params), sha256(path))


def _vgg(network: str, config: Config) -> Extractor:
    return {"vgg19": vgg19, "vgg16": vgg16}[network](pooling=config.pooling)


def _names_layers(config: Config) -> bool:
    return bool(config.content_layers or config.style_layers)


def _checked(config: Config, network: Network) -> Network:
    recipe, name = RECIPES[config.recipe], network.extractor.name
    if recipe.network and name == "wavelet":
        raise ValueError(
            f"recipe {recipe.name} is defined on {recipe.network}, not on wavelets; take recipe "
            f"normalized, or features {recipe.network}"
        )
    for layers in _layers(config, network.extractor)[:2]:
        network.extractor.check_layers(layers)
    return network


def _layers(
    config: Config, extractor: Extractor
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[float, ...]]:
    """Content layers, style layers, and a factor for each style layer."""
    recipe = RECIPES[config.recipe]
    content = config.content_layers or recipe.content_layers or extractor.content_layers
    style = config.style_layers or recipe.style_layers or extractor.style_layers
    given = config.style_layer_weights
    if given is None and (config.style_layers is None or recipe.style_layer_weights is None):
        given = recipe.style_layer_weights
        given = (1 / len(style),) * len(style) if given is None else given
    if given is None or len(given) != len(style):
        raise ValueError(
            f"there are {len(style)} style layers but {len(given or recipe.style_layer_weights or ())} "
            f"style_layer_weights; give one for each of {', '.join(style)}"
        )
    return content, style, given


def stylize(
    content: np.ndarray | jax.Array,
    style: np.ndarray | jax.Array,
    *,
    config: Config = Config(),
    params: Params | None = None,
    callback: Callback | None = None,
) -> Result:
    """Paints one picture in the style of another (Gatys, Ecker and Bethge 2015, arXiv:1508.06576).

    Args:
      content: `[H, W, 3]`, RGB in [0, 1]; resized to `config.size`.
      style: `[H', W', 3]`, RGB in [0, 1], of any shape; resized to `config.style_size`.
      config: the settings.
      params: a VGG's, as `load_params` reads them. None: found or downloaded, as `config.features` says.
      callback: called now and then with a `Progress`; to show it, to save, or to stop.

    Returns:
      The best picture seen, and its history.

    Raises:
      ValueError: an image is of the wrong shape, not finite, or too small; a setting does not fit.
      FloatingPointError: the loss is not finite at the start.
      WeightsError: as `load_network`.
    """
    network = load_network(config, params=params)
    return run(network, content, style, config=config, callback=callback)


def run(
    network: Network,
    content: np.ndarray | jax.Array,
    style: np.ndarray | jax.Array,
    *,
    config: Config,
    callback: Callback | None = None,
) -> Result:
    """As `stylize`, with the network at hand."""
    extractor, params, _ = network
    recipe = RECIPES[config.recipe]
    content_layers, style_layers, style_layer_weights = _layers(config, extractor)
    content, style = _checked_pixels("content", content), _checked_pixels("style", style)
    content = resize(content, fit_size(content.shape, picture_size(config, content.shape)))
    style_size = config.style_size or min(max(content.shape), max(style.shape))
    style = resize(style, fit_size(style.shape, style_size))
    for name, pixels in (("content", content), ("style", style)):
        _check_side(name, pixels, extractor, (*content_layers, *style_layers))
    programs = _programs(
        extractor,
        recipe,
        content_layers,
        style_layers,
        config.optimizer,
        config.learning_rate,
        config.steps,
    )
    start = _start(config, content, style)
    began = time.perf_counter()
    targets = programs.make_targets(params, content, style, jnp.asarray(style_layer_weights, jnp.float32))
    weights = LossWeights(
        *(
            jnp.asarray(default if given is None else given, jnp.float32)
            for given, default in (
                (config.content_weight, recipe.content_weight),
                (config.style_weight, recipe.style_weight),
                (
                    config.tv_weight,
                    recipe.tv_weight if recipe.tv_weight is not None else extractor.tv_weight,
                ),
            )
        )
    )
    state, arguments = programs.init(start), (params, targets, weights)
    advance = programs.compile_advance(state, *arguments)
    history = {
        "config": dataclasses.asdict(config),
        "features": extractor.name,
        "size": [content.shape[1], content.shape[0]],
        "versions": versions(),
        "device": device(),
        "weights_sha256": network.weights_sha256,
        "compile_seconds": time.perf_counter() - began,
        "steps": [],
    }
    state = _loop(advance, state, arguments, config, history, callback)
    return Result(
        np.asarray(to_pixels(state.best_logits)),
        history,
        lambda pixels: programs.score(jnp.asarray(pixels, jnp.float32), *arguments),
    )


def _loop(
    advance: Advance,
    state: State,
    arguments: tuple[Params, Targets, LossWeights],
    config: Config,
    history: dict[str, Any],
    callback: Callback | None,
) -> State:
    """Runs all steps in chunks of about `_CHUNK_SECONDS`, and adds their losses to the history."""
    began = time.perf_counter()
    done, total, chunk = 0, config.steps + 1, 1  # one evaluation more than updates
    while done < total:
        count = min(chunk, total - done)
        if config.save_every:
            # The step that is to be saved ends a chunk; step k is evaluation k + 1.
            count = min(count, config.save_every - (done - 1) % config.save_every)
        before = time.perf_counter()
        state, losses = advance(state, *arguments, count)
        losses = np.asarray(losses)[:count]  # waits for the device
        after = time.perf_counter()
        added = [
            dict(
                zip(
                    ("step", "seconds", *Losses._fields),
                    (done + i, before - began + (after - before) * (i + 1) / count, *map(float, row)),
                    strict=True,
                )
            )
            for i, row in enumerate(losses)
        ]
        if done == 0 and not math.isfinite(added[0]["total"]):
            raise FloatingPointError(
                "the loss of the start is not finite; make the weights of the losses smaller"
            )
        history["steps"] += added
        done += count
        chunk = max(1, min(MAX_CHUNK, 2 * count, int(_CHUNK_SECONDS * count / (after - before))))
        best = state.best_logits
        progress = Progress(
            done - 1,
            config.steps,
            added,
            lambda best=best: np.asarray(to_pixels(best)),
            history,
        )
        if callback is not None and callback(progress):
            break
    return state


class _Programs(NamedTuple):
    """What runs on the device."""

    make_targets: Callable[..., Targets]
    init: Callable[[jax.Array], State]
    compile_advance: Callable[..., Advance]
    """`(state, params, targets, loss_weights) -> Advance`, compiled once for arguments of these shapes."""
    score: Callable[..., Losses]


@functools.lru_cache(maxsize=8)
def _programs(
    extractor: Extractor,
    recipe: Recipe,
    content_layers: tuple[str, ...],
    style_layers: tuple[str, ...],
    optimizer: str,
    learning_rate: float | None,
    num_steps: int,
) -> _Programs:
    """The one place where jit and donation are applied; cached, so that a second call compiles nothing."""
    objective = make_objective(extractor, recipe.variation)
    init, update = make_step(
        objective, make_optimizer(optimizer, learning_rate=learning_rate, num_steps=num_steps)
    )

    def targets_of(
        params: Params, content: jax.Array, style: jax.Array, style_layer_weights: jax.Array
    ) -> Targets:
        return make_targets(
            extractor,
            recipe,
            params,
            content,
            style,
            content_layers=content_layers,
            style_layers=style_layers,
            style_layer_weights=list(style_layer_weights),
        )

    make_advance = _stepping if jax.default_backend() == "cpu" else _looping
    return _Programs(
        jax.jit(targets_of),
        jax.jit(init),
        make_advance(update),
        jax.jit(lambda *arguments: objective(*arguments)[1]),
    )


def _looping(update: Update) -> Callable[..., Advance]:
    """The loop on the device, which is never held up by the host."""

    def advance(
        state: State, params: Params, targets: Targets, loss_weights: LossWeights, count: jax.Array
    ) -> tuple[State, jax.Array]:
        def body(i: jax.Array, carry: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
            state, rows = carry
            state, info = update(state, params, targets, loss_weights)
            return state, rows.at[i].set(jnp.stack(info.losses))

        rows = jnp.zeros((MAX_CHUNK, len(Losses._fields)))
        return jax.lax.fori_loop(0, count, body, (state, rows))

    compile_ = _compile_once(advance)
    return lambda *arguments: compile_(*arguments, 0)


def _stepping(update: Update) -> Callable[..., Advance]:
    """The loop on the host: XLA's CPU runs convolutions inside a loop on one core, six times slower."""

    def step(*arguments: Any) -> tuple[State, jax.Array]:
        state, info = update(*arguments)
        return state, jnp.stack(info.losses)

    compile_ = _compile_once(step)

    def compile_advance(*arguments: Any) -> Advance:
        compiled = compile_(*arguments)

        def advance(state: State, *rest: Any) -> tuple[State, Any]:
            rows = []
            for _ in range(rest[-1]):
                state, row = compiled(state, *rest[:-1])
                rows.append(row)
            return state, np.asarray(rows)

        return advance

    return compile_advance


def _compile_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """`(*arguments) ->` the function compiled for arguments of their shapes; the first is donated."""
    jitted, compiled = jax.jit(function, donate_argnums=0), {}

    def compile_(*arguments: Any) -> Callable[..., Any]:
        leaves, tree = jax.tree.flatten(arguments)
        key = tree, tuple((jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
        if key not in compiled:
            compiled[key] = jitted.lower(*arguments).compile()
        return compiled[key]

    return compile_


def _checked_pixels(name: str, pixels: np.ndarray | jax.Array) -> np.ndarray:
    array = np.asarray(pixels, np.float32)
    if array.ndim != 3 or array.shape[-1] != 3 or 0 in array.shape:
        raise ValueError(f"{name} must have shape [H, W, 3], not {list(array.shape)}")
    if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
        raise ValueError(f"{name} must be finite and lie in [0, 1]")
    return array


def _check_side(name: str, pixels: np.ndarray, extractor: Extractor, layers: tuple[str, ...]) -> None:
    least, (height, width, _) = extractor.smallest_side(layers), pixels.shape
    if min(height, width) < least:
        raise ValueError(
            f"the {name} image is {width} x {height} pixels, but {extractor.name} needs {least} on the "
            f"shorter side; give a larger {'size' if name == 'content' else 'style_size'}, or another image"
        )


def _start(config: Config, content: np.ndarray, style: np.ndarray) -> np.ndarray:
    """`[H, W, 3]`, where the run begins."""
    if config.init == "content":
        return content
    if config.init == "noise":
        noise = jax.random.normal(jax.random.key(config.seed), content.shape)
        return np.asarray(jnp.clip(0.5 + 0.1 * noise, 0, 1))
    image = style if config.init == "style" else load_image(config.init)
    return cover(image, content.shape[:2])


def versions() -> dict[str, str]:
    """Of the packages that decide what comes out."""
    names = ("jax_nst", "jax", "jaxlib", "flax", "optax", "numpy", "pillow")
    found = {name: _version(name) for name in names}
    return {"python": platform.python_version(), **found}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def device() -> str:
    """What the computation runs on, in words."""
    first = jax.devices()[0]
    return (
        f"{first.platform}: {first.device_kind}, {os.cpu_count()} cores"
        if first.platform == "cpu"
        else first.device_kind
    )
