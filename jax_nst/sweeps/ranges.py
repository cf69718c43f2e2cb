"""Random values of a setting: drawn uniformly or log-uniformly, the same ones each time."""

import dataclasses
import math
import random
import re
from typing import Any

from jax_nst.runtime.values import as_real, as_whole
from jax_nst.transfer.conversion import NUMBERS, is_whole

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"
_TEXT = re.compile(rf"({_NUMBER})\.\.({_NUMBER})((?::[^:]*)*)", re.IGNORECASE)
_DIGITS = 6
"""Significant digits of a value, so that its label is the value itself."""


@dataclasses.dataclass(frozen=True)
class Range:
    """Random values of one setting of a `Grid`, drawn between two numbers.

    The same range draws the same values for the same setting, others for another one; a larger count draws
    more after them. Values have six digits; settings that take whole numbers get whole ones. Random search
    is a grid of several ranges with `zip`, which pairs their values.

    Attributes:
      low: the least value.
      high: the greatest value.
      count: how many values.
      log: draw their logarithms uniformly, instead of the values.
      seed: another seed draws other values.

    Raises:
      ValueError: a number is not valid; the message names it.

    Example:
      >>> from jax_nst import Grid, Range
      >>> grid = Grid(style_weight=Range(10, 10_000, 20, log=True), tv_weight="0..5:uniform:20", zip=True)
      >>> len(grid.style_weight), min(grid.style_weight) >= 10, max(grid.tv_weight) <= 5
      (20, True, True)
    """

    low: float
    high: float
    count: int
    log: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            object.__setattr__(self, name, as_real(f"{name} of a range", getattr(self, name)))
        for name, least in (("count", 1), ("seed", 0)):
            number = as_whole(f"{name} of a range", getattr(self, name), least, 2**31)
            object.__setattr__(self, name, number)
        if not -math.inf < self.low <= self.high < math.inf:
            raise ValueError(
                f"a range goes from a number to a greater one, not from {self.low:g} to {self.high:g}"
            )
        if self.log and not self.low > 0:
            raise ValueError(f"a log range begins above zero, not at {self.low:g}; draw it uniform")

    def draw(self, name: str) -> tuple[float, ...]:
        """The values for the setting of that name.

        Raises:
          ValueError: the setting does not take a number.
        """
        if name not in NUMBERS:
            raise ValueError(f"{name} takes no range, which draws numbers; give its values one by one")
        whole = is_whole(name)
        if whole and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError(f"{name} takes whole numbers; a range of them goes from one to another")
        # Python keeps the numbers that a seed gives the same in all its versions.
        source = random.Random(f"{self.seed} {name}")
        return tuple(self._value(source.random(), whole=whole) for _ in range(self.count))

    def _value(self, share: float, *, whole: bool) -> float:
        """The value at a share, from 0 to 1, of the range."""
        if self.log:
            value = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        elif whole:
            # Each whole number is as likely as any other.
            value = math.floor(self.low + share * (self.high - self.low + 1))
        else:
            value = self.low + share * (self.high - self.low)
        value = round(value) if whole else float(f"{value:.{_DIGITS}g}")
        return min(max(value, self.low), self.high)


def as_range(value: Any) -> Range | None:
    """A range, also as text such as `10..10000:log:20`, the last the count; None of anything else.

    After the count there may be a seed, as in `10..10000:log:20:1`.

    Raises:
      ValueError: text begins as a range, but something of it is missing or wrong.
    """
    if isinstance(value, Range):
        return value
    found = _TEXT.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    low, high, rest = found.groups()
    kind, count, seed = (*rest.split(":")[1:], *[""] * 3)[:3]
    ends, form = f"{low}..{high}", kind or "log"
    if kind not in ("log", "uniform"):
        problem = "lacks how to draw" if not kind else f"is drawn log or uniform, not {kind!r}"
        raise ValueError(f"the range {value} {problem}; write {ends}:log:20 or {ends}:uniform:20")
    if not count.isdecimal() or not (seed or "0").isdecimal() or rest.count(":") > 3:
        problem = "lacks its number of values" if not count else "has an ending that is no number"
        raise ValueError(f"the range {value} {problem}; write {ends}:{form}:20 for 20 values")
    return Range(float(low), float(high), int(count), log=kind == "log", seed=int(seed or 0))
