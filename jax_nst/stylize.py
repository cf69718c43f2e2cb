"""The loop over steps, and the Python API: two pictures in, one out."""

import dataclasses
import functools
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jax_nst.config import DEFAULT_SIZE, Config
from jax_nst.features import Extractor, Params
from jax_nst.images import cover, fit_size, load_picture, resize
from jax_nst.losses import Losses
from jax_nst.network import Network, choose_layers, load_network
from jax_nst.objective import LossWeights, Targets, make_objective, make_targets
from jax_nst.optimizers import make_optimizer
from jax_nst.provenance import device, versions
from jax_nst.recipes import RECIPES, Recipe
from jax_nst.step import State, Update, make_step, to_pixels

# The most steps that the device does before the host looks at it, and how long they may take, in seconds.
MAX_CHUNK = 32
_CHUNK_SECONDS = 0.5


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
    """What came of a transfer: the best picture, how it got there, and a way to score others."""

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
    began = time.perf_counter()
    problem = make_problem(network, content, style, config=config)
    state = problem.programs.init(problem.start)
    advance = problem.programs.compile_advance(state, *problem.arguments)
    height, width, _ = problem.start.shape
    history = {
        "config": dataclasses.asdict(config),
        "features": network.extractor.name,
        "size": [width, height],
        "versions": versions(),
        "device": device(),
        "weights_sha256": network.weights_sha256,
        "compile_seconds": time.perf_counter() - began,
        "steps": [],
    }
    state = _loop(advance, state, problem.arguments, config, history, callback)
    return Result(np.asarray(to_pixels(state.best_angles)), history, problem.score)


class Problem(NamedTuple):
    """What is minimised, where it begins, and the programs that do it."""

    programs: "_Programs"
    start: np.ndarray
    """`[H, W, 3]`."""
    arguments: tuple[Params, Targets, LossWeights]
    """Of the objective, after the pixels."""

    def score(self, pixels: np.ndarray) -> Losses:
        """The losses of any picture of the size of `start`, `[H, W, 3]`."""
        return self.programs.score(jnp.asarray(pixels, jnp.float32), *self.arguments)


def make_problem(
    network: Network, content: np.ndarray | jax.Array, style: np.ndarray | jax.Array, *, config: Config
) -> Problem:
    """Checks and resizes both images, and computes the targets.

    Raises:
      ValueError: as `stylize`.
    """
    extractor, params, _ = network
    recipe = RECIPES[config.recipe]
    layers = choose_layers(config, extractor)
    content, style = _checked_pixels("content", content), _checked_pixels("style", style)
    content = resize(content, fit_size(content.shape, picture_size(config, content.shape)))
    style_size = config.style_size or min(max(content.shape), max(style.shape))
    style = resize(style, fit_size(style.shape, style_size))
    for name, pixels in (("content", content), ("style", style)):
        _check_side(name, pixels, extractor, (*layers.content, *layers.style))
    programs = _programs(
        extractor,
        recipe,
        layers.content,
        layers.style,
        config.optimizer,
        config.learning_rate,
        # Only Adam's schedule knows its end; no other program is compiled anew for another one.
        config.steps if config.optimizer == "adam" else 0,
    )
    targets = programs.make_targets(params, content, style, jnp.asarray(layers.style_weights, jnp.float32))
    tv_weight = extractor.tv_weight if recipe.tv_weight is None else recipe.tv_weight
    defaults = (recipe.content_weight, recipe.style_weight, tv_weight)
    given = (config.content_weight, config.style_weight, config.tv_weight)
    weights = LossWeights(
        *(
            jnp.asarray(default if weight is None else weight, jnp.float32)
            for weight, default in zip(given, defaults, strict=True)
        )
    )
    return Problem(programs, _start(config, content, style), (params, targets, weights))


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
        best = state.best_angles
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
    init: Callable[[np.ndarray], State]
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

    return _Programs(
        jax.jit(targets_of),
        jax.jit(init),
        _advance_for_device()(update),
        jax.jit(lambda *arguments: objective(*arguments)[1]),
    )


def _advance_for_device() -> Callable[[Update], Callable[..., Advance]]:
    return _stepping if jax.default_backend() == "cpu" else _looping


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
    image = style if config.init == "style" else load_picture(config.init).pixels
    return cover(image, content.shape[:2])
