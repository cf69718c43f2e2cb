"""Tables of the documentation that are rendered from the code itself.

The site generator loads this module and calls `define_env`; a page then writes `{{ settings_table() }}`.
"""

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any


def settings_table() -> str:
    """The fields of `Config`: the flag, its default, and the documentation of the field."""
    names = [field.name for field in _settings()]
    return _table(flag for flag in _flags() if flag.name in names)


def other_flags_table() -> str:
    """The flags of the command line that are not fields of `Config`."""
    names = [field.name for field in _settings()]
    return _table(flag for flag in _flags() if flag.name not in names)


def metrics_table() -> str:
    """The measures: name, which way is better, range, meaning."""
    from jax_nst import METRICS

    rows = [f"| `{name}` | {x.better} | {x.range} | {x.doc} |" for name, x in METRICS.items()]
    return "\n".join(("| measure | better | range | meaning |", "|---|---|---|---|", *rows))


def define_env(env: Any) -> None:
    """Registers the tables with the site generator."""
    env.macro(settings_table)
    env.macro(other_flags_table)
    env.macro(metrics_table)
    env.macro(gallery)
    for table in _load(Path(__file__).with_name("predictions.py")).TABLES:
        env.macro(table)


def gallery() -> str:
    """The pictures of the gallery in sections, each with its command line."""
    entries = _load(Path(__file__).parents[1] / "examples" / "make_gallery.py").GALLERY
    lines: list[str] = []
    section = ""
    for entry in entries:
        if entry.section != section:
            section = entry.section
            lines += [f"## {section}", ""]
        lines += [f"![{entry.caption}](images/gallery/{entry.name}.jpg)", "", entry.caption, ""]
        lines += ["```sh", entry.command, "```", ""]
    return "\n".join(lines)


def _load(path: Path) -> Any:
    """A module by its file; the site generator does not put it on the path."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _settings() -> tuple[dataclasses.Field[Any], ...]:
    from jax_nst import Config

    return dataclasses.fields(Config)


def _flags() -> list[Any]:
    """Every flag of the command line, as absl keeps it, in the order of `--help`."""
    from absl import flags

    from jax_nst.cli.flags import define_flags

    parser = flags.FlagValues()
    define_flags(parser)
    return parser.get_flags_for_module("jax_nst")


def _table(flags: Any) -> str:
    from jax_nst.cli.help import help_of

    rows = [f"| `--{flag.name}` | {_default(flag)} | {_escape(help_of(flag))} |" for flag in flags]
    return "\n".join(("| flag | default | meaning |", "|---|---|---|", *rows))


def _default(flag: Any) -> str:
    value = flag.default
    if value is None or value is False:
        return ""
    return f"`{','.join(map(str, value)) if isinstance(value, list) else value}`"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
