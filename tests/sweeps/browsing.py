"""What tests of the page share: pages of twelve items, and a browser that opens them from disk."""

import itertools
import json
import re
from io import BytesIO

import numpy as np
from conftest import picture
from PIL import Image

from jax_nst.images import jpeg_of
from jax_nst.sweeps.card import Card
from jax_nst.sweeps.page import page
from jax_nst.sweeps.thumbnails import Thumbnail

AXES = {"style": ["wave", "starry <b>night"], "style_weight": ["300", "1000", "1e+06"], "seed": ["1", "2"]}


def colour_of(number, count=12):
    return np.array([number / count, 1 - number / count, 0.5], np.float32)


def cards_and_pictures(axes=AXES, bad=5):
    """An item for each point of a grid, each a distinct colour; one failed."""
    points = list(itertools.product(*axes.values()))
    cards, pictures = [], []
    for number, point in enumerate(points):
        failed = number == bad
        losses = {"total_loss": 100.0 - number, "style_loss": float(number), "tv_loss": 1.0}
        curve = [(2 * step, 1000.0 / (step + 1) + number) for step in range(100)]
        style = list(axes.get("style", [""])).index(point[0]) if "style" in axes else 0
        cards.append(
            Card(
                number + 100,
                dict(zip(axes, point, strict=True)),
                "" if failed else f"picture {number}%.png",
                {} if failed else losses,
                "failed: p.png: no such image file" if failed else "ok",
                1.5,
                [] if failed else curve,
                ["content 0", f"style {style}"],
            )
        )
        pictures.append(None if failed else np.tile(colour_of(number, len(points)), (40, 60, 1)))
    return cards, pictures


def thumbnail_of(folder, name, pixels):
    """Writes a thumbnail; None for no picture."""
    if pixels is None:
        return None
    (folder / "thumbnails").mkdir(exist_ok=True)
    (folder / "thumbnails" / f"{name}.jpg").write_bytes(jpeg_of(pixels, 60))
    return Thumbnail(f"thumbnails/{name}.jpg", pixels.shape[1], pixels.shape[0])


def html_of(folder, axes=AXES, shown=None, *, inputs=True, title="twelve", **options):
    """The page of cards and pictures, whose thumbnails are written."""
    cards, pictures = shown or cards_and_pictures(axes)
    thumbnails = [thumbnail_of(folder, f"{n} #%", pixels) for n, pixels in enumerate(pictures)]
    sources = INPUTS.items() if inputs else ()
    small = {name: (f"{name}.png", thumbnail_of(folder, name, pixels)) for name, pixels in sources}
    return page(title, axes, cards, thumbnails, small, **options)


INPUTS = {"content 0": picture(40, 60, 1), "style 0": picture(30, 30, 2), "style 1": picture(50, 30, 3)}


def data_of(html):
    return json.loads(re.findall(r'<script id="data"[^>]*>(.*?)</script>', html, re.DOTALL)[0])


SCREENS = {"desktop": (1280, 900), "phone": (390, 844)}


def open_page(browser, folder, html, screen="desktop", **options):
    """Opens a page from disk, and lists what it says and asks for."""
    (folder / "index.html").write_text(html)
    width, height = SCREENS[screen]
    opened = browser.new_page(viewport={"width": width, "height": height}, **options)
    said, asked = [], []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto((folder / "index.html").as_uri())
    return opened, said, asked


def colours(image):
    """Mean colour of a screenshot of an element, in [0, 1]."""
    return np.asarray(Image.open(BytesIO(image.screenshot())).convert("RGB"), np.float32).mean((0, 1)) / 255


def box(element):
    return element.evaluate("e => e.getBoundingClientRect().toJSON()")


def items(shown):
    return shown.locator("#items .card")


def boxes(shown):
    """The boxes to pick an item."""
    return shown.locator("#items .card input")


def frames(shown):
    """Lets the page do what it left for the next frame."""
    shown.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def count(shown):
    return shown.locator("#count").inner_text()


def heads(shown, part):
    return [text for text in shown.locator(f"{part} th").all_inner_texts() if text]


def measured_cards():
    """All items but one are measured: `content_ssim` rises, `clipped` falls."""
    cards, pictures = cards_and_pictures()
    for number, card in enumerate(cards):
        if card.file:
            card.measures.update(content_ssim=number / 20, clipped=0.5 - number / 50)
            card.measures["variation_ratio"] = number / 4
    return cards, pictures


def measured_page(browser, folder, screen="desktop", **options):
    html = html_of(folder, AXES, measured_cards(), inputs=False)
    return open_page(browser, folder, html, screen, **options)


def choose_panel(opened, panel):
    opened.check(f"[name=panel][value={panel}]", force=True)
    frames(opened)
