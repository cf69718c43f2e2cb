import itertools
import tempfile
from pathlib import Path

import numpy as np
import pytest
from conftest import picture

from jax_nst.images import jpeg_of
from jax_nst.sweeps.card import Card
from jax_nst.sweeps.contact_sheet import contact_sheets
from jax_nst.sweeps.thumbnails import Thumbnail

AXES = {"style": ["wave", "night"], "style_weight": ["300", "1000", "3000"], "seed": ["1", "2"]}
INPUTS = {
    name: picture(*shape)
    for name, shape in (("content 0", (40, 60, 1)), ("style 0", (30, 30, 2)), ("style 1", (50, 30, 3)))
}
MOST_PIXELS = 32_000_000


def cards_of(axes):
    points = itertools.product(*axes.values())
    return [
        Card(number, dict(zip(axes, point, strict=True)), "x.png", {}, "ok", 1.5, [], [])
        for number, point in enumerate(points)
    ]


def cards_and_pictures():
    """Twelve items, each a distinct colour; one without a picture."""
    colours = [np.array([number / 12, 1 - number / 12, 0.5], np.float32) for number in range(12)]
    pictures = [
        None if number == 5 else np.tile(colour, (40, 60, 1)) for number, colour in enumerate(colours)
    ]
    return cards_of(AXES), pictures


def sheets_of(cards, pictures, inputs=INPUTS, paired=False):
    """The images of the contact sheet; of equal pictures one thumbnail is written."""
    with tempfile.TemporaryDirectory() as name:
        folder, written = Path(name), {}

        def thumbnail(pixels):
            if pixels is None:
                return None
            if id(pixels) not in written:
                file = f"{len(written)}.jpg"
                (folder / file).write_bytes(jpeg_of(pixels, 256))
                written[id(pixels)] = Thumbnail(file, pixels.shape[1], pixels.shape[0])
            return written[id(pixels)]

        small = {name: thumbnail(pixels) for name, pixels in inputs.items()}
        yield from contact_sheets(folder, cards, [thumbnail(x) for x in pictures], small, paired=paired)


def sheet_of(cards, pictures, inputs=INPUTS, paired=False):
    """The only image of a sheet, as floats in [0, 1]."""
    (sheet,) = sheets_of(cards, pictures, inputs, paired)
    return np.asarray(sheet, np.float32) / 255


def seen_in(sheet, colour):
    return bool((np.abs(sheet - colour).max(axis=-1) < 0.01).sum() > 1000)


@pytest.mark.parametrize("paired", [False, True])
def test_every_picture_is_drawn(paired):
    cards, pictures = cards_and_pictures()
    sheet = sheet_of(cards, pictures, paired=paired)
    assert sheet.shape[2] == 3
    assert 0 <= sheet.min() < sheet.max() <= 1
    for shown in pictures:
        assert shown is None or seen_in(sheet, shown[0, 0])


def test_longest_axis_runs_across_and_second_longest_down():
    cards, pictures = cards_and_pictures()
    sheet = sheet_of(cards, pictures)

    def middle(number):
        y, x = np.nonzero(np.abs(sheet - pictures[number][0, 0]).max(axis=-1) < 0.01)
        return np.median(y), np.median(x)

    assert middle(0)[0] == middle(2)[0] == middle(4)[0]  # the longest axis across: style_weight
    assert middle(0)[1] < middle(2)[1] < middle(4)[1]
    assert middle(0)[1] == pytest.approx(middle(6)[1], abs=2)
    assert middle(0)[0] < middle(6)[0] < middle(1)[0]  # style down, then a block for the other seed


@pytest.mark.parametrize(
    "axes",
    [
        {"seed": [str(number) for number in range(300)]},
        {"style": [f"a_painting_with_quite_a_long_name_{number}" for number in range(300)]},
        {"style": ["x" * 3000, "y" * 3000], "seed": ["1", "2"]},
        {"style": ["a", "b"], "seed": [str(number) for number in range(300)]},
        {"seed": [str(number) for number in range(5000)]},
        {"style": [f"long_name_{number}" * 9 for number in range(50)], "seed": list(map(str, range(100)))},
        {
            "style": ["a", "b"],
            "tv_weight": ["1", "2"],
            "seed": list("abcdefghij"),
            "init": list(map(str, range(125))),
        },
        {"seed": [str(number) for number in range(6000)]},
    ],
    ids=["seeds", "long_names", "very_long_names", "two_axes", "5000", "50x100", "four_axes", "6000"],
)
@pytest.mark.parametrize("paired", [False, True])
def test_a_sheet_is_bounded_however_long_an_axis_or_a_label(axes, paired):
    cards = cards_of(axes)
    for sheet in sheets_of(cards, [picture(16, 16)] * len(cards), paired=paired):
        assert sheet.width <= 4000
        assert sheet.width * sheet.height <= MOST_PIXELS
        # Wide enough for all of them, and neither a strip across nor one down.
        assert sheet.width * sheet.height >= 16 * 16 * min(500, len(cards))
        assert max(sheet.size) / min(sheet.size) < 12


@pytest.mark.parametrize(
    ("axes", "counts"),
    [
        ({"seed": range(2500)}, [1000, 1000, 500]),
        ({"style": range(4), "weight": range(3), "seed": range(200)}, [600] * 4),
        ({"style": range(40), "seed": range(30)}, [990, 210]),
    ],
    ids=["one axis", "all combinations below a style", "all seeds of 33 styles"],
)
def test_many_pictures_take_several_images(axes, counts, monkeypatch):
    """Each has whole combinations of the axes that vary fastest, so that it is a table, too."""
    drawn = []
    cards = cards_of({name: list(map(str, labels)) for name, labels in axes.items()})
    monkeypatch.setattr(
        "jax_nst.sweeps.contact_sheet._draw",
        lambda folder, layout: drawn.append(sum(shown is not None for *_, shown in layout.pictures)),
    )
    list(sheets_of(cards, [picture(16, 16)] * len(cards), {}))
    assert drawn == counts


@pytest.mark.parametrize(
    "axes",
    [{"seed": list(map(str, range(48)))}, {"style": ["a", "b"], "seed": list(map(str, range(24)))}],
    ids=["one", "two"],
)
def test_every_picture_of_a_long_axis_is_drawn(axes):
    cards = cards_of(axes)
    colours = np.random.default_rng(0).permutation(np.linspace(0, 1, 48)).astype(np.float32)
    pictures = [np.tile(np.array([x, 0.5, 1 - x], np.float32), (64, 64, 1)) for x in colours]
    sheet = sheet_of(cards, pictures)
    assert all(seen_in(sheet, pixels[0, 0]) for pixels in pictures)


def test_a_long_label_keeps_its_picture_in_place():
    """It used to make its column as wide as itself."""
    sheets = [
        sheet_of(cards_of({"style": names}), [picture(64, 64)] * 2, {})
        for names in (["a" * 30, "b" * 30], ["a" * 300, "b" * 300])
    ]
    assert sheets[0].shape == sheets[1].shape


def test_nothing_yet_makes_an_empty_sheet():
    (sheet,) = sheets_of([], [], {})
    assert sheet.width > 0
