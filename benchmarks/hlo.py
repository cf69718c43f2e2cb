"""Reads what XLA compiled: the text of an optimized HLO module, and what its loop does at each step.

The costs are bounds, not measurements: each operation moves its operands and results once, and computes at
the rate of the device; see `cost_of`. Operations that only rename memory are free.
"""

import collections
import dataclasses
import functools
import math
import re
from collections.abc import Iterator

_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2, "f32": 4, "s32": 4}
_BYTES |= {"u32": 4, "f64": 8, "s64": 8, "u64": 8, "c64": 8, "c128": 16}

_SHAPE = re.compile(r"(\w+)\[([\d,]*)\](?:\{([^}]*)\})?")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*)$")
_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_CALLED = re.compile(r"(calls|to_apply|body|condition|true_computation|false_computation)=%?([\w.\-]+)")

FREE = frozenset(
    {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id"}
    | {"replica-id", "iota", "domain", "opt-barrier", "add-dependency", "async-update"}
)
COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter")
TO_HOST = ("infeed", "outfeed", "send", "recv")
_MOVES = frozenset(
    {"parameter", "constant", "transpose", "copy", "convert", "bitcast", "reshape", "tuple"}
    | {"get-tuple-element"}
)


@dataclasses.dataclass(frozen=True)
class Array:
    """One array of a shape: its dtype, dimensions and layout."""

    dtype: str
    dims: tuple[int, ...]
    layout: str = ""

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.dims)

    @property
    def on_chip(self) -> bool:
        """Whether it lies in memory on the chip (VMEM or SMEM of a TPU), which costs no bandwidth."""
        return bool(re.search(r"S\([1-46]\)", self.layout))

    @property
    def on_host(self) -> bool:
        """Whether it lies in the memory of the host."""
        return "S(5)" in self.layout

    @functools.cached_property
    def bytes(self) -> int:
        """With the padding of its tiles."""
        order, _, tiles = self.layout.partition(":")
        dims = list(self.dims)
        tile = re.search(r"T\(([\d,]+)\)", tiles)
        if tile and order:
            of_tile = [int(x) for x in tile[1].split(",")]
            minor_first = [int(x) for x in order.split(",")]
            for extent, axis in zip(reversed(of_tile), minor_first, strict=False):
                dims[axis] = -(-dims[axis] // extent) * extent
        return math.prod(dims) * _BYTES.get(self.dtype, 0)


def arrays_in(text: str) -> list[Array]:
    """The arrays of a shape, of a tuple too."""
    found = _SHAPE.findall(text)
    return [
        Array(dtype, tuple(int(x) for x in dims.split(",") if x), layout)
        for dtype, dims, layout in found
        if dtype in _BYTES
    ]


@dataclasses.dataclass(frozen=True)
class Instruction:
    """An operation of a computation."""

    name: str
    opcode: str
    results: tuple[Array, ...]
    operands: tuple[str, ...]
    arguments: str
    """All that stands between the parentheses."""
    attributes: str
    is_root: bool

    def called(self, *kinds: str) -> list[str]:
        """Names of the computations that it calls."""
        found = [name for kind, name in _CALLED.findall(self.attributes) if not kinds or kind in kinds]
        branches = re.search(r"branch_computations=\{([^}]*)\}", self.attributes)
        return found + ([x.strip().lstrip("%") for x in branches[1].split(",")] if branches else [])

    @property
    def target(self) -> str:
        """The library function of a custom call."""
        found = re.search(r'custom_call_target="([^"]*)"', self.attributes)
        return found[1] if found else ""

    @property
    def op_name(self) -> str:
        """The operation of the program that it comes from, such as `jit(advance)/while/body/add`."""
        found = re.search(r'op_name="([^"]*)"', self.attributes)
        return found[1] if found else ""


Computation = dict[str, Instruction]
"""Name -> instruction, in order."""


class Module:
    """A parsed module."""

    def __init__(self, text: str) -> None:
        self.header = text.split("\n", 1)[0]
        self.computations: dict[str, Computation] = {}
        self.entry = ""
        current: Computation = {}
        for line in text.splitlines():
            header = _HEADER.match(line)
            if header:
                current = self.computations.setdefault(header[2], {})
                self.entry = header[2] if header[1] else self.entry
            elif match := _INSTRUCTION.match(line):
                instruction = _parse(match[1], match[2], line.lstrip().startswith("ROOT "))
                current[instruction.name] = instruction

    @property
    def loop(self) -> Computation:
        """The body of the outermost loop: one step. Of several, the one that carries the most bytes.

        Raises:
          ValueError: there is none.
        """
        loops = [x for x in self.computations[self.entry].values() if x.opcode == "while"]
        if not loops:
            raise ValueError("the program has no loop")
        largest = max(loops, key=lambda loop: sum(array.bytes for array in loop.results))
        return self.computations[largest.called("body")[0]]

    def everything_in(self, computation: Computation) -> Iterator[Instruction]:
        """The instructions of a computation and of all that it calls."""
        for instruction in computation.values():
            yield instruction
            for name in instruction.called():
                yield from self.everything_in(self.computations.get(name, {}))

    def launched(self, computation: Computation) -> Iterator[tuple[Computation, Instruction, int]]:
        """What is launched as a kernel: (where, what, how often); loops and calls within are opened."""
        for instruction in computation.values():
            if instruction.opcode in FREE or instruction.opcode.endswith("-done"):
                continue
            if instruction.opcode in ("while", "call", "conditional", "async-start"):
                for name in instruction.called("body", "to_apply", "calls", "true_computation"):
                    times = self.trip_count(instruction) if instruction.opcode == "while" else 1
                    for where, what, count in self.launched(self.computations.get(name, {})):
                        yield where, what, times * count
            else:
                yield computation, instruction, 1

    def trip_count(self, loop: Instruction) -> int:
        """How often an inner loop runs: as its compiler notes, or up to the constant of its condition."""
        found = re.search(r'known_trip_count":\{"n":"(\d+)"', loop.attributes)
        if found:
            return int(found[1])
        condition = self.computations.get(loop.called("condition")[0], {})
        for test in condition.values():
            if test.is_root and test.opcode == "compare" and "direction=LT" in test.attributes:
                limit = condition.get(test.operands[1])
                if limit and limit.opcode == "constant":
                    return int(limit.arguments)
        return 1

    def donated(self) -> int:
        """How many results are written over arguments."""
        found = re.search(r"input_output_alias=\{ (.*?\)) \}", self.header)
        return len(re.findall(r"\(\d+, \{", found[1])) if found else 0


def _parse(name: str, text: str, is_root: bool) -> Instruction:
    """Reads `SHAPE opcode(operands), attributes`."""
    end = _closing(text, 0) + 1 if text.startswith("(") else text.index(" ")
    shape, rest = text[:end], text[end:].lstrip()
    opcode, _, rest = rest.partition("(")
    close = _closing("(" + rest, 0) - 1
    inside, after = rest[:close], rest[close + 1 :]
    operands = tuple(re.findall(r"%([\w.\-]+)", inside))
    return Instruction(name, opcode, tuple(arrays_in(shape)), operands, inside, after, is_root)


def _closing(text: str, start: int) -> int:
    """Index of the parenthesis that closes the one at `start`."""
    depth = 0
    for index in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if not depth:
            return index
    return len(text) - 1


@dataclasses.dataclass(frozen=True)
class Cost:
    """What an operation needs."""

    bytes: int
    """Moved from and to the memory of the device."""
    flops: dict[str, int]
    """Type of the operands of a product (`f32 highest` at full precision) -> operations."""


def cost_of(module: Module, where: Computation, instruction: Instruction) -> Cost:
    """The least that an operation needs.

    Args:
      module: that it belongs to.
      where: the computation that it stands in.
      instruction: the operation.

    A part of an array that is sliced, or updated in place, counts as that part. Memory on the chip is free.
    """
    reads = [where[name].results for name in instruction.operands if name in where]
    body = _fused(module, instruction)
    flops: collections.Counter[str] = collections.Counter()
    for inner_where, inner in products_in(module, where, instruction):
        kind, count = _flops(inner_where, inner)
        flops[kind] += count
    if instruction.opcode in ("dynamic-update-slice", "dynamic-slice", "slice", "gather"):
        part = (
            where[instruction.operands[1]].results
            if "update" in instruction.opcode
            else instruction.results
        )
        return Cost(2 * _moved(part), dict(flops))
    if instruction.opcode.endswith("-start") and reads and len(instruction.results) > 1:
        return Cost(_bytes_of_start(reads[0][0], instruction.results), dict(flops))
    if body is None:
        results = instruction.results
        if instruction.target.startswith("__cu"):  # the last result is scratch memory of the library
            results = results[:1]
        return Cost(sum(map(_moved, reads)) + _moved(results), dict(flops))
    return Cost(_bytes_of_fusion(body, reads, instruction), dict(flops))


def _moved(arrays: tuple[Array, ...]) -> int:
    return sum(array.bytes for array in arrays if not array.on_chip)


def _bytes_of_start(source: Array, results: tuple[Array, ...]) -> int:
    """Of an asynchronous copy; its results are the source and the destination, in either order."""
    first, second = results[:2]
    target = second if first.dims == source.dims and second.dims != source.dims else first
    return sum(target.bytes for array in (source, target) if not array.on_chip)


def _fused(module: Module, instruction: Instruction) -> Computation | None:
    called = instruction.called("calls")
    return module.computations.get(called[0]) if instruction.opcode == "fusion" and called else None


def _bytes_of_fusion(body: Computation, reads: list[tuple[Array, ...]], fusion: Instruction) -> int:
    parameters = sorted(
        (x for x in body.values() if x.opcode == "parameter"), key=lambda x: int(x.arguments)
    )
    users = collections.defaultdict(list)
    for inner in body.values():
        for operand in inner.operands:
            users[operand].append(inner)
    total = 0
    for parameter, arrays in zip(parameters, reads, strict=False):
        seen = _through_bitcasts(parameter.name, users)
        if seen and all(_is_part(user, name) for name, user in seen):
            of_parts = sum(_part_bytes(body, user) for _, user in seen)
            total += 0 if all(array.on_chip for array in arrays) else min(of_parts, _moved(arrays))
        else:
            total += _moved(arrays)
    updates = [x for x in body.values() if x.opcode == "dynamic-update-slice"]
    in_place = {x.results[0].dims: x for x in updates}
    for array in fusion.results:
        update = in_place.get(array.dims)
        if not array.on_chip:
            total += _part_bytes(body, update) if update else array.bytes
    return total


def _through_bitcasts(name: str, users: dict[str, list[Instruction]]) -> list[tuple[str, Instruction]]:
    """(operand, user) of all that uses a value, or the same memory under another shape."""
    found = []
    for user in users[name]:
        if user.opcode in ("bitcast", "reshape"):
            found += _through_bitcasts(user.name, users)
        else:
            found.append((name, user))
    return found


def _is_part(user: Instruction, name: str) -> bool:
    """Whether a user needs only a part of that operand."""
    sliced = user.opcode in ("dynamic-slice", "slice", "gather")
    return user.operands[:1] == (name,) and (sliced or user.opcode == "dynamic-update-slice")


def _part_bytes(body: Computation, user: Instruction) -> int:
    if user.opcode == "dynamic-update-slice":
        update = body.get(user.operands[1])
        return sum(array.bytes for array in update.results) if update else 0
    return sum(array.bytes for array in user.results)


def products_in(
    module: Module, where: Computation, instruction: Instruction
) -> Iterator[tuple[Computation, Instruction]]:
    """Convolutions, matrix products and Fourier transforms of an operation, in fusions too."""
    if instruction.opcode in ("dot", "convolution", "fft") or instruction.target.startswith("__cu"):
        yield where, instruction
    body = _fused(module, instruction)
    for inner in (body or {}).values():
        yield from products_in(module, body or {}, inner)


def _flops(where: Computation, x: Instruction) -> tuple[str, int]:
    """The type of the operands and the number of operations."""
    result = x.results[0]
    operands = [where[name].results[0] for name in x.operands[:2] if name in where]
    if x.opcode == "fft":
        size = max([result, *operands], key=lambda array: array.size)
        lengths = re.search(r"fft_length=\{([\d,]+)\}", x.attributes)
        points = math.prod(int(n) for n in lengths[1].split(",")) if lengths else 1
        return "fft", int(2.5 * size.size * math.log2(max(2, points)))
    kind = operands[0].dtype if operands else result.dtype
    precise = re.search(r"highest", x.attributes, re.IGNORECASE)
    kind = f"{kind} highest" if precise and kind == "f32" else kind
    if "dim_labels" in x.attributes:
        return kind, 2 * _convolution_size(x, result, operands)
    if len(operands) < 2:
        return kind, 0
    shared = _contracted(x, operands[0])
    return kind, 2 * result.size * shared


def _contracted(x: Instruction, left: Array) -> int:
    """Number of terms of each sum of a matrix product."""
    found = re.search(r"lhs_contracting_dim(?:s=\{|ension\w*\":\[)([\d,\"]+)", x.attributes)
    axes = [int(axis) for axis in re.findall(r"\d+", found[1])] if found else []
    return math.prod(left.dims[axis] for axis in axes)


def _convolution_size(x: Instruction, result: Array, operands: list[Array]) -> int:
    """Multiplications of a convolution, without those by padding or by the zeros of a dilation.

    A TPU's compiler writes matrix products as convolutions that are padding for the most part.
    """
    labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", x.attributes)
    assert labels is not None
    given, output = operands[0], result
    if x.target.endswith("convBackwardInput"):  # written as the forward convolution that it belongs to
        given, output = output, given
    at = {name: labels[1].index(name) for name in labels[1]}
    batch, features = (output.dims[labels[3].index(name)] for name in "bf")
    spatial = sorted(name for name in labels[1] if name.isdigit())
    windows = _windows(x.attributes, len(spatial))
    pairs = math.prod(
        _num_pairs(given.dims[at[name]], output.dims[labels[3].index(name)], *window)
        for name, window in zip(spatial, windows, strict=True)
    )
    return batch * features * given.dims[at["f"]] * pairs


def _windows(attributes: str, count: int) -> list[tuple[int, int, int, int]]:
    """(size, padding before, stride, dilation of the input) of each spatial dimension."""
    window = re.search(r"window=\{([^}]*)\}", attributes)
    parts = dict(part.split("=") for part in window[1].split()) if window else {}

    def numbers(name: str, default: int) -> list[int]:
        return (
            [int(n.split("_")[0]) for n in parts[name].split("x")] if name in parts else [default] * count
        )

    names = {"size": 1, "pad": 0, "stride": 1, "lhs_dilate": 1}
    return list(zip(*(numbers(name, default) for name, default in names.items()), strict=True))


@functools.cache
def _num_pairs(given: int, output: int, size: int, pad: int, stride: int, dilation: int) -> int:
    """How many (position of the output, position in the window) meet an input that is not padding."""
    count = 0
    for tap in range(size):
        for position in range(output):
            place = position * stride - pad + tap
            count += place >= 0 and place % dilation == 0 and place // dilation < given
    return count


def is_move(module: Module, instruction: Instruction) -> bool:
    """Whether it only copies, transposes or converts."""
    if instruction.opcode in ("copy", "transpose", "convert", "copy-start"):
        return True
    body = _fused(module, instruction)
    return body is not None and all(inner.opcode in _MOVES for inner in body.values())
