"""What early halving has decided in a folder: the values that items were compared by.

They are kept in `batches/halving.json` by the keys of the items, also of items outside the grid of today.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jax_nst.sweeps.halving import Values
from jax_nst.sweeps.job import BATCHES
from jax_nst.sweeps.records import write_file
from jax_nst.transfer.provenance import for_json

_FILE = "halving.json"

Decisions = dict[str, dict[str, dict[int, float]]]
"""Name of a measure -> key of an item -> step -> its value there."""


def write_decisions(folder: Path, decisions: Mapping[str, Any]) -> None:
    """Keeps the decisions beside the records of a sweep, so that what is decided stays decided."""
    write_file(folder / BATCHES / _FILE, json.dumps(for_json(decisions), indent=1).encode())


def read_decisions(folder: Path) -> Decisions:
    """What `write_decisions` wrote; empty if it is not there, or cannot be read."""
    try:
        found: Any = json.loads((folder / BATCHES / _FILE).read_text(encoding="utf-8"))
        return {
            by: {
                key: {int(step): math.nan if x is None else float(x) for step, x in steps.items()}
                for key, steps in items.items()
            }
            for by, items in found.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def join_decisions(first: Decisions, other: Decisions) -> Decisions:
    """Those of both; an item that both have keeps the values that go to the later step, else the first."""
    joined = {by: dict(items) for by, items in first.items()}
    for by, items in other.items():
        there = joined.setdefault(by, {})
        for key, steps in items.items():
            if max(steps, default=0) > max(there.get(key, {}), default=0):
                there[key] = steps
    return joined


def to_values(decided: Mapping[str, Mapping[int, float]], keys: Mapping[int, str]) -> Values:
    """The values of some items, given by their keys, as rounds take them."""
    values: Values = {}
    for item, key in keys.items():
        for step, value in decided.get(key, {}).items():
            values.setdefault(step, {})[item] = value
    return values


def of_values(values: Values, keys: Mapping[int, str]) -> dict[str, dict[int, float]]:
    """Undoes `to_values`."""
    decided: dict[str, dict[int, float]] = {}
    for step, of_step in values.items():
        for item, value in of_step.items():
            decided.setdefault(keys[item], {})[step] = value
    return decided
