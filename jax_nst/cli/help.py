"""What `--help` prints."""

import textwrap

from absl import flags

from jax_nst.transfer.conversion import NUMBERS, is_list

USAGE = """\
Repaints a photograph in the style of a painting.

    python main.py --content photograph.jpg --style painting.jpg

writes photograph_painting.png in the working folder and prints its path. A flag
is given as --name VALUE or --name=VALUE. Where several values are allowed, separated
by commas or by repeating the flag, each is tried with each: a sweep, into a folder.

    python main.py --content cat.jpg --style 'paintings/*.jpg' --style_weight 300,1000
"""


def help_text(parser: flags.FlagValues) -> str:
    """What `--help` prints."""
    lines = [USAGE]
    for flag in parser.get_flags_for_module("jax_nst"):
        default = f" (default: {_default(flag)})" if flag.default not in (None, False) else ""
        boolean = flag.flag_type() == "bool"
        name = f"--{flag.name}" + ("" if boolean else f" {_placeholder(flag)}")
        lines.append(f"  {name}")
        lines += textwrap.wrap(
            f"{help_of(flag)}{default}", 88, initial_indent=" " * 6, subsequent_indent=" " * 6
        )
    return "\n".join(lines)


def help_of(flag: flags.Flag) -> str:
    """The help of a flag in one line, without what absl adds to that of a flag that may be repeated."""
    added = "repeat this option to specify a list of values"
    return " ".join((flag.help or "").split()).removesuffix(added).rstrip("; ")


def _default(flag: flags.Flag) -> str:
    return ",".join(flag.default) if isinstance(flag.default, list) else str(flag.default)


def _placeholder(flag: flags.Flag) -> str:
    if flag.name == "blend" or is_list(flag.name):
        return "A,B"
    named = {"int": "N", "float": "X", "multi string": "X,..." if flag.name in NUMBERS else "VALUE,..."}
    return named.get(flag.flag_type(), "VALUE")
