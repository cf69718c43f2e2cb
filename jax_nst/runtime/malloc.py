"""Tuning of glibc's malloc, so that freed memory is reused instead of returned to the system."""

import contextlib
import ctypes
import os

import jax

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # from <malloc.h>
_SETTINGS = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1}


def keep_pages(*, threads: bool = False) -> None:
    """Makes glibc keep freed memory for the next allocation.

    By default, glibc returns large allocations to the system, so that each step on a CPU page-faults and
    zeroes hundreds of MB again, which takes a tenth of its time. The settings affect the whole process, so
    this is for programs, not for libraries. Has no effect without glibc, or if the user has configured
    malloc.

    Args:
      threads: whether compiled programs run in several threads, one per CPU device. Otherwise they run in
        the calling thread, whose arena keeps its memory.
    """
    jax.config.update("jax_cpu_enable_async_dispatch", threads)
    settings = _SETTINGS
    if threads:
        # A single arena lets threads reuse each other's memory. It is not the default: its lock slows
        # down the threads of XLA's compiler.
        settings = {_ARENA_MAX: 1, **_SETTINGS}
    if "GLIBC_TUNABLES" in os.environ or any(name.startswith("MALLOC_") for name in os.environ):
        return
    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in settings.items():
            mallopt(parameter, value)


def give_back() -> None:
    """Returns freed memory to the system once, despite `keep_pages`.

    Useful between phases with different allocation sizes: after the targets are computed, their memory
    would be too fragmented for the larger arrays of the optimization loop, and would stay resident.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
