#!/usr/bin/env python3
"""Compares two checkouts of the project on ten transfers and three sweeps, through their command lines.

    python benchmarks/compare_versions.py OLD NEW --weights vgg19.h5

For each run it prints the largest relative difference of the losses at the start, of the first evaluations,
and of all, and the mean and largest difference of the pictures in 8-bit levels. L-BFGS amplifies rounding:
the losses should agree to 1e-5 at the start, and the pictures should look alike at the end.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

FIRST = 3  # evaluations

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
CAT, CYPRESSES, WAVES = (str(EXAMPLES / f"{name}.jpg") for name in ("cat", "cypresses", "waves"))
WAVELET, VGG = ("--features=wavelet",), ("--features=vgg19", "--weights={weights}")
ONE = ("--content", CAT, "--style", CYPRESSES)

TRANSFERS = {
    "wavelet": (*ONE, *WAVELET, "--size=160", "--steps=30"),
    "wavelet, 2 levels": (*ONE, *WAVELET, "--size=384", "--scales=2", "--steps=10"),
    "wavelet, adam": (*ONE, *WAVELET, "--size=160", "--steps=30", "--optimizer=adam"),
    "wavelet, noise": (*ONE, *WAVELET, "--size=128", "--steps=20", "--init=noise", "--seed=3"),
    "wavelet, blend": (
        *("--content", CAT, "--style", f"{CYPRESSES},{WAVES}", "--blend=0.7,0.3"),
        *(*WAVELET, "--size=160", "--steps=20"),
    ),
    "wavelet, alpha": ("--content", "{alpha}", "--style", WAVES, *WAVELET, "--size=160", "--steps=20"),
    "vgg19": (*ONE, *VGG, "--size=160", "--steps=20"),
    "vgg19, adam, average": (
        *(*ONE, *VGG, "--size=128", "--steps=20", "--optimizer=adam", "--pooling=average"),
    ),
    "vgg19, udacity": (*ONE, *VGG, "--size=128", "--steps=20", "--recipe=udacity"),
    "vgg19, 2 levels, weights": (
        *(*ONE, *VGG, "--size=192", "--scales=2", "--steps=20", "--tv_weight=10", "--remat=all"),
        "--style_layer_weights=1,2,3,2,1",
    ),
}
SWEEPS = {
    "wavelet, styles and weights": (
        *("--content", CAT, "--style", f"{CYPRESSES},{WAVES}", "--style_weight=300,1000"),
        *(*WAVELET, "--size=128", "--steps=15"),
    ),
    "wavelet, seeds, adam": (
        *(*ONE, *WAVELET, "--size=128", "--steps=15", "--init=noise", "--seed=0,1,2", "--optimizer=adam"),
    ),
    "vgg19, blends, 2 levels": (
        *("--content", CAT, "--style", f"{CYPRESSES},{WAVES}", "--blend=1,0", "--blend=0.5,0.5"),
        *(*VGG, "--size=160", "--scales=2", "--steps=10"),
    ),
}


def main() -> None:
    """Runs all of it and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("old", type=Path, help="folder of a checkout")
    parser.add_argument("new", type=Path, help="folder of another")
    parser.add_argument("--weights", required=True, help="an h5 file with the kernels of VGG19")
    arguments = parser.parse_args()
    print(f"| run | start | first {FIRST} | all | picture, mean | largest |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alpha = folder / "alpha.png"
        with_alpha(alpha)
        for title, flags in TRANSFERS.items():
            words = [flag.format(weights=arguments.weights, alpha=alpha) for flag in flags]
            report(
                title, *(transfer(checkout, words, folder) for checkout in (arguments.old, arguments.new))
            )
        for title, flags in SWEEPS.items():
            words = [flag.format(weights=arguments.weights) for flag in flags]
            report(title, *(sweep(checkout, words, folder) for checkout in (arguments.old, arguments.new)))


def with_alpha(path: Path) -> None:
    """The cat, transparent towards the right."""
    image = Image.open(CAT).convert("RGBA")
    ramp = np.linspace(255, 0, image.width).astype(np.uint8)
    image.putalpha(Image.fromarray(np.broadcast_to(ramp, (image.height, image.width))))
    image.save(path)


def transfer(checkout: Path, flags: list[str], folder: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    """`[evaluations, 4]` and the picture."""
    output, history = folder / "picture.png", folder / "history.json"
    run(checkout, [*flags, f"--output={output}", f"--history={history}"])
    steps = json.loads(history.read_text())["steps"]
    losses = np.array([[step[name] for name in ("total", "content", "style", "tv")] for step in steps])
    return losses, [levels(output)]


def sweep(checkout: Path, flags: list[str], folder: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    """`[evaluations, items * 4]` and the pictures."""
    output = Path(tempfile.mkdtemp(dir=folder))
    run(checkout, [*flags, f"--output={output}"])
    with np.load(output / "history.npz") as history:
        losses = np.stack([history[name] for name in ("total", "content", "style", "tv")], axis=-1)
        pictures = [levels(output / str(name)) for name in history["picture"]]
    return np.moveaxis(losses, 1, 0).reshape(losses.shape[1], -1), pictures


def run(checkout: Path, flags: list[str]) -> None:
    """One run of the command line of a checkout."""
    subprocess.run(
        [sys.executable, "main.py", "--quiet", *flags], cwd=checkout, check=True, stdout=subprocess.DEVNULL
    )


def levels(path: Path) -> np.ndarray:
    """The 8-bit levels of a picture."""
    return np.asarray(Image.open(path), np.float64)


def report(
    title: str, old: tuple[np.ndarray, list[np.ndarray]], new: tuple[np.ndarray, list[np.ndarray]]
) -> None:
    """One row of the table."""
    differences = np.abs(new[0] - old[0]) / np.maximum(np.abs(old[0]), 1e-12)
    pictures = np.concatenate([np.abs(x - y).ravel() for x, y in zip(new[1], old[1], strict=True)])
    columns = [f"{part.max():.1e}" for part in (differences[0], differences[:FIRST], differences)]
    columns += [f"{pictures.mean():.2f}", f"{pictures.max():.0f}"]
    print(f"| {title} | {' | '.join(columns)} |", flush=True)


if __name__ == "__main__":
    main()
