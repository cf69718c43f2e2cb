"""The hostile cases, by kind."""

import importlib
from functools import cache

from hostile_cases.case import Case

KINDS = (
    *("numbers", "syntax", "paths", "pictures", "sizes", "controls", "resuming", "sweeps", "python"),
    "processes",
)


@cache
def all_cases() -> tuple[Case, ...]:
    """Every case; names begin with the kind."""
    modules = [(kind, importlib.import_module(f"hostile_cases.{kind}")) for kind in KINDS]
    cases = tuple(case for _, module in modules for case in module.CASES)
    names = [case.name for case in cases]
    assert len(names) == len(set(names)), sorted(name for name in names if names.count(name) > 1)
    return cases
