"""What the programs would be on GPUs and TPUs, by their own compilers, on a machine that has none.

    pip install -e '.[tpu]'            # the compiler for TPUs; '.[cuda13]' for that of NVIDIA's GPUs
    python benchmarks/accelerators.py                                  # the tables of docs/accelerators.md
    python benchmarks/accelerators.py --chips H100 --sizes 512 1024 --json h100.json
    python benchmarks/accelerators.py --chips here                     # on a machine with a device

The programs are the real ones: the loop of one picture, on one chip or several, that of a batch over a
mesh, and the targets. Of each the script prints what the compiler says: bytes, kernels, convolutions,
collectives, transfers. Times are **predicted, not measured**: each operation at the published rates of the
device, and 2 µs a kernel (1 µs on a TPU). With `--chips here` the loop also runs on the device that is
there, measured beside predicted.

Each program is compiled in a process of its own. What has been compiled is kept in the file of `--json`,
and not compiled again. With the name of a file in the environment variable HLO, the text of the program
that was compiled last is kept in it.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
GPUS, TPUS = ("H100", "A100", "L4", "T4"), ("v4", "v5e", "v6e")
PRECISIONS = ("float32", "tf32", "bfloat16", "float16")
OF_SWEEP = (1, 8, 64)
STYLE_LOSSES = ("moments", "cross_layer", "wasserstein", "sliced", "sorted", "nnfm")  # beside gram

Case = dict[str, Any]
"""The fields of `abstract.Case` that are not the default."""


def default_precision(chip: str) -> str:
    """The one that people use: of a T4 float16, else bfloat16."""
    return "float16" if chip == "T4" else "bfloat16"


def cases(chips: Sequence[str], sizes: Sequence[int]) -> Iterator[Case]:
    """What the tables need: one setting changed at a time, from VGG19, L-BFGS, one picture at 512 px."""
    for chip in chips:
        usual: Case = {"chip": chip, "precision": default_precision(chip)}
        for size in sizes:
            yield {**usual, "size": size}
            if size >= 2048:
                yield {**usual, "size": size, "remat": "all"}
        usual["size"] = 512
        for precision in PRECISIONS:
            if not (chip in TPUS and precision == "tf32"):  # it is float32's default product there
                yield {**usual, "precision": precision}
        yield {**usual, "features": "wavelet"}
        yield {**usual, "features": "vgg19-lite"}
        yield {**usual, "optimizer": "adam"}
        for loss in STYLE_LOSSES if chip == "H100" else ():
            yield {**usual, "style_loss": loss}
        for program in ("content", "style"):
            yield {**usual, "program": program}
        for size in (256, 512):
            for items in OF_SWEEP:
                yield {**usual, "size": size, "items": items}
        if chip in TPUS:
            for count in (4, 16):
                yield {**usual, "size": 256, "items": 2 * count, "count": count}
        yield {**usual, "program": "rows", "count": 4}


def key(case: Case) -> str:
    """A case as text."""
    return json.dumps(case, sort_keys=True)


def in_own_process(case: Case) -> Case:
    """What a program is; `error` says why it could not be compiled."""
    command = [sys.executable, __file__, "--case", key(case)]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        lines = done.stderr.strip().splitlines()
        return {"error": lines[-1] if lines else f"exit status {done.returncode}"}


def describe(case: Case) -> dict[str, Any]:
    """Compiles a case in this process: what it is and what it would cost."""
    import jax
    from abstract import Case as Abstract
    from abstract import compile_case, measure, random_arguments
    from chips import CHIPS, HERE, chip_of
    from hlo import Module
    from roofline import facts_of

    full = Abstract(**case)
    compiled = compile_case(full)
    text = compiled.executable.as_text()
    if os.environ.get("HLO"):
        Path(os.environ["HLO"]).write_text(text)
    found = {
        "compile_seconds": compiled.seconds,
        "compile_cpu_seconds": compiled.cpu_seconds,
        "memory": compiled.memory,
    }
    chip = CHIPS.get(full.chip)
    if full.chip == HERE:
        device = jax.devices()[0]
        chip, found["device"] = chip_of(device.device_kind), device.device_kind
        if full.program == "loop":
            found["measured"] = measure(
                compiled, random_arguments(compiled), full.platform.loop_on_device, steps=32
            )
    if chip:
        module = Module(text)
        is_loop = full.program in ("loop", "rows") and full.platform.loop_on_device
        body = module.loop if is_loop else module.computations[module.entry]
        found |= facts_of(chip, module, body, full.size**2)
    return found


def collect(wanted: Iterable[Case], path: Path | None) -> dict[str, Any]:
    """Compiles what is not in the file yet, and adds it to it."""
    known = json.loads(path.read_text()) if path and path.exists() else {}
    found = {}
    for case in wanted:
        if key(case) not in known or "error" in known[key(case)]:
            print(f"compiling {' '.join(str(x) for x in case.values())}", file=sys.stderr, flush=True)
            known[key(case)] = in_own_process(case)
            if path:
                save(path, known)
        found[key(case)] = known[key(case)]
    return found


def save(path: Path, known: dict[str, Any]) -> None:
    """Writes a line for each case, so that changes of the file can be read."""
    lines = [f"{json.dumps(case)}: {json.dumps(_rounded(found))}" for case, found in known.items()]
    partial = path.with_name(f"{path.name}.tmp")
    partial.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    partial.replace(path)


def _rounded(x: Any) -> Any:
    """The same with four digits of every float."""
    if isinstance(x, dict):
        return {name: _rounded(value) for name, value in x.items()}
    return float(f"{x:.4g}") if isinstance(x, float) else x


def num_gb(x: float) -> str:
    """Bytes as gigabytes."""
    return f"{x / 1e9:.2f}"


def ms(x: float) -> str:
    """Seconds as milliseconds."""
    return f"{1000 * x:.2f}"


def named(case: Case) -> str:
    """The settings of a case that are not usual, for people."""
    usual = {"chip", "size", "precision"}
    more = [f"{name} {value}" for name, value in case.items() if name not in usual]
    return ", ".join([f"{case['size']} px", case["precision"], *more])


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """A table in Markdown."""
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(str(x) for x in row)} |"


def loops(results: dict[str, Any]) -> Iterator[str]:
    """Memory, kernels and the predicted time of a step."""
    header = (
        "chip",
        "program",
        "compile s",
        "CPU s",
        "arguments GB",
        "temporaries GB",
        "donated GB",
        "kernels",
    )
    header = (*header, "GFLOP", "GB moved", "predicted ms a step", "measured ms")

    def rows() -> Iterator[Sequence[Any]]:
        for text, found in results.items():
            case = json.loads(text)
            if "error" in found:
                yield case["chip"], named(case), found["error"][:80], *[""] * 9
                continue
            memory = found["memory"]
            sizes = [num_gb(memory[name]) for name in ("arguments", "temporaries", "donated")]
            facts = ("", "", "", "")
            if "kernels" in found:
                flops = sum(count for kind, count in found["flops"].items() if kind != "fft")
                facts = found["kernels"], f"{flops / 1e9:.0f}", num_gb(found["bytes"]), ms(found["seconds"])
            facts = (*facts, ms(found["measured"]) if "measured" in found else "")
            yield (
                case["chip"],
                named(case),
                f"{found['compile_seconds']:.0f}",
                f"{found['compile_cpu_seconds']:.0f}",
                *sizes,
                *facts,
            )

    yield from table(header, rows())


def parts(results: dict[str, Any]) -> Iterator[str]:
    """Where the predicted time goes, and how convolutions are compiled."""
    from roofline import PARTS

    header = ("chip", "program", *(f"{part} ms" for part in PARTS), "moves", "convolutions")
    header = (*header, "collectives", "to the host", "float64", "inner loops")
    rows = []
    for text, found in results.items():
        if "kernels" not in found:
            continue
        case = json.loads(text)
        times = [ms(found["seconds_of"][part]) for part in PARTS]
        convolutions = "; ".join(f"{count} {kind}" for kind, count in found["convolutions"].items())
        collectives = ", ".join(f"{count} {kind}" for kind, count in found["collectives"].items()) or "none"
        checks = len(found["host_transfers"]), len(found["float64"]), found["inner_loops"]
        moves = f"{found['moves']}, {num_gb(found['moved_bytes'])} GB"
        rows.append((case["chip"], named(case), *times, moves, convolutions, collectives, *checks))
    yield from table(header, rows)


def sweeps(results: dict[str, Any]) -> Iterator[str]:
    """Predicted items a second against the size of a batch."""
    header = ("chip", "program", "bytes GB", "predicted ms a step", "items x steps / s")
    rows = []
    for text, found in results.items():
        case = json.loads(text)
        if "items" in case and "kernels" in found:
            rate = case["items"] / found["seconds"]
            total = num_gb(found["memory"]["total"])
            rows.append((case["chip"], named(case), total, ms(found["seconds"]), f"{rate:.0f}"))
    yield from table(header, rows)


def main() -> None:
    """Compiles, and prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chips", nargs="+", default=[*GPUS, *TPUS], help="or: here")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024, 2048, 4096])
    parser.add_argument("--only", type=json.loads, action="append", help="cases as JSON, instead of all")
    parser.add_argument("--json", type=Path, help="file of all that was found, which a later run adds to")
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(describe(arguments.case)))
        return
    wanted = arguments.only or cases(arguments.chips, arguments.sizes)
    results = collect(wanted, arguments.json)
    for title, of_results in (("Loops", loops), ("Parts", parts), ("Sweeps", sweeps)):
        print(f"\n## {title}: predicted, not measured\n")
        print("\n".join(of_results(results)))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from chips import set_environment

    # Not where a device is to be used; the processes that compile get the same arguments.
    if "here" not in " ".join(sys.argv):
        set_environment()
    main()
