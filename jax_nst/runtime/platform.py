"""Settings that differ between CPU, GPU and TPU."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Platform:
    """Settings of a kind of device, chosen once at the edge and passed in.

    Attributes:
      name: backend: `cpu`, `gpu` or `tpu`.
      precision: default precision of the features.
      loop_on_device: whether to run many steps in one program. Off on a CPU, where XLA runs convolutions
        inside a loop on one core, six times slower.
      winograd: whether to use Winograd convolution for wide layers; libraries of accelerators choose it
        themselves.
      fill_memory: whether to make batches as large as the memory allows. Off on a CPU, where smaller ones
        are faster.
      compiler_options: (name, value) pairs passed to XLA.
    """

    name: str
    precision: str
    loop_on_device: bool
    winograd: bool
    fill_memory: bool
    compiler_options: tuple[tuple[str, Any], ...] = ()


CPU = Platform("cpu", "float32", loop_on_device=False, winograd=True, fill_memory=False)
GPU = Platform("gpu", "tf32", loop_on_device=True, winograd=False, fill_memory=True)
TPU = Platform("tpu", "bfloat16", loop_on_device=True, winograd=False, fill_memory=True)


@functools.cache
def current_platform() -> Platform:
    """Returns the platform of JAX's default backend, and initializes the backend."""
    name = jax.default_backend()
    if name != "cpu":
        return TPU if name == "tpu" else dataclasses.replace(GPU, name=name)
    return dataclasses.replace(CPU, compiler_options=tuple(_known_options().items()))


def _known_options() -> dict[str, Any]:
    """Returns options for XLA:CPU, or none if this version of XLA does not know them.

    By default, XLA:CPU schedules for concurrency between operations. But each convolution uses all cores,
    and scheduling for memory saves a third of it, and time as well, because fewer pages are touched.
    """
    options: dict[str, Any] = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
    try:
        jax.jit(jnp.negative).lower(0.0).compile(options)
    except jax.errors.JaxRuntimeError:
        return {}
    return options
