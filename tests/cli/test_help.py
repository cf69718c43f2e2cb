"""What `--help` prints."""

from absl import flags

from jax_nst.cli.flags import define_flags
from jax_nst.cli.help import help_text


def lines():
    parser = flags.FlagValues()
    define_flags(parser)
    return parser, help_text(parser).splitlines()


def test_help_fits_a_terminal_and_explains_every_flag():
    parser, text = lines()
    assert max(map(len, text)) <= 88
    for name in parser:
        if name != "h":
            assert any(line.split()[:1] == [f"--{name}"] for line in text), name


def test_a_flag_shows_what_its_values_look_like():
    _, text = lines()
    for shown in (
        "steps X,...",
        "pooling VALUE,...",
        "style_layers A,B",
        "blend A,B",
        "num_processes N",
        "zip",
    ):
        assert f"  --{shown}" in text
