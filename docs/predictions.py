"""Tables of the page on accelerators, from what `benchmarks/accelerators.py` found."""

import functools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

FOUND = Path(__file__).with_name("accelerators.json")
MEMORY = {"H100": 80, "A100": 80, "L4": 24, "T4": 15, "v4": 32, "v5e": 16, "v6e": 32}
"""Chip -> gigabytes that a program may use."""

SIZES = (256, 512, 1024, 2048, 4096)
_USABLE = 0.9  # as `runtime.memory`
_USUAL = ("chip", "size", "precision", "pairs")


@functools.cache
def load() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(case, what was found) of every program that was compiled."""
    pairs = json.loads(FOUND.read_text()).items()
    return [(json.loads(case), found) for case, found in pairs if "error" not in found]


def find(**wanted: Any) -> dict[str, Any] | None:
    """What was found of a case; None if it was not compiled. The precision is the usual one."""
    return next((found for case, found in load() if case == _full(wanted)), None)


def _full(wanted: dict[str, Any]) -> dict[str, Any]:
    return {"precision": "float16" if wanted["chip"] == "T4" else "bfloat16", **wanted}


@functools.cache
def _too_large() -> list[dict[str, Any]]:
    """The cases that the compiler refused for lack of memory."""
    pairs = json.loads(FOUND.read_text()).items()
    return [json.loads(case) for case, found in pairs if "RESOURCE_EXHAUSTED" in found.get("error", "")]


def step_times() -> str:
    """Milliseconds and gigabytes of a step of one picture, for each chip and size."""
    return _table(("chip", *(f"{size}²" for size in SIZES)), _rows(lambda chip, size: _step(chip, size)))


def _that_fits(chip: str, size: int) -> tuple[dict[str, Any], str] | None:
    """What was found of the loop that `--remat auto` takes, and a mark if it computes twice."""
    for remat, mark in (({}, ""), ({"remat": "all"}, " ᵃ")):
        found = find(chip=chip, size=size, **remat)
        if found and _fits(chip, found):
            return found, mark
    return None


def _fits(chip: str, found: dict[str, Any]) -> bool:
    return found["memory"]["total"] <= _USABLE * MEMORY[chip] * 1e9


def _step(chip: str, size: int) -> str:
    chosen = _that_fits(chip, size)
    if chosen is None:
        refused = [_full({"chip": chip, "size": size, **more}) for more in ({}, {"remat": "all"})]
        is_too_large = find(chip=chip, size=size) or any(case in _too_large() for case in refused)
        return "too large" if is_too_large else "-"
    found, mark = chosen
    return f"{1000 * found['seconds']:.1f} ms, {found['memory']['total'] / 1e9:.1f} GB{mark}"


def picture_times() -> str:
    """Seconds that the default settings take for a picture, without compilation."""
    return _table(("chip", *(f"{size}²" for size in SIZES)), _rows(_picture))


def _picture(chip: str, size: int) -> str:
    total = 0.0
    for level in _levels(size):
        chosen = _that_fits(chip, level.size)
        if chosen is None:
            return "-"
        total += (level.steps + 1) * chosen[0]["seconds"]
    return f"{total:.2f} s" if total < 10 else f"{total:.0f} s"


@functools.cache
def _levels(size: int) -> Sequence[Any]:
    from jax_nst import Config, vgg
    from jax_nst.runtime.platform import GPU
    from jax_nst.transfer.spec import resolve

    return resolve(Config(size=size), vgg("vgg19"), (size, size, 3), GPU).levels


def precision_times() -> str:
    """Milliseconds of a step at 512², for each precision."""
    precisions = ("float32", "tf32", "bfloat16", "float16")

    def cell(chip: str, precision: Any) -> str:
        found = find(chip=chip, size=512, precision=precision)
        return f"{1000 * found['seconds']:.2f}" if found else "-"

    return _table(("chip", *precisions), ((chip, *(cell(chip, x) for x in precisions)) for chip in MEMORY))


def other_times() -> str:
    """Milliseconds of a step at 512², for other networks and optimizers."""
    kinds = {"VGG19": {}, "VGG19-lite": {"features": "vgg19-lite"}, "wavelets": {"features": "wavelet"}}
    kinds |= {"VGG19, Adam": {"optimizer": "adam"}}

    def cell(chip: str, more: dict[str, Any]) -> str:
        found = find(chip=chip, size=512, **more)
        return f"{1000 * found['seconds']:.2f}" if found else "-"

    return _table(("chip", *kinds), ((chip, *(cell(chip, x) for x in kinds.values())) for chip in MEMORY))


def measured_times() -> str:
    """What was measured on a device, beside what is predicted for it."""
    names = (
        "program",
        "predicted ms",
        "measured ms",
        "ratio",
        "TFLOP/s",
        "of matrix products",
        "compile s",
    )
    rate = {"bfloat16": 730, "float16": 702, "tf32": 368, "float32": 51}  # TFLOP/s of 8192 x 8192, measured

    def rows() -> Iterator[Sequence[str]]:
        for case, found in sorted(load(), key=lambda pair: (pair[0]["precision"], pair[0]["size"])):
            if case["chip"] != "here":
                continue
            predicted = find(**{**case, "chip": "H100"})
            assert predicted is not None, case
            flops = sum(n for kind, n in found["flops"].items() if kind != "fft") / found["measured"] / 1e12
            more = [str(value) for name, value in case.items() if name not in (*_USUAL, "items")]
            more += [f"{case['items']} items"] if "items" in case else []
            more += ["pairs in bfloat16"] if "pairs" not in case else []
            yield (
                ", ".join([f"{case['size']}²", case["precision"], *more]),
                f"{1000 * predicted['seconds']:.2f}",
                f"{1000 * found['measured']:.2f}",
                f"{found['measured'] / predicted['seconds']:.2f}",
                f"{flops:.0f}",
                f"{flops / rate[case['precision']]:.2f}",
                f"{found['compile_seconds']:.0f}",
            )

    return _table(names, rows())


def shared_times() -> str:
    """Milliseconds and megabytes of a step at 512², of one chip and of each of four that share the rows."""

    def cell(found: dict[str, Any] | None) -> str:
        if found is None:
            return "-"
        return f"{1000 * found['seconds']:.2f} ms, {found['memory']['total'] / 1e6:.0f} MB"

    def rows() -> Iterator[Sequence[str]]:
        for chip in MEMORY:
            four = find(chip=chip, size=512, program="rows", count=4)
            yield chip, cell(find(chip=chip, size=512)), cell(four)

    return _table(("chip", "one", "each of four"), rows())


def giant_times() -> str:
    """What pictures in tiles take."""

    def rows() -> Iterator[Sequence[str]]:
        for case, found in sorted(load(), key=lambda pair: pair[0]["size"]):
            if "tile_size" in case:
                yield (
                    case["chip"],
                    f"{case['size']}²",
                    f"{case['size'] ** 2 / 1e6:.0f}",
                    str(case["tile_size"]),
                    str(case.get("num_pairs", 50)),
                    f"{found['memory']['total'] / 1e9:.1f} GB",
                    f"{found['seconds']:.2f} s",
                )

    return _table(("chip", "picture", "megapixels", "tiles", "pairs", "memory", "a step"), rows())


def loss_times() -> str:
    """Milliseconds of a step at 512² on an H100, for each loss, beside Gram matrices."""
    gram = find(chip="H100", size=512)
    assert gram is not None
    times = {"gram": gram["seconds"]}
    for case, found in load():
        loss = case.get("style_loss") or case.get("content_loss")
        if case["chip"] == "H100" and loss and "pairs" not in case:
            times[loss] = found["seconds"]
    rows = ((f"`{loss}`", f"{1000 * x:.2f}", f"{x / gram['seconds']:.2f}") for loss, x in times.items())
    return _table(("loss", "ms a step", "of gram"), rows)


def sweep_rates() -> str:
    """Steps of items a second, for each size of a batch; one picture alone first."""
    batches = (0, 1, 8, 64)

    def rows() -> Iterator[Sequence[str]]:
        for size in (256, 512):
            for chip in MEMORY:
                yield f"{chip}, {size}²", *(_rate(chip, size, items) for items in batches)

    names = ("one picture", *(f"batch of {items}" for items in batches[1:]))
    return _table(("chip", *names), rows())


def _rate(chip: str, size: int, items: int) -> str:
    case = {"chip": chip, "size": size, **({"items": items} if items else {})}
    found = find(**case)
    if not found:
        return "too large" if _full(case) in _too_large() else "-"
    if not _fits(chip, found):
        return "too large"
    return f"{max(1, items) / found['seconds']:.0f}"


def compile_times() -> str:
    """Seconds of a CPU to compile the loop of one picture."""

    def cell(chip: str, size: int) -> str:
        found = find(chip=chip, size=size)
        return f"{found['compile_cpu_seconds']:.0f} s" if found else "-"

    return _table(("chip", *(f"{size}²" for size in SIZES)), _rows(cell))


def _rows(cell: Any) -> Iterator[Sequence[str]]:
    for chip in MEMORY:
        yield chip, *(cell(chip, size) for size in SIZES)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


TABLES = (
    step_times,
    picture_times,
    compile_times,
    precision_times,
    other_times,
    sweep_rates,
    shared_times,
    measured_times,
    giant_times,
    loss_times,
)
