"""Time to a good picture, beside PyTorch: the same network, objective, start and size, in one run.

    python benchmarks/versus_torch.py --weights vgg19.h5   # 256, 512, 1024 px: hours on a CPU
    python benchmarks/versus_torch.py --weights vgg19.h5 --sizes 256 --evaluations 100

Each program paints in a process of its own, one after the other, and keeps its picture every few
evaluations, in 8 bits as it would save it; all of these, and PyTorch's iterates, are then scored by one
evaluator. PyTorch's iterates leave [0, 1], so its loss has two curves: that of the best iterate, which
no file can hold, and that of the same picture as saved. Ours is always the saved one. Seconds count
from the first evaluation; those before it are apart. Needs the extra `bench`.
"""

import argparse
import json
import os
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


def loaded(arguments):
    """`(network, config, content, style)`, pictures as they are in their files."""
    from jax_nst import Config, load_image
    from jax_nst.network import load_network

    config = Config(size=arguments.size, features="vgg19", weights=arguments.weights)
    return load_network(config), config, load_image(arguments.content), load_image(arguments.style)


class Curve:
    """What a run did: losses, times, and the best picture every few evaluations."""

    def __init__(self, folder):
        self.folder, self.paused = Path(folder), 0.0
        self.losses, self.seconds, self.kept = [], [], []

    def add(self, losses, seconds, step, best_pixels):
        """More evaluations, and when they were done; the last is number `step` of its size, from 0.

        `best_pixels()` gives the best picture so far.
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

    from jax_nst.allocator import keep_pages
    from jax_nst.stylize import run

    keep_pages()

    network, config, content, style = loaded(arguments)
    config = dataclasses.replace(config, save_every=EVERY, **json.loads(arguments.settings))

    def callback(progress):
        sizes = [entry["size"] for entry in progress.history["steps"]]
        # A loss at a smaller size is another one.
        losses = [e["total"] if e["size"] == arguments.size else np.inf for e in progress.entries]
        seconds = [entry["seconds"] for entry in progress.entries]
        curve.add(losses, seconds, sizes.count(sizes[-1]) - 1, progress.best_pixels)

    result = run(network, content, [style], config=config, callback=callback)
    curve.keep(lambda: result.pixels)
    return result.history["compile_seconds"], str(jax.devices()[0].device_kind)


def paint_torch(arguments, curve):
    """Runs the peer."""
    import torch
    import torch_peer

    from jax_nst.problem import fit_content, fit_style

    network, config, content, style = loaded(arguments)
    content = fit_content(network, config, content)
    style = fit_style(network, config, style, content.shape)
    began = time.perf_counter()
    loss = torch_peer.make_loss(
        network.params, content, style, compiled=arguments.compiled, bfloat16=arguments.bfloat16
    )
    x = torch_peer.to_tensor(content).requires_grad_()
    best = [np.inf, x.detach().clone()]
    if arguments.compiled:
        torch_peer.loss_and_gradient(loss, x)
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
        search = "strong_wolfe" if "wolfe" in arguments.worker else None
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
    """One run, in a process of its own; its facts as JSON."""
    from step import peak_memory

    curve = Curve(arguments.folder)
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
    (curve.folder / "facts.json").write_text(json.dumps(facts))


def paint(what, size, arguments):
    """Runs one program, and scores what it kept. `saved`: loss of the picture as saved, at `kept`."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, __file__, "--worker", what, "--size", str(size), "--folder", folder,
            "--weights", arguments.weights, "--content", arguments.content, "--style", arguments.style,
            "--evaluations", str(arguments.evaluations), "--settings", arguments.settings,
            *(["--compiled"] if arguments.compiled else []),
            *(["--bfloat16"] if arguments.bfloat16 else []),
        ]  # fmt: skip
        subprocess.run(command, check=True)
        facts = json.loads((Path(folder) / "facts.json").read_text())
        pictures = [np.load(Path(folder) / f"{count}.npy") for count in facts["kept"]]
    return facts | score(pictures, size, arguments)


def score(pictures, size, arguments):
    """The common evaluator: losses of pictures as they are, and as saved, in 8 bits within [0, 1]."""
    from jax_nst.problem import make_problem

    arguments.size = size
    network, config, content, style = loaded(arguments)
    problem = make_problem(network, content, [style], config=config)
    saved = [np.round(255 * np.clip(picture, 0, 1)) / 255 for picture in pictures]
    return {
        "as_is": [float(problem.score(picture).total) for picture in pictures],
        "saved": [float(problem.score(picture).total) for picture in saved],
    }


def reached(counts, values, loss):
    """The first of `counts` at which `values` are no more than `loss`; None if they never are."""
    return next((count for count, value in zip(counts, values, strict=True) if value <= loss), None)


def compared(runs):
    """The runs of one size, what -> list of facts, as rows of a summary."""
    medians = {
        what: {
            "seconds": np.median([facts["seconds"] for facts in of], axis=0),
            "iterate": np.minimum.accumulate(np.median([facts["losses"] for facts in of], axis=0)),
            "saved": np.median([facts["saved"] for facts in of], axis=0),
            "kept": of[0]["kept"],
            "before": statistics.median(facts["before_seconds"] for facts in of),
            "peak": statistics.median(facts["peak_bytes"] for facts in of),
        }
        for what, of in runs.items()
    }
    ours, rows = medians[OURS], []
    for what, peer in medians.items():
        evaluations = len(peer["seconds"])
        row = {"what": what, "evaluations": evaluations, "total_seconds": float(peer["seconds"][-1])}
        row |= {"iterate": float(peer["iterate"][-1]), "saved": float(peer["saved"][-1])}
        row["best_saved"] = float(np.min(peer["saved"]))
        row |= {"before_seconds": peer["before"], "peak_bytes": peer["peak"]}
        if what != OURS:
            # Ours: when its picture, as saved, has the loss. Theirs: when its iterate has it, when it is
            # at its end, and, on its way there, when a picture saved then would be at its best.
            everywhere = range(1, evaluations + 1)
            for name, theirs in (
                ("iterate", reached(everywhere, peer["iterate"], row["iterate"])),
                ("saved", evaluations),
                ("best_saved", reached(peer["kept"], peer["saved"], row["best_saved"])),
            ):
                mine = reached(ours["kept"], ours["saved"], row[name])
                assert theirs is not None
                row[f"to_{name}"] = mine and {
                    "evaluations": [mine, theirs],
                    "seconds": [float(ours["seconds"][mine - 1]), float(peer["seconds"][theirs - 1])],
                    "ratio": float(ours["seconds"][mine - 1] / peer["seconds"][theirs - 1]),
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
        if what != OURS:
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
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--compiled", action="store_true", help="PyTorch by torch.compile")
    parser.add_argument("--bfloat16", action="store_true", help="PyTorch with autocast")
    parser.add_argument("--settings", default='{"steps": 200}', help="of our Config, as JSON, to try them")
    parser.add_argument("--json", help="file to write all measurements to")
    parser.add_argument("--plot", help="file to draw the last size into")
    for name in ("worker", "size", "folder"):
        parser.add_argument(f"--{name}", type=int if name == "size" else str, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments)
        return
    results, everything, runs = {}, {}, {}
    for size in arguments.sizes:
        runs = {what: [] for what in (OURS, *arguments.peers)}
        for _ in range(arguments.repeats):
            for what, of in runs.items():
                of.append(paint(what, size, arguments))
                print(f"{size} px, {what}: {of[-1]['saved'][-1]:.3f}", file=sys.stderr, flush=True)
            results[size], everything[size] = compared(runs), runs
            if arguments.json:  # after each repeat, for it may be hours until the last
                Path(arguments.json).write_text(json.dumps({"summary": results, "runs": everything}))
    print("\n".join(table(results)))
    if arguments.plot:
        plot(runs, arguments.plot, f"{arguments.sizes[-1]} px, {runs[OURS][0]['device']}")


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
