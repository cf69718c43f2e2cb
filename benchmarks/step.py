"""Time and peak memory of one loss-and-gradient, and the same in PyTorch, in one run.

    python benchmarks/step.py                          # at 256, 512, 1024 px
    python benchmarks/step.py --kinds vgg19 'vgg19 bfloat16' torch 'torch compiled bfloat16'
    python benchmarks/step.py --sizes 256 --weights vgg19.h5
    python benchmarks/step.py --sizes 512 --kinds vgg19-lite 'vgg19-lite wasserstein' 'vgg19-lite sliced'

Each row is measured in a process of its own, since peak memory is that of a process; repeats of ours and
of PyTorch's are interleaved, and the median is taken. Without a weight file the kernels are random: the
time is the same. PyTorch rows need the extra `bench`.
"""

import argparse
import dataclasses
import importlib.util
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


def pictures(size):
    """Content, style and start, square, `[size, size, 3]`."""
    rng = np.random.default_rng(0)
    return [rng.random((size, size, 3), dtype=np.float32) for _ in range(3)]


def vgg_params(weights):
    """Returns the VGG19 kernels of a file, or random ones."""
    from jax_nst import load_params
    from jax_nst.models import vgg

    layers = vgg.STYLE_LAYERS["vgg19"]
    if weights:
        return load_params(weights, layers)
    rng = np.random.default_rng(0)
    params = {}
    for conv in vgg.needed_convs("vgg19", layers):
        shape = vgg.kernel_shape(conv)
        scale = np.float32(np.sqrt(2 / (9 * shape[2])))
        kernel = scale * rng.standard_normal(shape, dtype=np.float32)
        params[conv] = {"kernel": kernel, "bias": np.zeros(shape[-1], np.float32)}
    return params


def jax_step(kind, size, weights):
    """Compiles loss and gradient of the whole objective, recipe normalized.

    Args:
      kind: name of an extractor, followed by settings that are not the default: a precision, a choice of
        `--remat`, a style loss (default: gram), a content loss, or `direct` for convolutions without
        Winograd's algorithm.
      size: pixels a side.
      weights: h5 file with VGG19 kernels, or None. `vgg19-lite` has its bundled weights.

    Returns:
      `(compile_seconds, evaluate)`.
    """
    import jax
    import jax.numpy as jnp
    from problem import make_problem

    from jax_nst import Config, make_objective
    from jax_nst.losses import CONTENT_TERMS, STYLE_TERMS
    from jax_nst.models.extractor import PRECISIONS
    from jax_nst.models.partition import REMATS
    from jax_nst.runtime.platform import current_platform
    from jax_nst.transfer.network import load_network

    name, *settings = kind.split()
    platform = current_platform()
    if "direct" in settings:
        platform = dataclasses.replace(platform, winograd=False)
    precision = next((x for x in settings if x in PRECISIONS), "auto")
    remat = next((x for x in settings if x in REMATS), "none")
    losses = tuple(x for x in settings if x in STYLE_TERMS) or ("gram",)
    content_losses = tuple(x for x in settings if x in CONTENT_TERMS) or ("features",)
    config = Config(
        size=size, features=name, precision=precision, style_loss=losses, content_loss=content_losses
    )
    params = jax.tree.map(jnp.asarray, vgg_params(weights)) if name == "vgg19" else None
    network = load_network(config, params=params, platform=platform)
    content, style, start = pictures(size)
    problem = make_problem(network, content, style, config)
    arguments = jax.block_until_ready(jax.tree.map(jnp.asarray, (start, *problem.arguments)))
    objective = make_objective(network.extractor, problem.objects.terms, remat=remat)
    began = time.perf_counter()
    step = jax.jit(jax.value_and_grad(objective, has_aux=True))
    compiled = step.lower(*arguments).compile(dict(platform.compiler_options))
    compile_seconds = time.perf_counter() - began

    def evaluate():
        (value, _), gradient = jax.block_until_ready(compiled(*arguments))
        return float(value), gradient

    return compile_seconds, evaluate


def save_for_torch(path, params, content, style):
    """Writes all that `torch_peer` needs, as NumPy arrays."""
    from jax_nst.models import vgg

    arrays = {
        "content": content,
        "style": style,
        "mean": np.asarray(vgg.BGR_MEAN, np.float32),
        "content layers": np.array(vgg.CONTENT_LAYERS["vgg19"]),
        "style layers": np.array(vgg.STYLE_LAYERS["vgg19"]),
        "convs": np.array(vgg.needed_convs("vgg19", vgg.STYLE_LAYERS["vgg19"])),
    }
    for conv in arrays["convs"].tolist():
        for name in ("kernel", "bias"):
            arrays[f"{conv} {name}"] = np.asarray(params[conv][name])
    np.savez(path, **arrays)


def torch_step(kind, size, problem):
    """The same objective in PyTorch; `problem` is the file of `save_for_torch`."""
    import torch_peer

    loss = torch_peer.make_loss(torch_peer.load_problem(problem), kind.split())
    x = torch_peer.to_tensor(pictures(size)[2]).requires_grad_()
    began = time.perf_counter()
    torch_peer.loss_and_gradient(loss, x)
    before = time.perf_counter() - began if "compiled" in kind else 0.0
    return before, lambda: torch_peer.loss_and_gradient(loss, x)


def matrix_products(kind, size):
    """The convolutions of VGG19, forwards and for the gradient, as if they were one matrix product.

    No program that multiplies as often can be faster, on this machine. A factor, and the product that it is
    of: in float32 as the device multiplies it by default, TF32 on a GPU, or in bfloat16.
    """
    import jax
    import jax.numpy as jnp

    from jax_nst.models import vgg

    count = 0
    for conv in vgg.needed_convs("vgg19", vgg.STYLE_LAYERS["vgg19"]):
        side = size // 2 ** (int(conv[4]) - 1)
        count += 2 * 2 * side**2 * int(np.prod(vgg.kernel_shape(conv)))
    n = 4096
    dtype = jnp.bfloat16 if "bfloat16" in kind else jnp.float32
    matrix = jnp.asarray(np.random.default_rng(0).random((n, n), dtype=np.float32), dtype)
    product = jax.jit(jnp.matmul).lower(matrix, matrix).compile()

    def evaluate():
        return 0.0, jax.block_until_ready(product(matrix, matrix))

    evaluate()
    return count / (2 * n**3), evaluate


def peak_memory():
    """Bytes: the device's where it says so, else the process's. A process has JAX or PyTorch in it."""
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated()
    elif "jax" in sys.modules:
        import jax

        stats = jax.devices()[0].memory_stats() if jax.devices()[0].platform != "cpu" else None
        if stats:
            return stats["peak_bytes_in_use"]
    try:  # not by getrusage, which begins with the peak of the process that started this one
        status = Path("/proc/self/status").read_text()
        return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def worker(kind, size, repeats, weights, problem):
    """Answers each line on standard input with the time of one evaluation; first a line of facts."""
    factor, settle = 1.0, None
    if kind.startswith("products"):
        compile_seconds = 0.0
        factor, evaluate = matrix_products(kind, size)
    elif kind.startswith("torch"):
        compile_seconds, evaluate = torch_step(kind, size, problem)
    else:
        from jax_nst.runtime.malloc import give_back, keep_pages

        keep_pages()  # as main.py does
        settle = give_back  # as the loop does
        compile_seconds, evaluate = jax_step(kind, size, weights)
    value = 0.0
    for _ in range(3):
        if settle:
            settle()
        value = evaluate()[0]
    print(json.dumps({"compile_seconds": compile_seconds, "value": value}), flush=True)
    for _ in range(repeats):
        sys.stdin.readline()
        began = time.perf_counter()
        evaluate()
        print(factor * (time.perf_counter() - began), flush=True)
    print(peak_memory(), flush=True)


def measure(kinds, size, repeats, weights):
    """Rows of one size, their evaluations interleaved: kind -> facts."""
    common = ["--size", str(size), "--repeats", str(repeats), *(["--weights", weights] if weights else [])]
    workers, facts = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        problem = str(Path(folder) / "problem.npz")
        if any(kind.startswith("torch") for kind in kinds):
            save_for_torch(problem, vgg_params(weights), *pictures(size)[:2])
        for kind in kinds:  # one after the other: nobody else computes while one compiles
            command = [sys.executable, __file__, "--worker", kind, "--problem", problem, *common]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            workers[kind] = subprocess.Popen(command, **pipes)
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
    values = {kind: row["value"] for kind, row in facts.items() if kind.split()[0] in ("vgg19", "torch")}
    ours = values.get("vgg19", 0.0)
    for kind, value in values.items():
        if ours and abs(ours - value) > (0.05 if "bfloat16" in kind else 1e-3) * abs(ours):
            raise RuntimeError(f"the losses differ: {ours} of vgg19, {value} of {kind}")


def table(results):
    """The results as Markdown."""
    yield "| size | what | compile s | s per loss and gradient | ratio to the first | peak memory GB |"
    yield "|---|---|---|---|---|---|"
    for size, facts in results.items():
        base = next(iter(facts.values()))["median_seconds"]
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
    parser.add_argument(
        "--kinds",
        nargs="+",
        default=["vgg19", "vgg19 direct", "vgg19 all", "vgg19-lite", "wavelet", "torch", "products"],
        help="vgg19, vgg19-lite, wavelet, torch, each followed by settings that are not the default: "
        "'vgg19 bfloat16', 'vgg19 all' (of --remat), 'vgg19 direct' (without Winograd's algorithm), "
        "'torch compiled bfloat16', 'torch nchw' (not channels last); products, or 'products bfloat16': "
        "the convolutions of VGG19 as one matrix product",
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--weights", help="h5 file with VGG19 kernels; random ones without it")
    parser.add_argument("--json", help="file to write all measurements to")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--problem", help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments.worker, arguments.size, arguments.repeats, arguments.weights, arguments.problem)
        return
    has_torch = bool(importlib.util.find_spec("torch"))
    kinds = [kind for kind in arguments.kinds if has_torch or not kind.startswith("torch")]
    results = {size: measure(kinds, size, arguments.repeats, arguments.weights) for size in arguments.sizes}
    for facts in results.values():
        check_same(facts)
    print("\n".join(table(results)))
    if not has_torch:
        print("\nPyTorch is not installed: pip install '.[bench]' for the rows beside ours")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # several processes share a GPU
    main()
