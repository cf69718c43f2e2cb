"""Early halving: the worst items of a sweep end early."""

import dataclasses
import math
from collections.abc import Hashable, Mapping, Sequence

from jax_nst.metrics import METRICS
from jax_nst.runtime.values import as_real, as_whole
from jax_nst.sweeps.grid import GridItem
from jax_nst.transfer.outcome import Outcome, Status

TOTAL = "total"
"""Name of the loss, which items may be compared by instead of a measure."""

Values = dict[int, dict[int, float]]
"""Step -> item -> its value there of what items are compared by."""

_LOSS_WEIGHTS = ("content_weight", "style_weight", "tv_weight", "style_layer_weights", "recipe")


@dataclasses.dataclass(frozen=True)
class Halving:
    """Successive halving: at a few steps, only the best items of a sweep go on.

    Items are compared with those of the same content, the same styles and one program. See Jamieson and
    Talwalkar 2016 (arXiv:1502.07943), and Li et al. 2018 (arXiv:1810.05934), whose steps are the default.

    Attributes:
      keep: share of the items that go on, rounded up.
      by: what they are compared by, a name in `METRICS`, or `total`, the loss.
      at: steps at the full size after which they are compared, increasing; None: the shares keep² and keep
        of all steps, so that each round takes about the same time.

    Raises:
      ValueError: a value is out of range, or `by` is unknown.

    Example:
      >>> from jax_nst import Halving
      >>> Halving(keep=1 / 3, by="style_distance_vgg").steps_of(80)
      (9, 27)
    """

    keep: float = 1 / 3
    by: str = "style_distance_vgg"
    at: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 < as_real("keep", self.keep) < 1:
            raise ValueError(f"keep must be between 0 and 1, such as 1/3, not {self.keep}")
        if self.by not in (*METRICS, TOTAL):
            raise ValueError(
                f"unknown measure {self.by!r}; the valid ones are {TOTAL}, {', '.join(METRICS)}"
            )
        if self.at is not None:
            at = tuple(as_whole("at", step, 1, 2**31) for step in self.at)
            if not at or list(at) != sorted(set(at)):
                raise ValueError(f"at must be increasing steps, not {self.at}")
            object.__setattr__(self, "at", at)

    def steps_of(self, steps: int) -> tuple[int, ...]:
        """The steps after which items of so many steps are compared."""
        given = self.at or sorted({max(1, round(self.keep**power * steps)) for power in (1, 2)})
        return tuple(step for step in given if step < steps)

    def num_kept(self, count: int) -> int:
        """How many of so many items go on."""
        return math.ceil(self.keep * count - 1e-9)  # a third of nine is three

    def rounds(self, count: int, steps: int) -> list[tuple[int, int]]:
        """How many of so many items are run to which step, in order, if each reaches its steps."""
        found = []
        for step in (*self.steps_of(steps), steps):
            found.append((count, step))
            count = self.num_kept(count)
        return found

    def ranked(self, values: Mapping[int, float]) -> list[int]:
        """The items by their values, the best first; NaN comes last."""
        better = METRICS[self.by].better if self.by in METRICS else "lower"

        def badness(item: int) -> tuple[bool, float, int]:
            value = values[item]
            bad = {"lower": value, "higher": -value, "near 1": abs(value - 1)}[better]
            return (True, 0.0, item) if math.isnan(bad) else (False, bad, item)

        return sorted(values, key=badness)


def pool_of(item: GridItem) -> Hashable:
    """Items of one key are compared with each other, if they share a program, too."""
    return item.content, item.styles, item.shares


def check_halving(halving: Halving, items: Sequence[GridItem]) -> None:
    """Raises ValueError if these items cannot be compared so."""
    steps = max(item.config.steps for item in items)
    if halving.at and halving.at[-1] >= steps:
        raise ValueError(
            f"at {halving.at[-1]} (--keep_at) is not before the last of {steps} steps; name smaller steps"
        )
    weights = {tuple(getattr(item.config, name) for name in _LOSS_WEIGHTS) for item in items}
    if halving.by == TOTAL and len(weights) > 1:
        raise ValueError(
            "by total (--by) compares losses, but the weights of the losses vary; name a measure, such as "
            "style_distance_vgg"
        )


def halted(outcome: Outcome, halving: Halving, step: int, rank: int, count: int) -> Outcome:
    """The outcome of an item that ends at a step; `rank` is its place among the `count` that reached it."""
    message = f"{Status.HALTED.value} at step {step}, rank {rank} of {count} by {halving.by}"
    return outcome._replace(status=Status.HALTED, message=message)
