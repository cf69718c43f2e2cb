#!/usr/bin/env python3
"""Compares the speed and the memory of two checkouts of the project, through their command lines.

    python benchmarks/compare_speed.py OLD NEW --weights vgg19.h5 --repeats 3

Runs take turns. For each case it prints the medians of both and their ratio: seconds of a step without
compilation, seconds from the start of the process to the end of a run of one step (cold: with an empty
compilation cache; warm: with what the cold run left), items a second of a sweep, and the peak memory of the
process.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ONE = ("--content", str(ROOT / "examples/cat.jpg"), "--style", str(ROOT / "examples/cypresses.jpg"))
BOTH = f"{ROOT / 'examples/cypresses.jpg'},{ROOT / 'examples/waves.jpg'}"
MANY = (*ONE[:2], "--style", BOTH, "--style_weight=100,200,300,500,1000,2000")


def main() -> None:
    """Runs all cases and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("old", type=Path, help="folder of a checkout")
    parser.add_argument("new", type=Path, help="folder of another")
    parser.add_argument("--weights", required=True, help="an h5 file with the kernels of VGG19")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", default=["wavelet", "vgg19"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--sweep_sizes", type=int, nargs="+", default=[96, 256])
    arguments = parser.parse_args()
    kinds = {
        "wavelet": ("--features=wavelet",),
        "vgg19": ("--features=vgg19", f"--weights={arguments.weights}"),
    }
    cases = {}
    for kind in arguments.kinds:
        flags = kinds[kind]
        cases[f"{kind}, start, 256 px"] = start, (*ONE, *flags, "--size=256", "--steps=1", "--scales=1")
        for size in arguments.sizes:
            steps = 20 if size < 1000 else 8
            cases[f"{kind}, {size} px"] = (
                step,
                (
                    *(
                        *ONE,
                        *flags,
                        f"--size={size}",
                        f"--style_size={size}",
                        f"--steps={steps}",
                        "--scales=1",
                    ),
                ),
            )
        for size in arguments.sweep_sizes:
            cases[f"{kind}, sweep, {size} px"] = sweep, (*MANY, *flags, f"--size={size}", "--steps=10")
    print("| case | old | new | new / old |\n|---|---|---|---|")
    for title, (measure, flags) in cases.items():
        found: list[dict[str, list[float]]] = [{}, {}]
        for _ in range(arguments.repeats):
            for checkout, values in zip((arguments.old, arguments.new), found, strict=True):
                for name, value in measure(checkout, flags).items():
                    values.setdefault(name, []).append(value)
        for name in found[0]:
            old, new = (statistics.median(values[name]) for values in found)
            print(f"| {title}: {name} | {old:.3f} | {new:.3f} | {new / old:.2f} |", flush=True)


def start(checkout: Path, flags: tuple[str, ...]) -> dict[str, float]:
    """A run of one step, cold and warm."""
    with tempfile.TemporaryDirectory() as folder:
        more = (*flags, f"--output={folder}/picture.png", f"--compilation_cache={folder}/cache")
        cold, _ = run(checkout, more)
        warm, _ = run(checkout, more)
    return {"cold, s": cold, "warm, s": warm}


def step(checkout: Path, flags: tuple[str, ...]) -> dict[str, float]:
    """A run of some steps; the first few are left out."""
    with tempfile.TemporaryDirectory() as folder:
        history = Path(folder) / "history.json"
        _, peak = run(checkout, (*flags, f"--output={folder}/picture.png", f"--history={history}"))
        seconds = [entry["seconds"] for entry in json.loads(history.read_text())["steps"]]
    return {"s/step": (seconds[-1] - seconds[4]) / (len(seconds) - 5), "peak, GB": peak}


def sweep(checkout: Path, flags: tuple[str, ...]) -> dict[str, float]:
    """A sweep of twelve items, without compilation."""
    with tempfile.TemporaryDirectory() as folder:
        _, peak = run(checkout, (*flags, f"--output={folder}/sweep"))
        with open(f"{folder}/sweep/results.csv", newline="") as file:
            seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    return {"items/s": len(seconds) / sum(seconds), "peak, GB": peak}


def run(checkout: Path, flags: tuple[str, ...]) -> tuple[float, float]:
    """One run of the command line of a checkout: its seconds and its peak memory in GB."""
    began = time.perf_counter()
    command = [sys.executable, "main.py", "--quiet", *flags]
    process = subprocess.Popen(command, cwd=checkout, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} in {checkout} ended with {status}")
    return time.perf_counter() - began, usage.ru_maxrss / 2**20


if __name__ == "__main__":
    main()
