"""Time and peak memory of one loss-and-gradient, and the same in PyTorch, in one run.

    python benchmarks/step.py                          # both extractors at 256, 512, 1024 px
    python benchmarks/step.py --sizes 256 --weights vgg19.h5

Each row is measured in a process of its own, since peak memory is that of a process; repeats of ours and
of PyTorch's are interleaved, and the median is taken. Without a weight file the kernels are random: the
time is the same. PyTorch rows need the extra `bench`.
"""

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent


def pictures(size):
    """Content, style and start, square, `[size, size, 3]`."""
    rng = np.random.default_rng(0)
    return [rng.random((size, size, 3), dtype=np.float32) for _ in range(3)]


def vgg_params(weights):
    """Kernels of a file, or random ones."""
    from jax_nst import load_params, vgg

    if weights:
        return load_params(weights, vgg.STYLE_LAYERS)
    rng = np.random.default_rng(0)
    params = {}
    for conv in vgg.needed_convs("vgg19", vgg.STYLE_LAYERS):
        shape = vgg.kernel_shape(conv)
        scale = np.float32(np.sqrt(2 / (9 * shape[2])))
        kernel = scale * rng.standard_normal(shape, dtype=np.float32)
        params[conv] = {"kernel": kernel, "bias": np.zeros(shape[-1], np.float32)}
    return params


def jax_step(extractor_name, size, weights):
    """`(compile_seconds, evaluate)`: loss and gradient of the whole objective, recipe normalized."""
    import jax
    import jax.numpy as jnp

    from jax_nst import Config
    from jax_nst.network import Network
    from jax_nst.objective import make_objective
    from jax_nst.problem import make_problem
    from jax_nst.recipes import RECIPES
    from jax_nst.vgg import vgg19
    from jax_nst.wavelet import wavelet

    extractor = {"vgg19": vgg19, "wavelet": wavelet}[extractor_name]()
    params = jax.tree.map(jnp.asarray, vgg_params(weights) if extractor_name == "vgg19" else {})
    content, style, start = pictures(size)
    problem = make_problem(Network(extractor, params, None), content, [style], config=Config(size=size))
    arguments = jax.block_until_ready((jnp.asarray(start), *problem.arguments))
    objective = make_objective(extractor, RECIPES["normalized"].variation)
    began = time.perf_counter()
    step = jax.jit(jax.value_and_grad(objective, has_aux=True))
    compiled = step.lower(*arguments).compile()
    compile_seconds = time.perf_counter() - began

    def evaluate():
        (value, _), gradient = jax.block_until_ready(compiled(*arguments))
        return float(value), gradient

    return compile_seconds, evaluate


def torch_step(size, weights):
    """The same objective in PyTorch, eager, channels last: what its users have, at its fastest."""
    import torch
    from torch.nn import functional

    from jax_nst.vgg import BGR_MEAN, CONTENT_LAYERS, STYLE_LAYERS

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    form = torch.channels_last

    def tensor(x):
        return torch.from_numpy(np.array(x)).to(device)

    kernels = {
        conv: (
            tensor(p["kernel"].transpose(3, 2, 0, 1)).contiguous(memory_format=form),
            tensor(p["bias"]),
        )
        for conv, p in vgg_params(weights).items()
    }
    mean = torch.tensor(BGR_MEAN, device=device).view(1, 3, 1, 1)

    def features(x):
        out, block = {}, "1"
        x = (255 * x.flip(1) - mean).contiguous(memory_format=form)
        for conv, (kernel, bias) in kernels.items():
            if conv[4] != block:
                block, x = conv[4], functional.max_pool2d(x, 2)
            x = functional.relu(functional.conv2d(x, kernel, bias, padding=1))
            out[conv.replace("conv", "relu")] = x
        return out

    def gram(x):
        flat = x.flatten(2)[0]
        return flat @ flat.T / flat.shape[1]

    content, style, start = (tensor(x.transpose(2, 0, 1)[None]) for x in pictures(size))
    with torch.no_grad():
        p = {layer: features(content)[layer] for layer in CONTENT_LAYERS}
        of_style = features(style)
        a = {layer: gram(of_style[layer]) for layer in STYLE_LAYERS}
        del of_style

    def evaluate():
        x = start.clone().requires_grad_()
        f = features(x)
        loss = sum(((f[k] - v) ** 2).mean() / (v**2).mean() for k, v in p.items()) / len(p)
        loss = loss + 1000 * sum(
            ((gram(f[k]) - v) ** 2).mean() / (v**2).mean() for k, v in a.items()
        ) / len(a)
        down, across = x.diff(dim=2), x.diff(dim=3)
        loss = loss + 65 * ((down**2).mean() + (across**2).mean())
        loss.backward()
        value = float(loss.detach())
        if device.type == "cuda":
            torch.cuda.synchronize()
        assert x.grad is not None
        return value, x.grad

    return 0.0, evaluate


def peak_memory():
    """Bytes: the device's where it says so, else the process's."""
    if "jax" in sys.modules:
        import jax

        stats = jax.devices()[0].memory_stats() if jax.devices()[0].platform != "cpu" else None
        if stats:
            return stats["peak_bytes_in_use"]
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def worker(kind, size, repeats, weights):
    """Answers each line on standard input with the time of one evaluation; first a line of facts."""
    if kind == "torch":
        compile_seconds, evaluate = torch_step(size, weights)
    else:
        compile_seconds, evaluate = jax_step(kind, size, weights)
    value, _ = evaluate()
    print(json.dumps({"compile_seconds": compile_seconds, "value": value}), flush=True)
    for _ in range(repeats):
        sys.stdin.readline()
        began = time.perf_counter()
        evaluate()
        print(time.perf_counter() - began, flush=True)
    print(peak_memory(), flush=True)


def measure(kinds, size, repeats, weights):
    """Rows of one size, their evaluations interleaved: kind -> facts."""
    common = ["--size", str(size), "--repeats", str(repeats), *(["--weights", weights] if weights else [])]
    workers, facts = {}, {}
    for kind in kinds:  # one after the other: nobody else computes while one compiles
        command = [sys.executable, __file__, "--worker", kind, *common]
        workers[kind] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        facts[kind] = json.loads(workers[kind].stdout.readline()) | {"seconds": []}
    for _ in range(repeats):
        for kind, process in workers.items():
            process.stdin.write("\n")
            process.stdin.flush()
            facts[kind]["seconds"].append(float(process.stdout.readline()))
    for kind, process in workers.items():
        facts[kind]["peak_bytes"] = int(process.stdout.readline())
        process.communicate()
        facts[kind]["median_seconds"] = statistics.median(facts[kind]["seconds"])
    return facts


def check_same(facts):
    """Raises if PyTorch's loss is not ours: then the times would compare two things."""
    ours, theirs = facts["vgg19"]["value"], facts.get("torch", facts["vgg19"])["value"]
    if abs(ours - theirs) > 1e-3 * abs(ours):
        raise RuntimeError(f"the losses differ: {ours} here, {theirs} in PyTorch")


def table(results):
    """The results as Markdown."""
    yield "| size | what | compile s | s per loss and gradient | ratio to VGG19 here | peak memory GB |"
    yield "|---|---|---|---|---|---|"
    for size, facts in results.items():
        base = facts["vgg19"]["median_seconds"]
        for kind, row in facts.items():
            yield (
                f"| {size} | {kind} | {row['compile_seconds']:.1f} | {row['median_seconds']:.3f} "
                f"| {row['median_seconds'] / base:.2f} | {row['peak_bytes'] / 1e9:.2f} |"
            )


def main():
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024], help="pixels a side")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--weights", help="h5 file with VGG19 kernels; random ones without it")
    parser.add_argument("--json", help="file to write all measurements to")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments.worker, arguments.size, arguments.repeats, arguments.weights)
        return
    torch_kinds = ["torch"] if importlib.util.find_spec("torch") else []
    results = {
        size: measure(["vgg19", "wavelet", *torch_kinds], size, arguments.repeats, arguments.weights)
        for size in arguments.sizes
    }
    for facts in results.values():
        check_same(facts)
    print("\n".join(table(results)))
    if not torch_kinds:
        print("\nPyTorch is not installed: pip install '.[bench]' for the rows beside ours")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
