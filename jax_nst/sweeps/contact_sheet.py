"""Contact sheet of a sweep: all pictures, labelled, on images of bounded size."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageOps

from jax_nst.images import fit_size
from jax_nst.sweeps.card import Card, axes_of, input_of
from jax_nst.sweeps.fonts import LINE, fit_text, legible
from jax_nst.sweeps.thumbnails import Thumbnail

_MAX_WIDTH = 4000  # pixels
_MAX_AREA = 32_000_000  # pixels; 96 MB
_MOST = 1000  # pictures on an image
_SIDES = (256, 192, 144, 112, 88, 68, 48)  # longer sides of a thumbnail, in pixels; the largest that fits
_LABEL = 120  # pixels that a caption may have beside a narrower thumbnail
_ROW_LABEL = 240
_ONE_ROW = 6  # pictures that are never wrapped
_COLUMNS = 16  # of a table, that are not wrapped if they fit
_GAP = 8
_INK, _PAPER, _MISSING = (30, 30, 30), (255, 255, 255), (225, 225, 225)

Cell = tuple[int, int]
"""(height, width) of a place for a thumbnail."""


class _Layout(NamedTuple):
    """Where everything goes, in pixels from the upper left."""

    width: int
    height: int
    texts: list[tuple[int, int, str, float]]
    """Left, top, text, and the width that it is cut to."""
    pictures: list[tuple[int, int, Cell, Thumbnail | None]]
    """Left, top, place, and what is drawn there; None for a grey place."""

    @property
    def fits(self) -> bool:
        return self.width <= _MAX_WIDTH and self.width * self.height <= _MAX_AREA


def contact_sheets(
    folder: Path,
    cards: Sequence[Card],
    thumbnails: Sequence[Thumbnail | None],
    inputs: Mapping[str, Thumbnail],
    *,
    paired: bool,
) -> Iterator[Image.Image]:
    """Draws all pictures of a sweep, on as many images as they need.

    Of two axes or more, the longest runs across, wrapped where it is too long, and the second longest
    down; each combination of the others is a block below the last. Otherwise pictures are drawn in rows,
    each above its labels. Thumbnails are as large as the size of an image allows.

    Args:
      folder: of the sweep.
      cards: one per item.
      thumbnails: one per item; None for an item without a picture.
      inputs: `content 0`, `style 1` and so on -> thumbnail, drawn beside their labels.
      paired: whether values were combined pairwise instead of as a grid.

    Yields:
      An image of the next items; at least one.
    """
    shown = list(zip(cards, thumbnails, strict=True))
    most = _per_image(axes_of(cards), len(cards), paired=paired)
    for start in range(0, max(1, len(shown)), most):
        part = shown[start : start + most]
        axes = axes_of([card for card, _ in part])
        layouts = itertools.chain(
            () if paired or len(axes) < 2 else _tables(axes, part, inputs), _captioned(part)
        )
        layout = next(layout for layout in layouts if layout.fits)
        if len(part) < len(shown):
            text = f"pictures {start + 1} to {start + len(part)} of {len(shown)}"
            layout.texts.append((_GAP, layout.height, text, layout.width - 2 * _GAP))
            layout = layout._replace(height=layout.height + LINE + _GAP)
        yield _draw(folder, layout)


def _per_image(axes: Mapping[str, Sequence[str]], count: int, *, paired: bool) -> int:
    """How many items an image has: of a grid, all combinations of as many of its fastest axes as fit."""
    if count <= _MOST or paired or math.prod(map(len, axes.values())) != count:
        return _MOST
    whole = 1
    for labels in reversed(list(axes.values())):
        if whole * len(labels) > _MOST:
            break
        whole *= len(labels)
    return whole * (_MOST // whole)


Shown = Sequence[tuple[Card, Thumbnail | None]]
"""What is drawn of each item."""


def _captioned(shown: Shown) -> Iterator[_Layout]:
    """Layouts in rows, each picture above its labels; ever smaller ones, of which the last always fits."""
    names = {name for card, _ in shown for name in card.labels}
    title = names.pop() if len(names) == 1 else ""  # said once
    lines = [list(card.labels.values()) if title else _caption(card) for card, _ in shown]
    widest = max((legible(line).width for each in lines for line in each), default=0)
    for one_line, label in ((False, _LABEL), (False, 0), (True, 0)):
        captions = [[", ".join(each)] for each in lines] if one_line else lines
        for cell in _cells(shown):
            yield _rows(title, captions, shown, cell, max(cell[1], math.ceil(min(widest, label))))


def _rows(title: str, captions: list[list[str]], shown: Shown, cell: Cell, width: int) -> _Layout:
    step_x, step_y = width + _GAP, cell[0] + LINE * max(map(len, captions), default=0) + 2 * _GAP
    top = _GAP + (LINE if title else 0)
    count = max(1, len(shown))
    columns = count if count <= _ONE_ROW else _columns(count, step_x, step_y)
    columns = max(1, min(columns, count, (_MAX_WIDTH - _GAP) // step_x))
    rows = math.ceil(count / columns)
    layout = _Layout(_GAP + step_x * columns, top + step_y * rows, [], [])
    if title:
        layout.texts.append((_GAP, _GAP // 2, title, layout.width - 2 * _GAP))
    for index, (lines, (_, thumbnail)) in enumerate(zip(captions, shown, strict=True)):
        x, y = _GAP + step_x * (index % columns), top + step_y * (index // columns)
        layout.pictures.append((x, y, cell, thumbnail))
        below = y + cell[0] + _GAP // 2
        layout.texts.extend((x, below + LINE * line, text, width) for line, text in enumerate(lines))
    return layout


def _columns(count: int, step_x: int, step_y: int) -> int:
    """How many columns make a sheet somewhat wider than high."""
    return math.ceil(math.sqrt(1.5 * count * step_y / step_x))


def _caption(card: Card) -> list[str]:
    return [_label(name, label) for name, label in card.labels.items()]


def _label(name: str, label: str) -> str:
    return label if name in ("content", "style") else f"{name} = {label}"


def _tables(
    axes: Mapping[str, Sequence[str]], shown: Shown, inputs: Mapping[str, Thumbnail]
) -> Iterator[_Layout]:
    """Layouts with an axis across and one down, ever smaller ones; maybe none that fits."""
    across, down, *others = sorted(axes, key=lambda name: len(axes[name]), reverse=True)
    found = {tuple(sorted(card.labels.items())): thumbnail for card, thumbnail in shown}
    cards = [card for card, _ in shown]
    small = {
        (name, x): inputs.get(input_of(cards, name, x) or "") for name in (across, down) for x in axes[name]
    }
    widest = max(legible(_label(down, label)).width for label in axes[down])
    for cell in _cells(shown):
        place = _small_place(cell)
        left = 2 * _GAP + max(math.ceil(min(_ROW_LABEL, widest)), place[1])
        step = cell[1] + _GAP
        columns = max(_COLUMNS, _columns(len(shown), step, cell[0] + _GAP))
        columns = min(columns, (_MAX_WIDTH - left) // step)
        layout = _Layout(left + step * min(columns, len(axes[across])), _GAP, [], [])
        for values in itertools.product(*(axes[name] for name in others)):
            fixed = dict(zip(others, values, strict=True))
            for start in range(0, len(axes[across]), columns):
                block = _Block(
                    (across, list(axes[across][start : start + columns])),
                    (down, list(axes[down])),
                    fixed, found, small, cell, left,
                )  # fmt: skip
                layout = _add_block(layout, block)
        yield layout


class _Block(NamedTuple):
    """The pictures along two axes, at fixed labels of the others."""

    across: tuple[str, list[str]]
    down: tuple[str, list[str]]
    fixed: dict[str, str]
    found: Mapping[tuple[tuple[str, str], ...], Thumbnail | None]
    """Sorted pairs of name and label -> the picture."""
    small: Mapping[tuple[str, str], Thumbnail | None]
    """Name and label -> the content or style they stand for."""
    cell: Cell
    left: int
    """Pixels that the labels of rows take."""


def _add_block(layout: _Layout, block: _Block) -> _Layout:
    """Adds a block below what is there."""
    (across, columns), (down, rows), (height, width) = block.across, block.down, block.cell
    place, y = _small_place(block.cell), layout.height
    if block.fixed:
        title = ", ".join(f"{name} = {label}" for name, label in block.fixed.items())
        layout.texts.append((_GAP, y, title, layout.width))
        y += LINE + _GAP
    heads = [_label(across, label) for label in columns]
    if max(legible(head).width for head in heads) > width:  # the name once, at the left
        layout.texts.append((_GAP, y, f"{across}:", block.left - 2 * _GAP))
        heads = columns
    if any(block.small[across, label] for label in columns):
        for x, label in enumerate(columns):
            if small := block.small[across, label]:
                layout.pictures.append((block.left + x * (width + _GAP), y, place, small))
        y += place[0] + _GAP // 2
    for x, head in enumerate(heads):
        layout.texts.append((block.left + x * (width + _GAP), y, head, width))
    y += LINE + _GAP // 2
    step = _GAP + max(height, LINE + (place[0] if any(block.small[down, row] for row in rows) else 0))
    for row in rows:
        layout.texts.append((_GAP, y, _label(down, row), block.left - 2 * _GAP))
        if small := block.small[down, row]:
            layout.pictures.append((_GAP, y + LINE, place, small))
        for x, column in enumerate(columns):
            key = tuple(sorted({**block.fixed, across: column, down: row}.items()))
            layout.pictures.append((block.left + x * (width + _GAP), y, block.cell, block.found.get(key)))
        y += step
    return layout._replace(height=y + _GAP)


def _small_place(cell: Cell) -> Cell:
    """Where a content or style is drawn, beside its label."""
    side = min(cell[1], max(48, cell[1] // 3))
    return side, side


def _cells(shown: Shown) -> Iterator[Cell]:
    """Places for any thumbnail, ever smaller ones."""
    shapes = {(small.height, small.width) for _, small in shown if small} or {(_SIDES[0], _SIDES[0])}
    for side in _SIDES:
        fitted = {fit_size(shape, min(side, max(shape))) for shape in shapes}
        yield max(height for height, _ in fitted), max(width for _, width in fitted)


def _draw(folder: Path, layout: _Layout) -> Image.Image:
    """Decodes one thumbnail after the other."""
    sheet = Image.new("RGB", (layout.width, layout.height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for x, y, (height, width), thumbnail in layout.pictures:
        if thumbnail is None:
            draw.rectangle((x, y, x + width - 1, y + height - 1), _MISSING)
            none = fit_text("none", width - _GAP)
            draw.text((x + _GAP // 2, y + _GAP // 2), none.text, _INK, none.font)
            continue
        with Image.open(folder / thumbnail.file) as image:
            sheet.paste(ImageOps.contain(image, (width, height), Image.Resampling.LANCZOS), (x, y))
    for x, y, text, width in layout.texts:
        fitted = fit_text(text, width)
        draw.text((x, y), fitted.text, _INK, fitted.font)
    return sheet
