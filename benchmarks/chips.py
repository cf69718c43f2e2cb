"""The accelerators that programs are compiled for: what their compilers and the predictions need."""

import dataclasses
import functools
import os
from collections.abc import Mapping
from typing import Any

TERA, GIGA = 10**12, 10**9


@dataclasses.dataclass(frozen=True)
class Chip:
    """A kind of device, with the rates that its maker publishes, dense.

    Attributes:
      name: for people.
      platform: `cuda` or `tpu`.
      topology: of libtpu, for a host of these chips; without its extent.
      capability: compute capability of a GPU.
      memory: bytes.
      bandwidth: bytes a second.
      rates: type of the operands of a product -> operations a second. `f32` is float32 at the default
        precision, TF32 on a GPU that has it and one pass of bfloat16 on a TPU; `f32 highest` keeps float32.
      vector: operations a second of everything else, such as Fourier transforms.
      launch: seconds that a kernel takes at least. Assumed, not published.
      cores, cache, clock, shared: of a GPU: multiprocessors, bytes of L2, GHz, bytes of shared memory each.
    """

    name: str
    platform: str
    memory: int
    bandwidth: float
    rates: Mapping[str, float]
    vector: float
    launch: float
    topology: str = ""
    capability: tuple[int, int] = (0, 0)
    cores: int = 0
    cache: int = 0
    clock: float = 0.0
    shared: int = 0


def _gpu(
    name: str,
    capability: tuple[int, int],
    memory: int,
    bandwidth: float,
    *,
    half: float,
    bfloat16: float,
    tf32: float,
    float32: float,
    **of_gpu: Any,
) -> Chip:
    rates = {"f16": half, "bf16": bfloat16, "f32": tf32, "f32 highest": float32}
    rates = {kind: rate * TERA for kind, rate in rates.items()}
    return Chip(
        name,
        "cuda",
        memory * GIGA,
        bandwidth * GIGA,
        rates,
        float32 * TERA,
        2e-6,
        capability=capability,
        **of_gpu,
    )


def _tpu(name: str, topology: str, memory: int, bandwidth: float, bfloat16: float) -> Chip:
    # A product in float32 is six in bfloat16. The rate of the vector unit is not published; a fiftieth is
    # about what its 8 x 128 lanes give.
    rates = {"bf16": 1.0, "f16": 1.0, "f32": 1.0, "f32 highest": 1 / 6}
    rates = {kind: share * bfloat16 * TERA for kind, share in rates.items()}
    return Chip(
        name, "tpu", memory * GIGA, bandwidth * GIGA, rates, bfloat16 * TERA / 50, 1e-6, topology=topology
    )


# NVIDIA's and Google's data sheets. The A100 and the H100 are those of 80 GB (SXM).
CHIPS = {
    chip.name: chip
    for chip in (
        _gpu(
            "H100", (9, 0), 80, 3350, half=989, bfloat16=989, tf32=494, float32=67,
            cores=132, cache=50 << 20, clock=1.98, shared=227 << 10,
        ),
        _gpu(
            "A100", (8, 0), 80, 2039, half=312, bfloat16=312, tf32=156, float32=19.5,
            cores=108, cache=40 << 20, clock=1.41, shared=163 << 10,
        ),
        _gpu(
            "L4", (8, 9), 24, 300, half=121, bfloat16=121, tf32=60, float32=30.3,
            cores=58, cache=48 << 20, clock=2.04, shared=99 << 10,
        ),
        _gpu(
            "T4", (7, 5), 16, 320, half=65, bfloat16=8.1, tf32=8.1, float32=8.1,
            cores=40, cache=4 << 20, clock=1.59, shared=64 << 10,
        ),
        _tpu("v4", "v4", 32, 1200, 275),
        _tpu("v5e", "v5e", 16, 819, 197),
        _tpu("v6e", "v6e", 32, 1640, 918),
    )
}  # fmt: skip
"""Name -> chip."""

SHAPES = {1: "1x1", 4: "2x2", 16: "4x4"}
"""Number of chips -> how they are arranged, for libtpu."""


HERE = "here"
"""Stands for the device that this machine has."""

_KINDS = {"H100": "H100", "A100": "A100", "L4": "L4", "T4": "T4", "TPU v4": "v4", "TPU v5 lite": "v5e"}
_KINDS |= {"TPU v5e": "v5e", "TPU v6 lite": "v6e", "TPU v6e": "v6e"}


def chip_of(device_kind: str) -> Chip | None:
    """The chip that JAX calls so, such as `NVIDIA H100 80GB HBM3`; None for any other device."""
    found = [name for kind, name in _KINDS.items() if f" {kind} " in f" {device_kind.replace('-', ' ')} "]
    return CHIPS[found[0]] if found else None


def set_environment() -> None:
    """Lets both compilers run where there is no device; call it before JAX is imported."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # of the metadata server, which is not there
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")  # several processes may compile
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_gpu_autotune_level" not in flags:  # it would need a device
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_autotune_level=0".strip()


class NoCompilerError(RuntimeError):
    """Raised where the compiler for a chip is not installed."""


@functools.cache
def find_devices(name: str, count: int) -> tuple[Any, ...]:
    """Devices that programs can be compiled for, though there are none.

    Args:
      name: of a chip.
      count: 1, 4 or 16 of them; of `HERE` at most as many as there are.

    Raises:
      NoCompilerError: its compiler is not installed.
    """
    import jax
    from jax.experimental import topologies

    if name == HERE:
        return tuple(jax.devices()[:count])
    chip = CHIPS[name]
    if chip.platform == "tpu":
        shape = _tpu_shape(name, count)
        options: dict[str, Any] = {"topology_name": f"{chip.topology}:{shape}"}
        if name == "v4":  # whose two cores are one device
            options["chip_config_name"] = "megacore"
    else:
        options = {"topology_name": "cuda", "topology": f"1x1x{count}", "target_config": _target(chip)}
    try:
        topology = topologies.get_topology_desc(platform=chip.platform, **options)
    except (RuntimeError, ValueError, AssertionError) as error:
        extra = "tpu" if chip.platform == "tpu" else "cuda13"
        raise NoCompilerError(f"no compiler for {name}; pip install -e '.[{extra}]' ({error})") from error
    return tuple(topology.devices[:count])


def _tpu_shape(name: str, count: int) -> str:
    # A host of v5e and v6e has at least 2 x 2 chips, and one of v4 2 x 2 x 1; a program may use one.
    shape = SHAPES[max(4, count)]
    return f"{shape}x1" if name == "v4" else shape


def _target(chip: Chip) -> str:
    """A `GpuTargetConfigProto` of XLA, as text."""
    major, minor = chip.capability
    threads = 1024 if chip.capability == (7, 5) else 1536 if chip.capability == (8, 9) else 2048
    return f"""
    gpu_device_info {{
      threads_per_block_limit: 1024  threads_per_warp: 32
      shared_memory_per_block: 49152  shared_memory_per_block_optin: {chip.shared}
      shared_memory_per_core: {chip.shared + 1024}  threads_per_core_limit: {threads}
      core_count: {chip.cores}  fpus_per_core: {64 if chip.capability in ((7, 5), (8, 0)) else 128}
      block_dim_limit_x: 2147483647  block_dim_limit_y: 65535  block_dim_limit_z: 65535
      memory_bandwidth: {int(chip.bandwidth)}  l2_cache_size: {chip.cache}
      clock_rate_ghz: {chip.clock}  device_memory_size: {chip.memory}
      cuda_compute_capability {{ major: {major} minor: {minor} }}
      registers_per_core_limit: 65536  registers_per_block_limit: 65536
    }}
    platform_name: "CUDA"
    dnn_version_info {{ major: 9 minor: 10 }}
    device_description_str: "{chip.name}"
    """
