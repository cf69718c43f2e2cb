"""Plans in plain words."""

import types
from typing import Any

import pytest

from jax_nst.models.partition import Partition
from jax_nst.transfer.choices import Choice
from jax_nst.transfer.layout import OnePicture
from jax_nst.transfer.needs import Estimate
from jax_nst.transfer.plan import Plan
from jax_nst.transfer.plan_lines import choice_lines, in_words, plan_line
from jax_nst.transfer.spec import Level

NOTHING: Any = None


def choice(name, partition):
    return Choice(partition, NOTHING, name)


@pytest.mark.parametrize(
    ("name", "partition", "expected"),
    [
        ("none", Partition(), "whole"),
        ("all, 5 pairs in bfloat16", Partition("all"), "whole, all computed twice, 5 pairs in bfloat16"),
        ("tiles of 512, Adam", Partition(tile_size=512), "tiles of 512, Adam"),
        ("tiles of 512", Partition(), "whole"),  # a level that is smaller than the tiles
    ],
)
def test_a_choice_in_words(name, partition, expected):
    assert in_words(choice(name, partition)) == expected


def test_the_line_of_a_plan():
    found = choice("tiles of 1024, 10 pairs in bfloat16", Partition(tile_size=1024))
    plan = Plan(
        Level((3072, 4096), 10, (), None, None), found, *(NOTHING,) * 5, num_bytes=int(9.8 * 2**30),
        limit=2**34,
    )  # fmt: skip
    expected = "4096 x 3072, tiles of 1024, 10 pairs in bfloat16, about 9.8 GB of 16.0 GB"
    assert plan_line(plan) == expected
    assert plan_line(plan._replace(seconds=41.3)) == f"{expected}, about 41 s a step"
    assert plan_line(plan._replace(seconds=0.123)) == f"{expected}, about 0.12 s a step"


def test_the_line_of_a_plan_for_several_devices():
    rows: Any = types.SimpleNamespace(mesh=types.SimpleNamespace(size=4))
    level, layout = Level((3072, 4096), 10, (), None, None), OnePicture(rows)
    found = choice("all", Partition("all"))
    plan = Plan(level, found, layout, *(NOTHING,) * 4, num_bytes=2**31, limit=2**34)
    assert plan_line(plan) == (
        "4096 x 3072, whole, all computed twice, about 2.0 GB of 16.0 GB on each of 4 devices"
    )


def test_the_lines_of_choices():
    lines = choice_lines(
        [
            Estimate(choice("none", Partition()), 2**31, 2**30),
            Estimate(choice("tiles of 256", Partition(tile_size=256)), 12 * 2**20, 2**30),
        ]
    )
    assert lines == [
        "ways to compute it, the fastest first, with 1.0 GB of memory:",
        "  whole: about 2.0 GB, too much",
        "  tiles of 256: about 12 MB",
    ]
