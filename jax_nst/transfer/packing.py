"""Snapshot <-> arrays with a description that is ready for JSON."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jax_nst.optim import State
from jax_nst.transfer.layout import OnePicture
from jax_nst.transfer.outcome import Trace, failed
from jax_nst.transfer.snapshot import RunState, Snapshot


def pack(now: Snapshot) -> tuple[dict[str, Any], dict[str, Any]]:
    """A pytree of all arrays of a snapshot, and what says how to read them."""
    assert now.state is not None
    steps = now.layout.fetch(now.state.steps) if now.layout else now.state.steps
    tree = {
        **now.state._replace(steps=steps)._asdict(),
        "starts": dict(now.starts),
        "traces": dict(now.traces),
        "failed": {item: (outcome.losses, outcome.seconds) for item, outcome in now.failures.items()},
    }
    description = {
        "level": now.level,
        "evaluations": len(now.state.losses),
        "choice": now.choice,
        "items": sorted({*now.used.values(), *now.failures}),
        "slots": now.layout.size if now.layout else 0,
        "groups": now.layout.num_groups if now.layout else 0,
        "is_batched": not isinstance(now.layout, OnePicture),
        "ended": sorted(now.state.ended),
        "starts": sorted(now.starts),
        "traces": {item: len(traces) for item, traces in now.traces.items()},
        "failures": {item: outcome.message for item, outcome in now.failures.items()},
    }
    return tree, description


def unpack(
    description: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    names: tuple[str, ...],
    state_of: Callable[[int], State],
) -> Snapshot:
    """The snapshot, without its layout.

    Args:
      description: as `pack` made it; `numbers`, if it is there, renumbers the items: then -> now.
      arrays: path in the pytree of `pack` (`jax.tree_util.keystr`) -> array.
      names: of the losses.
      state_of: `(level) -> State` of shapes, those that the state must have.

    Raises:
      KeyError: an array is missing, or something of the description.
      ValueError: an array is of another shape or type.
    """
    filled = _filled(_skeleton(description, state_of(description["level"])), arrays)
    numbers = description.get("numbers", {})
    traces = {
        numbers.get(item, item): tuple(
            Trace(int(x.size), x.losses, x.seconds, float(x.share)) for x in of_item
        )
        for item, of_item in filled["traces"].items()
    }
    failures = {
        numbers.get(item, item): failed(numbers.get(item, item), "", names)._replace(
            message=description["failures"][str(item)], losses=losses, seconds=float(seconds)
        )
        for item, (losses, seconds) in filled["failed"].items()
    }
    starts = {numbers.get(item, item): start for item, start in filled["starts"].items()}
    state = RunState(*(filled[name] for name in RunState._fields))
    return Snapshot(description["level"], starts, traces, failures, description["choice"], state=state)


def _skeleton(description: Mapping[str, Any], steps: State) -> dict[str, Any]:
    """The structure of the pytree of `pack`, with shapes for the arrays of the steps."""
    trace: Any = Trace(*(0,) * len(Trace._fields))  # pyright: ignore[reportArgumentType]
    return {
        "steps": steps,
        "losses": 0,
        "seconds": 0,
        "ended": dict.fromkeys(description["ended"], (0, 0)),
        "starts": dict.fromkeys(description["starts"], 0),
        "traces": {int(item): (trace,) * count for item, count in description["traces"].items()},
        "failed": {int(item): (0, 0) for item in description["failures"]},
    }


def _filled(skeleton: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The skeleton with the arrays of a file."""

    def fill(path: Any, leaf: Any) -> np.ndarray:
        name = jax.tree_util.keystr(path)
        array = arrays[name]
        if isinstance(leaf, jax.ShapeDtypeStruct):
            if array.dtype.kind == "V":  # such as bfloat16, which npz does not know
                array = array.view(leaf.dtype)
            if array.shape != leaf.shape or array.dtype != leaf.dtype:
                raise ValueError(f"{name} is {array.dtype}{list(array.shape)}")
        return array

    return jax.tree_util.tree_map_with_path(fill, skeleton)
