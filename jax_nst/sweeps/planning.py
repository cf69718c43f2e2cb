"""What a sweep, or one picture, would take: every input is read, and a few steps are timed.

Programs are compiled as the run itself does, one for each kind (network, losses, optimizer), at the largest
picture of its kind. Its batch, its memory by XLA's analysis and its time a step are therefore those of the
run, whose compilation cache it fills; other sizes are scaled by their pixels. One large picture, of which a
step may take minutes, is tried at a smaller size.
"""

import itertools
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jax_nst.runtime.memory import amount
from jax_nst.runtime.platform import current_platform
from jax_nst.sweeps.costs import Rounds, Trial, num_evaluations, rounds_of, seconds_of
from jax_nst.sweeps.frames import read_columns
from jax_nst.sweeps.grid import GridItem
from jax_nst.sweeps.halving import Halving
from jax_nst.sweeps.inputs import agreed_sources
from jax_nst.sweeps.job import SETTINGS, Job
from jax_nst.sweeps.keys import item_keys
from jax_nst.sweeps.sweeping import group_by_spec
from jax_nst.sweeps.trials import try_batch, try_picture
from jax_nst.transfer.config import INITS
from jax_nst.transfer.item import Item
from jax_nst.transfer.needs import Estimate, estimates, limit_of
from jax_nst.transfer.network import Network
from jax_nst.transfer.outcome import Status
from jax_nst.transfer.pictures import Source, check_rotated, load_content, style_shape
from jax_nst.transfer.plan import objects_of
from jax_nst.transfer.plan_lines import choice_lines
from jax_nst.transfer.spec import Spec

_MOST_SIZES = 10  # lines


class Forecast(NamedTuple):
    """What a run would do."""

    lines: list[str]
    """In plain words."""
    problems: list[str]
    """What would fail, and how many pictures."""


def forecast(
    job: Job,
    network: Network,
    *,
    batch: int | None,
    done: Collection[int] = (),
    halving: Halving | None = None,
) -> Forecast:
    """Checks every input of a sweep, or of one picture, and says what the run would take.

    Args:
      job: the sweep.
      network: the extractor with its params.
      batch: how many items at once; None for what fits and is fast; 1 for one picture.
      done: the items that are painted already.
      halving: which items end early; those that are left are taken to compete among themselves only.
    """
    platform = current_platform()
    contents, styles, grid_items = agreed_sources(job)
    groups, resolved, bad = group_by_spec(network, contents, grid_items, platform)
    problems: dict[str, set[int]] = {}
    for outcome in bad:
        problems.setdefault(outcome.message.partition(": ")[2], set()).add(outcome.item)
    for message, items in _bad_inputs(grid_items, contents, styles, groups, resolved):
        problems.setdefault(message, set()).update(items)
    out = set(done).union(*problems.values())
    left = {spec: [x for x in numbers if x not in out] for spec, numbers in groups.items()}
    left = {spec: numbers for spec, numbers in left.items() if numbers}
    trials: dict[Any, Trial | None] = {}
    ways: list[Estimate] = []
    if len(grid_items) == 1 and left:
        (spec,) = left
        ways = estimates(network, spec, contents, styles, resolved[0])
        trials[_kind(spec)] = try_picture(
            network, contents, styles, grid_items[0], spec.levels[-1].shape, ways[-1].choice
        )
    for kind, spec in _largest(left).items() if not ways else ():
        items, wanted = [grid_items[x] for x in groups[spec]], set(left[spec])
        todo = [place for place, x in enumerate(groups[spec]) if x in wanted]
        trials[kind] = try_batch(network, contents, styles, items, todo, batch)
    rounds = {spec: rounds_of(spec, [grid_items[x] for x in left[spec]], halving) for spec in left}
    lines = [_items_line(job, done), *_sizes_lines(left), *_halving_lines(rounds, halving)]
    lines += _cost_lines(rounds, trials)
    if ways:
        lines += choice_lines(ways)
    return Forecast(lines, [f"{text} ({_count(len(items))})" for text, items in problems.items()])


def done_items(folder: Path, job: Job, network: Network) -> set[int]:
    """The items of a sweep in a folder whose run has come to its end; nothing in the folder is changed."""
    if not (folder / SETTINGS).exists():
        return set()
    columns = read_columns(folder)
    if "key" not in columns:  # no batch has ended yet
        return set()
    rows = zip(*(columns[name].values for name in ("key", "file", "status")), strict=True)
    keys = {
        key
        for key, file, message in rows
        if file and Status.of(message).is_final and (folder / file).exists()
    }
    return {item for item, key in enumerate(item_keys(job, network)) if key in keys}


def _bad_inputs(
    items: Sequence[GridItem],
    contents: Sequence[Source],
    styles: Sequence[Source],
    groups: Mapping[Spec, Sequence[int]],
    resolved: Mapping[int, Item],
) -> Iterable[tuple[str, list[int]]]:
    """Reads every picture; yields why one cannot be used, and the items that need it."""
    shapes: dict[int, tuple[int, ...]] = {}
    for index, source in enumerate(contents):
        found = _why_bad(source) if source.shape else ""  # others are known already
        if isinstance(found, str) and found:
            yield found, [number for number, item in enumerate(items) if item.content == index]
    for index, source in enumerate(styles):
        found = _why_bad(source)
        if isinstance(found, str):
            yield found, [number for number, item in enumerate(items) if index in item.styles]
        else:
            shapes[index] = found
    for init in dict.fromkeys(item.config.init for item in items if item.config.init not in INITS):
        users = [number for number, item in enumerate(items) if item.config.init == init]
        try:
            load_content(init, items[users[0]].config)
        except ValueError as error:
            yield str(error), users
    yield from _small_styles(shapes, groups, resolved)


def _why_bad(source: Source) -> str | tuple[int, ...]:
    """Why a picture cannot be read, or its shape."""
    try:
        return np.shape(source.load())
    except ValueError as error:
        return str(error)


def _small_styles(
    shapes: Mapping[int, tuple[int, ...]],
    groups: Mapping[Spec, Sequence[int]],
    resolved: Mapping[int, Item],
) -> Iterable[tuple[str, list[int]]]:
    """Styles that are too small for the network at one of the levels."""
    for spec, numbers in groups.items():
        users: dict[Any, list[int]] = {}
        for number in numbers:
            for look in resolved[number].looks:
                users.setdefault(look, []).append(number)
        for look, items in users.items():
            if look.style not in shapes:
                continue
            try:
                for level in spec.levels:
                    fitted = style_shape(spec.extractor, level, shapes[look.style], look.scale)
                    check_rotated(spec.extractor, level, fitted, look.angle)
            except ValueError as error:
                yield str(error), items


def _kind(spec: Spec) -> Any:
    """Groups of one kind differ in their sizes and steps only."""
    return spec.extractor, spec.levels[-1].terms, spec.optimizer, spec.num_regions


def _largest(groups: Mapping[Spec, Sequence[int]]) -> dict[Any, Spec]:
    """Kind -> its spec of the largest pictures, and of those the one with the most items."""
    order = sorted(groups, key=lambda spec: (math.prod(spec.levels[-1].shape), len(groups[spec])))
    return {_kind(spec): spec for spec in order}


def _items_line(job: Job, done: Collection[int]) -> str:
    varied = " x ".join(f"{name} ({len(values)})" for name, values in job.axes.items())
    line = f"{_count(len(job.items))}{f', {varied}' if varied else ''}"
    return f"{line}; {len(done)} done, {len(job.items) - len(done)} left" if done else line


def _sizes_lines(groups: Mapping[Spec, Sequence[int]]) -> list[str]:
    """A line for each schedule of sizes."""
    counts: dict[str, int] = {}
    for spec, numbers in groups.items():
        sizes = ", then ".join(f"{level.steps} steps at {_pixels(level.shape)}" for level in spec.levels)
        counts[sizes] = counts.get(sizes, 0) + len(numbers)
    lines = [f"sizes: {_count(count)} with {sizes}" for sizes, count in counts.items()]
    more = len(lines) - _MOST_SIZES
    return [*lines[:_MOST_SIZES], f"sizes: and {more} others"] if more > 0 else lines


def _halving_lines(rounds: Mapping[Spec, Rounds], halving: Halving | None) -> list[str]:
    """How many runs end after which step, and what remains of the evaluations."""
    if halving is None or not rounds:
        return []
    ends: Counter[int] = Counter()
    for of_spec in rounds.values():
        for (count, step), (kept, _) in itertools.pairwise([*of_spec, (0, 0)]):
            ends[step] += count - kept
    steps = ", ".join(f"step {step} ({_count(ends[step])})" for step in sorted(ends) if ends[step])
    now = sum(num_evaluations(spec, of_spec) for spec, of_spec in rounds.items())
    all_of_them = (num_evaluations(spec, [(of[0][0], of[-1][1])]) for spec, of in rounds.items())
    return [f"early halving: runs end after {steps}; {now} of {sum(all_of_them)} evaluations remain"]


def _cost_lines(rounds: Mapping[Spec, Rounds], trials: Mapping[Any, Trial | None]) -> list[str]:
    known = {spec: trial for spec in rounds if (trial := trials[_kind(spec)])}
    if not known:
        return []
    programs = {
        (objects_of(spec, level), level.shape, min(rounds[spec][0][0], trial.slots))
        for spec, trial in known.items()
        for level in spec.levels
    }
    seconds = sum(seconds_of(spec, rounds[spec], trial) for spec, trial in known.items())
    measured = list(dict.fromkeys(known.values()))
    most = max(measured, key=lambda trial: trial.num_bytes)
    setup = max(trial.setup_seconds for trial in measured)
    limit = limit_of(next(iter(known)))
    is_of_run = most.shape in {spec.levels[-1].shape for spec in known}
    memory = (
        f"memory: {amount(most.num_bytes)} of the {amount(limit)} free on each device, by XLA's analysis "
        f"at {_pixels(most.shape)}"
    )
    return [
        f"programs: {len(programs)} to compile; the first took {setup:.1f} s, or was found in the cache",
        *(
            f"batches: {_count(trial.slots)} at once, {trial.step_seconds:.2g} s a step, measured at "
            f"{_pixels(trial.shape)}"
            for trial in measured
        ),
        *([memory] if is_of_run else []),
        f"time: about {_duration(seconds)} for the steps, without compiling, scaled from those measured",
    ]


def _pixels(shape: tuple[int, int]) -> str:
    return f"{shape[1]} x {shape[0]} pixels"


def _count(number: int) -> str:
    return f"{number} picture{'s' if number != 1 else ''}"


def _duration(seconds: float) -> str:
    """`40 s`, `12 min` or `3.5 h`."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
