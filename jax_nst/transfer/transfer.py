"""The Python API of one transfer: two pictures in, one out."""

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jax_nst.images import resize
from jax_nst.losses.terms import NOT_FINITE, Losses
from jax_nst.models.extractor import Params
from jax_nst.optim.step import State, to_pixels
from jax_nst.runtime.memory import first_that_fits, memory_limit
from jax_nst.transfer.config import PATIENCE, Config
from jax_nst.transfer.loop import Chunk, levelled_off, steps_in_chunks
from jax_nst.transfer.network import Network, load_network
from jax_nst.transfer.problem import Pixels, Problem, blend_shares, make_problem, picture_shape
from jax_nst.transfer.programs import Advance, remat_choices, step_programs
from jax_nst.transfer.provenance import made_with
from jax_nst.transfer.schedule import scale_configs


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


class Result(NamedTuple):
    """What came of a transfer: the best picture, how it got there, and a way to score others."""

    pixels: np.ndarray
    """`[H, W, 3]`, float32 in [0, 1]: the best picture of the run, not the last."""
    history: dict[str, Any]
    """Ready for JSON: `config`, `blend` (the shares of the styles), `versions`, `device`, `weights_sha256`,
    `compile_seconds`, and `steps`, one entry an evaluation: `step`, `size` (longer side, in pixels),
    `seconds` in the loop so far, `total`, and the terms unweighted, `content`, `style`, `tv`. Entry 0 is
    the start; with several scales, each begins with an entry of its own start."""
    score: Callable[[np.ndarray], Losses]
    """`(pixels [H, W, 3]) -> Losses`: the same objective, of any picture of that size."""


def stylize(
    content: Pixels,
    style: Pixels | Sequence[Pixels],
    *,
    config: Config = Config(),
    blend: Sequence[float] | None = None,
    params: Params | None = None,
    callback: Callback | None = None,
) -> Result:
    """Paints one picture in the style of another (Gatys, Ecker and Bethge 2015, arXiv:1508.06576).

    Args:
      content: `[H, W, 3]`, RGB in [0, 1]; resized to `config.size`.
      style: `[H', W', 3]`, RGB in [0, 1], of any shape; resized to `config.style_size`. Or several,
        which make one style: the mean of their Gram matrices.
      config: the settings.
      blend: the share of each of several styles; equal ones if None.
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
    styles = [style] if isinstance(style, np.ndarray | jax.Array) else style
    return run(network, content, styles, config=config, blend=blend, callback=callback)


def run(
    network: Network,
    content: Pixels,
    styles: Sequence[Pixels],
    *,
    config: Config,
    blend: Sequence[float] | None = None,
    callback: Callback | None = None,
) -> Result:
    """As `stylize`, with the network at hand and the styles in a list."""
    configs = scale_configs(network, config, np.shape(content))
    height, width = picture_shape(config, np.shape(content))
    history: dict[str, Any] = {
        **made_with(network, config),
        "blend": None if len(styles) == 1 else list(blend_shares(blend, len(styles))),
        "size": [width, height],
        "compile_seconds": 0.0,
        "steps": [],
    }
    pixels, stopped, problem = None, False, None
    num_steps = sum(scale.steps + 1 for scale in configs) - 1
    for scale in configs:
        # In float from one size to the next.
        began = time.perf_counter()
        problem = make_problem(network, content, styles, config=scale, blend=blend, start=pixels)
        jax.block_until_ready(problem.arguments)
        history["compile_seconds"] += time.perf_counter() - began
        pixels, stopped = _run_scale(problem, scale, num_steps, (height, width), history, callback)
        if stopped:
            break
    assert problem is not None
    assert pixels is not None

    @functools.cache
    def at_full_size() -> Problem:
        # A run that was stopped may not have come to it: its targets are computed when they are asked for.
        if problem.start.shape[:2] == (height, width):
            return problem
        return make_problem(network, content, styles, config=configs[-1], blend=blend, start=pixels)

    return Result(resize(pixels, (height, width)), history, lambda picture: at_full_size().score(picture))


def _run_scale(
    problem: Problem,
    config: Config,
    num_steps: int,
    shape: tuple[int, int],
    history: dict[str, Any],
    callback: Callback | None,
) -> tuple[np.ndarray, bool]:
    """Runs all steps of one size, adds them to the history, and gives the best picture of that size.

    Also whether the callback ended the run.
    """
    began, before = time.perf_counter(), history["steps"][-1] if history["steps"] else None
    state, advance = _compile(problem, config)
    history["compile_seconds"] += time.perf_counter() - began
    stopped, totals = False, []
    stops = [stop for stop in (config.save_every, PATIENCE if config.tolerance else 0) if stop]
    for chunk in steps_in_chunks(advance, state, problem.arguments, config.steps, stops=stops):
        state = chunk.state
        added = _entries(chunk, max(problem.start.shape), before)
        if not (math.isfinite(added[0]["total"]) or chunk.first):
            raise FloatingPointError(NOT_FINITE)
        history["steps"] += added
        progress = Progress(
            int(added[-1]["step"]),
            num_steps,
            added,
            lambda best=state.best_angles: resize(np.asarray(to_pixels(best)), shape),
            history,
        )
        if callback is not None and callback(progress):
            stopped = True
            break
        totals += chunk.losses[:, 0].tolist()
        if levelled_off(np.array(totals), config.tolerance, PATIENCE):
            break
    return np.asarray(to_pixels(state.best_angles)), stopped


def _compile(problem: Problem, config: Config) -> tuple[State, Advance]:
    """The first state, and the loop, with as little computed twice as memory allows if so wished."""

    def make(remat: str) -> tuple[Any, int]:
        programs = step_programs(dataclasses.replace(config, remat=remat), problem.extractor)
        state = jax.eval_shape(programs.init, problem.start)
        advance, num_bytes = programs.compile_advance(state, *problem.arguments)
        return (programs, advance), num_bytes

    limit = memory_limit(jax.local_devices()[0])
    programs, advance = first_that_fits(remat_choices(config), make, limit)
    return programs.init(problem.start), advance


def _entries(chunk: Chunk, size: int, before: dict[str, float] | None) -> list[dict[str, float]]:
    """One for each evaluation, for the history; `before` is the last one of the size before."""
    names = ("step", "size", "seconds", *Losses._fields)
    step, seconds = (before["step"] + 1, before["seconds"]) if before else (0, 0.0)
    return [
        dict(
            zip(
                names, (step + chunk.first + i, size, seconds + float(at), *map(float, losses)), strict=True
            )
        )
        for i, (at, losses) in enumerate(zip(chunk.seconds, chunk.losses, strict=True))
    ]
