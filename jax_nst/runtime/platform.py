"""Settings that differ between CPU, GPU and TPU."""

import dataclasses
import functools
import os
from typing import Any

import jax
import jax.numpy as jnp

Options = tuple[tuple[str, Any], ...]
"""(name, value) pairs."""


class PlatformError(RuntimeError):
    """Raised when JAX cannot use the device that it is told to; says how to choose another."""


@dataclasses.dataclass(frozen=True)
class Platform:
    """Settings of a kind of device, chosen once at the edge and passed in.

    Attributes:
      name: backend: `cpu`, `gpu` or `tpu`.
      precision: default precision of the features; of a GPU, see `gpu_precision`.
      loop_on_device: whether to run many steps in one program. Off on a CPU, where XLA runs convolutions
        inside a loop on one core, six times slower.
      winograd: whether to use Winograd convolution for wide layers; libraries of accelerators choose it
        themselves.
      fill_memory: whether to make batches as large as the memory allows. Off on a CPU, where smaller ones
        are faster.
      lbfgs_pairs: type of the pairs of L-BFGS with which a step is fastest.
      compiler_options: (name, value) pairs passed to XLA.
      most_bands: into which a stage of the extractor is split that is computed twice. One on a GPU: with
        three, at 4096 pixels, the style loss was NaN on an H100 (jax 0.11.2), for a reason not yet found.
      most_pixels: of a picture that is computed whole, if it can be computed in tiles. Larger ones have not
        been tried on a GPU, and from twice as many on, features have more than 2^31 values.
      shares_rows: whether devices share the rows of a picture. On a CPU only where there are several
        processes, since all cores of one already work at each convolution.
    """

    name: str
    precision: str
    loop_on_device: bool
    winograd: bool
    fill_memory: bool
    lbfgs_pairs: str = "float32"
    compiler_options: Options = ()
    most_bands: int = 3
    most_pixels: float = float("inf")
    shares_rows: bool = False

    @property
    def shares_tiles(self) -> bool:
        """Whether they share the tiles of one picture, too; not where the host loops over tiles."""
        return self.shares_rows and self.loop_on_device


# By default, XLA:CPU schedules for concurrency between operations. But each convolution uses all cores, and
# scheduling for memory saves a third of it, and time as well, because fewer pages are touched.
_CPU_OPTIONS = (("xla_cpu_scheduler_type", "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"),)
CPU = Platform("cpu", "float32", loop_on_device=False, winograd=True, fill_memory=False)
# Triton is tried with dozens of tile sizes for each shape of a float32 product: minutes of compilation.
_GPU_OPTIONS = (("xla_gpu_enable_triton_gemm", False),)
GPU = Platform(
    "gpu",
    "bfloat16",
    loop_on_device=True,
    winograd=False,
    fill_memory=True,
    lbfgs_pairs="bfloat16",
    compiler_options=_GPU_OPTIONS,
    most_bands=1,
    most_pixels=2**24,
    shares_rows=True,
)
TPU = Platform("tpu", "bfloat16", loop_on_device=True, winograd=False, fill_memory=True, shares_rows=True)


@functools.cache
def current_platform() -> Platform:
    """Returns the platform of JAX's default backend, and initializes the backend.

    Raises:
      PlatformError: JAX finds no device, such as that named by `JAX_PLATFORMS`.
    """
    name = _default_backend()
    if name == "cpu":
        options = _known(_CPU_OPTIONS)
        return dataclasses.replace(CPU, compiler_options=options, shares_rows=jax.process_count() > 1)
    if name == "tpu":
        return TPU
    # The first of all processes' devices, so that they choose the same.
    capability = getattr(jax.devices()[0], "compute_capability", None)
    options = _known(GPU.compiler_options)
    return dataclasses.replace(
        GPU, name=name, precision=gpu_precision(capability), compiler_options=options
    )


def gpu_precision(capability: str | None) -> str:
    """Returns the default precision of the features on a GPU, the fastest of its tensor cores.

    Args:
      capability: its compute capability, such as `7.5`; None or another form, such as AMD's `gfx90a`, if it
        has none.

    Returns:
      `bfloat16`, which NVIDIA's tensor cores know since Ampere (8.0), and with which an H100 reaches the
      loss of `tf32` in half the time; `float16` on Volta and Turing (7.0 to 7.5), whose tensor cores know
      nothing else; `float32` on older ones, which have no tensor cores. `tf32` where it is not known.

    Example:
      >>> from jax_nst.runtime.platform import gpu_precision
      >>> [gpu_precision(capability) for capability in ("6.1", "7.5", "8.0", None)]
      ['float32', 'float16', 'bfloat16', 'tf32']
    """
    try:
        number = float(capability or "")
    except ValueError:
        return "tf32"
    if number >= 8:
        return "bfloat16"
    return "float16" if number >= 7 else "float32"


def num_cores() -> int:
    """Returns the CPU cores that this process may use, which may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _default_backend() -> str:
    try:
        return jax.default_backend()
    except (RuntimeError, AssertionError) as error:  # the second where `cuda` is named without a GPU
        named = getattr(jax.config, "jax_platforms", None)
        if not named:
            raise PlatformError(
                f"JAX cannot start a device ({_reason(error)}); set JAX_PLATFORMS=cpu to use the CPU"
            ) from error
        raise PlatformError(
            f"JAX cannot use {named}, which JAX_PLATFORMS names ({_reason(error)}); unset JAX_PLATFORMS, "
            "or install JAX for that device"
        ) from error


def _reason(error: Exception) -> str:
    lines = str(error).split(" (set JAX_PLATFORMS")[0].strip().splitlines()
    return lines[0] if lines else "there is no such device"


def _known(options: Options) -> Options:
    """Returns the options, or none if this version of XLA does not know them."""
    if getattr(jax.config, "jax_disable_jit", False):
        return ()
    try:
        jax.jit(jnp.negative).lower(0.0).compile(dict(options))
    except jax.errors.JaxRuntimeError:
        return ()
    return options
