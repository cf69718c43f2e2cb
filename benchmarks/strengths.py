"""How strong each loss is at its default weight, and the factor that makes it as strong as the first.

    python benchmarks/strengths.py --images FOLDER                                       # style losses
    python benchmarks/strengths.py --images FOLDER --of content --factors 1 2 4 8 16     # content losses

Paints all pairs of contents and styles (those of losses.py) with each loss at several multiples of its
default weight. Prints the measures of the pictures, median and quartiles over the pairs, and the factor
with which each loss has the measure of the first loss at its default weight: interpolated for each pair,
then the geometric mean. `losses.recipes.STRENGTHS` holds such factors. Writes the pictures and
`strengths.json` into the output folder; started again it goes on where it was stopped.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from losses import Results, paint, pictures

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_WEIGHTS = {"style": 1000.0, "content": 1.0}
SHOWN = ("content_ssim", "content_self_similarity", "content_edges", "style_distance_vgg")


class Case(NamedTuple):
    """What one picture is painted with."""

    content: Path
    style: Path
    loss: str
    factor: float

    @property
    def name(self) -> str:
        """Of its file, without suffix."""
        loss = self.loss.replace(":", "").replace(",", "+")
        return f"{self.content.stem}_{self.style.stem}_{loss}_{self.factor:g}"


def cases_of(arguments: argparse.Namespace, loss: str, factor: float) -> list[Case]:
    """One for each pair."""
    contents, styles = pictures(arguments)
    return [Case(content, style, loss, factor) for content in contents for style in styles]


def rows_of(arguments: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """Losses and factors: the first loss at its default weight alone."""
    first, *others = arguments.losses
    yield first, 1.0
    for loss in others:
        for factor in arguments.factors:
            yield loss, factor


def measure_all(arguments: argparse.Namespace, results: Results, folder: Path) -> None:
    """Paints and measures what is missing."""
    from jax_nst import Config, save_image

    for loss, factor in rows_of(arguments):
        given: dict[str, Any] = {
            f"{arguments.of}_loss": tuple(loss.split(",")),
            f"{arguments.of}_weight": factor * DEFAULT_WEIGHTS[arguments.of],
        }
        config = Config(features=arguments.features, size=arguments.size, steps=arguments.steps, **given)
        for case in cases_of(arguments, loss, factor):
            if case.name in results.cases:
                continue
            pixels, _, measures = paint(config, (case.content, case.style))
            save_image(folder / f"{case.name}.png", pixels)
            results.cases[case.name] = {"measures": measures}
            results.save()
            print(case.name, file=sys.stderr, flush=True)


def measured(
    arguments: argparse.Namespace, results: Results, loss: str, factor: float, name: str
) -> np.ndarray:
    """`[pairs]`, one measure."""
    cases = cases_of(arguments, loss, factor)
    return np.array([results.cases[case.name]["measures"][name] for case in cases])


def matching_factor(factors: np.ndarray, values: np.ndarray, wanted: float) -> float:
    """The factor with which a measure is `wanted`, between those measured; NaN beyond them."""
    order = np.argsort(values)
    return float(
        np.exp(np.interp(wanted, values[order], np.log(factors[order]), left=np.nan, right=np.nan))
    )


def print_tables(arguments: argparse.Namespace, results: Results) -> None:
    """Measures, then factors, in Markdown."""
    print(f"\n| loss | factor | {' | '.join(SHOWN)} |\n|{'---|' * (2 + len(SHOWN))}")
    for loss, factor in rows_of(arguments):
        found = [measured(arguments, results, loss, factor, name) for name in SHOWN]
        quartiles = [np.percentile(values, [50, 25, 75]) for values in found]
        cells = [f"{middle:.3f} ({low:.3f} to {high:.3f})" for middle, low, high in quartiles]
        print(f"| {loss} | {factor:g} | {' | '.join(cells)} |")
    first, *others = arguments.losses
    if len(arguments.factors) < 2:
        return
    print(f"\nThe factor for the measure of {first}; spread; pairs:\n")
    print(f"| loss | {' | '.join(SHOWN)} |\n|{'---|' * (1 + len(SHOWN))}")
    for loss in others:
        cells = [_factor_cell(arguments, results, first, loss, name) for name in SHOWN]
        print(f"| {loss} | {' | '.join(cells)} |")


def _factor_cell(arguments: argparse.Namespace, results: Results, first: str, loss: str, name: str) -> str:
    """Geometric mean and spread of the matching factors, and for how many pairs there is one."""
    factors = np.array(arguments.factors)
    values = np.array([measured(arguments, results, loss, factor, name) for factor in arguments.factors])
    wanted = measured(arguments, results, first, 1.0, name)
    found = [matching_factor(factors, of_pair, x) for of_pair, x in zip(values.T, wanted, strict=True)]
    logs = np.log([factor for factor in found if np.isfinite(factor)])
    if not logs.size:
        return "none"
    return f"{np.exp(logs.mean()):.3g} (x/{np.exp(logs.std()):.2g}; {logs.size})"


def main() -> None:
    """Paints, measures, and prints the tables."""
    from jax_nst.losses import CONTENT_TERMS, STYLE_TERMS

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", help="folder with more contents (content_*) and styles (style_*)")
    parser.add_argument("--output", default="build/strengths", help="folder for what is written")
    parser.add_argument("--of", choices=list(DEFAULT_WEIGHTS), default="style", help="losses of this term")
    parser.add_argument("--losses", nargs="+", help="as --style_loss takes them (default: all)")
    parser.add_argument("--factors", nargs="+", type=float, default=[0.5, 1.0, 2.0])
    parser.add_argument("--features", default="vgg19-lite", help="as main.py takes it")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=40)
    arguments = parser.parse_args()
    arguments.losses = arguments.losses or list(STYLE_TERMS if arguments.of == "style" else CONTENT_TERMS)
    folder = Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    settings = {name: getattr(arguments, name) for name in ("of", "features", "size", "steps")}
    results = Results(folder / "strengths.json", settings)
    measure_all(arguments, results, folder)
    print_tables(arguments, results)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
