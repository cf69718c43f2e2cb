"""Time to a good picture, beside PyTorch: the same network, objective, start and size, in one run.

    python benchmarks/versus_torch.py --weights vgg19.h5   # 256, 512, 1024 px: hours on a CPU
    python benchmarks/versus_torch.py --weights vgg19.h5 --sizes 256 --evaluations 100

Each program paints in a process of its own, one after the other, and keeps its picture every few
evaluations; all of these are then scored by one evaluator, as they are, and in 8 bits as they would be
saved. PyTorch's iterates leave [0, 1], so it has two losses: that of its best iterate, which no file can
hold, and that of the same picture as saved. Ours is always the saved one. Seconds count from the first
evaluation; what is before it is apart, and before each further size: targets and compilation. Several
`--settings` of ours are several rows, compared with the first as PyTorch is. Needs the extra `bench`.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
EVERY = 5  # evaluations from one picture that is kept to the next
OURS = "jax_nst"
PEERS = ("torch lbfgs", "torch lbfgs strong_wolfe", "torch adam")
PEER = re.compile(r"torch (lbfgs|lbfgs strong_wolfe|adam)( compiled| bfloat16| nchw)*")
PREPARE, SCORE = "prepare", "score"
PROBLEM, FACTS, SCORES = "problem.npz", "facts.json", "scores.json"  # files of a run


def loaded(arguments):
    """`(network, config, content, style)`, pictures as they are in their files."""
    from jax_nst import Config, load_image
    from jax_nst.transfer.network import load_network

    gram = ("gram",)  # the loss of the peer
    config = Config(size=arguments.size, features="vgg19", weights=arguments.weights, style_loss=gram)
    return load_network(config), config, load_image(arguments.content), load_image(arguments.style)


class Curve:
    """What a run did: losses, times, and the best picture every few evaluations."""

    def __init__(self, folder):
        self.folder, self.paused = Path(folder), 0.0
        self.losses, self.seconds, self.kept = [], [], []

    def add(self, losses, seconds, step, best_pixels):
        """Adds evaluations, and when they were done.

        Args:
          losses: one for each evaluation.
          seconds: since the first evaluation began, pauses included.
          step: number of the last one, from 0.
          best_pixels: returns the best picture so far.
        """
        now = time.perf_counter()
        self.losses += losses
        self.seconds += [second - self.paused for second in seconds]
        if step % EVERY == 0:
            self.keep(best_pixels)
        self.paused += time.perf_counter() - now

    def keep(self, best_pixels):
        """Writes the picture; not part of the time."""
        self.kept.append(len(self.losses))
        np.save(self.folder / f"{len(self.losses)}.npy", best_pixels())


def paint_ours(arguments, curve):
    """Runs jax_nst, as `main.py` does by default."""
    import dataclasses

    import jax

    from jax_nst.runtime.malloc import keep_pages
    from jax_nst.transfer.engine import Hooks
    from jax_nst.transfer.transfer import run

    keep_pages()

    network, config, content, style = loaded(arguments)
    config = dataclasses.replace(config, save_every=EVERY, **json.loads(arguments.settings))

    def callback(progress):
        (entries,) = progress.entries.values()
        # Losses at smaller sizes are not comparable.
        losses = [entry["total"] if entry["size"] == arguments.size else np.inf for entry in entries]
        seconds = [entry["seconds"] for entry in entries]
        curve.add(losses, seconds, progress.step, progress.best_pixels)

    result = run(network, content, [style], config=config, hooks=Hooks(callback))
    curve.keep(lambda: result.pixels)
    return result.history["compile_seconds"], str(jax.devices()[0].device_kind)


def prepare(arguments):
    """Writes the problem for PyTorch: its process has no JAX in it."""
    from step import save_for_torch

    from jax_nst.runtime.platform import current_platform
    from jax_nst.transfer.pictures import fit_content, fit_style
    from jax_nst.transfer.spec import resolve

    network, config, content, style = loaded(arguments)
    level = resolve(config, network.extractor, content.shape, current_platform()).levels[-1]
    content, style = fit_content(level, content), fit_style(network.extractor, level, style)
    save_for_torch(Path(arguments.folder) / PROBLEM, network.params, content, style)


def paint_torch(arguments, curve):
    """Runs the peer."""
    import torch
    import torch_peer

    began = time.perf_counter()
    problem = torch_peer.load_problem(curve.folder / PROBLEM)
    loss = torch_peer.make_loss(problem, arguments.worker.split())
    x = torch_peer.to_tensor(problem.pop("content")).requires_grad_()
    del problem
    best = [np.inf, x.detach().clone()]
    torch_peer.loss_and_gradient(loss, x)  # compiles, or finds the fastest algorithms of a GPU
    began, before = time.perf_counter(), time.perf_counter() - began

    class Enough(Exception):
        """All evaluations are made."""

    def closure():
        value, _ = torch_peer.loss_and_gradient(loss, x)
        if value < best[0]:
            best[:] = value, x.detach().clone()
        seconds = time.perf_counter() - began
        curve.add([value], [seconds], len(curve.losses), lambda: torch_peer.to_pixels(best[1]))
        if len(curve.losses) == arguments.evaluations:
            raise Enough
        return value

    if "adam" in arguments.worker:
        optimizer = torch.optim.Adam([x], lr=0.02)
    else:
        search = "strong_wolfe" if "strong_wolfe" in arguments.worker else None
        optimizer = torch.optim.LBFGS(
            [x], max_iter=10**6, max_eval=10**6, tolerance_grad=0, tolerance_change=0, line_search_fn=search
        )
    try:
        while True:
            optimizer.step(closure)
    except Enough:
        curve.keep(lambda: torch_peer.to_pixels(best[1]))
    return before, str(torch_peer.DEVICE)


def worker(arguments):
    """One run, or what is before or after it, in a process of its own; its facts as JSON."""
    from step import peak_memory

    curve = Curve(arguments.folder)
    if arguments.worker in (PREPARE, SCORE):
        {PREPARE: prepare, SCORE: score}[arguments.worker](arguments)
        return
    paint = paint_ours if arguments.worker == OURS else paint_torch
    before, device = paint(arguments, curve)
    facts = {
        "device": device,
        "before_seconds": before,
        "losses": curve.losses,
        "seconds": curve.seconds,
        "kept": curve.kept,
        "peak_bytes": peak_memory(),
    }
    (curve.folder / FACTS).write_text(json.dumps(facts))


def paint(what, settings, size, arguments):
    """Runs one program, and scores what it kept: losses `as_is`, and as `saved`, of the pictures `kept`."""
    with tempfile.TemporaryDirectory() as folder:
        for step in (what, SCORE) if what == OURS else (PREPARE, what, SCORE):
            command = [
                sys.executable, __file__, "--worker", step, "--size", str(size), "--folder", folder,
                "--weights", arguments.weights, "--content", arguments.content, "--style", arguments.style,
                "--evaluations", str(arguments.evaluations), "--settings", settings,
            ]  # fmt: skip
            subprocess.run(command, check=True)
        return json.loads((Path(folder) / FACTS).read_text()) | json.loads(
            (Path(folder) / SCORES).read_text()
        )


def score(arguments):
    """The common evaluator: losses of pictures as they are, and as saved, in 8 bits within [0, 1]."""
    from problem import make_problem

    folder, losses = Path(arguments.folder), {"as_is": [], "saved": []}
    network, config, content, style = loaded(arguments)
    problem = make_problem(network, content, style, config)
    for count in json.loads((folder / FACTS).read_text())["kept"]:
        picture = np.load(folder / f"{count}.npy")
        losses["as_is"].append(float(problem.score(picture).total))
        saved = np.round(255 * np.clip(picture, 0, 1)) / 255
        losses["saved"].append(float(problem.score(saved).total))
    (folder / SCORES).write_text(json.dumps(losses))


def reached(counts, values, loss):
    """The first of `counts` at which `values` are no more than `loss`; None if they never are."""
    return next((count for count, value in zip(counts, values, strict=True) if value <= loss), None)


def compared(runs):
    """The runs of one size, what -> list of facts, as rows of a summary; the first is ours."""
    medians = {
        what: {
            "seconds": np.median([facts["seconds"] for facts in of], axis=0),
            "losses": np.median([facts["losses"] for facts in of], axis=0),
            "iterate": float(np.median([facts["as_is"][-1] for facts in of])),
            "saved": np.median([facts["saved"] for facts in of], axis=0),
            "kept": of[0]["kept"],
            "before": statistics.median(facts["before_seconds"] for facts in of),
            "peak": statistics.median(facts["peak_bytes"] for facts in of),
        }
        for what, of in runs.items()
    }
    ours, rows = next(iter(medians.values())), []
    for what, other in medians.items():
        evaluations = len(other["seconds"])
        row = {"what": what, "evaluations": evaluations, "total_seconds": float(other["seconds"][-1])}
        row |= {"iterate": other["iterate"], "saved": float(other["saved"][-1])}
        row["best_saved"] = float(np.nanmin(other["saved"]))
        row |= {"before_seconds": other["before"], "peak_bytes": other["peak"]}
        if other is not ours:
            # Ours: when its picture, as saved, has the loss. Theirs: when its iterate has it, when it is
            # at its end, and, on its way there, when a picture saved then would be at its best.
            for name, theirs in (
                ("iterate", int(np.nanargmin(other["losses"])) + 1),
                ("saved", evaluations),
                ("best_saved", other["kept"][int(np.nanargmin(other["saved"]))]),
            ):
                mine = reached(ours["kept"], ours["saved"], row[name])
                row[f"to_{name}"] = mine and {
                    "evaluations": [mine, theirs],
                    "seconds": [float(ours["seconds"][mine - 1]), float(other["seconds"][theirs - 1])],
                    "ratio": float(ours["seconds"][mine - 1] / other["seconds"][theirs - 1]),
                }
        rows.append(row)
    return rows


def table(results):
    """The summaries of all sizes as Markdown."""
    yield (
        "| size | what | before s | evaluations | s | best iterate | as saved | peak GB | ours to its best "
        "iterate: evaluations, s, ratio | to its picture as saved | to the best it could have saved |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for size, rows in results.items():
        for row in rows:
            cells = [
                f"{row['before_seconds']:.1f}", str(row["evaluations"]), f"{row['total_seconds']:.1f}",
                f"{row['iterate']:.3f}",
                f"{row['saved']:.3f}", f"{row['peak_bytes'] / 1e9:.2f}",
            ]  # fmt: skip
            for name in ("to_iterate", "to_saved", "to_best_saved"):
                found = row.get(name, "")
                if found:
                    (mine, theirs), (a, b) = found["evaluations"], found["seconds"]
                    found = f"{mine} of {theirs}, {a:.1f} of {b:.1f}, **{found['ratio']:.2f}**"
                cells.append("not reached" if found is None else found)
            yield f"| {size} | {row['what']} | " + " | ".join(cells) + " |"


def plot(runs, path, title):
    """Loss against seconds, of one size."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    for number, (what, of) in enumerate(runs.items()):
        facts, colour = of[0], f"C{number}"
        at = [facts["seconds"][count - 1] for count in facts["kept"]]
        axes.plot(at, facts["saved"], color=colour, label=f"{what}, picture as saved")
        if not what.startswith(OURS):
            best = np.minimum.accumulate(facts["losses"])
            axes.plot(facts["seconds"], best, "--", color=colour, linewidth=1, label=f"{what}, iterate")
    low = min(min(facts["losses"]) for of in runs.values() for facts in of)
    axes.set(xlabel="seconds", ylabel="loss", yscale="log", ylim=(0.95 * low, 8 * low), title=title)
    axes.legend()
    figure.savefig(path, dpi=100, bbox_inches="tight")


def main():
    """Runs all sizes, and prints and writes what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    examples = ROOT / "examples"
    parser.add_argument("--weights", required=True, help="h5 file with VGG19 kernels")
    parser.add_argument("--content", default=str(examples / "cat.jpg"))
    parser.add_argument("--style", default=str(examples / "cypresses.jpg"))
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[256, 512, 1024], help="longer side, pixels"
    )
    parser.add_argument("--evaluations", type=int, default=300, help="of the peers")
    parser.add_argument(
        "--repeats", type=int, default=1, help="runs of each, interleaved; medians are shown"
    )
    parser.add_argument(
        "--peers",
        nargs="*",
        default=PEERS,
        help=f"{', '.join(PEERS)}; each may be followed by how, such as 'torch adam compiled bfloat16'",
    )
    parser.add_argument(
        "--settings",
        nargs="+",
        default=['{"steps": 330, "scales": "1"}'],
        help="of our Config, as JSON; several to compare them",
    )
    parser.add_argument("--json", help="file to write all measurements to")
    parser.add_argument("--plot", help="file to draw the last size into")
    for name in ("worker", "size", "folder"):
        parser.add_argument(f"--{name}", type=int if name == "size" else str, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        arguments.settings = arguments.settings[0]
        worker(arguments)
        return
    for peer in arguments.peers:
        if not PEER.fullmatch(peer):
            parser.error(f"unknown peer {peer!r}; the valid ones are {', '.join(PEERS)}, see --help")
    programs = {f"{OURS} {settings}": (OURS, settings) for settings in arguments.settings}
    programs |= {peer: (peer, "{}") for peer in arguments.peers}
    results, everything, runs = {}, {}, {}
    for size in arguments.sizes:
        runs = {what: [] for what in programs}
        for _ in range(arguments.repeats):
            for what, of in runs.items():
                of.append(paint(*programs[what], size, arguments))
                print(f"{size} px, {what}: {of[-1]['saved'][-1]:.3f}", file=sys.stderr, flush=True)
            results[size], everything[size] = compared(runs), runs
            if arguments.json:  # after each repeat, for it may be hours until the last
                all_of_it = {"arguments": vars(arguments), "summary": results, "runs": everything}
                Path(arguments.json).write_text(json.dumps(all_of_it))
    print("\n".join(table(results)))
    if arguments.plot:
        plot(runs, arguments.plot, f"{arguments.sizes[-1]} px, {next(iter(runs.values()))[0]['device']}")


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the evaluator needs some of a GPU too
    main()
