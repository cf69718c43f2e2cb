"""Plots, seeds and exports of the page, in a real browser."""

import csv
import io

import numpy as np
import pytest
from browsing import (
    AXES,
    SCREENS,
    boxes,
    cards_and_pictures,
    choose_panel,
    count,
    frames,
    html_of,
    items,
    measured_cards,
    measured_page,
    open_page,
    thumbnail_of,
)  # fmt: skip
from conftest import picture

from jax_nst.sweeps.card import Card
from jax_nst.sweeps.seeds import Deviation, group_seeds


@pytest.fixture(params=list(SCREENS))
def plotted(request, browser, tmp_path):
    """A measured page with its scatter; fails on console messages and on horizontal overflow."""
    opened, said, asked = measured_page(browser, tmp_path, request.param)
    choose_panel(opened, "scatter")
    yield opened
    assert [text for text in said if "ERR_FILE_NOT_FOUND" not in text] == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)
    assert opened.evaluate("document.documentElement.scrollWidth") <= SCREENS[request.param][0] + 1
    opened.close()


def places(opened):
    """Number of each item in the plot -> its place on the screen."""
    inside = opened.evaluate("[...places]")
    place = opened.locator("#plot").bounding_box()
    return {number: (place["x"] + x, place["y"] + y) for number, (x, y) in inside}


def choose(opened, **values):
    for name, value in values.items():
        opened.select_option(f"#{name}", value)
    frames(opened)


def dot_counts(opened):
    """How many dots each path of a colour has."""
    paths = opened.locator("#plot .dots:not(.outside)").all()
    return [path.get_attribute("d").count("M") for path in paths]


def test_scatter_places_items_by_any_two_quantities(plotted):
    choose(plotted, x="content_ssim", y="clipped", colour="style")
    at = places(plotted)
    assert sorted(at) == [number for number in range(12) if number != 5]
    across, up = np.array([at[number] for number in sorted(at)]).T
    numbers = np.array(sorted(at))
    # Both are linear in the number; up is up.
    np.testing.assert_allclose(np.diff(across) / np.diff(numbers), across[1] - across[0], atol=0.01)
    assert (np.diff(up) > 0).all()
    assert dot_counts(plotted) == [5, 6]
    choose(plotted, colour="style_weight", x="style_weight", y="seed")
    assert len(set(places(plotted).values())) == 6  # numbers that were set, each with two styles
    left = [x for x, _ in places(plotted).values()]
    assert plotted.locator("#plot .title").first.text_content() == "style weight, log"
    assert len({round(x) for x in left}) == 3


@pytest.mark.parametrize(("x", "y"), [("total_loss", "style_loss"), ("variation_ratio", "clipped")])
def test_front_has_the_items_that_no_other_beats(x, y, browser, tmp_path):
    """Against all pairs compared, with the direction of each quantity."""
    rng = np.random.default_rng(3)
    cards, pictures = cards_and_pictures({"seed": list(map(str, range(60)))}, bad=-1)
    for card in cards:
        first, second = rng.integers(1, 12, 2).tolist()  # with ties
        card.losses.update(total_loss=first, style_loss=second)
        card.measures.update(variation_ratio=first / 5, clipped=second)
    axes = {"seed": [card.labels["seed"] for card in cards]}
    opened, _, _ = open_page(browser, tmp_path, html_of(tmp_path, axes, (cards, pictures)))
    choose_panel(opened, "scatter")
    choose(opened, x=x, y=y)
    found = sorted(map(int, opened.locator("#plot .front").get_attribute("data-items").split()))
    values = [{**card.losses, **card.measures} for card in cards]
    costs = [(abs(np.log(v[x])) if x == "variation_ratio" else v[x], v[y]) for v in values]

    def beats(one, two):
        return one != two and one[0] <= two[0] and one[1] <= two[1]

    assert found == [n for n, cost in enumerate(costs) if not any(beats(other, cost) for other in costs)]
    assert opened.locator("#plot .best").count() == len(found)
    choose(opened, x="seed")
    assert opened.locator("#plot .front").count() == 0  # a setting is not better or worse
    opened.close()


def test_hover_shows_a_picture_and_a_click_opens_it(plotted):
    choose(plotted, x="content_ssim", y="clipped")
    x, y = places(plotted)[8]
    plotted.mouse.move(x + 3, y + 2)
    frames(plotted)
    tip = plotted.locator("#tip")
    assert "content ssim 0.4" in tip.inner_text()
    assert "style=starry <b>night, style_weight=1000, seed=1" in tip.inner_text()
    assert tip.locator("img").get_attribute("src") == "thumbnails/8%20%23%25.jpg"
    plotted.mouse.click(x, y)
    assert plotted.locator("#viewer").is_visible()
    assert plotted.locator("#caption").inner_text() == "style=starry <b>night, style_weight=1000, seed=1"
    plotted.keyboard.press("Escape")
    plotted.mouse.move(2, 2)
    assert not tip.is_visible()


def test_a_drag_picks_what_it_encloses(plotted):
    choose(plotted, x="content_ssim", y="clipped")
    at = places(plotted)
    corners = np.array([at[number] for number in (2, 3, 4)])
    (left, top), (right, bottom) = corners.min(0) - 8, corners.max(0) + 8
    plotted.mouse.move(left, top)
    plotted.mouse.down()
    for corner in ((right, top), (right, bottom), (left, bottom)):
        plotted.mouse.move(*corner, steps=3)
    assert plotted.locator("#lasso").get_attribute("d").startswith("M")
    plotted.mouse.up()
    frames(plotted)
    assert plotted.evaluate("[...picked.keys()]") == [2, 3, 4]
    assert plotted.locator("#number").inner_text() == "3 picked"
    assert plotted.locator("#plot .ring").count() == 3
    assert not plotted.locator("#viewer").is_visible()
    assert boxes(plotted).nth(2).is_checked()


@pytest.mark.parametrize("screen", list(SCREENS))
def test_parallel_coordinates_have_a_line_an_item_and_brushes(screen, browser, tmp_path):
    opened, said, _ = measured_page(browser, tmp_path, screen)
    choose_panel(opened, "parallel")
    columns = opened.evaluate("columns.map(({ name, x, top, bottom }) => [name, x, top, bottom])")
    assert [name for name, *_ in columns] == [
        "style", "style_weight", "seed", "total_loss", "content_ssim", "clipped", "variation_ratio",
    ]  # fmt: skip
    drawn = opened.locator("#plot .lines:not(.rest):not(.on)")
    assert sum(path.get_attribute("d").count("M") for path in drawn.all()) == 12
    # The upper half of `style`, which is its second label.
    _, x, top, bottom = columns[0]
    place = opened.locator("#plot").bounding_box()
    opened.mouse.move(place["x"] + x, place["y"] + top + 2)
    opened.mouse.down()
    opened.mouse.move(place["x"] + x + 30, place["y"] + (top + bottom) / 2, steps=3)
    opened.mouse.up()
    frames(opened)
    assert count(opened) == "6 of 12"
    assert opened.evaluate("[...shown].sort((a, b) => a - b)") == [6, 7, 8, 9, 10, 11]
    assert opened.locator("#plot .rest").get_attribute("d").count("M") == 6
    choose_panel(opened, "scatter")
    assert sum(dot_counts(opened)) == 6
    opened.click("#unbrush")
    assert count(opened) == "12 of 12"
    assert not opened.locator("#unbrush").is_visible()
    assert [text for text in said if "ERR_FILE_NOT_FOUND" not in text] == []
    opened.close()


def seeds_page(folder):
    """Two weights, three seeds each; the map of a deviation beside."""
    axes = {"style_weight": ["1", "10"], "seed": ["0", "1", "2"]}
    cards, pictures = cards_and_pictures(axes, bad=-1)
    pictures = [picture(40, 60, number) for number in range(6)]
    map_ = thumbnail_of(folder, "deviation", picture(40, 60, 9))
    groups = [(group, Deviation(map_, 0.125)) for group in group_seeds(cards)]
    return html_of(folder, axes, (cards, pictures), groups=groups), cards


def test_over_seeds_shows_means_spread_and_a_map(browser, tmp_path):
    html, cards = seeds_page(tmp_path)
    opened, said, _ = open_page(browser, tmp_path, html)
    assert items(opened).count() == 6
    opened.check("#seeds")
    assert count(opened) == "2 of 2"
    totals = [card.losses["total_loss"] for card in cards]
    for group, card in enumerate(items(opened).all()):
        mine = totals[3 * group : 3 * group + 3]
        text = f"loss {np.mean(mine):.4g} ± {np.std(mine, ddof=1):.2g}"
        assert text in card.inner_text()
        assert "3 seeds, deviation 0.13" in card.inner_text()
        assert card.locator(".seeds img").get_attribute("src") == "thumbnails/deviation.jpg"
    choose_panel(opened, "scatter")
    choose(opened, x="total_loss", y="style_loss")
    assert sum(dot_counts(opened)) == 2
    bars = opened.locator("#plot .bars").get_attribute("d")
    assert (bars.count("H"), bars.count("V")) == (2, 2)
    choose_panel(opened, "table")
    assert " ± " in opened.locator("#table td").first.inner_text()
    items(opened).locator("a").first.click()
    assert "±" in opened.locator("#facts").inner_text()
    opened.keyboard.press("Escape")
    opened.reload()
    assert opened.locator("#seeds").is_checked()
    opened.uncheck("#seeds")
    assert count(opened) == "6 of 6"
    assert [text for text in said if "ERR_FILE_NOT_FOUND" not in text] == []
    opened.close()


def test_items_outside_the_grid_stand_last_and_greyed(browser, tmp_path):
    cards, pictures = cards_and_pictures(bad=-1)
    fields = vars(cards[1]) | {"outside": True, "labels": {**cards[1].labels, "style_weight": "77"}}
    cards[1] = Card(**fields)
    html = html_of(tmp_path, AXES, (cards, pictures))
    for script in (True, False):
        opened, _, _ = open_page(browser, tmp_path, html, java_script_enabled=script)
        assert opened.locator("#items h2").inner_text() == "Outside the grid of today"
        last = items(opened).last
        assert "style_weight=77" in last.inner_text()
        assert "outside" in last.get_attribute("class")
        assert opened.locator("#items .card.outside").count() == 1
        assert items(opened).count() == 12
        if script:
            assert count(opened) == "12 of 12"
            choose_panel(opened, "scatter")
            assert sum(dot_counts(opened)) == 11
            assert opened.locator("#plot .dots.outside").get_attribute("d").count("M") == 1
        opened.close()


def test_picks_are_saved_as_a_table_and_copied_as_flags(browser, tmp_path):
    cards, pictures = measured_cards()
    cards[8].labels["style"] = 'night, "starry"'
    axes = AXES | {"style": ["wave", "starry <b>night", 'night, "starry"']}
    opened, _, _ = open_page(browser, tmp_path, html_of(tmp_path, axes, (cards, pictures)))
    for number in (1, 8):
        opened.evaluate(f"pick({number}, true)")
    frames(opened)
    with opened.expect_download() as download:
        opened.click("#save")
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text(), newline="")))
    assert [row["file"] for row in rows] == [cards[number].file for number in (1, 8)]
    for row, number in zip(rows, (1, 8), strict=True):
        expected = {**cards[number].labels, **cards[number].losses, **cards[number].measures}
        assert set(row) == {"file", *expected}
        for name, value in expected.items():
            assert row[name] == value if isinstance(value, str) else float(row[name]) == value
    opened.click("#copy")
    assert opened.locator("#flags").input_value().splitlines() == [
        "--content 'content 0.png' --style 'style 0.png' --style_weight 300 --seed 2",
        "--content 'content 0.png' --style 'style 1.png' --style_weight 1000 --seed 1",
    ]
    opened.close()
