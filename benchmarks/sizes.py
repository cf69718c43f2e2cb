"""The same settings at several sizes: does the picture look the same?

    python benchmarks/sizes.py                                        # wavelets, at 256, 512, 1024 px
    python benchmarks/sizes.py --features wavelet vgg19 --weights vgg19.h5

Writes one picture: a row for each extractor, its pictures side by side, all enlarged or reduced to the
same size. Prints the terms of the loss, which recipe normalized makes relative. The style is as large as
the picture at each size, so that its strokes are as wide.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent


def paint(features, size, arguments):
    """Returns the picture, and its (content, style, total) losses."""
    from jax_nst import Config, load_image, stylize

    weights = None if features == "wavelet" else arguments.weights
    config = Config(size=size, style_scale=1.0, features=features, weights=weights)
    content, style = load_image(arguments.content), load_image(arguments.style)
    result = stylize(content, style, config=config)
    losses = result.score(result.pixels)
    return result.pixels, (losses["content"], losses["style"], losses.total)


def main():
    """Paints all, prints the losses, and writes the rows."""
    from jax_nst import save_image
    from jax_nst.images import fit_size, resize

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--content", default=str(ROOT / "examples" / "cat.jpg"))
    parser.add_argument("--style", default=str(ROOT / "examples" / "waves.jpg"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024], help="longer side")
    parser.add_argument("--features", nargs="+", default=["wavelet"])
    parser.add_argument("--weights", help="h5 file with VGG19 kernels")
    parser.add_argument("--shown", type=int, default=512, help="longer side of each picture in the rows")
    parser.add_argument("--output", default="sizes.jpg")
    arguments = parser.parse_args()
    rows = []
    print("| features | size | content | style | total |\n|---|---|---|---|---|")
    for features in arguments.features:
        row = []
        for size in arguments.sizes:
            pixels, losses = paint(features, size, arguments)
            row.append(resize(pixels, fit_size(pixels.shape, arguments.shown)))
            print(
                f"| {features} | {size} | " + " | ".join(f"{float(loss):.3g}" for loss in losses) + " |",
                flush=True,
            )
        rows.append(np.concatenate(row, axis=1))
    save_image(arguments.output, np.concatenate(rows))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
