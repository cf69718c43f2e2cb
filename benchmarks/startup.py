"""Seconds from the start of `python main.py` to its first step, without and with kept programs.

    python benchmarks/startup.py        # wavelets and VGG19-lite; VGG19 too with --weights vgg19.h5

Cold: with an empty folder of compiled programs. Warm: the same command once more. Also measures a whole
picture, by the wavelets with the defaults, and the time to import jax_nst beside that to import jax.
Figures are medians of the repeats. The rate of a matrix product, before and after, shows whether a shared
machine was slow.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent


def command(arguments):
    """That of a user, for the pictures of `examples/`."""
    examples = ROOT / "examples"
    return [
        sys.executable, str(ROOT / "main.py"), "--content", str(examples / "cat.jpg"),
        "--style", str(examples / "cypresses.jpg"), *arguments,
    ]  # fmt: skip


def first_step(arguments):
    """Seconds until the progress bar shows a loss."""
    began = time.perf_counter()
    process = subprocess.Popen(command(arguments), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
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


def whole_picture(arguments):
    """Seconds until the picture is there."""
    began = time.perf_counter()
    subprocess.run(command(arguments), check=True, capture_output=True)
    return time.perf_counter() - began


def cold_and_warm(measure, arguments, repeats):
    """Medians of what `measure` gives without kept programs and, at once, with those that it kept."""
    pairs = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            kept = ["--compilation_cache", folder, "--output", str(Path(folder) / "out.png")]
            pairs.append([measure([*arguments, *kept]) for _ in range(2)])
    return [statistics.median(column) for column in zip(*pairs, strict=True)]


def product_rate():
    """GFLOP/s of NumPy in a product of matrices."""
    n = 4096
    matrix = np.random.default_rng(0).random((n, n), dtype=np.float32)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        np.matmul(matrix, matrix)
        seconds.append(time.perf_counter() - began)
    return 2e-9 * n**3 / min(seconds)


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
    kinds = {name: ["--features", name] for name in ("wavelet", "vgg19-lite")}
    if arguments.weights:
        kinds["vgg19"] = ["--features", "vgg19", "--weights", str(Path(arguments.weights).resolve())]
    rates = [product_rate()]
    print("| what | cold s | warm s |\n|---|---|---|")
    for kind, features in kinds.items():
        asked = ["--size", str(arguments.size), *features]
        cold, warm = cold_and_warm(first_step, asked, arguments.repeats)
        print(f"| first step, {kind}, {arguments.size} px | {cold:.1f} | {warm:.1f} |")
    cold, warm = cold_and_warm(whole_picture, ["--size", "512", *kinds["wavelet"]], arguments.repeats)
    print(f"| whole picture, wavelet, 512 px | {cold:.0f} | {warm:.0f} |")
    times = {module: [] for module in ("jax", "jax_nst")}
    for _ in range(arguments.repeats):
        for module, seconds in times.items():
            seconds.append(import_seconds(module))
    for module, seconds in times.items():
        print(f"| import {module} | | {statistics.median(seconds):.2f} |")
    rates.append(product_rate())
    print(f"\n4096 x 4096 matrix product: {rates[0]:.0f} GFLOP/s before, {rates[1]:.0f} after.")


if __name__ == "__main__":
    main()
