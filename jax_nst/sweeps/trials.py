"""Trials of a plan: a few steps, timed as the run makes them."""

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from jax_nst.runtime.platform import current_platform
from jax_nst.sweeps.costs import Trial
from jax_nst.sweeps.grid import GridItem
from jax_nst.sweeps.sweeping import run_sweep
from jax_nst.transfer.choices import Choice
from jax_nst.transfer.engine import Hooks
from jax_nst.transfer.network import Network
from jax_nst.transfer.outcome import Progress
from jax_nst.transfer.pictures import Source
from jax_nst.transfer.plan import Plan

_STEPS, _SECONDS, _PIXELS = 20, 2.0, 2**21
"""Of a trial, at most; the pixels are those of one picture."""


def try_batch(
    network: Network,
    contents: Sequence[Source],
    styles: Sequence[Source],
    items: Sequence[GridItem],
    todo: Sequence[int],
    batch: int | None,
    choice: Choice | None = None,
) -> Trial | None:
    """Runs the first batch of a group for a few steps at the full size.

    Batches are as large as all `items` of the group make them, whatever is left `todo`.

    Args:
      network: the extractor with its params.
      contents: all that items name.
      styles: all that items name.
      items: of the group.
      todo: places of those that are not done.
      batch: how many at once; see `forecast`.
      choice: how the run that is planned will be computed; None: as the trial.

    Returns:
      What was measured; None if none of the batch can be run.
    """
    quick = [
        item._replace(config=dataclasses.replace(item.config, steps=_STEPS, scales=1)) for item in items
    ]

    def is_enough(progress: Progress) -> bool:
        seconds = (entries[-1]["seconds"] for entries in progress.entries.values())
        return progress.level_step > 0 and max(seconds) > _SECONDS

    began = time.perf_counter()
    pictures = network, contents, styles, quick
    plans: list[Plan] = []
    hooks = Hooks(is_enough, on_plan=plans.append)
    options: Any = {"platform": current_platform(), "batch": batch, "hooks": hooks}
    for _, outcomes, slots in run_sweep(*pictures, todo=todo, **options):
        seconds = next((outcome.traces[-1].seconds for outcome in outcomes if outcome.traces), np.empty(0))
        if len(seconds) > 1:
            setup = time.perf_counter() - began - float(seconds[-1])
            step = float(seconds[-1] - seconds[0]) / (len(seconds) - 1)
            plan = plans[-1]
            slowdown = choice.time / plan.choice.time if choice else 1.0
            return Trial(plan.level.shape, slots, step, setup, plan.num_bytes, slowdown)
    return None


def try_picture(
    network: Network,
    contents: Sequence[Source],
    styles: Sequence[Source],
    item: GridItem,
    shape: tuple[int, int],
    choice: Choice,
) -> Trial | None:
    """Runs one picture for a few steps, a large one at a smaller size.

    Args:
      network: as `try_batch`, and so the next two.
      contents: the same.
      styles: the same.
      item: of the picture.
      shape: (height, width) of the picture.
      choice: how it is expected to be computed at that size.

    Returns:
      What was measured; None if it cannot be run.
    """
    share = math.sqrt(_PIXELS / math.prod(shape))
    if share >= 1:
        return try_batch(network, contents, styles, [item], [0], batch=1)
    small = item._replace(config=dataclasses.replace(item.config, size=int(share * max(shape))))
    return try_batch(network, contents, styles, [small], [0], batch=1, choice=choice)
