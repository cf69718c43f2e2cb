"""The page of a running sweep and of thousands of items, in a real browser."""

import itertools
import json

from browsing import (
    AXES,
    boxes,
    cards_and_pictures,
    choose_panel,
    html_of,
    items,
    open_page,
    thumbnail_of,
)  # fmt: skip

from jax_nst.sweeps.card import Card
from jax_nst.sweeps.page import item_data, page
from jax_nst.sweeps.thumbnails import Thumbnail


def live_call(cards, thumbnails, batch, run="abc", seconds=90.0):
    said = {
        "run": run, "batch": batch, "done": len(cards), "of": 12, "secondsLeft": seconds, "at": 1.7e9,
        "items": [item_data(card, thumbnail) for card, thumbnail in zip(cards, thumbnails, strict=True)],
    }  # fmt: skip
    return f"progress({json.dumps(said)});\n"


def test_a_running_sweep_grows_on_the_page_until_it_ends(browser, tmp_path):
    cards, pictures = cards_and_pictures(bad=-1)
    thumbnails = [thumbnail_of(tmp_path, f"{n}", pixels) for n, pixels in enumerate(pictures)]
    script = tmp_path / "progress.js"
    script.write_text(live_call([], [], 0, seconds=None))
    html = html_of(tmp_path, AXES, ([], []), running="abc")
    opened, said, asked = open_page(browser, tmp_path, html)
    opened.evaluate("pollSeconds = 0.05")
    opened.wait_for_function("document.getElementById('live').textContent.startsWith('running: 0 of 12')")
    with script.open("a") as file:
        file.write(live_call(cards[:4], thumbnails[:4], 1))
    opened.wait_for_function("document.querySelectorAll('#items .card').length === 4")
    assert "about 2 min left" in opened.locator("#live").inner_text()
    boxes(opened).nth(2).check()
    with script.open("a") as file:
        file.write(live_call(cards[4:], thumbnails[4:], 2))
    opened.wait_for_function("document.querySelectorAll('#items .card').length === 12")
    assert opened.locator("#across").input_value() == "style_weight"
    assert boxes(opened).nth(2).is_checked()
    # The end: the complete page, and no script.
    (tmp_path / "index.html").write_text(html_of(tmp_path, AXES, (cards, pictures), title="complete"))
    script.unlink()
    opened.wait_for_function("document.title === 'complete'")
    assert not opened.locator("#running").is_visible()
    assert items(opened).count() == 12
    assert opened.locator("#number").inner_text() == "1 picked"
    assert [text for text in said if "ERR_FILE_NOT_FOUND" not in text] == []
    assert all(url.startswith("file:") for url in asked if not url.startswith("data:"))
    opened.close()


def test_a_page_of_another_run_is_read_anew(browser, tmp_path):
    (tmp_path / "progress.js").write_text(live_call([], [], 0, run="second"))
    opened, _, _ = open_page(browser, tmp_path, html_of(tmp_path, running="first"))
    (tmp_path / "index.html").write_text(html_of(tmp_path, running="second", title="second"))
    opened.wait_for_function("document.title === 'second'")
    opened.wait_for_function("document.getElementById('live').textContent.startsWith('running')")
    opened.close()


def test_a_running_page_alone_says_what_it_lacks(browser, tmp_path):
    opened, _, _ = open_page(browser, tmp_path, html_of(tmp_path, running="abc"))
    opened.wait_for_function(
        "document.getElementById('live').textContent.includes('is not beside this page')"
    )
    assert items(opened).count() == 12
    opened.close()


def test_a_page_of_thousands_loads_the_pictures_in_sight(browser, tmp_path):
    """Its data are compact, and no more pictures are loaded than near the window."""
    axes = {"style_weight": list(map(str, range(40))), "seed": list(map(str, range(50)))}
    cards = [
        Card(number, dict(zip(axes, point, strict=True)), "x.png", {"total_loss": 1.0}, "ok", 1.0, [], [])
        for number, point in enumerate(itertools.product(*axes.values()))
    ]  # fmt: skip
    thumbnails = [Thumbnail(f"thumbnails/{number}.jpg", 64, 64) for number in range(len(cards))]
    opened, _, asked = open_page(browser, tmp_path, page("many", axes, cards, thumbnails, {}))
    opened.wait_for_load_state("load")
    loaded = [url for url in asked if "thumbnails" in url]
    assert 0 < len(loaded) < 300
    assert items(opened).count() == 2000
    assert opened.evaluate("document.querySelectorAll('*').length") < 2000 * 12
    choose_panel(opened, "scatter")
    assert opened.evaluate("document.querySelectorAll('#plot *').length") < 200
    opened.close()
