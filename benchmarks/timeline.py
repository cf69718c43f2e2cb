"""Where the time of a step goes, on the device of this machine: each kernel, measured beside predicted.

    python benchmarks/timeline.py                                        # VGG19, 512 px
    python benchmarks/timeline.py --case '{"size": 1024, "precision": "bfloat16"}' --kernels 30

The program is the loop of one picture or of a batch, as in `accelerators.py`, and `--case` has the same
fields. JAX's profiler says how long each kernel ran. The roofline says how long it takes at least: at the
rates that are published, or with `--measured_rates` at those of a large copy and of large matrix products
on this device. Graphs of kernels are off here, since the profiler cannot look into them.
"""

import argparse
import collections
import dataclasses
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def kernel_seconds(folder: Path) -> dict[str, float]:
    """Seconds of each HLO instruction in a trace; what is not one is counted under its own name."""
    import jax

    (path,) = folder.rglob("*.xplane.pb")
    found: collections.Counter[str] = collections.Counter()
    for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
        if not plane.name.startswith("/device:"):
            continue
        for line in plane.lines:
            if not line.name.startswith(("Stream", "XLA Ops")):
                continue
            for event in line.events:
                stats = dict(event.stats)
                found[str(stats.get("hlo_op", event.name))] += event.duration_ns * 1e-9
    return dict(found)


def best_of(function: Callable[[], Any], repeats: int = 5) -> float:
    """Seconds of the fastest call."""
    import jax

    jax.block_until_ready(function())
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        jax.block_until_ready(function())
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def measured_rates() -> tuple[float, dict[str, float]]:
    """Bytes a second of a copy, read and written, and operations a second of products of each type."""
    import jax
    import jax.numpy as jnp

    times = 8
    x = jax.random.normal(jax.random.key(0), (2**28,), jnp.float32)
    copy = jax.jit(lambda x: jax.lax.fori_loop(0, times, lambda _, y: -y, x))
    bandwidth = times * 2 * x.nbytes / best_of(lambda: copy(x))
    rates, n = {}, 8192
    kinds = (
        ("bf16", jnp.bfloat16, None),
        ("f16", jnp.float16, None),
        ("f32", jnp.float32, "tensorfloat32"),
        ("f32 highest", jnp.float32, "highest"),
    )
    for kind, dtype, precision in kinds:
        matrix = jax.random.normal(jax.random.key(1), (n, n), jnp.float32).astype(dtype)

        def products(y: jax.Array, matrix: jax.Array = matrix, precision: Any = precision) -> jax.Array:
            def body(_: Any, y: jax.Array) -> jax.Array:
                return jnp.matmul(y, matrix, precision=precision) / n**0.5

            return jax.lax.fori_loop(0, times, body, y)

        product = jax.jit(products)
        rates[kind] = times * 2 * n**3 / best_of(lambda product=product, matrix=matrix: product(matrix))
    return bandwidth, rates


def ms(seconds: float) -> str:
    """As milliseconds; most kernels take a few microseconds."""
    return f"{1e3 * seconds:.3f}"


def main() -> None:
    """Traces the loop, and prints what each part and kernel takes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", type=json.loads, default={}, help="fields of a case, as JSON")
    parser.add_argument("--steps", type=int, default=16, help="steps that are traced")
    parser.add_argument("--kernels", type=int, default=20, help="kernels to list, the longest first")
    parser.add_argument("--measured_rates", action="store_true", help="measure those of the device first")
    parser.add_argument("--hlo", type=Path, help="file to write the compiled program to")
    arguments = parser.parse_args()

    import jax
    from abstract import Case, compile_case, measure, random_arguments
    from accelerators import table
    from chips import CHIPS, HERE, chip_of
    from hlo import Module
    from roofline import PARTS, operations

    case = Case(chip=HERE, **{"precision": "bfloat16", **arguments.case})
    kind = jax.devices()[0].device_kind
    chip = chip_of(kind) or CHIPS["H100"]
    if arguments.measured_rates:
        bandwidth, rates = measured_rates()
        chip = dataclasses.replace(chip, bandwidth=bandwidth, rates=rates)
        shown = ", ".join(f"{kind} {rate / 1e12:.0f}" for kind, rate in rates.items())
        print(f"measured: {bandwidth / 1e9:.0f} GB/s; TFLOP/s: {shown}")
    compiled = compile_case(case)
    text = compiled.executable.as_text()
    if arguments.hlo:
        arguments.hlo.write_text(text)
    module = Module(text)
    in_loop = case.platform.loop_on_device
    of_step = list(operations(chip, module, module.loop if in_loop else module.computations[module.entry]))
    steps, loops = arguments.steps, 2  # `measure` runs its loop twice
    measure(compiled, random_arguments(compiled), in_loop, steps)
    given = random_arguments(compiled)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            a_step = measure(compiled, given, in_loop, steps)
        spent = {name: x / (steps * loops) for name, x in kernel_seconds(Path(folder)).items()}
    parts = {operation.instruction.name: operation.part for operation in of_step}
    named = {operation.instruction.name: operation for operation in of_step}

    def of_parts() -> Iterator[tuple[Any, ...]]:
        for part in (*PARTS, "other"):
            found = [x for name, x in spent.items() if parts.get(name, "other") == part]
            least = sum(operation.seconds for operation in of_step if operation.part == part)
            yield part, len(found), ms(least), ms(sum(found))
        total = sum(operation.seconds for operation in of_step)
        yield "all kernels", len(spent), ms(total), ms(sum(spent.values()))
        yield "a step", "", "", ms(a_step)

    def of_kernels() -> Iterator[tuple[Any, ...]]:
        longest = sorted(spent.items(), key=lambda pair: -pair[1])[: arguments.kernels]
        for name, seconds in longest:
            operation = named.get(name)
            if operation is None:
                yield name, "other", "", "", ms(seconds), "", ""
                continue
            rate = sum(operation.cost.flops.values()) * operation.times / seconds / 1e12
            moved = operation.cost.bytes * operation.times / seconds / 1e9
            source = operation.instruction.op_name.split("/", 3)[-1][-70:]
            yield (
                name, operation.part, source, ms(operation.seconds), ms(seconds),
                f"{rate:.0f}", f"{moved:.0f}",
            )  # fmt: skip

    print(f"\n{case} on {kind}, least times of {chip.name}; {compiled.seconds:.1f} s to compile\n")
    print("\n".join(table(("part", "kernels", "least ms a step", "measured ms a step"), of_parts())))
    header = ("kernel", "part", "of", "least ms", "measured ms", "TFLOP/s", "GB/s")
    print("\n" + "\n".join(table(header, of_kernels())))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_gpu_enable_command_buffer" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_enable_command_buffer=".strip()
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    main()
