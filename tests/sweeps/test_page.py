"""The page of a sweep, as HTML and in a real browser."""

import json
import re
import shutil

import numpy as np
import pytest
from conftest import picture

from jax_nst.images import save_image
from jax_nst.sweeps.card import Card
from jax_nst.sweeps.page import page

AXES = {"style": ["wave", "starry <b>night"], "style_weight": ["300", "1e+03", "3e+03"], "seed": ["1", "2"]}


def cards_and_pictures():
    """Twelve items, each a distinct colour; one failed."""
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


def test_page_is_self_contained():
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
    """Opens the page from disk; fails on console messages, network requests and horizontal overflow."""
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
    # Only the grid may be wider than the screen; it scrolls by itself.
    assert opened.evaluate("document.documentElement.scrollWidth") <= width + 1
    opened.close()


def colours(image):
    """Mean colour of a screenshot of an element, in [0, 1]."""
    from io import BytesIO

    from PIL import Image

    return np.asarray(Image.open(BytesIO(image.screenshot())).convert("RGB"), np.float32).mean((0, 1)) / 255


def count(shown):
    return shown.locator("#count").inner_text()


def test_grid_has_an_axis_across_and_one_down(shown):
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


def test_items_are_filtered_and_sorted(shown):
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


def test_click_opens_the_viewer_and_arrow_keys_move_it(shown):
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
    shown.keyboard.press("ArrowLeft")  # stays at the first item
    assert shown.locator("#caption").inner_text().endswith("seed=1")
    shown.click("#next")
    assert shown.locator("#caption").inner_text().endswith("seed=2")
    shown.keyboard.press("Escape")
    assert not shown.locator("#viewer").is_visible()


def test_picked_items_are_plotted_and_compared(shown):
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


def test_page_without_its_folder_shows_thumbnails(browser, tmp_path):
    cards, pictures = cards_and_pictures()
    (tmp_path / "index.html").write_text(page("twelve", AXES, cards, pictures, {}))
    opened = browser.new_page()
    opened.goto((tmp_path / "index.html").as_uri())
    opened.locator(".card button").first.click()
    opened.wait_for_function("document.getElementById('full').src.startsWith('data:image/jpeg')")
    np.testing.assert_allclose(colours(opened.locator("#full")), [0, 1, 0.5], atol=0.05)
    opened.close()
