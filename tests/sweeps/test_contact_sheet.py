import itertools

import numpy as np
import pytest
from conftest import picture

from jax_nst.sweeps.card import Card
from jax_nst.sweeps.contact_sheet import contact_sheet

AXES = {"style": ["wave", "night"], "style_weight": ["300", "1e+03", "3e+03"], "seed": ["1", "2"]}
INPUTS = {"content 0": picture(40, 60, 1), "style 0": picture(30, 30, 2), "style 1": picture(50, 30, 3)}


def cards_and_pictures():
    """Twelve items, each a distinct colour; one without a picture."""
    labels = [dict(zip(AXES, values, strict=True)) for values in itertools.product(*AXES.values())]
    cards = [Card(each, "x.png", {}, "ok", 1.5, [], []) for each in labels]
    colours = [np.array([number / 12, 1 - number / 12, 0.5], np.float32) for number in range(12)]
    pictures = [
        None if number == 5 else np.tile(colour, (40, 60, 1)) for number, colour in enumerate(colours)
    ]
    return cards, pictures


def seen_in(sheet, colour):
    return bool((np.abs(sheet - colour).max(axis=-1) < 0.01).sum() > 1000)


@pytest.mark.parametrize("paired", [False, True])
def test_every_picture_is_drawn(paired):
    cards, pictures = cards_and_pictures()
    sheet = contact_sheet(AXES, cards, pictures, INPUTS, paired=paired)
    assert sheet.shape[2] == 3
    assert 0 <= sheet.min() < sheet.max() <= 1
    for shown in pictures:
        assert shown is None or seen_in(sheet, shown[0, 0])


def test_longest_axis_runs_across_and_second_longest_down():
    cards, pictures = cards_and_pictures()
    sheet = contact_sheet(AXES, cards, pictures, INPUTS, paired=False)

    def middle(number):
        y, x = np.nonzero(np.abs(sheet - pictures[number][0, 0]).max(axis=-1) < 0.01)
        return np.median(y), np.median(x)

    assert middle(0)[0] == middle(2)[0] == middle(4)[0]  # the longest axis across: style_weight
    assert middle(0)[1] < middle(2)[1] < middle(4)[1]
    assert middle(0)[1] == pytest.approx(middle(6)[1], abs=2)
    assert middle(0)[0] < middle(6)[0] < middle(1)[0]  # style down, then a block for the other seed


def test_thumbnails_shrink_to_limit_the_width():
    axes = {"seed": [str(i) for i in range(60)]}
    cards = [Card({"seed": label}, "f.png", {}, "ok", 0, [], []) for label in axes["seed"]]
    sheet = contact_sheet(axes, cards, [picture(64, 64)] * 60, {}, paired=False)
    assert sheet.shape[1] < 60 * 130
