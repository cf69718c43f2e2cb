"""The flags of early halving."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from absl import flags

from jax_nst.metrics import METRICS
from jax_nst.sweeps.halving import TOTAL, Halving, check_halving
from jax_nst.sweeps.job import Job


def define_halving(here: Mapping[str, Any]) -> None:
    """Defines the flags; `here` says where, as keywords of `flags.DEFINE_string`."""
    flags.DEFINE_string(
        "keep_best",
        None,
        "end the other items of a sweep early: the share that goes on, such as 1/3, among the items of one "
        "content and style",
        **here,
    )
    flags.DEFINE_string(
        "by",
        None,
        f"what --keep_best compares: {TOTAL}, the loss, or a measure: {', '.join(METRICS)} (default: "
        f"{Halving.by})",
        **here,
    )
    flags.DEFINE_list(
        "keep_at",
        None,
        "steps at the full size after which --keep_best compares (default: its square and itself, of all "
        "steps)",
        **here,
    )


def to_halving(values: Mapping[str, Any], job: Job) -> Halving | None:
    """What the flags ask for; None without `--keep_best`.

    Raises:
      ValueError: a value is not valid, or a flag would do nothing.
    """
    if values["keep_best"] is None:
        for name in ("by", "keep_at"):
            if values[name]:
                raise ValueError(f"--{name} has no use without --keep_best; add that, or leave it out")
        return None
    if len(job.items) == 1:
        raise ValueError("--keep_best has no use here: there is only one picture to make; leave it out")
    try:
        keep = float(Fraction(values["keep_best"]))
        at = tuple(int(step) for step in values["keep_at"]) if values["keep_at"] else None
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise ValueError(
            f"--keep_best takes a share, such as 1/3, and --keep_at whole numbers ({error})"
        ) from error
    halving = Halving(keep, values["by"] or Halving.by, at)
    check_halving(halving, job.items)
    return halving
