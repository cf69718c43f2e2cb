"""The page of a sweep, as HTML and in a real browser."""

import re

import numpy as np
import pytest
from browsing import (
    AXES,
    INPUTS,
    SCREENS,
    box,
    boxes,
    cards_and_pictures,
    choose_panel,
    colour_of,
    colours,
    count,
    data_of,
    frames,
    heads,
    html_of,
    items,
    measured_page,
    open_page,
)  # fmt: skip

from jax_nst.images import save_image
from jax_nst.sweeps.card import Card
from jax_nst.sweeps.page import page
from jax_nst.sweeps.thumbnails import Thumbnail


def test_the_page_holds_its_data_and_no_picture(tmp_path):
    html = html_of(tmp_path, title="a title <i>")
    assert "a title &lt;i&gt;" in html
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", html)
    assert "url(" not in html
    assert "data:image" not in html
    data = data_of(html)
    assert len(data["items"]) == 12
    assert data["items"][0]["curve"][-1][0] == 198
    assert data["items"][0]["thumbnail"] == ["thumbnails/0 #%.jpg", 60, 40]
    assert data["items"][5]["thumbnail"] is None


def test_names_of_files_cannot_add_to_the_page(browser, tmp_path):
    evil = '"><script>document.title = 1</script><img src=x onerror="document.title = 2">'
    card = Card(0, {"style": evil}, "javascript:alert(1)//.png", {}, evil, 1.0, [], ["content 0"])
    thumbnail = Thumbnail(evil, 20, 20)
    html = page(evil, {"style": [evil]}, [card] * 2, [thumbnail, None], {"content 0": (evil, thumbnail)})
    assert "<script>document.title" not in html
    opened, said, _ = open_page(browser, tmp_path, html)
    assert opened.title() == evil
    for panel in ("scatter", "table"):
        choose_panel(opened, panel)
    link = opened.locator("#items a")
    assert link.evaluate("link => link.protocol") == "file:"
    link.click()
    assert opened.locator("#caption").inner_text() == f"style={evil}"
    assert opened.locator("script").count() == 3
    assert [text for text in said if "ERR_FILE_NOT_FOUND" not in text] == []
    opened.close()


@pytest.fixture(params=list(SCREENS))
def shown(request, browser, tmp_path):
    """Opens the page from disk; fails on console messages, network requests and horizontal overflow."""
    for card, pixels in zip(*cards_and_pictures(), strict=True):
        if pixels is not None:
            save_image(tmp_path / card.file, pixels)
    for name, pixels in INPUTS.items():
        save_image(tmp_path / f"{name}.png", pixels)
    opened, said, asked = open_page(browser, tmp_path, html_of(tmp_path), request.param)
    yield opened
    assert said == []
    assert all(url.startswith(("file:", "data:")) for url in asked)
    # Only the grid may be wider than the screen; it scrolls by itself.
    assert opened.evaluate("document.documentElement.scrollWidth") <= SCREENS[request.param][0] + 1
    opened.close()


def test_grid_has_an_axis_across_and_one_down(shown):
    assert heads(shown, "thead") == ["style_weight = 300", "style_weight = 1000", "style_weight = 1e+06"]
    assert heads(shown, "tbody") == ["wave", "starry <b>night"]
    assert items(shown).count() == 12
    assert shown.locator(".card .none").text_content() == "failed: p.png: no such image file"
    np.testing.assert_allclose(colours(items(shown).locator("img").first), [0, 1, 0.5], atol=0.05)
    shown.select_option("#across", "seed")
    shown.select_option("#down", "style_weight")
    assert heads(shown, "thead") == ["seed = 1", "seed = 2"]
    assert shown.locator("tbody tr").count() == 3
    frames(shown)
    # Not its inner text, which is empty while the card has not been laid out.
    assert items(shown).first.locator(".labels").text_content() == "style=wave"


def test_a_single_axis_makes_groups_and_none_a_list(shown):
    shown.select_option("#down", "")
    assert shown.locator(".group").all_inner_texts() == [
        f"style_weight = {x}" for x in AXES["style_weight"]
    ]
    assert items(shown).first.locator(".labels").inner_text() == "style=wave, seed=1"
    shown.select_option("#across", "")
    assert shown.locator(".group").count() == 0
    assert items(shown).count() == 12


def test_items_are_filtered_and_sorted(shown):
    for words, expected in (
        ("starry", 6),
        ("STARRY style_weight=300", 2),
        ("style_weight=1000", 4),
        ("style_weight=1e3", 4),
        ("style_weight=1000000", 4),
        ('style="starry <b>night"', 6),
        ("seed=3", 0),
        ("", 12),
    ):
        shown.fill("#filter", words)
        assert count(shown) == f"{expected} of 12"
    shown.select_option("#sort", "total_loss")
    numbers = [int(card.get_attribute("data-item")) for card in items(shown).all()]
    assert numbers == [11, 10, 9, 8, 7, 6, 4, 3, 2, 1, 0, 5]


def test_click_opens_the_viewer_and_arrow_keys_move_it(shown):
    items(shown).locator("a").first.click()
    shown.wait_for_function("document.getElementById('full').naturalWidth === 60")
    assert shown.locator("#caption").inner_text() == "style=wave, style_weight=300, seed=1"
    assert "picture%200%25.png" in shown.locator("#full").get_attribute("src")
    assert [text.strip() for text in shown.locator("#inputs p").all_inner_texts()] == ["content", "style"]
    assert "total_loss" in shown.locator("#facts").inner_text()
    np.testing.assert_allclose(colours(shown.locator("#full")), [0, 1, 0.5], atol=0.05)
    shown.keyboard.press("ArrowRight")
    assert shown.locator("#caption").inner_text().endswith("seed=2")
    shown.keyboard.press("ArrowLeft")
    shown.keyboard.press("ArrowLeft")  # stays at the first item
    assert shown.locator("#caption").inner_text().endswith("seed=1")
    shown.click("#next")
    assert shown.locator("#caption").inner_text().endswith("seed=2")
    shown.locator("#pick").check()
    shown.keyboard.press("Escape")
    assert not shown.locator("#viewer").is_visible()
    assert boxes(shown).nth(1).is_checked()


def unfold(shown):
    shown.evaluate("document.getElementById('picked').open = true")
    frames(shown)


def test_picked_items_are_plotted_and_compared(shown):
    assert not shown.locator("#picked").is_visible()
    boxes(shown).nth(0).check()
    unfold(shown)
    assert shown.locator("#curves polyline").count() == 1
    assert not shown.locator("#compare").is_visible()
    boxes(shown).nth(10).check()
    frames(shown)
    assert shown.locator("#curves polyline").count() == 2
    shown.wait_for_function("document.getElementById('over').naturalWidth === 60")
    shown.wait_for_function("document.getElementById('under').naturalWidth === 60")
    stack = shown.locator(".stack")
    for part, expected in ((100, colour_of(0)), (0, colour_of(11))):
        shown.locator("#slider").fill(str(part))
        np.testing.assert_allclose(colours(stack), expected, atol=0.12)
    shown.locator("#slider").fill("50")
    np.testing.assert_allclose(colours(stack)[0], 11 / 24, atol=0.1)
    shown.select_option("#left", "11")
    np.testing.assert_allclose(colours(stack)[0], 11 / 12, atol=0.12)
    shown.click("#clear")
    frames(shown)
    assert not shown.locator("#picked").is_visible()
    assert not boxes(shown).nth(0).is_checked()


def test_picks_are_in_sight_at_once(shown):
    boxes(shown).nth(0).check()
    boxes(shown).nth(1).check()
    frames(shown)
    place, strip = box(shown.locator("#picked")), shown.locator("#strip img")
    window = shown.viewport_size
    assert strip.count() == 2
    assert place["top"] >= 0
    assert place["bottom"] <= window["height"] + 1
    assert place["right"] <= window["width"] + 1
    assert box(strip.first)["bottom"] <= window["height"]
    strip.nth(1).click()
    assert shown.locator("#caption").inner_text().endswith("seed=2")


def test_picks_and_arrangement_outlast_a_reload(shown):
    boxes(shown).nth(2).check()
    shown.select_option("#across", "seed")
    shown.fill("#filter", "wave")
    frames(shown)
    for again in (shown.reload, lambda: shown.goto(shown.url.split("#")[0].replace("index", "./index"))):
        again()
        frames(shown)
        assert shown.locator("#number").inner_text() == "1 picked"
        assert shown.locator("#picked").is_visible()
        assert heads(shown, "thead") == ["seed = 1", "seed = 2"]
        assert count(shown) == "6 of 12"
    shown.fill("#filter", "")
    assert shown.locator("[data-item='2'] input").is_checked()


def test_another_pick_redraws_no_curve(shown):
    boxes(shown).nth(0).check()
    unfold(shown)
    shown.locator("#curves polyline").evaluate("line => { line.drawnBefore = true; }")
    for number in range(1, 11):
        boxes(shown).nth(number).check()
    frames(shown)
    lines = shown.locator("#curves polyline")
    assert [line.evaluate("line => !!line.drawnBefore") for line in lines.all()] == [True] + [False] * 10
    drawn = {(line.get_attribute("stroke"), line.get_attribute("stroke-dasharray")) for line in lines.all()}
    assert len(drawn) == 11  # tellable
    inside = box(shown.locator("#curves svg").first)
    assert inside["left"] < box(lines.first)["left"] < box(lines.first)["right"] <= inside["right"]


def test_heads_stay_in_sight(shown):
    grid = shown.locator("#grid")
    grid.evaluate("grid => grid.scrollTo(60, 150)")
    frames(shown)
    top, left = box(grid)["top"], box(grid)["left"]
    assert box(shown.locator("thead th").nth(1))["top"] == pytest.approx(top, abs=2)
    if grid.evaluate("grid => grid.scrollLeft") > 30:
        assert box(shown.locator("tbody th").first)["left"] == pytest.approx(left, abs=2)


def test_heads_of_rows_are_more_than_a_letter_wide(browser, tmp_path):
    axes = {"style": ["a_rather_long_name_of_a_painting", "x"], "seed": ["1", "2", "3"]}
    opened, _, _ = open_page(browser, tmp_path, html_of(tmp_path, axes), "phone")
    place = box(opened.locator("tbody th .head").first)
    assert place["width"] > 70
    assert place["height"] < 250
    opened.close()


@pytest.mark.parametrize("screen", list(SCREENS))
@pytest.mark.parametrize("paired", [False, True])
def test_a_long_axis_and_pairs_are_wrapped(paired, screen, browser, tmp_path):
    """A single axis makes no single row, and pairs make no diagonal."""
    axes = {"seed": [str(number) for number in range(60)]}
    cards, pictures = cards_and_pictures(axes)
    if paired:
        axes = axes | {"tv_weight": axes["seed"]}
        for card in cards:
            card.labels["tv_weight"] = card.labels["seed"]
    html = html_of(tmp_path, axes, (cards, pictures), paired=paired)
    opened, _, _ = open_page(browser, tmp_path, html, screen)
    grid = opened.locator("#grid")
    assert grid.evaluate("grid => grid.scrollWidth <= grid.clientWidth")
    tops = [box(card)["top"] for card in items(opened).all()]
    assert 2 < len(set(tops)) <= 30
    opened.close()


def test_a_long_axis_runs_down_beside_another(browser, tmp_path):
    axes = {"style": ["wave", "night"], "seed": [str(number) for number in range(40)]}
    opened, _, _ = open_page(browser, tmp_path, html_of(tmp_path, axes))
    assert opened.locator("thead th").count() == 3
    assert opened.locator("tbody tr").count() == 40
    opened.close()


@pytest.mark.parametrize("screen", list(SCREENS))
def test_without_javascript_all_pictures_are_shown_and_linked(screen, browser, tmp_path):
    opened, _, _ = open_page(browser, tmp_path, html_of(tmp_path), screen, java_script_enabled=False)
    links = opened.locator("#items .card a")
    assert links.count() == 11
    assert links.first.get_attribute("href") == "picture%200%25.png"
    assert links.first.is_visible()
    assert items(opened).first.locator(".labels").inner_text() == "style=wave, style_weight=300, seed=1"
    assert "need JavaScript" in opened.locator("header noscript").inner_text()
    assert not opened.locator("#controls").is_visible()
    np.testing.assert_allclose(colours(links.first.locator("img")), [0, 1, 0.5], atol=0.05)
    opened.close()


def test_a_thumbnail_stands_in_for_a_picture_that_is_missing(browser, tmp_path):
    opened, _, _ = open_page(browser, tmp_path, html_of(tmp_path))
    items(opened).locator("a").first.click()
    opened.wait_for_function("document.getElementById('full').src.endsWith('thumbnails/0%20%23%25.jpg')")
    opened.wait_for_function("document.getElementById('full').naturalWidth === 60")
    opened.close()


@pytest.mark.parametrize("screen", list(SCREENS))
def test_losses_and_measures_are_in_a_table_that_sorts_the_pictures(screen, browser, tmp_path):
    opened, said, _ = measured_page(browser, tmp_path, screen)
    choose_panel(opened, "table")
    table = opened.locator("#table")

    def rows():
        return [int(row.get_attribute("data-row")) for row in table.locator("tbody tr").all()]

    def shown_items():
        return [int(card.get_attribute("data-item")) for card in items(opened).all()]

    assert table.locator("thead button").all_inner_texts() == [
        "total loss", "style loss", "tv loss", "content ssim", "clipped", "variation ratio",
    ]  # fmt: skip
    assert sorted(rows()) == list(range(12))
    best = table.locator("td.best").all_inner_texts()
    assert sorted(best) == sorted(["89", "0", *["1"] * 11, "0.55", "0.28", "1"])
    # Higher is better, lower is better, and near 1; what was not measured comes last.
    for name, first in {
        "content_ssim": [11, 10, 9], "clipped": [11, 10, 9], "variation_ratio": [4, 3, 6],
    }.items():  # fmt: skip
        table.locator(f"button[data-sort={name}]").click()
        frames(opened)
        assert opened.locator("#sort").input_value() == name
        assert shown_items()[:3] == rows()[:3] == first
        assert shown_items()[-1] == 5
    table.locator("button[data-sort=variation_ratio]").click()  # once more: as the grid
    assert opened.locator("#sort").input_value() == ""
    opened.select_option("#sort", "clipped")
    frames(opened)
    assert rows()[0] == 11
    opened.fill("#filter", "starry")
    frames(opened)
    assert sorted(rows()) == [6, 7, 8, 9, 10, 11]
    assert box(table.locator("tbody th").first)["width"] > 100  # not a letter wide
    assert box(table)["height"] < 0.6 * SCREENS[screen][1]
    table.locator("tbody th").first.click()
    assert "content_ssim" in opened.locator("#facts").inner_text()
    assert opened.evaluate("document.documentElement.scrollWidth") <= SCREENS[screen][0] + 1
    assert [text for text in said if "ERR_FILE_NOT_FOUND" not in text] == []
    opened.close()


def test_measures_are_shown_without_javascript(browser, tmp_path):
    opened, _, _ = measured_page(browser, tmp_path, java_script_enabled=False)
    assert "content ssim 0.55, clipped 0.28, variation ratio 2.75" in items(opened).last.inner_text()
    opened.close()
