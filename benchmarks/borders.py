"""The rim that padding leaves: the outermost lines of pixels beside those further inside.

    python benchmarks/borders.py --images FOLDER --output build/borders

Paints all pairs of contents and styles (those of losses.py) with each `--padding`. Compares the line of
pixels at each distance from the border with the lines 8 to 15 of the same side: prints the difference of
the mean colours in OkLab, and the ratio of the variations along the lines, medians over pairs and sides.
Pooling drops an odd last row or column, so the lower and the right side are shown apart: `--size 190` has
such ones, 192 has not. The contents and the styles themselves show what is usual. Writes the pictures, and
strips of the upper border, enlarged.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from losses import paint, pictures

ROOT = Path(__file__).resolve().parent.parent
DEPTHS = (0, 1, 2, 3, 4)
SIDES = {"upper and left": [0, 3], "lower and right": [1, 2]}
INSIDE = slice(8, 16)
STRIP = 24  # lines of pixels, shown
ENLARGED = 3


def sides(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """The picture turned so that each of its sides is the first row: upper, right, lower, left."""
    for turns in range(4):
        yield np.rot90(pixels, turns)


def differences(pixels: np.ndarray) -> np.ndarray:
    """`[2, 4, depths]`: distance of the mean colour, and ratio of the variation, of each side and line."""
    from jax_nst.metrics.oklab import to_oklab

    colors, ratios = [], []
    for side in sides(to_oklab(pixels)):
        inside = side[INSIDE, 16:-16]
        variation = np.mean(np.square(np.diff(inside, axis=1))) + 1e-8
        lines = [side[depth, 16:-16] for depth in DEPTHS]
        colors.append([np.linalg.norm(line.mean(0) - inside.mean((0, 1))) for line in lines])
        ratios.append([np.mean(np.square(np.diff(line, axis=0))) / variation for line in lines])
    return np.array([colors, ratios])


def strip(pixels: np.ndarray) -> np.ndarray:
    """The upper border, enlarged without smoothing."""
    return pixels[:STRIP].repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)


def main() -> None:
    """Paints, prints a table, and writes the strips."""
    from jax_nst import Config, load_image, save_image
    from jax_nst.models.vgg import PADDINGS

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", help="folder with more contents (content_*) and styles (style_*)")
    parser.add_argument("--output", default="build/borders", help="folder for what is written")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--steps", type=int, default=80)
    arguments = parser.parse_args()
    folder = Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    contents, styles = pictures(arguments)
    found: dict[str, list[np.ndarray]] = {"content": [], "style": []}
    for name, files in (("content", contents), ("style", styles)):
        found[name] = [differences(load_image(file)) for file in files]
    for content in contents:
        for style in styles:
            strips = []
            for padding in PADDINGS:
                path = folder / f"{content.stem}_{style.stem}_{padding}.png"
                if not path.exists():
                    config = Config(
                        features="vgg19-lite", size=arguments.size, steps=arguments.steps, padding=padding
                    )
                    save_image(path, paint(config, (content, style))[0])
                    print(path.name, file=sys.stderr, flush=True)
                pixels = load_image(path)
                found.setdefault(padding, []).append(differences(pixels))
                strips.append(strip(pixels))
            gap = np.ones((8, *strips[0].shape[1:]), np.float32)
            shown = np.concatenate([strips[0], gap, strips[1]])
            save_image(folder / f"strip_{content.stem}_{style.stem}.png", shown)
    heads = [f"{name} {depth}" for depth in DEPTHS for name in ("colour", "variation")]
    print(f"| of | {' | '.join(heads)} |\n|{'---|' * (1 + len(heads))}")
    for name, values in found.items():
        for label, chosen in SIDES.items():
            of_sides = np.concatenate([value[:, chosen] for value in values], axis=1)
            cells = [f"{color:.3f} | {ratio:.2f}" for color, ratio in np.median(of_sides, axis=1).T]
            print(f"| {name}, {label} | {' | '.join(cells)} |")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
