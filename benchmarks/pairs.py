"""What pairs of bfloat16 change in L-BFGS: the loss after 80 and after 300 steps.

    python benchmarks/pairs.py --weights vgg19.h5

Losses are relative to those with pairs of float32; beside them the same for float32 from a start moved by a
millionth, since L-BFGS magnifies any rounding.
"""

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
STEPS = (80, 300)


def best_losses(config, content, style) -> list[float]:
    """The lowest loss after each of `STEPS`."""
    from jax_nst.transfer.network import load_network
    from jax_nst.transfer.transfer import run

    result = run(load_network(config), content, [style], config=config)
    totals = [step["total"] for step in result.history["steps"]]
    return [float(np.nanmin(totals[: count + 1])) for count in STEPS]


def rows(config, content, style, name: str) -> Iterator[str]:
    """Rows of the table, of one extractor and pair of pictures."""
    exact = best_losses(config, content, style)
    moved = best_losses(config, np.clip(content + 1e-6, 0, 1), style)
    low = best_losses(dataclasses.replace(config, lbfgs_pairs="bfloat16"), content, style)
    for pairs, losses in (("float32, start moved", moved), ("bfloat16", low)):
        changes = [f"{loss / reference - 1:+.4f}" for loss, reference in zip(losses, exact, strict=True)]
        yield f"| {name} | {config.features} | {pairs} | {' | '.join(changes)} |"


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", help="h5 file with VGG19 kernels; no rows of it without")
    parser.add_argument("--features", nargs="+", default=["wavelet", "vgg19-lite", "vgg19"])
    parser.add_argument("--styles", nargs="+", default=["cypresses", "waves"], help="names in examples/")
    parser.add_argument("--size", type=int, default=192)
    arguments = parser.parse_args()
    from jax_nst import Config, load_image

    print(f"| style | features | pairs | loss after {STEPS[0]} | loss after {STEPS[1]} |")
    print("|---|---|---|---|---|")
    content = load_image(ROOT / "examples" / "cat.jpg", arguments.size)
    for features in arguments.features:
        if features == "vgg19" and not arguments.weights:
            continue
        weights = arguments.weights if features == "vgg19" else None
        config = Config(size=arguments.size, steps=STEPS[-1], scales=1, features=features, weights=weights)
        for name in arguments.styles:
            style = load_image(ROOT / "examples" / f"{name}.jpg")
            for row in rows(config, content, style, name):
                print(row, flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
