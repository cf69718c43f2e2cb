"""The batches of a sweep: the engine over many items at once, spread over all devices."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from jax_nst.models.extractor import Extractor
from jax_nst.optim import State
from jax_nst.runtime.interrupts import AbandonedError, in_background
from jax_nst.runtime.platform import Platform
from jax_nst.sweeps.grid import GridItem
from jax_nst.sweeps.painting import BatchPainter, Contest
from jax_nst.sweeps.rungs import one_round
from jax_nst.transfer import engine
from jax_nst.transfer.checkpoint import Saved, Store
from jax_nst.transfer.config import Config
from jax_nst.transfer.item import Item, make_item
from jax_nst.transfer.layout import OnePicture
from jax_nst.transfer.masks import Regions
from jax_nst.transfer.meshes import count_groups, mesh_of_batch, mesh_of_items
from jax_nst.transfer.needs import check_state_fits, state_of
from jax_nst.transfer.network import Network, adapted, extractor_of
from jax_nst.transfer.outcome import Outcome, failed
from jax_nst.transfer.pictures import Source
from jax_nst.transfer.plan import Plan, plan_many, plan_one
from jax_nst.transfer.programs import on_all_devices
from jax_nst.transfer.snapshot import Snapshot
from jax_nst.transfer.spec import Level, Spec, regions_of, resolve
from jax_nst.transfer.targets import Preparation
from jax_nst.transfer.terms import resolve_loss_names


def run_sweep(
    network: Network,
    contents: Sequence[Source],
    styles: Sequence[Source],
    items: Sequence[GridItem],
    *,
    platform: Platform,
    todo: Sequence[int] | None = None,
    batch: int | None = None,
    hooks: engine.Hooks = engine.Hooks(),
    store: Store | None = None,
    saved: Saved | None = None,
    contest: Contest | None = None,
) -> Iterator[tuple[list[int], list[Outcome], int]]:
    """Runs the items of a sweep from pictures read when their turn comes, one batch after the other.

    Args:
      network: the extractor with its params; items may want it adapted, see `network.adapted`.
      contents: all that items name; see `inputs.Inputs`.
      styles: all that items name.
      items: all of the sweep; their losses have the names that `resolve_loss_names` gives.
      platform: see `runtime.platform`.
      todo: which of them to run; all if None.
      batch: how many at once.
      hooks: see `engine.Hooks`; `keep` is that of the store.
      store: saves the state of the batch at work; not where there are several processes, whose states
        would be of different steps.
      saved: the batch to go on with; it comes first.
      contest: which items end early; all items are run to their end if None.

    Yields:
      Which items were in a batch; their outcomes, where there are several processes of its own only; and
      the slots of the batch, 0 for items that could not begin.
    """
    wanted = set(range(len(items)) if todo is None else todo)
    groups, resolved, bad = group_by_spec(network, contents, items, platform)
    bad = [outcome for outcome in bad if outcome.item in wanted]
    if bad:
        yield [outcome.item for outcome in bad], bad if jax.process_index() == 0 else [], 0
    done = len(bad)
    mesh = mesh_of_items()
    prepare = functools.partial(Preparation, platform=platform, contents=contents, styles=styles)

    @functools.lru_cache(maxsize=1)  # items of one extractor mostly follow each other
    def networks(extractor: Extractor) -> tuple[Network, Network]:
        """On one device, where targets are computed, and once for all programs on all devices."""
        own = adapted(network, extractor)
        return own, own._replace(params=on_all_devices(own.params, mesh))

    hooks = hooks._replace(keep=store.keep if store else None)
    for work in _work(groups, wanted, saved):
        own, everywhere = networks(work.spec.extractor)
        num_groups = _num_groups(work, own, batch)
        plan_levels = functools.partial(
            _plan_levels, work, resolved, own, everywhere, mesh, prepare, num_groups
        )
        try:
            hooks.on_compile(work.spec.levels[-1].size)
            plans = in_background(functools.partial(plan_levels, batch), hooks.stop)
        except AbandonedError:
            return
        last = functools.partial(plan_levels, levels=work.spec.levels[-1:])
        saved_of = functools.partial(_begin, work, plans)
        painter = BatchPainter(work.spec, resolved, plans, last, saved_of, hooks, done, len(wanted))
        rounds = (
            contest.rounds(work.group, work.left, work.spec.levels[-1].steps)
            if contest
            else one_round(work.left)
        )
        for chosen, outcomes, slots, stopped in rounds.run(painter):
            yield chosen, outcomes, slots
            if stopped:
                return
        done += len(work.left)


def names_of_losses(items: Sequence[GridItem], extractor: Extractor) -> list[tuple[str, ...]]:
    """The names of the losses of each item, as `resolve_loss_names`."""
    found: dict[Any, tuple[str, ...]] = {}
    names = []
    for item in items:
        config = item.config
        key = config.recipe, config.style_loss, config.content_loss
        if key not in found:
            found[key] = resolve_loss_names(config, extractor)
        names.append(found[key])
    return names


def union_of_names(names: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """All names of losses that an item has, each once."""
    return tuple(dict.fromkeys(name for own in names for name in own))


def spread(outcome: Outcome, own: Sequence[str], names: Sequence[str]) -> Outcome:
    """The outcome with a column of losses for each of `names`, NaN for those that are not its `own`."""
    losses = np.full((len(outcome.losses), len(names)), np.nan, np.float32)
    losses[:, [names.index(name) for name in own]] = outcome.losses
    return outcome._replace(losses=losses)


class _Work(NamedTuple):
    """Items of one spec that are to be run."""

    spec: Spec
    group: list[int]
    """All items of the spec."""
    left: list[int]
    """Those to run."""
    saved: Saved | None
    """Of a batch that is gone on with."""


def _work(groups: Mapping[Spec, list[int]], wanted: set[int], saved: Saved | None) -> list[_Work]:
    """What to do; the batch of a checkpoint comes first, if all its items are still to be run."""
    begun = set(saved.batch["items"]) if saved else set()
    if not any(begun <= set(group) for group in groups.values()) or not begun <= wanted:
        begun = set()
    work = []
    for spec, group in groups.items():
        left = [number for number in group if number in wanted and number not in begun]
        if left:
            work.append(_Work(spec, group, left, None))
        if begun and begun <= set(group):
            work.insert(0, _Work(spec, group, sorted(begun), saved))
    return work


def _begin(work: _Work, plans: Mapping[Level, Plan]) -> Snapshot | None:
    """Where a batch that was saved goes on."""
    if work.saved is None:
        return None

    def state_at(level: int) -> State:
        plan = plans[work.spec.levels[level]]
        batch = () if isinstance(plan.layout, OnePicture) else (plan.layout.size,)
        return state_of(work.spec, plan.level, plan.choice, *batch)

    return work.saved.snapshot(work.spec.loss_names, state_at)


def group_by_spec(
    network: Network, contents: Sequence[Source], items: Sequence[GridItem], platform: Platform
) -> tuple[dict[Spec, list[int]], dict[int, Item], list[Outcome]]:
    """Spec -> numbers of its items, number -> item, and the outcomes of items that cannot be run."""
    groups: dict[Spec, list[int]] = {}
    resolved: dict[int, Item] = {}
    loaded: dict[Any, Regions] = {}
    bad = []
    for number, (content, styles, shares, config, _) in enumerate(items):
        source = contents[content]
        try:
            if source.shape is None:
                raise ValueError(source.error)
            regions = _regions(config, source.shape, loaded)
            extractor = extractor_of(network, config, platform)
            spec = resolve(config, extractor, source.shape, platform, len(regions))
            resolved[number] = make_item(config, spec, content, styles, shares, regions)
        except ValueError as error:
            bad.append(failed(number, error, resolve_loss_names(config, network.extractor)))
            continue
        groups.setdefault(spec, []).append(number)
    return groups, resolved, bad


def _regions(config: Config, shape: tuple[int, ...], loaded: dict[Any, Regions]) -> Regions:
    """Those of an item; read once for all items with these masks and a content of that shape."""
    key = config.mask, config.style_map, shape
    if key not in loaded:
        loaded[key] = regions_of(config, shape)
    return loaded[key]


def _plan_levels(
    work: _Work,
    resolved: Mapping[int, Item],
    network: Network,
    everywhere: Network,
    mesh: Mesh,
    prepare: Callable[..., Preparation],
    num_groups: int,
    batch: int | None,
    levels: Sequence[Level] | None = None,
) -> dict[Level, Plan]:
    """The plans of some levels, or of all; as many items at once at each as the finest allows.

    A batch that was saved is compiled as it was, since anything else could change bits. The params of
    `everywhere` are on all devices.
    """
    spec, saved, num_devices = work.spec, work.saved, jax.device_count()
    check_state_fits(spec)
    if saved:
        one_by_one = not saved.batch["is_batched"]
    else:
        one_by_one = jax.process_count() == 1 and (batch == 1 or num_groups == 1 < num_devices)
    items = [resolved[number] for number in work.group]
    choices = saved.choices(spec) if saved else {}
    slots = saved.batch["slots"] if saved else None
    plans: dict[Level, Plan] = {}
    for level in reversed(levels or spec.levels):
        of_level = dataclasses.replace(spec, choices=(choices[level],)) if level in choices else spec
        made = prepare(network, level)
        if one_by_one:
            plans[level] = plan_one(network, of_level, level, made, items[0])
        else:
            if num_groups < num_devices:  # whose params another mesh has
                mesh, everywhere = mesh_of_batch(network, spec, level, num_groups), network
            options: Any = {"mesh": mesh, "items": items, "batch": batch, "slots": slots}
            plans[level] = plan_many(everywhere, of_level, level, made, **options)
        slots = plans[level].layout.size
    return plans


def _num_groups(work: _Work, network: Network, batch: int | None) -> int:
    """Groups of devices with items of their own; those that a batch was saved with, if they can be had."""
    num_devices = jax.device_count()
    if work.saved is None:
        return count_groups(network, work.spec, min(len(work.group), batch or num_devices))
    saved = work.saved.batch
    num_groups = saved.get("groups", num_devices)
    return num_groups if num_devices % num_groups == 0 else math.gcd(saved["slots"], num_devices)
