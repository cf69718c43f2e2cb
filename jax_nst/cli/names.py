"""The name of the picture that one transfer writes."""

import dataclasses
import hashlib
import os
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jax_nst.images import WRITABLE
from jax_nst.runtime.files import FileError
from jax_nst.sweeps.labels import safe
from jax_nst.transfer.config import Config
from jax_nst.transfer.masks import described_masks

_SETTINGS = {field.name: field.default for field in dataclasses.fields(Config)}
# These do not change the picture, or no more than rounding does.
_NOT_IN_NAMES = ("save_every", "remat", "tile_size", "memory")
_MAX_NAME = 200  # of the 255 bytes of a file name; the suffix and temporary names take the rest


def output_name(
    given: str | None, content: str, styles: Sequence[str], config: Config, shares: Sequence[float]
) -> str:
    """The file to write the picture to.

    Args:
      given: `--output`: None, a path, or a template with the fields `{content}`, `{style}`, `{blend}` and
        those of `Config`.
      content: path of the content.
      styles: paths of the styles that make its style.
      config: the settings.
      shares: of the styles; they add up to 1.

    Returns:
      By default `CONTENT_STYLE.png`, with the settings that are not the default ones, such as
      `cat_starry_style_weight=300.png`: another setting never replaces the picture.

    Raises:
      ValueError: the template has an unknown field, or the suffix is that of no format.
    """
    fields = {name: _label(name, getattr(config, name)) for name in _SETTINGS}
    names = {"content": Path(content).stem, "style": "_".join(Path(style).stem for style in styles)}
    blend = _label("blend", tuple(shares)) if len(set(shares)) > 1 else None
    if given is not None:
        path = _filled(given, {**fields, **names, "blend": blend or "equal"})
        if Path(path).suffix.lower() not in WRITABLE:
            raise ValueError(
                f"{path}: unsupported image format for --output; use one of {', '.join(WRITABLE)}"
            )
        return path
    varied = {"blend": blend} if blend else {}
    varied |= {
        name: fields[name]
        for name, default in _SETTINGS.items()
        if getattr(config, name) != default and name not in _NOT_IN_NAMES
    }
    stem = "_".join((*names.values(), *(f"{name}={safe(value)}" for name, value in varied.items())))
    return f"{shortened(stem)}.png"


def check_new(path: str) -> None:
    """Raises FileError if there is something at `path`."""
    if os.path.lexists(path):
        raise FileError(f"{path}: exists, and --no_clobber is given; name another file, or leave that out")


def _filled(template: str, fields: dict[str, Any]) -> str:
    """The template with its fields filled in."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(
            f"--output {template}: is no template ({error}); write {{{{ and }}}} for braces"
        ) from error
    for _, name, form, conversion in parts:
        if name is not None and (name not in fields or form or conversion):
            raise ValueError(
                f"--output {template}: has the unknown field {{{name}}}; the fields are content, style, "
                "blend and every setting, such as style_weight; write {{ and }} for braces"
            )
    return template.format_map({name: safe(value) for name, value in fields.items()})


def _label(name: str, value: Any) -> str:
    if value is None:
        return "default"
    if name == "mask":
        return ",".join(described_masks(value))
    if isinstance(value, tuple):
        return ",".join(_label(name, part) for part in value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return Path(value).stem if name in ("weights", "init", "style_weight") else str(value)


def shortened(stem: str) -> str:
    """The stem; one that is too long is cut, and a digest keeps it apart from others."""
    data = os.fsencode(stem)
    if len(data) <= _MAX_NAME:
        return stem
    return f"{data[: _MAX_NAME - 9].decode(errors='ignore')}_{hashlib.sha256(data).hexdigest()[:8]}"
