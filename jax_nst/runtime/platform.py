"""What the program does differently on a CPU, a GPU and a TPU."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Platform:
    """The choices that depend on the kind of device; made once, at the edge, and passed in.

    Attributes:
      name: of the backend: `cpu`, `gpu` or `tpu`.
      precision: of the features where the user leaves it open.
      loop_on_device: run many steps in one program. Off on a CPU, where XLA runs convolutions inside a
        loop on one core, six times slower.
      winograd: convolve wide layers by Winograd's algorithm; accelerators' libraries do so themselves.
      fill_memory: make a batch as large as the memory allows. Off on a CPU, where smaller ones are faster.
      compiler_options: passed to XLA, name and value each.
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
    """The platform that JAX computes on; starts its backend."""
    name = jax.default_backend()
    if name != "cpu":
        return TPU if name == "tpu" else dataclasses.replace(GPU, name=name)
    return dataclasses.replace(CPU, compiler_options=tuple(_known_options().items()))


def _known_options() -> dict[str, Any]:
    """The options for XLA:CPU, or none where this version of XLA does not know them.

    By default XLA:CPU orders a program for operations that run side by side. But each convolution uses all
    cores, and ordering for memory saves a third of it, and time too, since fewer pages are touched.
    """
    options: dict[str, Any] = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
    try:
        jax.jit(jnp.negative).lower(0.0).compile(options)
    except jax.errors.JaxRuntimeError:
        return {}
    return options
