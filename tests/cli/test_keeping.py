"""The flags of early halving -> `Halving`."""

import pytest
from absl import flags

from jax_nst import Halving
from jax_nst.cli.flags import define_flags, to_job
from jax_nst.cli.keeping import to_halving

SWEEP = ("--content=c.png", "--style=s.png", "--seed=0,1", "--init=noise", "--steps=30")


def found(*arguments):
    parser = flags.FlagValues()
    define_flags(parser)
    parser(["main.py", *arguments])
    values = parser.flag_values_dict()
    return to_halving(values, to_job(values))


def test_the_flags_say_what_to_keep():
    assert found(*SWEEP) is None
    assert found(*SWEEP, "--keep_best=1/3") == Halving(1 / 3)
    given = ("--keep_best=0.25", "--by=total", "--keep_at=5,20")
    assert found(*SWEEP, *given) == Halving(0.25, "total", (5, 20))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--by=total",), "--by has no use without --keep_best"),
        (("--keep_at=5",), "--keep_at has no use without --keep_best"),
        (("--keep_best=third",), "--keep_best takes a share, such as 1/3"),
        (("--keep_best=1/0",), "--keep_best takes a share, such as 1/3"),
        (("--keep_best=3",), "keep must be between 0 and 1, such as 1/3, not 3.0"),
        (("--keep_best=1/3", "--keep_at=5,x"), "--keep_at whole numbers"),
        (("--keep_best=1/3", "--keep_at=30"), "is not before the last of 30 steps"),
        (("--keep_best=1/3", "--by=beauty"), "unknown measure 'beauty'"),
        (("--keep_best=1/3", "--seed=0"), "there is only one picture to make"),
    ],
)
def test_what_cannot_be_is_refused(arguments, said):
    given = [x for x in SWEEP if not x.startswith("--seed") or "--seed=0" not in arguments]
    with pytest.raises(ValueError, match=said):
        found(*given, *arguments)
