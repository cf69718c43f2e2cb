"""Labels of the values that vary in a sweep, for file names, tables and axes."""

import itertools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jax_nst.sweeps.grid import GridItem
from jax_nst.transfer.masks import label_of

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
            labels = picture_labels([str(paths[name][value]) for value in values])
        elif name == "mask":
            labels = _numbered([_encodable(label_of(value)) for value in values])
        else:
            labels = _value_labels(name, values)
        axes[name] = dict(zip(values, labels, strict=True))
    return axes


def _value_labels(name: str, values: Sequence[Any]) -> list[str]:
    """Labels of the values of a setting: numbers, words, lists of either, paths, or None."""
    words = [value for value in values if isinstance(value, str)]
    lists = [value for value in values if isinstance(value, tuple) and isinstance(value[0], str)]
    numbers = [value for value in values if value is not None and value not in (*words, *lists)]
    are_paths = name in ("init", "style_weight")
    known: dict[Any, str] = dict(zip(words, picture_labels(words) if are_paths else words, strict=True))
    known |= {value: ",".join(value) for value in lists}
    known |= zip(numbers, number_labels(numbers), strict=True)
    return _numbered([known.get(value, "default") for value in values])


def item_labels(item: GridItem, axes: dict[str, dict[Any, str]]) -> dict[str, str]:
    """Maps the name of each varied setting to the label of its value in `item`."""
    return {name: axes[name][value] for name, value in item.values.items()}


def column_of(name: str) -> str:
    """The column of a setting that varies, in the table and on the page.

    `style_loss`, `content_loss` and `steps` are columns of what came of an item: two losses, and the steps
    that were made.
    """
    return f"{name}_setting" if name in ("style_loss", "content_loss", "steps") else name


def file_names(items: Sequence[GridItem], axes: dict[str, dict[Any, str]]) -> list[str]:
    """Names the picture of each item, such as `style=starry_night__style_weight=1000.png`.

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


def number_labels(values: Sequence[Any]) -> list[str]:
    """Writes numbers, or tuples of them, as people do: with six digits, or all if some would be equal."""
    labels = [_join(value, _short) for value in values]
    return labels if len(set(labels)) == len(set(values)) else [_join(value, _exact) for value in values]


def _join(value: Any, form: Any) -> str:
    return ",".join(map(form, value)) if isinstance(value, tuple) else form(value)


def _short(number: float) -> str:
    """1000 rather than 1e+03, and 12345678, but 1e-06 and 1e+09."""
    exact, rounded = _exact(number), f"{number:.6g}"
    if isinstance(number, int) or (number.is_integer() and float(rounded) != number):
        return exact
    return min(exact, rounded, key=len)


def _exact(number: float) -> str:
    return repr(number).removesuffix(".0")


def picture_labels(paths: Sequence[str]) -> list[str]:
    """Names pictures by their files, and those whose names clash by suffix or folders too.

    `cat.jpg` and `cat.png` become `cat_jpg` and `cat_png`; `a/cat.jpg` and `b/cat.jpg` become `a_cat` and
    `b_cat`. What is equal even so, such as one file given twice, is numbered.
    """
    clashing: dict[str, list[str]] = {}
    for path in dict.fromkeys(paths):
        clashing.setdefault(Path(path).stem.lower(), []).append(path)
    labels: dict[str, str] = {}
    for group in clashing.values():
        labels |= zip(group, _telling(group), strict=True)
    return _numbered([_encodable(labels[path]) for path in paths])


def _encodable(name: str) -> str:
    """A name of a file, of which bytes that are no text are written as escapes."""
    return name.encode(errors="backslashreplace").decode()


def _telling(paths: Sequence[str]) -> list[str]:
    """The shortest names that tell paths apart, also where case is ignored; stems if none do."""
    most = max(len(Path(path).parts) for path in paths)
    for folders, suffix in itertools.product(range(most), (False, True)):
        labels = [_name(Path(path), folders, suffix) for path in paths]
        if len({label.lower() for label in labels}) == len(paths):
            return labels
    return [Path(path).stem for path in paths]


def _name(path: Path, folders: int, suffix: bool) -> str:
    """The stem of a path after its last `folders`, and before its suffix if wanted."""
    before = path.relative_to(path.anchor).parts[:-1]
    ending = [path.suffix[1:]] if suffix and path.suffix else []
    return "_".join([*before[max(0, len(before) - folders) :], path.stem, *ending])


def _numbered(labels: Sequence[str]) -> list[str]:
    """Numbers labels that are repeated."""
    seen: dict[str, int] = {}
    numbered = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        numbered.append(label if seen[label] == 1 else f"{label}~{seen[label]}")
    return numbered if len(set(numbered)) == len(numbered) else [f"{x}~{i}" for i, x in enumerate(labels)]
