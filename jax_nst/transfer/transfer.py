"""The Python API of one transfer: two pictures in, one out."""

import functools
import os
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from jax_nst.images import as_pictures, checked_pixels
from jax_nst.losses import Losses
from jax_nst.models.extractor import Params
from jax_nst.runtime.platform import Platform, current_platform
from jax_nst.runtime.values import as_path, check_callback, check_type
from jax_nst.transfer.checkpoint import Checkpoint, Saved, Store
from jax_nst.transfer.colors import seen_picture
from jax_nst.transfer.config import Config, uses_seed
from jax_nst.transfer.engine import Hooks, Interrupted
from jax_nst.transfer.engine import run as run_engine
from jax_nst.transfer.item import make_item
from jax_nst.transfer.needs import state_of
from jax_nst.transfer.network import Network, load_network
from jax_nst.transfer.outcome import Callback, Outcome, Progress, Status, history_of
from jax_nst.transfer.pictures import (
    PictureLike,
    blend_shares,
    check_rotated,
    fit_content,
    load_style,
    read_content,
    style_scales,
    style_shape,
)
from jax_nst.transfer.plan import Planner, objects_of
from jax_nst.transfer.programs import score_program
from jax_nst.transfer.provenance import identity_of, made_with, of_outcome, weights_in_force
from jax_nst.transfer.snapshot import Snapshot
from jax_nst.transfer.spec import Spec, regions_of, resolve, resolve_level_weights
from jax_nst.transfer.target_programs import check_style_fits


class Result(NamedTuple):
    """Result of a transfer: the best picture, its history, and a way to score other pictures."""

    pixels: np.ndarray
    """`[H, W, 3]`, float32 in [0, 1]: the best picture of the run, not the last."""
    history: dict[str, Any]
    """Ready for JSON: `config`, `blend` (the shares of the styles), `versions`, `device`, `weights_sha256`,
    `loss_weights` (those in force at the full size), `run` (how it ended, see `of_outcome`),
    `compile_seconds`, and `steps`, one entry an evaluation: `step`, `size` (longer side, in pixels),
    `seconds` in the loop so far, `total`, and the unweighted loss of each term. Entry 0 is the start; with
    several scales, each begins with an entry of its own start."""
    score: Callable[[PictureLike], Losses]
    """`(picture) -> Losses`: the same objective, of any picture of that size, as `stylize` takes it. With
    color keep, of what the run would see of it: its luminance, and by `color_amount` less of its chroma."""
    status: Status
    message: str
    """`ok`, or in a sentence how the run ended."""


def stylize(
    content: PictureLike,
    style: PictureLike | Sequence[PictureLike],
    *,
    config: Config = Config(),
    blend: Sequence[float] | None = None,
    params: Params | None = None,
    callback: Callback | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    resume: bool = False,
) -> Result:
    """Paints one picture in the style of another (Gatys, Ecker and Bethge 2015, arXiv:1508.06576).

    Args:
      content: `[H, W, 3]`, RGB in [0, 1]; resized to `config.size`. Or 8-bit levels (uint8), the path of an
        image file, or an image of Pillow.
      style: the same, of any shape; resized to `config.style_size`. Or several, which make one style: the
        mean of their statistics.
      config: the settings.
      blend: the share of each of several styles; equal ones if None.
      params: of the network, as `load_params` reads them. None: found or downloaded, as `config.features`
        says.
      callback: called now and then with a `Progress`; to show it, to save, or to stop.
      checkpoint: folder for the state of the run, saved now and then, and when the run is stopped or ends
        in an exception; removed when it has come to its end. See `Checkpoint`.
      resume: go on with the run whose checkpoint is in that folder, if there is one, bit for bit.

    Returns:
      The best picture seen, and its history. An exception on the way, also KeyboardInterrupt, has the best
      picture so far as its attribute `result`, if a step was made.

    Raises:
      ValueError: an image is of the wrong shape, not finite, or too small; a setting does not fit.
      FloatingPointError: the loss is not finite at the start.
      WeightsError: as `load_network`.
      CheckpointError: there is a checkpoint and `resume` is false, or it is damaged or of another run.
      TypeError: it is called within jit, vmap or grad; the config or the callback is none.

    Example:
      >>> import numpy as np
      >>> from jax_nst import Config, stylize
      >>> content, style = np.random.default_rng(0).random((2, 32, 40, 3), np.float32)
      >>> config = Config(
      ...     features="wavelet", content_layers=("luma1",), style_layers=("scale1",), steps=2
      ... )
      >>> result = stylize(content, style, config=config)
      >>> result.pixels.shape, result.message, len(result.history["steps"])
      ((32, 40, 3), 'ok', 3)
    """
    check_type("config", config, Config)
    check_callback(callback)
    platform = current_platform()
    _check_on_host(content, style, params)
    if config.seed and not uses_seed(config):
        warnings.warn(
            "seed has no effect: only init='noise', init_noise and noise use it", UserWarning, stacklevel=2
        )
    network = load_network(config, params=params, platform=platform)
    styles = as_pictures("style", style)
    given = checkpoint
    if given is not None and not isinstance(given, Checkpoint):
        given = Checkpoint(as_path("checkpoint", given))
    if given is None and resume:
        raise ValueError("resume goes on with a checkpoint; pass its folder as checkpoint")
    store = Store(given) if given else None
    options: Any = {"config": config, "platform": platform, "blend": blend, "hooks": Hooks(callback)}
    try:
        result = run(network, content, styles, **options, store=store, resume=resume)
    finally:
        if store:
            store.wait()
    if store and result.status is not Status.STOPPED:
        store.remove()
    return result


def run(
    network: Network,
    content: PictureLike,
    styles: Sequence[PictureLike],
    *,
    config: Config,
    platform: Platform | None = None,
    blend: Sequence[float] | None = None,
    hooks: Hooks = Hooks(),
    store: Store | None = None,
    resume: bool = False,
) -> Result:
    """As `stylize`, with the network at hand and the styles in a list.

    Args:
      network: the extractor with its params.
      content: as of `stylize`.
      styles: of which one style is made.
      config: as of `stylize`.
      platform: the current one if None.
      blend: as of `stylize`.
      hooks: see `engine.Hooks`; `keep` and `on_setup` are set here.
      store: saves the state; the caller waits for it, or removes it.
      resume: as of `stylize`.
    """
    began = time.perf_counter()
    planner = _planner(network, content, styles, config, platform or current_platform(), blend)
    spec, item, begin = planner.spec, planner.item, None
    if store is not None:

        def identity() -> dict[str, Any]:
            return {**identity_of(network, config, planner.pictures), "blend": item.shares}

        begin = _saved(store.open(identity, resume=resume), spec, planner)
    setup_seconds = [time.perf_counter() - began]

    def result_of(outcomes: Sequence[Outcome]) -> Result:
        described = describe(network, config, planner.content.shape, item.shares)
        return _result(planner, described, outcomes, sum(setup_seconds))

    hooks = hooks._replace(keep=store.keep if store else None, on_setup=setup_seconds.append)
    try:
        outcomes, _ = run_engine(spec, planner, [(0, item)], hooks=hooks, begin=begin)
    except BaseException as error:
        carried = getattr(error, "run", None)
        if isinstance(carried, Interrupted) and any(x.pixels is not None for x in carried.outcomes):
            error.result = result_of(carried.outcomes)  # pyright: ignore[reportAttributeAccessIssue]
            error.add_note("The best picture so far is in the `result` of this exception.")
        raise
    return result_of(outcomes)


def _planner(
    network: Network,
    content: PictureLike,
    styles: Sequence[PictureLike],
    config: Config,
    platform: Platform,
    blend: Sequence[float] | None,
) -> Planner:
    """What plans the levels of one picture; raises ValueError for what would fail at one of them."""
    content = read_content(content, config)
    pictures = [load_style(style, config) for style in styles]
    regions = regions_of(config, content.shape)
    spec = resolve(config, network.extractor, content.shape, platform, len(regions))
    scales = style_scales(config, spec.levels[-1].size, len(styles)) or (None,) * len(styles)
    for level in spec.levels:
        for style, scale in zip(pictures, scales, strict=True):
            shape = style_shape(network.extractor, level, style.shape, scale)
            check_style_fits(network, level, spec.platform, shape)
            for angle in config.style_angle or ():
                check_rotated(network.extractor, level, shape, angle)
    if config.save_every > spec.num_steps:
        warnings.warn(
            f"save_every {config.save_every} has no effect: there are {spec.num_steps} steps",
            UserWarning,
            stacklevel=3,
        )
    shares = blend_shares(blend, len(styles))
    item = make_item(config, spec, 0, range(len(styles)), shares, regions)
    return Planner(network, spec, content, pictures, item)


def _saved(saved: Saved | None, spec: Spec, planner: Planner) -> Snapshot | None:
    """The snapshot of a checkpoint."""
    if saved is None:
        return None

    planner.choices |= saved.choices(spec)

    def state(level: int) -> Any:
        return state_of(spec, spec.levels[level], planner.choices[spec.levels[level]])

    return saved.snapshot(spec.loss_names, state)


def _result(
    planner: Planner, described: dict[str, Any], outcomes: Sequence[Outcome], setup_seconds: float
) -> Result:
    """The result of a run with this outcome; with none, it was stopped before its first evaluation."""
    spec = planner.spec
    if not outcomes:
        start = fit_content(spec.levels[-1], planner.content)
        nothing = np.empty((0, len(spec.loss_names)), np.float32)
        outcomes = [Outcome(0, Status.STOPPED, "stopped before the first step", start, (), nothing, 0.0)]
    (outcome,) = outcomes
    if outcome.status is Status.FAILED or outcome.pixels is None:
        reason = outcome.message.partition(": ")[2]
        raise FloatingPointError(reason) if len(outcome.losses) else ValueError(reason)
    history = {
        **described,
        "run": of_outcome(outcome, spec.loss_names),
        "compile_seconds": setup_seconds,
        "steps": history_of(spec, outcome),
    }
    score = functools.partial(_score, planner, outcome.pixels)
    return Result(outcome.pixels, history, score, outcome.status, outcome.message)


def _check_on_host(*arguments: Any) -> None:
    """Raises TypeError within a transformation of JAX: files, sizes and the loop are outside of it."""
    leaves = [*jax.tree.leaves(arguments), jnp.zeros(())]  # under jit, even a constant is a tracer
    if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
        raise TypeError(
            "stylize runs on the host and cannot be within jit, vmap or grad; use sweep for many pictures, "
            "and make_step for a step that can be transformed"
        )


def _score(planner: Planner, best: np.ndarray, picture: PictureLike) -> Losses:
    """The losses of any picture at the last level; the targets are computed once."""
    pixels, last = checked_pixels("pixels", picture, may_be_traced=True), planner.spec.levels[-1]
    expected = (*last.shape, 3)
    if pixels.shape != expected:
        raise ValueError(f"pixels must have shape {list(expected)} as the result, not {list(pixels.shape)}")
    prepared = planner.last().prepare(planner.item, best)  # so that no start is read or drawn anew
    program = score_program(objects_of(planner.spec, last))
    targets = {**prepared.content, **prepared.style}
    seen = seen_picture(planner.item.color, jnp.asarray(pixels, jnp.float32))
    return program(seen, planner.network.params, targets, prepared.controls.loss_weights)


def describe(
    network: Network, config: Config, shape: tuple[int, ...], shares: Sequence[float]
) -> dict[str, Any]:
    """Provenance of a picture painted from a content of `shape` [H, W, 3], ready for JSON."""
    spec = resolve(config, network.extractor, shape, current_platform())
    last = spec.levels[-1]
    return {
        **made_with(network, config),
        "blend": None if len(shares) == 1 else list(shares),
        "size": list(last.shape[::-1]),
        "loss_weights": weights_in_force(last, resolve_level_weights(config, spec)[last]),
    }


__all__ = ["Callback", "Progress", "Result", "Status", "describe", "history_of", "run", "stylize"]
