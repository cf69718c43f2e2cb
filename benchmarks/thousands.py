"""A sweep of thousands from end to end: the time that its files take, and its memory as it grows.

    python benchmarks/thousands.py                   # 5,000 items of 3 steps at 64 px, wavelets
    python benchmarks/thousands.py --items 500 --steps 10

Runs main.py's sweep of the cat over style weights and seeds, into a temporary folder, in a process of its
own. Each function that writes is timed where the sweep calls it, and so is the report at the end. Peak
memory is that of the process when a tenth, half and all of the items were written, and after the report.
Then a sweep of one such batch is run in the same process, and its compilations are counted.
"""

import argparse
import collections
import csv
import functools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SEEDS = 50
REPORT = "report at the end"
WRITERS = {
    "save_pictures": "pictures",
    "write_batch": "records",
    "make_rows": "table",
    "write_results": "table",
    "save_inputs": "inputs",
    "write_history": REPORT,
    "write_parquet": REPORT,
    "make_report": REPORT,
}
"""Function that jax_nst.sweeps.folder calls -> what it writes."""


class Writing:
    """Times what writes, and takes the peak memory as the items are written."""

    def __init__(self, marks):
        self.seconds, self.cpu = collections.defaultdict(float), collections.defaultdict(float)
        self.marks, self.peaks, self.written = list(marks), {}, 0

    def watch(self):
        """Wraps the functions that write."""
        from jax_nst.sweeps import folder, live
        from jax_nst.transfer.checkpoint import Store

        for name, what in WRITERS.items():
            setattr(folder, name, self.timed(getattr(folder, name), what))
        folder.write_batch = self.counted(folder.write_batch)
        for name in ("__init__", "add"):
            setattr(live.LivePage, name, self.timed(getattr(live.LivePage, name), "page while running"))
        Store.keep = self.timed(Store.keep, "state of a batch")

    def timed(self, function, what):
        """The function, whose seconds are added up."""

        @functools.wraps(function)
        def wrapped(*args, **options):
            began, used = time.perf_counter(), time.thread_time()
            try:
                return function(*args, **options)
            finally:
                self.seconds[what] += time.perf_counter() - began
                self.cpu[what] += time.thread_time() - used

        return wrapped

    def counted(self, write_batch):
        """The function, which counts items."""

        def wrapped(folder, records):
            write_batch(folder, records)
            self.written += len(records)
            while self.marks and self.written >= self.marks[0]:
                self.peaks[self.marks.pop(0)] = peak_bytes()

        return wrapped


def peak_bytes():
    """Of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def paint(folder, weights, seeds, options):
    """Runs main.py's sweep; returns its seconds, and those of the processor."""
    from jax_nst.cli.main import main as run

    flags = {
        "content": ROOT / "examples" / "cat.jpg", "style": ROOT / "examples" / "cypresses.jpg",
        "style_weight": ",".join(map(str, weights)), "seed": ",".join(map(str, seeds)), "init": "noise",
        "features": options.features, "size": options.size, "steps": options.steps, "output": folder,
        "compilation_cache": "off",
    }  # fmt: skip
    began, used = time.perf_counter(), sum(os.times()[:2])
    status = run(["main.py", *(f"--{name}={value}" for name, value in flags.items()), "--quiet"])
    assert status == 0, status
    return time.perf_counter() - began, sum(os.times()[:2]) - used


def worker(options, folder):
    """Prints the facts as JSON."""
    import jax

    compiled = []

    def hear(event, duration_secs, **rest):
        del rest
        if "backend_compile" in event:
            compiled.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(hear)
    writing = Writing((options.items // 10, options.items // 2, options.items))
    writing.watch()
    weights = range(1000, 1000 + options.items // SEEDS)
    seconds, cpu = paint(folder / "first", weights, range(SEEDS), options)
    facts = {
        "seconds": seconds,
        "cpu": cpu,
        "compile_seconds": sum(compiled),
        "writing": dict(writing.seconds),
        "writing_cpu": dict(writing.cpu),
        "peaks": writing.peaks | {"after the report": peak_bytes()},
        "page_bytes": (folder / "first" / "index.html").stat().st_size,
        "batches": len(list((folder / "first" / "batches").glob("*.npz"))),
    }
    compiled.clear()
    with (folder / "first" / "results.csv").open(newline="") as file:
        slots = int(next(csv.DictReader(file))["batch"])
    seconds, _ = paint(folder / "second", range(500, 500 + slots), [0], options)
    print(json.dumps(facts | {"slots": slots, "again": seconds, "compilations": len(compiled)}))


def table(facts, items):
    """The facts as Markdown."""
    seconds, cpu = facts["seconds"], facts["cpu"]
    yield "| what | s | share | processor s | share | ms an item |"
    yield "|---|---|---|---|---|---|"

    def row(what, wall, own):
        return (
            f"| {what} | {wall:.1f} | {wall / seconds:.1%} | {own:.1f} | {own / cpu:.1%} "
            f"| {1000 * wall / items:.2f} |"
        )

    yield row("whole sweep", seconds, cpu)
    during = {name: x for name, x in facts["writing"].items() if name != REPORT}
    own = {name: x for name, x in facts["writing_cpu"].items() if name != REPORT}
    yield row("writing while it runs", sum(during.values()), sum(own.values()))
    for name, wall in sorted(during.items(), key=lambda pair: -pair[1]):
        yield row(f"- {name}", wall, own[name])
    yield row(REPORT, facts["writing"][REPORT], facts["writing_cpu"][REPORT])
    yield ""
    for mark, peak in facts["peaks"].items():
        yield f"peak memory, {mark}: {peak / 1e9:.3f} GB"
    yield f"compilation: {facts['compile_seconds']:.1f} s; batches: {facts['batches']}"
    yield f"index.html: {facts['page_bytes'] / 1e6:.2f} MB"
    yield f"{facts['slots']} more items: {facts['again']:.1f} s, {facts['compilations']} compilations"


def main():
    """Runs it and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=5000, help=f"a multiple of {SEEDS}")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--features", default="wavelet")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options, Path(options.worker))
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, *sys.argv[1:], "--worker", folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    print("\n".join(table(json.loads(done.stdout.splitlines()[-1]), options.items)))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
