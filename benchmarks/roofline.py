"""What a compiled loop does at each step, and the least time that it takes: predicted, not measured."""

import collections
import dataclasses
import math
from collections.abc import Iterator
from typing import Any

from chips import Chip
from hlo import COLLECTIVES, TO_HOST, Computation, Cost, Instruction, Module, cost_of, is_move, products_in

PARTS = ("convolutions", "products", "lbfgs", "preconditioner", "moves", "rest")
"""Parts of a step: convolutions; other matrix products, such as Gram matrices; the optimizer; the change of
variables, by Fourier transforms; copies, transposes and conversions; everything else."""


@dataclasses.dataclass(frozen=True)
class Operation:
    """A kernel of the step, with what it costs."""

    instruction: Instruction
    where: Computation
    times: int
    cost: Cost
    part: str
    seconds: float
    """For all times."""


def operations(chip: Chip, module: Module, body: Computation) -> Iterator[Operation]:
    """The kernels of a computation, such as one step, each with the least time that it takes.

    That is the larger of the time for its bytes at the bandwidth of the memory and the time for its
    products at the rate for their type, and the time of a launch.
    """
    for where, instruction, times in module.launched(body):
        if all(math.prod(array.dims) <= 1 for array in instruction.results) and chip.platform == "tpu":
            continue  # a scalar, computed by the core itself
        cost = cost_of(module, where, instruction)
        computing = sum(
            count / (chip.vector if kind == "fft" else chip.rates.get(kind, chip.vector))
            for kind, count in cost.flops.items()
        )
        seconds = times * (max(cost.bytes / chip.bandwidth, computing) + chip.launch)
        part = _part(module, where, instruction, cost)
        yield Operation(instruction, where, times, cost, part, seconds)


def _part(module: Module, where: Computation, instruction: Instruction, cost: Cost) -> str:
    name = instruction.op_name
    for part in ("lbfgs", "preconditioner"):
        if f"/{part}/" in name or f"({part})" in name:
            return part
    if any(is_convolution(x) for _, x in products_in(module, where, instruction)):
        return "convolutions"
    if cost.flops:
        return "preconditioner" if "fft" in cost.flops else "products"
    return "moves" if is_move(module, instruction) else "rest"


def is_convolution(x: Instruction) -> bool:
    """Whether it is one over more than one position; a TPU's compiler writes matrix products as others."""
    return "dim_labels" in x.attributes and "size=1x1 " not in x.attributes and "x" in _window(x)


def _window(x: Instruction) -> str:
    start = x.attributes.find("window={")
    return x.attributes[start : x.attributes.find("}", start)] if start >= 0 else ""


def facts_of(chip: Chip, module: Module, body: Computation, pixels: int) -> dict[str, Any]:
    """All that is reported of a computation; `pixels` is the number of pixels of a picture."""
    found = list(operations(chip, module, body))
    everything = list(module.everything_in(body))
    seconds: dict[str, float] = dict.fromkeys(PARTS, 0.0)
    flops: collections.Counter[str] = collections.Counter()
    for operation in found:
        seconds[operation.part] += operation.seconds
        for kind, count in operation.cost.flops.items():
            flops[kind] += operation.times * count
    moves = [
        operation
        for operation in found
        if is_move(module, operation.instruction)
        and max((array.size for array in operation.instruction.results), default=0) >= pixels
    ]
    return {
        "kernels": sum(operation.times for operation in found),
        "bytes": sum(operation.times * operation.cost.bytes for operation in found),
        "flops": dict(flops),
        "seconds": sum(seconds.values()),
        "seconds_of": seconds,
        "convolutions": _convolutions(module, found),
        "moves": sum(operation.times for operation in moves),
        "moved_bytes": sum(operation.times * operation.cost.bytes for operation in moves),
        "collectives": _collectives(everything),
        "gathered": _gathered(everything),
        "host_transfers": sorted({x.name for x in everything if is_host_transfer(x)}),
        "float64": sorted({x.name for x in everything if is_float64(x)}),
        "inner_loops": sum(x.opcode == "while" for x in everything),
        "donated": module.donated(),
    }


def is_host_transfer(x: Instruction) -> bool:
    """Whether an operation exchanges data with the host, or calls it."""
    if x.opcode.removesuffix("-start").removesuffix("-done") in TO_HOST:
        return True
    return "callback" in x.target.lower() or "Host" in x.target or any(array.on_host for array in x.results)


def is_float64(x: Instruction) -> bool:
    """Whether an operation computes in double precision."""
    return any(array.dtype in ("f64", "c128") for array in x.results)


def _collectives(everything: list[Instruction]) -> dict[str, int]:
    opcodes = (x.opcode.removesuffix("-start") for x in everything)
    return dict(collections.Counter(opcode for opcode in opcodes if opcode in COLLECTIVES))


def _gathered(everything: list[Instruction]) -> int:
    """Elements of the largest array that devices gather from each other, 0 if there is none."""
    kinds = ("all-gather", "all-to-all")
    gathers = (x for x in everything if x.opcode.removesuffix("-start") in kinds)
    return max((array.size for x in gathers for array in x.results), default=0)


def _convolutions(module: Module, found: list[Operation]) -> dict[str, int]:
    """Type of the operands, direction and what is fused -> how many."""
    kinds: collections.Counter[str] = collections.Counter()
    for operation in found:
        if operation.part != "convolutions":
            continue  # a TPU's compiler writes Fourier transforms as convolutions
        for where, x in products_in(module, operation.where, operation.instruction):
            if is_convolution(x):
                operands = [where[name].results[0].dtype for name in x.operands[:1] if name in where]
                dtype = operands[0] if operands else x.results[0].dtype
                kinds[f"{dtype} {_fused_with(module, operation, x)}"] += operation.times
    return dict(kinds)


def _fused_with(module: Module, operation: Operation, x: Instruction) -> str:
    if "transpose(" in x.op_name or x.target.endswith("convBackwardInput"):
        return "backward"
    if x.target:
        relu = '"activation_mode":"kRelu"' in x.attributes
        bias = "BiasActivation" in x.target
    else:
        inside = {inner.opcode for inner in module.everything_in({"": operation.instruction})}
        bias, relu = "add" in inside, bool({"maximum", "select", "compare"} & inside)
    fused = [name for name, is_there in (("bias", bias), ("ReLU", relu)) if is_there]
    return "forward, with " + " and ".join(fused) if fused else "forward, nothing fused"
