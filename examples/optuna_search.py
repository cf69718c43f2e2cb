"""Searches settings with Optuna, a batch of trials at a time: ask for some, paint them in one sweep, tell.

    pip install optuna
    python examples/optuna_search.py --trials 32 --batch 8 --size 128 --steps 40

It looks for weights and losses whose pictures come near the style, on features that were not painted with,
while they keep the edges of the content: two objectives, of which no one is the right one. The best trials
are therefore a Pareto front; they are printed, and painted into a folder with --output.
"""

import argparse
from pathlib import Path
from typing import Any, Literal

import optuna

from jax_nst import Config, Grid, sweep

HERE = Path(__file__).resolve().parent
OBJECTIVES: dict[str, Literal["minimize", "maximize"]] = {
    "style_distance_wavelet": "minimize",
    "content_edges": "maximize",
}
"""Measures of `jax_nst.METRICS` -> direction."""


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """A point of the sweep: setting -> value."""
    return {
        "style_weight": trial.suggest_float("style_weight", 30.0, 30_000.0, log=True),
        "tv_weight": trial.suggest_float("tv_weight", 0.1, 100.0, log=True),
        "style_loss": trial.suggest_categorical("style_loss", ["gram", "moments", "gram,moments"]),
    }


def paint(points: list[dict[str, Any]], arguments: argparse.Namespace) -> list[tuple[float, ...]]:
    """The measures of the pictures of these points, painted in one sweep."""
    # Optuna may ask for a point twice; a sweep paints it once.
    distinct = list({tuple(point.items()): point for point in points}.values())
    config = Config(features="vgg19-lite", size=arguments.size, steps=arguments.steps)
    result = sweep(
        arguments.content, arguments.style, grid=Grid.from_points(distinct), config=config, measure=True
    )
    measured = list(zip(*(result.measures[name].tolist() for name in OBJECTIVES), strict=True))
    return [measured[distinct.index(point)] for point in points]


def main() -> None:
    """Asks, paints and tells until there are as many trials as wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--content", default=str(HERE / "cat.jpg"))
    parser.add_argument("--style", default=str(HERE / "cypresses.jpg"))
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--batch", type=int, default=8, help="trials that are painted at once")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--output", help="folder for the pictures of the best trials")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=0)
    study = optuna.create_study(directions=list(OBJECTIVES.values()), sampler=sampler)
    while len(study.trials) < arguments.trials:
        trials = [study.ask() for _ in range(min(arguments.batch, arguments.trials - len(study.trials)))]
        values = paint([suggest(trial) for trial in trials], arguments)
        for trial, measured in zip(trials, values, strict=True):
            study.tell(trial, measured)
        print(f"{len(study.trials)} of {arguments.trials} trials, {len(study.best_trials)} on the front")
    best = sorted(study.best_trials, key=lambda trial: trial.values)
    for trial in best:
        measured = zip(OBJECTIVES, trial.values, strict=True)
        print(", ".join(f"{name} {value:.4g}" for name, value in measured), trial.params)
    if arguments.output:
        config = Config(features="vgg19-lite", size=arguments.size, steps=arguments.steps)
        points = [trial.params for trial in best]
        sweep(arguments.content, arguments.style, grid=points, config=config, folder=arguments.output)


if __name__ == "__main__":
    main()
