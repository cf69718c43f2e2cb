"""The page of a sweep of thousands: seconds to write it and to open it, and frames while it scrolls.

    python benchmarks/page.py                    # 5,000 items at 64 px
    python benchmarks/page.py --items 500

Makes a folder as a sweep leaves it, with pictures of noise, losses, measures and curves; writes its report
and the calls of a running sweep; and opens the page in headless Chromium, by Playwright. Frames are the
times between two calls of `requestAnimationFrame` while the page scrolls by 120 px a frame. Chromium has no
GPU here, so it draws on the processor. "CPU" is the time of the page's main thread on a processor, which
a machine that is shared changes least.
"""

import argparse
import json
import resource
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from jax_nst import Config, Grid, Status
from jax_nst.metrics import METRICS
from jax_nst.sweeps.entries import make_entries, write_entries
from jax_nst.sweeps.job import make_job
from jax_nst.sweeps.keys import identify_pictures
from jax_nst.sweeps.live import LivePage
from jax_nst.sweeps.records import Record, write_batch
from jax_nst.sweeps.report import make_report
from jax_nst.sweeps.tables import make_rows, write_results
from jax_nst.transfer.outcome import Outcome

NAMES = ("total", "content", "style", "tv")
BATCH = 50
STEPS = 200

SCROLL = """(frames) => new Promise((done) => {
  const grid = document.getElementById('grid');
  const times = [];
  let before = performance.now();
  const next = () => {
    const now = performance.now();
    times.push(now - before);
    before = now;
    grid.scrollTop += 120;
    if (times.length < frames) requestAnimationFrame(next); else done(times);
  };
  requestAnimationFrame(next);
})"""


def make_folder(folder, items, size):
    """The pictures, records and table of a sweep; returns its job, records and rows."""
    grid = Grid(style_weight=tuple(range(1, 1 + items // 50)), seed=tuple(range(50)))
    job = make_job(["c.png"], ["s.png"], grid, Config(steps=STEPS, init="noise", features="wavelet"))
    rng = np.random.default_rng(0)
    (folder / "batches").mkdir()
    settings = {
        "config": {"steps": STEPS}, "features": "wavelet", "grid": {"zip": False, "blend": False},
        "contents": ["c.png"], "styles": ["s.png"], "items": len(job.items),
    }  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(settings))
    keys = [f"{item:012x}" for item in range(len(job.items))]
    entries = make_entries(job, keys, identify_pictures(job), lambda config: NAMES, {})
    write_entries(folder, entries)
    records, measures = {}, {}
    for item, (key, file) in enumerate(zip(keys, job.files, strict=True)):
        coarse = Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8))
        coarse.resize((size, size), Image.Resampling.BICUBIC).save(folder / file)
        losses = np.sort(rng.lognormal(0, 1, (STEPS + 1, len(NAMES))).astype(np.float32), axis=0)[::-1]
        outcome = Outcome(item, Status.FINISHED, "ok", None, (), losses, 0.5)
        records[key] = Record(outcome, BATCH, 1, NAMES, file)
        measures[file] = dict(zip(METRICS, rng.random(len(METRICS)).tolist(), strict=True))
    for start in range(0, len(keys), BATCH):
        write_batch(folder, {key: records[key] for key in keys[start : start + BATCH]})
    return entries, records, make_rows(entries, records, measures)


def timed(action):
    """Seconds that it takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def live_seconds(folder, entries, records, rows):
    """Seconds of each batch, of those that a run appends to the page."""
    live = LivePage(folder, entries, len(entries))
    batches = [list(records)[start : start + BATCH] for start in range(0, len(records), BATCH)]
    return [timed(lambda: live.add({key: records[key] for key in chosen}, rows)) for chosen in batches]  # noqa: B023


def browse(page):
    """Opens the page once to warm the browser, and once to measure."""
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-gpu"]
        )
        browser.new_page().goto("about:blank")
        opened = browser.new_page(viewport={"width": 1440, "height": 900})
        session = opened.context.new_cdp_session(opened)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        asked = []
        opened.on("request", lambda request: asked.append(request.url))
        began = time.perf_counter()
        opened.goto(page.as_uri())
        opened.wait_for_function(
            "[...document.querySelectorAll('#items img')].slice(0, 4).every((image) => image.naturalWidth)"
        )
        seconds, busy = time.perf_counter() - began, busy_seconds(session)
        print(f"opened, first pictures shown      {seconds:8.2f} s, CPU {busy:.2f} s")
        loaded = [url for url in asked if "/thumbnails/" in url]
        nodes = opened.evaluate("document.querySelectorAll('*').length")
        print(f"pictures loaded, elements         {len(loaded):8d}   {nodes}")
        busy = busy_seconds(session)
        times = sorted(opened.evaluate(SCROLL, 300)[1:])
        busy = 1000 * (busy_seconds(session) - busy) / 300
        print(
            f"frame while scrolling, ms         {statistics.median(times):8.1f}   median, "
            f"{times[int(0.95 * len(times))]:.0f} at 95 %, {times[-1]:.0f} at most; CPU {busy:.1f}"
        )
        for panel in ("scatter", "parallel", "table"):
            busy = busy_seconds(session)
            seconds = timed(lambda: draw(opened, panel))  # noqa: B023
            print(f"{panel:33s} {seconds:8.2f} s, CPU {busy_seconds(session) - busy:.2f} s")
        browser.close()


def busy_seconds(session):
    """Seconds that the main thread of the page has been at work on a processor."""
    found = session.send("Performance.getMetrics")["metrics"]
    return next(one["value"] for one in found if one["name"] == "TaskDuration")


def draw(opened, panel):
    opened.check(f"[name=panel][value={panel}]", force=True)
    opened.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=5000)
    parser.add_argument("--size", type=int, default=64)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        entries, records, rows = make_folder(folder, options.items, options.size)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        seconds = live_seconds(folder, entries, records, rows)
        write_results(folder, entries, rows)
        tenth = max(1, len(seconds) // 10)
        first, last = (
            1000 * statistics.median(part) / BATCH for part in (seconds[:tenth], seconds[-tenth:])
        )
        print(f"page while running, ms an item    {first:8.2f}   at first, {last:.2f} at the end")
        print(f"report, s                         {timed(lambda: make_report(folder)):8.2f}")
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"peak memory, GB                   {after:8.2f}   {before:.2f} of it before the report")
        print(f"index.html, MB                    {(folder / 'index.html').stat().st_size / 1e6:8.2f}")
        print(f"contact sheets                    {len(list(folder.glob('contact_sheet*'))):8d}")
        browse(folder / "index.html")


if __name__ == "__main__":
    main()
