"""Labels of the values that vary in a sweep, for file names, tables and axes."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jax_nst.sweeps.grid import GridItem
from jax_nst.transfer.config import INITS

_MAX_NAME = 200  # of the 255 bytes of a file name; suffixes and temporary names take the rest


def axis_labels(
    items: Sequence[GridItem], contents: Sequence[str], styles: Sequence[str]
) -> dict[str, dict[Any, str]]:
    """Makes a short label for every value that varies, unique within its axis.

    Args:
      items: items of the sweep.
      contents: paths of the contents.
      styles: paths of the styles.

    Returns:
      Name of each varied setting -> value, in order of appearance -> label.
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


def item_labels(item: GridItem, axes: dict[str, dict[Any, str]]) -> dict[str, str]:
    """Maps the name of each varied setting to the label of its value in `item`."""
    return {name: axes[name][value] for name, value in item.values.items()}


def file_names(items: Sequence[GridItem], axes: dict[str, dict[Any, str]]) -> list[str]:
    """Names the picture of each item, such as `style=starry_night__style_weight=1e+03.png`.

    Names that would be too long, or equal on a file system that ignores case, are prefixed with the item's
    index and truncated.
    """
    names = []
    for item in items:
        parts = (f"{name}={safe(label)}" for name, label in item_labels(item, axes).items())
        names.append("__".join(parts) or "picture")
    too_long = max(len(name.encode()) for name in names) > _MAX_NAME
    if too_long or len({name.lower() for name in names}) < len(names):
        names = [f"{index:05d}__{name}" for index, name in enumerate(names)]
    return [name.encode()[:_MAX_NAME].decode(errors="ignore") + ".png" for name in names]


def safe(label: str) -> str:
    """Replaces characters that some file system forbids in names."""
    return re.sub(rf'[{re.escape(os.sep)}<>:"/\\|?*\x00-\x1f]', "_", label)


def _numbers(values: Sequence[Any]) -> list[str]:
    """Formats numbers with three digits if these are distinct, else with all digits."""
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
    """Numbers repeated labels, such as those of files with the same name in different folders."""
    seen: dict[str, int] = {}
    distinct = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        distinct.append(label if seen[label] == 1 else f"{label}~{seen[label]}")
    return distinct if len(set(distinct)) == len(distinct) else [f"{x}~{i}" for i, x in enumerate(labels)]
