"""The contact sheet, and the page in a real browser: what it shows and what a click does."""

import json
import re
import shutil

import numpy as np
import pytest
from conftest import picture

from jax_nst.images import save_image
from jax_nst.sweeps.gallery import Card, contact_sheet, page

AXES = {"style": ["wave", "starry <b>night"], "style_weight": ["300", "1e+03", "3e+03"], "seed": ["1", "2"]}


def cards_and_pictures():
    """Twelve items, each of a colour of its own; one failed."""
    cards, pictures = [], []
    for number in range(12):
        labels = {
            "style": AXES["style"][number // 6],
            "style_weight": AXES["style_weight"][number // 2 % 3],
            "seed": AXES["seed"][number % 2],
        }
        bad = number == 5
        losses = {} if bad else {"total_loss": 100.0 - number, "style_loss": float(number), "tv_loss": 1.0}
        curve = [] if bad else [1000.0 / (step + 1) + number for step in range(400)]
        status = "failed: p.png: no such image file" if bad else "ok"
        file = "" if bad else f"picture {number}%.png"
        inputs = ["content 0", f"style {number // 6}"]
        cards.append(Card(labels, file, losses, status, 1.5, curve, inputs))
        colour = np.array([number / 12, 1 - number / 12, 0.5], np.float32)
        pictures.append(None if bad else np.tile(colour, (40, 60, 1)))
    return cards, pictures


INPUTS = {"content 0": picture(40, 60, 1), "style 0": picture(30, 30, 2), "style 1": picture(50, 30, 3)}


def seen_in(sheet, colour):
    return bool((np.abs(sheet - colour).max(axis=-1) < 0.01).sum() > 1000)


@pytest.mark.parametrize("paired", [False, True])
def test_every_picture_is_on_the_contact_sheet(paired):
    cards, pictures = cards_and_pictures()
    sheet = contact_sheet(AXES, cards, pictures, INPUTS, paired=paired)
    assert sheet.shape[2] == 3
    assert 0 <= sheet.min() < sheet.max() <= 1
    for shown in pictures:
        assert shown is None or seen_in(sheet, shown[0, 0])


def test_axes_go_across_and_down():
    cards, pictures = cards_and_pictures()
    sheet = contact_sheet(AXES, cards, pictures, INPUTS, paired=False)

    def middle(number):
        y, x = np.nonzero(np.abs(sheet - pictures[number][0, 0]).max(axis=-1) < 0.01)
        return np.median(y), np.median(x)

    assert middle(0)[0] == middle(2)[0] == middle(4)[0]  # the longest axis across: style_weight
    assert middle(0)[1] < middle(2)[1] < middle(4)[1]
    assert middle(0)[1] == pytest.approx(middle(6)[1], abs=2)
    assert middle(0)[0] < middle(6)[0] < middle(1)[0]  # style down, then a block for the other seed


def test_a_sheet_of_very_many_is_no_wider_than_can_be_opened():
    axes = {"seed": [str(i) for i in range(60)]}
    cards = [Card({"seed": label}, "f.png", {}, "ok", 0, [], []) for label in axes["seed"]]
    sheet = contact_sheet(axes, cards, [picture(64, 64)] * 60, {}, paired=False)
    assert sheet.shape[1] < 60 * 130


def test_nothing_on_the_page_comes_from_the_network():
    cards, pictures = cards_and_pictures()
    inputs = {name: (f"inputs/{name}.png", pixels) for name, pixels in INPUTS.items()}
    html = page("a title <i>", AXES, cards, pictures, inputs)
    assert "a title &lt;i&gt;" in html
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", html)
    assert "url(" not in html
    data = json.loads(re.findall(r'<script id="data"[^>]*>(.*?)</script>', html, re.DOTALL)[0])
    assert len(data["items"]) == 12
    assert len(data["items"][0]["curve"]) <= 200
    assert data["items"][0]["curve"][-1][0] == 399


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    with sync_api.sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=found, args=arguments)
        except sync_api.Error:
            pytest.skip("needs Chromium: install it, or run `playwright install chromium`")
        yield started
        started.close()


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["desktop", "phone"])
def shown(request, browser, tmp_path):
    """The page as opened from the file system; no message on the console, no request elsewhere."""
    cards, pictures = cards_and_pictures()
    inputs = {name: (f"{name}.png", pixels) for name, pixels in INPUTS.items()}
    for card, pixels in zip(cards, pictures, strict=True):
        if pixels is not None:
            save_image(tmp_path / card.file, pixels)
    for file, pixels in inputs.values():
        save_image(tmp_path / file, pixels)
    (tmp_path / "index.html").write_text(page("twelve", AXES, cards, pictures, inputs))
    width, height = request.param
    opened = browser.new_page(viewport={"width": width, "height": height})
    said, asked = [], []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto((tmp_path / "index.html").as_uri())
    yield opened
    assert said == []
    assert all(url.startswith(("file:", "data:")) for url in asked)
    # Nothing but the grid is wider than the screen.
    assert opened.evaluate("document.documentElement.scrollWidth") <= width + 1
    opened.close()


def colours(image):
    """Mean colour of what is on the screen there, in [0, 1]."""
    from io import BytesIO

    from PIL import Image

    return np.asarray(Image.open(BytesIO(image.screenshot())).convert("RGB"), np.float32).mean((0, 1)) / 255


def count(shown):
    return shown.locator("#count").inner_text()


def test_the_grid_has_rows_and_columns_and_others_within(shown):
    assert shown.locator("thead th").all_inner_texts() == [
        "style_weight = 300", "style_weight = 1e+03", "style_weight = 3e+03",
    ]  # fmt: skip
    assert shown.locator("tbody th").all_inner_texts() == ["wave", "starry <b>night"]
    assert shown.locator(".card").count() == 12
    assert shown.locator(".card .none").inner_text() == "failed: p.png: no such image file"
    np.testing.assert_allclose(colours(shown.locator(".card img").first), [0, 1, 0.5], atol=0.05)
    shown.select_option("#across", "seed")
    shown.select_option("#down", "style_weight")
    assert shown.locator("thead th").all_inner_texts() == ["seed = 1", "seed = 2"]
    assert shown.locator("tbody tr").count() == 3
    shown.select_option("#down", "")
    assert shown.locator("tbody tr").count() == 1


def test_filter_and_sort(shown):
    shown.fill("#filter", "starry")
    assert count(shown) == "6 of 12"
    shown.fill("#filter", "STARRY style_weight=300")
    assert count(shown) == "2 of 12"
    shown.fill("#filter", "seed=3")
    assert count(shown) == "0 of 12"
    shown.fill("#filter", "")
    shown.select_option("#sort", "total_loss")
    numbers = [int(card.get_attribute("data-item")) for card in shown.locator(".card").all()]
    assert numbers == [11, 10, 9, 8, 7, 6, 4, 3, 2, 1, 0, 5]


def test_a_click_shows_full_size_beside_the_inputs_and_keys_move(shown):
    shown.locator(".card button").first.click()
    shown.wait_for_function("document.getElementById('full').naturalWidth === 60")
    assert shown.locator("#caption").inner_text() == "style=wave, style_weight=300, seed=1"
    assert "picture%200%25.png" in shown.locator("#full").get_attribute("src")
    assert [text.strip() for text in shown.locator("#inputs p").all_inner_texts()] == ["content", "style"]
    assert "total_loss" in shown.locator("#facts").inner_text()
    np.testing.assert_allclose(colours(shown.locator("#full")), [0, 1, 0.5], atol=0.05)
    shown.keyboard.press("ArrowRight")
    assert shown.locator("#caption").inner_text().endswith("seed=2")
    shown.keyboard.press("ArrowLeft")
    shown.keyboard.press("ArrowLeft")  # there is none before the first
    assert shown.locator("#caption").inner_text().endswith("seed=1")
    shown.click("#next")
    assert shown.locator("#caption").inner_text().endswith("seed=2")
    shown.keyboard.press("Escape")
    assert not shown.locator("#viewer").is_visible()


def test_picked_items_have_curves_and_a_slider(shown):
    assert not shown.locator("#picked").is_visible()
    boxes = shown.locator(".card input")
    boxes.nth(0).check()
    assert shown.locator("#curves polyline").count() == 1
    assert not shown.locator("#compare").is_visible()
    boxes.nth(10).check()
    assert shown.locator("#curves polyline").count() == 2
    shown.wait_for_function("document.getElementById('over').naturalWidth === 60")
    shown.wait_for_function("document.getElementById('under').naturalWidth === 60")
    stack = shown.locator(".stack")
    for part, expected in ((100, [0, 1, 0.5]), (0, [11 / 12, 1 / 12, 0.5])):
        shown.locator("#slider").fill(str(part))
        np.testing.assert_allclose(colours(stack), expected, atol=0.12)
    shown.locator("#slider").fill("50")
    np.testing.assert_allclose(colours(stack)[0], 11 / 24, atol=0.1)
    shown.select_option("#left", "11")
    np.testing.assert_allclose(colours(stack)[0], 11 / 12, atol=0.12)
    shown.click("#clear")
    assert not shown.locator("#picked").is_visible()
    assert not boxes.nth(0).is_checked()


def test_a_page_moved_away_from_its_folder_shows_what_it_has(browser, tmp_path):
    cards, pictures = cards_and_pictures()
    (tmp_path / "index.html").write_text(page("twelve", AXES, cards, pictures, {}))
    opened = browser.new_page()
    opened.goto((tmp_path / "index.html").as_uri())
    opened.locator(".card button").first.click()
    opened.wait_for_function("document.getElementById('full').src.startsWith('data:image/jpeg')")
    np.testing.assert_allclose(colours(opened.locator("#full")), [0, 1, 0.5], atol=0.05)
    opened.close()
