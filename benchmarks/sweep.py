"""A sweep beside the same pictures made one by one: 8 styles x 2 weights, one content, in one run.

    python benchmarks/sweep.py                              # VGG19 and the wavelets, 256 and 128 px
    python benchmarks/sweep.py --features wavelet --sizes 256 --steps 20
    python benchmarks/sweep.py --batches loop,1,2,4,8,12,16,auto --features vgg19-lite wavelet --sizes 64 96

(a) one sweep; (b) 16 runs of main.py; (c) a loop over `stylize` in one process; and (a) again on
4 CPU devices. Each in processes of its own, the repeats interleaved; the median is taken. Without a weight
file the kernels are random: the time is the same.

With --batches, items a second by the size of the batch, beside a loop over `stylize`, interleaved in one
process with two CPU devices. On a machine that others use, compare the seconds of the processor.
"""

import argparse
import dataclasses
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
NUM_STYLES, WEIGHTS = 8, (300.0, 1000.0)
KINDS = ("sweep", "sweep on 4 devices", "main.py", "stylize in a loop")


def pictures(folder, size):
    """One content and eight styles of several shapes, as files."""
    sys.path.insert(0, str(ROOT))
    from jax_nst import save_image

    rng = np.random.default_rng(0)
    shapes = [(size, size)] + [(size, size * (4 + i % 4) // 8) for i in range(NUM_STYLES)]
    paths = []
    for index, shape in enumerate(shapes):
        coarse = rng.random((shape[0] // 16, shape[1] // 16, 3), dtype=np.float32)
        fine = np.repeat(np.repeat(coarse, 16, axis=0), 16, axis=1)
        paths.append(Path(folder) / f"{index}.png")
        save_image(paths[-1], np.clip(fine + rng.normal(0, 0.1, fine.shape), 0, 1))
    return paths


def weight_file(folder):
    """VGG19 with random kernels, which take the same time."""
    import h5py

    from jax_nst.models import vgg

    rng, path = np.random.default_rng(0), Path(folder) / "vgg19.h5"
    with h5py.File(path, "w") as file:
        for conv in vgg.needed_convs("vgg19", ("relu5_1",)):
            shape = vgg.kernel_shape(conv)
            name = f"block{conv[4]}_conv{conv[6]}"
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/kernel:0", f"{name}/bias:0"]
            kernel = np.float32(np.sqrt(2 / (9 * shape[2]))) * rng.standard_normal(shape, np.float32)
            group[f"{name}/kernel:0"] = kernel
            group[f"{name}/bias:0"] = np.zeros(shape[-1], np.float32)
        file.attrs["layer_names"] = list(file)
    return path


def config_of(features, weights, size, steps):
    from jax_nst import Config

    return Config(features=features, weights=weights, size=size, steps=steps, scales="1")


def compile_seconds():
    """A list that sums up what XLA takes to compile from now on."""
    import jax.monitoring

    seconds = [0.0]

    def hear(event, duration_secs, **rest):
        del rest
        if "backend_compile" in event:
            seconds[0] += duration_secs

    jax.monitoring.register_event_duration_secs_listener(hear)
    return seconds


def run_sweep(contents, styles, config):
    """(seconds of all steps, of all items)."""
    from jax_nst import Grid, load_image, sweep

    loaded = [load_image(path) for path in styles]
    result = sweep(load_image(contents), loaded, grid=Grid(style_weight=WEIGHTS), config=config)
    assert result.messages == ["ok"] * NUM_STYLES * len(WEIGHTS), result.messages
    return float(result.seconds.sum())


def run_stylize(content, styles, config):
    from jax_nst import load_image, stylize

    seconds = 0.0
    for style in styles:
        for weight in WEIGHTS:
            one = dataclasses.replace(config, style_weight=weight)
            result = stylize(load_image(content), load_image(style), config=one)
            seconds += result.history["steps"][-1]["seconds"]
    return seconds


def run_main(content, styles, config, folder):
    """(seconds of all steps, of all compilations)."""
    seconds, compilation = 0.0, 0.0
    for style in styles:
        for weight in WEIGHTS:
            flags = {
                "content": content, "style": style, "style_weight": weight, "features": config.features,
                "size": config.size, "steps": config.steps, "scales": config.scales,
                "output": Path(folder) / "out.png", "history": Path(folder) / "out.json",
            }  # fmt: skip
            if config.weights:
                flags["weights"] = config.weights
            command = [
                sys.executable,
                ROOT / "main.py",
                *(f"--{k}={v}" for k, v in flags.items()),
                "--quiet",
            ]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            history = json.loads((Path(folder) / "out.json").read_text())
            seconds += history["steps"][-1]["seconds"]
            compilation += history["compile_seconds"]
    return seconds, compilation


def peak_bytes(who):
    import jax

    stats = jax.devices()[0].memory_stats() if jax.devices()[0].platform != "cpu" else None
    return stats["peak_bytes_in_use"] if stats else resource.getrusage(who).ru_maxrss * 1024


def worker(kind, config, paths, folder):
    """Prints the facts of one kind as JSON; the wall time is the caller's."""
    import jax

    from jax_nst.runtime import distributed

    content, *styles = paths
    if kind == "main.py":
        steps, compilation = run_main(content, styles, config, folder)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    else:
        if kind == "sweep on 4 devices":
            jax.config.update("jax_num_cpu_devices", 4)
        elif kind == "sweep":
            distributed.use_cores()  # as main.py does for a sweep
        compiled = compile_seconds()
        steps = (run_stylize if kind.startswith("stylize") else run_sweep)(content, styles, config)
        compilation, peak = compiled[0], peak_bytes(resource.RUSAGE_SELF)
    print(json.dumps({"step_seconds": steps, "compile_seconds": compilation, "peak_bytes": peak}))


def rates(config, paths, kinds, items, repeats):
    """kind -> (seconds, seconds of the processor) an item, the least of the repeats, which are interleaved.

    A kind is `loop`, single runs one after the other, `auto`, or the size of a batch.
    """
    from jax_nst import Grid, load_image, stylize, sweep

    content, styles = load_image(paths[0]), [load_image(path) for path in paths[1:3]]
    weights = tuple(100 * 1.1**number for number in range(items // 2))

    def paint(kind):
        if kind == "loop":
            count = max(2, items // 4)
            for number in range(count):
                one = dataclasses.replace(config, style_weight=weights[number // 2])
                stylize(content, styles[number % 2], config=one)
            return count
        batch = None if kind == "auto" else int(kind)
        result = sweep(content, styles, grid=Grid(style_weight=weights), config=config, batch=batch)
        assert set(result.messages) <= {"ok"}, result.messages
        return items

    best = dict.fromkeys(kinds, (float("inf"), float("inf")))
    for repeat in range(repeats + 1):
        for kind in kinds:
            began, used = time.perf_counter(), sum(os.times()[:2])
            count = paint(kind)
            seconds, used = time.perf_counter() - began, sum(os.times()[:2]) - used
            if repeat:  # the first compiles
                best[kind] = min(best[kind][0], seconds / count), min(best[kind][1], used / count)
    return best


def rates_table(found):
    """Items a second and the seconds of the processor an item, and their ratios to the loop."""
    yield "| features | size | batch | items/s | ratio to the loop | processor s an item | ratio |"
    yield "|---|---|---|---|---|---|---|"
    for (features, size), of_kind in found.items():
        wall, used = of_kind.get("loop", (float("nan"),) * 2)
        for kind, (seconds, own) in of_kind.items():
            yield (
                f"| {features} | {size} | {kind} | {1 / seconds:.2f} | {wall / seconds:.2f} | {own:.2f} "
                f"| {own / used:.2f} |"
            )


def run_rates(arguments, folder, weights):
    """Measures the rates of all features and sizes, in this process, and prints the table."""
    from jax_nst.runtime import distributed, malloc

    malloc.keep_pages(threads=True)
    distributed.use_cores()  # as main.py does for a sweep
    found = {}
    for features in arguments.features:
        for size in arguments.sizes:
            config = config_of(features, weights if features == "vgg19" else None, size, arguments.steps)
            kinds = arguments.batches.split(",")
            rows = rates(config, pictures(folder, size), kinds, arguments.items, arguments.repeats)
            found[features, size] = rows
    print("\n".join(rates_table(found)))
    if arguments.json:
        named = {f"{features} {size}": rows for (features, size), rows in found.items()}
        Path(arguments.json).write_text(json.dumps(named, indent=1))


def measure(features, size, steps, repeats, kinds, weights):
    """kind -> medians of the facts."""
    found = {kind: [] for kind in kinds}
    for _ in range(repeats):
        for kind in kinds:
            command = [
                sys.executable, __file__, "--worker", kind, "--features", features, "--sizes", str(size),
                "--steps", str(steps), *(["--weights", weights] if weights else []),
            ]  # fmt: skip
            began = time.perf_counter()
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            facts = json.loads(done.stdout.splitlines()[-1])
            found[kind].append(facts | {"wall_seconds": time.perf_counter() - began})
    return {
        kind: {name: statistics.median(row[name] for row in rows) for name in rows[0]}
        for kind, rows in found.items()
    }


def table(results, steps):
    """The results as Markdown; ratios to the loop over `stylize`."""
    yield "| features | size | what | wall s | ratio | compile s | ms per item and step | ratio | peak GB |"
    yield "|---|---|---|---|---|---|---|---|---|"
    evaluations = NUM_STYLES * len(WEIGHTS) * (steps + 1)
    for (features, size), facts in results.items():
        base = facts["stylize in a loop"]
        for kind, row in facts.items():
            yield (
                f"| {features} | {size} | {kind} | {row['wall_seconds']:.1f} "
                f"| {row['wall_seconds'] / base['wall_seconds']:.2f} | {row['compile_seconds']:.1f} "
                f"| {1000 * row['step_seconds'] / evaluations:.1f} "
                f"| {row['step_seconds'] / base['step_seconds']:.2f} | {row['peak_bytes'] / 1e9:.2f} |"
            )


def main():
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--features", nargs="+", default=["vgg19", "wavelet"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 128], help="pixels a side")
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--batches", help="sizes of batches, auto or loop, separated by commas")
    parser.add_argument("--items", type=int, default=48, help="of the sweeps of --batches")
    parser.add_argument("--weights", help="h5 file with VGG19 kernels; random ones without it")
    parser.add_argument("--json", help="file to write all measurements to")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        weights = arguments.weights
        if "vgg19" in arguments.features and weights is None:
            weights = str(weight_file(folder))
        if arguments.batches:
            run_rates(arguments, folder, weights)
            return
        if arguments.worker:
            features, size = arguments.features[0], arguments.sizes[0]
            config = config_of(features, weights if features == "vgg19" else None, size, arguments.steps)
            paths = pictures(folder, size)
            worker(arguments.worker, config, paths, folder)
            return
        results = {}
        for features in arguments.features:
            for size in arguments.sizes:
                given = weights if features == "vgg19" else None
                results[features, size] = measure(
                    features, size, arguments.steps, arguments.repeats, arguments.kinds, given
                )
        print("\n".join(table(results, arguments.steps)))
        if arguments.json:
            named = {f"{features} {size}": facts for (features, size), facts in results.items()}
            Path(arguments.json).write_text(json.dumps(named, indent=1))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
