"""Values of settings, of any type that means one thing -> the types that the fields of `Config` declare."""

import dataclasses
import math
import os
import re
from typing import Any

from jax_nst.images import MAX_SIZE
from jax_nst.runtime.values import as_names, as_path, as_real, as_reals, as_whole, as_wholes, shown
from jax_nst.transfer.masks import Mask, MaskLike, parse_mask

MAX_SCALES = 16

_WHOLE = {
    "size": (1, MAX_SIZE),
    "style_size": (1, MAX_SIZE),
    "steps": (1, 2**31 - 2),
    "save_every": (0, 2**31 - 1),
    "seed": (0, 2**32 - 1),
    "num_pairs": (1, 1000),
}
"""Whole numbers -> the least and the most."""

_REAL = (
    *("style_scale", "tolerance", "learning_rate", "content_weight", "tv_weight"),
    *("init_blur", "init_noise", "noise", "color_amount"),
)
_REALS = ("style_layer_weights", "style_angle")
_NAMES = ("style_loss", "content_loss", "content_layers", "style_layers", "crop")
_PATHS = ("weights", "init")
LEAST_TILE = 32
"""Least side of tiles in pixels; smaller ones would be nearly all margin."""
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
NUMBERS = (*_WHOLE, *_REAL, "style_weight")
"""Settings that take one number."""


def converted(config: Any) -> dict[str, Any]:
    """Values of the types that the fields of a `Config` declare, so that equal settings are equal.

    Raises:
      ValueError: a value has another type, or a whole number is out of its range.
    """
    converters = {name: lambda name, value: as_whole(name, value, *_WHOLE[name]) for name in _WHOLE}
    converters |= dict.fromkeys(_REAL, as_real) | dict.fromkeys(_NAMES, as_names)
    converters |= dict.fromkeys(_PATHS, as_path)
    converters |= dict.fromkeys(_REALS, as_reals) | {"scales": _as_scales}
    converters |= {"tile_size": _as_tile_size, "memory": _as_memory}
    converters |= {"style_sizes": lambda name, value: as_wholes(name, value, *_WHOLE["style_size"])}
    converters |= {"mask": as_masks, "style_weight": as_weight}
    optional = {field.name for field in dataclasses.fields(config) if field.default is None}
    values = {name: getattr(config, name) for name in converters}
    return {
        name: converters[name](name, value)
        for name, value in values.items()
        if value is not None or name not in optional
    }


def bytes_in(memory: str | None) -> int | None:
    """`8GB`, `512 MiB` or `0.5g` as bytes, in powers of 1024; a number alone is bytes.

    Raises:
      ValueError: it is no amount of memory.
    """
    if memory is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([KMGT]?)(?:I?B)?\s*", memory.upper())
    num_bytes = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    if num_bytes < 1:
        raise ValueError(f"memory must be an amount such as 8GB or 512MB, not {shown(memory)}")
    return num_bytes


def from_text(name: str, text: str) -> Any:
    """The value of a setting, or of `blend`, that a flag or a table gives as text; `Config` checks it.

    Raises:
      ValueError: it is no number, where one is wanted.
    """
    try:
        if name in (*_REALS, "style_sizes", "blend"):
            parse = _whole if name == "style_sizes" else float
            return tuple(parse(part) for part in text.split(","))
        if name in _NAMES:
            return as_names(name, text) if text else ()
        if name in _WHOLE:
            return _whole(text)
        return float(text) if name in NUMBERS else text
    except ValueError:
        if name == "style_weight" and os.path.exists(text):
            return text
        what = "whole numbers" if is_whole(name) else "numbers"
        ending = ", nor is there an image of that name" if name == "style_weight" else ""
        raise ValueError(f"{name} takes {what} separated by commas, not {shown(text)}{ending}") from None


def is_list(name: str) -> bool:
    """Whether the values of a setting are lists, with commas between their parts as text."""
    return name in (*_REALS, *_NAMES, "style_sizes", "mask")


def is_whole(name: str) -> bool:
    """Whether a setting takes whole numbers."""
    return name in (*_WHOLE, "style_sizes")


def _whole(text: str) -> int:
    return int(text, 16 if text.strip().lower().startswith("0x") else 10)


def as_weight(name: str, value: Any) -> float | str:
    """A number, or the path of a map.

    Raises:
      ValueError: it is neither; a number as text is none.
    """
    return as_path(name, value) if is_path(value) else as_real(name, value)


def is_path(value: Any) -> bool:
    """Whether a value can be the path of an image, and is not a number as text."""
    try:
        float(value if isinstance(value, str) else "a path")
    except ValueError:
        return isinstance(value, str | os.PathLike)
    return False


def as_masks(name: str, value: Any) -> tuple[MaskLike, ...]:
    """The masks of a list or tuple, or of one string that separates them by commas, or a single one.

    Raises:
      ValueError: there is none, or one is none.
    """
    masks = (value,) if isinstance(value, Mask) else value
    if isinstance(masks, str):
        masks = as_names(name, masks)
    if not (isinstance(masks, list | tuple) and masks and all(isinstance(x, str | Mask) for x in masks)):
        raise ValueError(f"{name} must be masks, or paths of masks, not {shown(value)}")
    for mask in masks:
        parse_mask(mask)
    return tuple(masks)


def _as_scales(name: str, value: Any) -> str:
    """`auto`, or the number of scales as a string, from a string or a number."""
    message = f"{name} must be auto, or from 1 to {MAX_SCALES}, not {shown(value)}"
    if value == "auto":
        return "auto"
    try:
        number = int(value) if isinstance(value, str) else as_whole(name, value, 1, MAX_SCALES)
    except ValueError:
        raise ValueError(message) from None
    if not 1 <= number <= MAX_SCALES:
        raise ValueError(message)
    return str(number)


def _as_tile_size(name: str, value: Any) -> str | int:
    if isinstance(value, str) and value in ("auto", "none"):
        return value
    try:
        size = int(value) if isinstance(value, str) else value
        return as_whole(name, size, LEAST_TILE, MAX_SIZE)
    except ValueError:
        raise ValueError(
            f"{name} must be auto, none, or a whole number of pixels from {LEAST_TILE} to {MAX_SIZE}, not "
            f"{shown(value)}"
        ) from None


def _as_memory(name: str, value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return f"{value:.0f}"  # bytes
    if not isinstance(value, str):
        raise ValueError(f"{name} must be an amount such as 8GB, not {shown(value)}")
    return value
