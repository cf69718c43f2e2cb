"""Seconds from the start of `python main.py` to its first step, without and with kept programs.

    python benchmarks/startup.py                        # wavelets; VGG19 too with --weights vgg19.h5

Cold: an empty folder of compiled programs; warm: the same command once more. And what importing jax_nst
costs beside importing jax. The median of several repeats.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def first_step(arguments):
    """Seconds until the progress bar shows a loss."""
    examples = ROOT / "examples"
    command = [
        sys.executable, str(ROOT / "main.py"), "--content", str(examples / "cat.jpg"),
        "--style", str(examples / "cypresses.jpg"), *arguments,
    ]  # fmt: skip
    began = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stderr is not None
    said = b""
    while b"loss" not in said:
        letter = process.stderr.read(1)
        if not letter:
            raise RuntimeError(said.decode())
        said += letter
    seconds = time.perf_counter() - began
    process.kill()
    process.communicate()
    return seconds


def import_seconds(module):
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True, cwd=ROOT)
    return time.perf_counter() - began


def main():
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--weights", help="h5 file with VGG19 kernels")
    arguments = parser.parse_args()
    kinds = {"wavelet": ["--features", "wavelet"]}
    if arguments.weights:
        kinds["vgg19"] = ["--features", "vgg19", "--weights", str(Path(arguments.weights).resolve())]
    print("| what | cold s | warm s |\n|---|---|---|")
    for kind, features in kinds.items():
        pairs = []
        for _ in range(arguments.repeats):
            with tempfile.TemporaryDirectory() as folder:
                common = ["--size", str(arguments.size), "--compilation_cache", folder, *features]
                common += ["--output", str(Path(folder) / "out.png")]
                pairs.append([first_step(common) for _ in range(2)])
        cold, warm = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"| first step, {kind}, {arguments.size} px | {cold:.1f} | {warm:.1f} |")
    times = {module: [] for module in ("jax", "jax_nst")}
    for _ in range(arguments.repeats):
        for module, seconds in times.items():
            seconds.append(import_seconds(module))
    for module, seconds in times.items():
        print(f"| import {module} | | {statistics.median(seconds):.2f} |")


if __name__ == "__main__":
    main()
