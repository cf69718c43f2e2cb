"""Which style loss paints better, by measures that none of them optimises.

    python benchmarks/losses.py --images FOLDER --output build/losses

Paints every pair of a content and a style with every style loss and style weight: at equal steps, and at
equal time, where the steps are scaled by the measured time of a step. Contents are
examples/cat.jpg and the files `content_*` of the folder; styles are those of examples/ and its files
`style_*`. Prints tables of the measures, means over all pairs, and writes into the output folder the
pictures, a plot of style distance against SSIM (with matplotlib), a grid of the pictures, and the figures
as `losses.json`. Started again it goes on where it was stopped; more pictures, losses and weights are added
to what is there.
"""

import argparse
import json
import math
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
MODES = ("steps", "time")
THUMBNAIL = 256


class Case(NamedTuple):
    """What one picture is painted with."""

    mode: str
    content: Path
    style: Path
    loss: str
    weight: float

    @property
    def name(self) -> str:
        """Of its file, without suffix."""
        loss = self.loss.replace(":", "").replace(",", "+")
        return f"{self.mode}_{self.content.stem}_{self.style.stem}_{loss}_{self.weight:g}"


class Results:
    """What was measured, kept in a file so that it need not be measured again."""

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        """Raises SystemExit if the file is of other settings."""
        self.path, self.found = path, {"settings": settings, "step_ms": {}, "cases": {}}
        if path.exists():
            self.found = json.loads(path.read_text())
            if self.found["settings"] != settings:
                raise SystemExit(f"{path}: is of other settings; name another --output")

    @property
    def step_ms(self) -> dict[str, float]:
        """Style loss -> milliseconds of a step."""
        return self.found["step_ms"]

    @property
    def cases(self) -> dict[str, dict[str, Any]]:
        """Name of a case -> its `steps` and `measures`."""
        return self.found["cases"]

    def save(self) -> None:
        """Writes the file, whole or not at all."""
        from jax_nst.runtime.files import replacing

        with replacing(self.path) as file:
            file.write(json.dumps(self.found, indent=1).encode())


def pictures(arguments: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """The contents and the styles."""
    examples = ROOT / "examples"
    found = sorted(Path(arguments.images).iterdir()) if arguments.images else []
    contents = [examples / "cat.jpg", *(path for path in found if path.name.startswith("content_"))]
    styles = [examples / "waves.jpg", examples / "cypresses.jpg"]
    return contents, [*styles, *(path for path in found if path.name.startswith("style_"))]


def cases_of(arguments: argparse.Namespace, mode: str) -> Iterator[Case]:
    """All cases of a mode, in the order of the pairs."""
    contents, styles = pictures(arguments)
    for content in contents:
        for style in styles:
            for loss in arguments.losses:
                for weight in arguments.weights:
                    yield Case(mode, content, style, loss, weight)


def config_of(case: Case, arguments: argparse.Namespace, steps: int) -> Any:
    """What the case is painted with."""
    from jax_nst import Config

    return Config(
        features=arguments.features,
        size=arguments.size,
        steps=steps,
        style_loss=tuple(case.loss.split(",")),
        style_weight=case.weight,
    )


def paint(config: Any, paths: tuple[Path, Path]) -> tuple[np.ndarray, float, dict[str, float]]:
    """The picture of a content and a style, the milliseconds of a step at its full size, the measures."""
    from jax_nst import load_image
    from jax_nst.images import quantize
    from jax_nst.transfer.measured import measure_run
    from jax_nst.transfer.network import load_network
    from jax_nst.transfer.transfer import run

    network = load_network(config)
    content, style = map(load_image, paths)
    result = run(network, content, [style], config=config)
    last = [
        entry["seconds"] for entry in result.history["steps"] if entry["size"] == max(result.pixels.shape)
    ]
    step_ms = 1000 * (last[-1] - last[0]) / max(1, len(last) - 1)
    rounded = quantize(result.pixels).astype(np.float32) / 255
    return rounded, step_ms, measure_run(network.extractor, config, content, [style], None, rounded)


def steps_of(case: Case, arguments: argparse.Namespace, results: Results) -> int:
    """As many steps as take the time of the first loss, in the mode of equal time."""
    if case.mode == "steps":
        return arguments.steps
    times = results.step_ms
    return max(1, round(arguments.steps * times[arguments.losses[0]] / times[case.loss]))


def measure_all(arguments: argparse.Namespace, results: Results, folder: Path) -> None:
    """Paints and measures what is missing."""
    from jax_nst import save_image

    for mode in MODES:
        cases = list(cases_of(arguments, mode))
        for number, case in enumerate(cases):
            if case.name in results.cases:
                continue
            steps = steps_of(case, arguments, results)
            same = case._replace(mode=MODES[0]).name
            if steps == arguments.steps and same in results.cases:
                shutil.copyfile(folder / f"{same}.png", folder / f"{case.name}.png")
                results.cases[case.name] = results.cases[same]
                continue
            config = config_of(case, arguments, steps)
            pixels, step_ms, measures = paint(config, (case.content, case.style))
            save_image(folder / f"{case.name}.png", pixels)
            results.cases[case.name] = {"steps": steps, "measures": measures}
            if mode == "steps":  # the fastest of all pairs: what else the machine does only slows it
                results.step_ms[case.loss] = min(step_ms, results.step_ms.get(case.loss, math.inf))
            results.save()
            print(f"{mode} {number + 1}/{len(cases)}: {case.name}", file=sys.stderr, flush=True)


def means(
    arguments: argparse.Namespace, results: Results, mode: str
) -> Iterator[tuple[str, float, int, dict]]:
    """Loss, weight, steps, and the measures as means over pairs."""
    for loss in arguments.losses:
        for weight in arguments.weights:
            chosen = [
                case for case in cases_of(arguments, mode) if (case.loss, case.weight) == (loss, weight)
            ]
            found = [results.cases[case.name] for case in chosen]
            names = found[0]["measures"]
            mean = {name: float(np.mean([one["measures"][name] for one in found])) for name in names}
            yield loss, weight, found[0]["steps"], mean


def print_tables(arguments: argparse.Namespace, results: Results) -> None:
    """A table for each mode, in Markdown."""
    from jax_nst import METRICS

    for mode in MODES:
        print(f"\nAt equal {mode}:\n")
        heads = ["style loss", "style weight", "steps", "ms a step", *METRICS]
        print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
        for loss, weight, steps, measures in means(arguments, results, mode):
            cells = [loss, f"{weight:g}", str(steps), f"{results.step_ms[loss]:.0f}"]
            print(f"| {' | '.join([*cells, *(f'{measures[name]:.3f}' for name in METRICS)])} |")


def plot(arguments: argparse.Namespace, results: Results, path: Path) -> None:
    """Style distance against SSIM, a line for each loss along its weights; nothing without matplotlib."""
    try:
        import matplotlib as mpl
    except ImportError:
        print("no plot: matplotlib is not installed", file=sys.stderr)
        return
    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator, NullLocator

    figure, axes = plt.subplots(1, len(MODES), figsize=(11, 5), sharex=True, sharey=True)
    for axis, mode in zip(axes, MODES, strict=True):
        rows = list(means(arguments, results, mode))
        for loss in arguments.losses:
            points = [
                (m["style_distance_vgg"], m["content_ssim"]) for name, _, _, m in rows if name == loss
            ]
            axis.plot(*zip(*points, strict=True), "o-", label=loss)
        axis.set(title=f"equal {mode}", xlabel="style distance, layers not painted with")
        if axis.dataLim.x1 > 10 * axis.dataLim.x0:
            axis.set_xscale("log")
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter("{x:g}")
            axis.xaxis.set_minor_locator(NullLocator())
    axes[0].set_ylabel("SSIM with the content")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def grid(arguments: argparse.Namespace, folder: Path, path: Path) -> None:
    """A row for each pair: content, style, and a picture of each loss, at equal time and middle weight."""
    from PIL import Image, ImageDraw

    from jax_nst import load_image
    from jax_nst.images import cover, quantize

    weight = arguments.weights[len(arguments.weights) // 2]
    contents, styles = pictures(arguments)
    rows = []
    for content in contents:
        for style in styles:
            cases = [Case("time", content, style, loss, weight) for loss in arguments.losses]
            files = [content, style, *(folder / f"{case.name}.png" for case in cases)]
            side = THUMBNAIL, THUMBNAIL
            rows.append(np.concatenate([cover(load_image(file), side) for file in files], axis=1))
    sheet = Image.fromarray(quantize(np.concatenate(rows)))
    draw = ImageDraw.Draw(sheet)
    for column, label in enumerate(["content", "style", *arguments.losses]):
        draw.text((column * THUMBNAIL + 6, 6), label, fill="white", stroke_width=2, stroke_fill="black")
    sheet.save(path)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The flags."""
    from jax_nst.losses import STYLE_TERMS

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", help="folder with more contents (content_*) and styles (style_*)")
    parser.add_argument("--output", default="build/losses", help="folder for what is written")
    parser.add_argument("--losses", nargs="+", default=list(STYLE_TERMS), help="as --style_loss takes them")
    parser.add_argument("--weights", nargs="+", type=float, default=[300.0, 1000.0, 3000.0])
    parser.add_argument("--features", default="vgg19-lite", help="as main.py takes it")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=80)
    return parser.parse_args(argv)


def main() -> None:
    """Paints, measures, and writes what came of it."""
    arguments = parse()
    folder = Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    # More pictures, losses and weights are more cases; these change the cases themselves.
    settings = {name: getattr(arguments, name) for name in ("features", "size", "steps")}
    settings["time_of"] = arguments.losses[0]
    results = Results(folder / "losses.json", settings)
    measure_all(arguments, results, folder)
    print_tables(arguments, results)
    plot(arguments, results, folder / "pareto.png")
    grid(arguments, folder, folder / "grid.png")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
