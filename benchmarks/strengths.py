"""How strong each style loss is: the factor with which the content suffers as much as with Gram matrices.

    python benchmarks/strengths.py --images FOLDER      # with content*.png, style*.jpg and so on

Paints each pair with each loss at several style weights, until the content loss of the picture is that of
Gram matrices at the default weight, within 2 %. Prints the factor of the weight for each pair, and the
geometric mean, which `losses.recipes.STRENGTHS` holds.
"""

import argparse
import dataclasses
import itertools
from pathlib import Path

import numpy as np

from jax_nst import Config, load_image, stylize
from jax_nst.losses import STYLE_TERMS

ROOT = Path(__file__).resolve().parent.parent
WEIGHT = 1000.0
TRIALS = 5
STEEPNESS = 0.7  # d log(content loss) / d log(style weight), about


def content_loss(content: np.ndarray, style: np.ndarray, config: Config, factor: float) -> float:
    """The content loss of the picture painted with so many times the default style weight."""
    result = stylize(content, style, config=dataclasses.replace(config, style_weight=factor * WEIGHT))
    return float(result.history["run"]["losses"]["content"])


def factor_of(content: np.ndarray, style: np.ndarray, config: Config, wanted: float) -> float:
    """The factor of the style weight with which the content loss reached is `wanted`."""
    factor = 1.0
    for _ in range(TRIALS):
        reached = content_loss(content, style, config, factor)
        if abs(np.log(reached / wanted)) < 0.02:
            break
        factor *= (wanted / reached) ** (1 / STEEPNESS)
    return factor


def main() -> None:
    """Paints, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="folder of contents and styles (default: examples)")
    parser.add_argument("--features", nargs="+", default=["vgg19-lite", "wavelet"])
    parser.add_argument("--losses", nargs="+", default=[name for name in STYLE_TERMS if name != "gram"])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()
    files = sorted((arguments.images or ROOT / "examples").iterdir())
    contents = [x for x in files if x.stem.startswith("content") or x.name == "cat.jpg"]
    styles = [x for x in files if x.stem.startswith("style") or x.name in ("cypresses.jpg", "waves.jpg")]
    print("| features | loss | pair | factor |\n|---|---|---|---|")
    for features in arguments.features:
        config = Config(
            features=features, size=arguments.size, steps=arguments.steps, scales=1, style_loss=("gram",)
        )
        factors: dict[str, list[float]] = {name: [] for name in arguments.losses}
        for paths in itertools.product(contents, styles):
            content, style = map(load_image, paths)
            wanted = content_loss(content, style, config, 1.0)
            for name in arguments.losses:
                of_loss = dataclasses.replace(config, style_loss=(name,))
                factors[name].append(factor_of(content, style, of_loss, wanted))
                pair = " ".join(path.stem for path in paths)
                print(f"| {features} | {name} | {pair} | {factors[name][-1]:.3g} |", flush=True)
        for name, found in factors.items():
            spread = np.exp(np.std(np.log(found)))
            print(
                f"| {features} | {name} | all | **{np.exp(np.mean(np.log(found))):.3g}** (x/{spread:.2g}) |"
            )


if __name__ == "__main__":
    main()
