"""Plans in plain words."""

from collections.abc import Sequence

from jax_nst.runtime.memory import amount
from jax_nst.transfer.choices import Choice
from jax_nst.transfer.layout import OnePicture
from jax_nst.transfer.needs import Estimate
from jax_nst.transfer.plan import Plan

_WHOLE = {
    "none": "whole",
    "block1": "whole, block 1 computed twice",
    "all": "whole, all computed twice",
}


def in_words(choice: Choice) -> str:
    """How a picture is computed, and with which pairs, if it is not the most wanted number."""
    partition = str(choice.partition)
    return ", ".join([_WHOLE.get(partition, partition), *choice.name.split(", ")[1:]])


def plan_line(plan: Plan) -> str:
    """The plan of a level: `4096 x 3072, tiles of 1024, about 9.8 GB of 22.1 GB, about 41 s a step`."""
    height, width = plan.level.shape
    memory = f"about {amount(plan.num_bytes)} of {amount(plan.limit)}"
    rows = plan.layout.rows if isinstance(plan.layout, OnePicture) else None
    where = f" on each of {rows.mesh.size} devices" if rows else ""
    time = "" if plan.seconds is None else f", about {plan.seconds:.2g} s a step"
    return f"{width} x {height}, {in_words(plan.choice)}, {memory}{where}{time}"


def choice_lines(estimates: Sequence[Estimate]) -> list[str]:
    """A line for each choice, the fastest first, and which one the run would take."""
    lines = [
        f"  {in_words(way.choice)}: about {amount(way.num_bytes)}{'' if way.fits else ', too much'}"
        for way in estimates
    ]
    return [f"ways to compute it, the fastest first, with {amount(estimates[0].limit)} of memory:", *lines]
