"""Arguments -> values of flags, or a sentence."""

import pytest
from absl import flags

from jax_nst.cli.flags import define_flags
from jax_nst.cli.parsing import parse


def parsed(*arguments):
    parser = flags.FlagValues()
    define_flags(parser)
    return parser, parse(parser, ["main.py", *arguments])


def test_flags_get_their_values_and_the_rest_is_returned():
    parser, rest = parsed("--save_every=7", "--quiet", "--style_weight", "3", "a.png", "b.png")
    assert (parser["save_every"].value, parser["quiet"].value, parser["style_weight"].value) == (
        7,
        True,
        ["3"],
    )
    assert rest == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--save_every=3e1", "--save_every must be a whole number, not '3e1'"),
        ("--save_every=", "--save_every must be a whole number, not ''"),
        ("--checkpoint_every=a: b=c", "--checkpoint_every must be a number, not 'a: b=c'"),
        ("--quiet=perhaps", "--quiet must be true or false, not 'perhaps'"),
        (
            '--crop="4:3',
            "--crop must be values separated by commas, with quotes closed",
        ),
        ("--style", "Missing value for flag --style; see --help"),
        ("--contents=a.png", "Unknown command line flag 'contents'. Did you mean: content"),
        ("--flagfile=none", "Unknown command line flag 'flagfile'; see --help"),
        ("--undefok=a", "Unknown command line flag 'undefok'; see --help"),
        ("--output=a\0b", "has a zero byte, which no file has in its name"),
        (f"--{'x' * 5000}=1", "Unknown command line flag 'xxx"),
    ],
    ids=str,
)
def test_what_cannot_be_parsed_is_told(argument, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the message is checked below
        parsed(argument)
    assert message in str(caught.value)
    assert "invalid literal" not in str(caught.value)


def test_a_long_value_is_shown_short():
    with pytest.raises(ValueError, match=r"^--save_every must be a whole number, not .{,100}$"):
        parsed(f"--save_every={'9' * 5000}x")
