"""Short names of what varies in a sweep, for file names, tables and axes."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jax_nst.sweeps.grid import Item
from jax_nst.transfer.config import INITS

# A file name holds 255 bytes; some are for the suffix and for a temporary file's.
_LONGEST_NAME = 200


def axis_labels(
    items: Sequence[Item], contents: Sequence[str], styles: Sequence[str]
) -> dict[str, dict[Any, str]]:
    """name of what varies -> its values, in order -> a label each, all different.

    Args:
      items: of the sweep.
      contents: paths of the contents.
      styles: paths of the styles.
    """
    paths = {"content": contents, "style": styles}
    axes: dict[str, dict[Any, str]] = {}
    for name in items[0].values:
        values = list(dict.fromkeys(item.values[name] for item in items))
        if name in paths:
            labels = [Path(str(paths[name][value])).stem for value in values]
        elif name == "init":
            labels = [value if value in INITS else Path(value).stem for value in values]
        else:
            labels = _numbers(values)
        axes[name] = dict(zip(values, _distinct(labels), strict=True))
    return axes


def _numbers(values: Sequence[Any]) -> list[str]:
    """Three digits where they tell the values apart, else all."""
    for form in ("{:.3g}".format, repr):
        labels = [_number(value, form) for value in values]
        if len(set(labels)) == len(labels):
            return labels
    return labels


def _number(value: Any, form: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(form(part) for part in value)
    return str(value) if isinstance(value, int) else form(value)


def _distinct(labels: Sequence[str]) -> list[str]:
    """Two files of one name in two folders are told apart by a number."""
    seen: dict[str, int] = {}
    distinct = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        distinct.append(label if seen[label] == 1 else f"{label}~{seen[label]}")
    return distinct if len(set(distinct)) == len(distinct) else [f"{x}~{i}" for i, x in enumerate(labels)]


def item_labels(item: Item, axes: dict[str, dict[Any, str]]) -> dict[str, str]:
    """name of what varies -> label, of one item."""
    return {name: axes[name][value] for name, value in item.values.items()}


def file_names(items: Sequence[Item], axes: dict[str, dict[Any, str]]) -> list[str]:
    """A name for the picture of each item: `style=starry_night__style_weight=1e+03.png`."""
    names = []
    for item in items:
        parts = (f"{name}={safe(label)}" for name, label in item_labels(item, axes).items())
        names.append("__".join(parts) or "picture")
    if max(len(name.encode()) for name in names) > _LONGEST_NAME or len({*map(str.lower, names)}) < len(
        names
    ):
        names = [f"{index:05d}__{name}" for index, name in enumerate(names)]
    return [name.encode()[:_LONGEST_NAME].decode(errors="ignore") + ".png" for name in names]


def safe(label: str) -> str:
    """A label as part of a file name, on any file system."""
    return re.sub(rf'[{re.escape(os.sep)}<>:"/\\|?*\x00-\x1f]', "_", label)
