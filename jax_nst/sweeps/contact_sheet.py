"""Contact sheet of a sweep: all pictures on one image, labelled."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jax_nst.images import fit_size, quantize, resize
from jax_nst.sweeps.card import THUMBNAIL, Card

_MAX_WIDTH = 4000  # pixels; with many columns, thumbnails shrink to keep to it
_MIN_THUMBNAIL = 48
_GAP, _FONT_SIZE, _LINE = 8, 16, 22
_INK, _PAPER, _MISSING = (30, 30, 30), (255, 255, 255), (225, 225, 225)


def contact_sheet(
    axes: Mapping[str, Sequence[str]],
    cards: Sequence[Card],
    pictures: Sequence[np.ndarray | None],
    inputs: Mapping[str, np.ndarray],
    *,
    paired: bool,
) -> np.ndarray:
    """Draws all pictures of a sweep.

    The longest axis runs across and the second longest down; each combination of the other axes is a
    block below the last.

    Args:
      axes: name of each varied setting -> its labels.
      cards: one per item.
      pictures: one per item, `[H, W, 3]`; None for an item without a picture.
      inputs: `content 0`, `style 1` and so on -> pixels, drawn beside their labels.
      paired: whether values were combined pairwise instead of as a grid; pictures are then drawn in
        order, each above its labels.

    Returns:
      Pixels, `[H, W, 3]` in [0, 1].
    """
    if paired or not axes:
        return _captioned(cards, pictures)
    by_length = sorted(axes, key=lambda name: len(axes[name]), reverse=True)
    across, down, others = by_length[0], by_length[1] if len(by_length) > 1 else None, by_length[2:]
    found = {tuple(card.labels.items()): picture for card, picture in zip(cards, pictures, strict=True)}
    cell = _cell(pictures, len(axes[across]))
    blocks = []
    for values in itertools.product(*(axes[name] for name in others)):
        fixed = dict(zip(others, values, strict=True))
        blocks.append(_block(axes, across, down, fixed, found, inputs, cell))
    return np.asarray(_stacked(blocks), np.float32) / 255


def _block(
    axes: Mapping[str, Sequence[str]],
    across: str,
    down: str | None,
    fixed: Mapping[str, str],
    found: Mapping[tuple[Any, ...], np.ndarray | None],
    inputs: Mapping[str, np.ndarray],
    cell: tuple[int, int],
) -> Image.Image:
    """Draws the pictures along two axes, with row and column labels, at `fixed` labels of the others."""
    height, width = cell
    columns, rows = axes[across], axes[down] if down else [""]
    heads = [_label(across, label, index, inputs, width) for index, label in enumerate(columns)]
    sides = [_label(down, label, index, inputs, width) for index, label in enumerate(rows)] if down else []
    title = ", ".join(f"{name} = {label}" for name, label in fixed.items())
    left = max((side.width for side in sides), default=0) + _GAP
    top = (_LINE + _GAP if title else 0) + max(head.height for head in heads) + _GAP
    step_x = max(width, *(head.width for head in heads)) + _GAP
    step_y = max(height, *(side.height for side in sides), 1) + _GAP
    sheet = Image.new("RGB", (left + step_x * len(columns), top + step_y * len(rows)), _PAPER)
    if title:
        ImageDraw.Draw(sheet).text((_GAP, _GAP), title, _INK, _font())
    for x, head in enumerate(heads):
        sheet.paste(head, (left + x * step_x, top - _GAP - head.height))
    for y, side in enumerate(sides):
        sheet.paste(side, (_GAP // 2, top + y * step_y))
    for (y, row), (x, column) in itertools.product(enumerate(rows), enumerate(columns)):
        labels = {**fixed, across: column, **({down: row} if down else {})}
        key = tuple((name, labels[name]) for name in axes)
        sheet.paste(_thumbnail(found.get(key), cell), (left + x * step_x, top + y * step_y))
    return sheet


def _captioned(cards: Sequence[Card], pictures: Sequence[np.ndarray | None]) -> np.ndarray:
    """Draws pictures in rows of a nearly square sheet, each above its labels."""
    columns = math.ceil(math.sqrt(len(cards)))
    cell = _cell(pictures, columns)
    lines = max((len(card.labels) for card in cards), default=0)
    texts = ["\n".join(f"{name} = {label}" for name, label in card.labels.items()) for card in cards]
    step_x = max([cell[1], *(_text_size(text)[0] for text in texts)]) + _GAP
    step_y = cell[0] + _LINE * lines + 2 * _GAP
    rows = math.ceil(len(cards) / columns)
    sheet = Image.new("RGB", (_GAP + step_x * columns, _GAP + step_y * rows), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, (text, picture) in enumerate(zip(texts, pictures, strict=True)):
        x, y = _GAP + step_x * (index % columns), _GAP + step_y * (index // columns)
        sheet.paste(_thumbnail(picture, cell), (x, y))
        draw.multiline_text((x, y + cell[0] + _GAP // 2), text, _INK, _font())
    return np.asarray(sheet, np.float32) / 255


def _stacked(blocks: Sequence[Image.Image]) -> Image.Image:
    """Stacks blocks vertically."""
    width = max(block.width for block in blocks)
    sheet = Image.new("RGB", (width, sum(block.height + _GAP for block in blocks)), _PAPER)
    y = 0
    for block in blocks:
        sheet.paste(block, (0, y))
        y += block.height + _GAP
    return sheet


def _label(name: str, label: str, index: int, inputs: Mapping[str, np.ndarray], width: int) -> Image.Image:
    """Draws the label of a row or column, below a small version of the content or style it names."""
    text = label if name in ("content", "style") else f"{name} = {label}"
    text_width, text_height = _text_size(text)
    picture = inputs.get(f"{name} {index}")
    small = None
    if picture is not None:
        small = _thumbnail(picture, fit_size(picture.shape, max(_MIN_THUMBNAIL, width // 3)))
    above = small.height + _GAP // 2 if small else 0
    image = Image.new("RGB", (max(text_width, small.width if small else 1), above + text_height), _PAPER)
    if small:
        image.paste(small, (0, 0))
    ImageDraw.Draw(image).multiline_text((0, above), text, _INK, _font())
    return image


def _cell(pictures: Sequence[np.ndarray | None], columns: int) -> tuple[int, int]:
    """Returns the (height, width) of a cell for any thumbnail, such that `columns` fit in the sheet."""
    size = max(_MIN_THUMBNAIL, min(THUMBNAIL, _MAX_WIDTH // columns))
    shapes = [fit_size(x.shape, min(size, max(x.shape))) for x in pictures if x is not None]
    shapes = shapes or [(size, size)]
    return max(height for height, _ in shapes), max(width for _, width in shapes)


def _thumbnail(picture: np.ndarray | None, cell: tuple[int, int]) -> Image.Image:
    """Scales a picture to fit the cell, keeping its aspect ratio; a grey cell if there is none."""
    height, width = cell
    image = Image.new("RGB", (width, height), _MISSING if picture is None else _PAPER)
    if picture is None:
        ImageDraw.Draw(image).text((_GAP, _GAP), "none", _INK, _font())
        return image
    scale = min(height / picture.shape[0], width / picture.shape[1])
    shape = (max(1, round(picture.shape[0] * scale)), max(1, round(picture.shape[1] * scale)))
    image.paste(Image.fromarray(quantize(resize(picture, shape))))
    return image


def _font() -> Any:
    return ImageFont.load_default(_FONT_SIZE)


def _text_size(text: str) -> tuple[int, int]:
    """Returns the (width, height) of a text of one or more lines, in pixels."""
    draw = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    widths = [draw.textlength(line, _font()) for line in text.splitlines()]
    return math.ceil(max(widths, default=0)), _LINE * max(1, len(widths))
