"""Memory of the process, on Linux: kept from step to step instead of given back and asked for again."""

import contextlib
import ctypes
import os

import jax

# Of <malloc.h>.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
_SETTINGS = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1}


def keep_pages(*, threads: bool = False) -> None:
    """Makes glibc keep memory that is freed: else each step on a CPU gets hundreds of MB of new pages.

    They are zeroed one by one, a tenth of the time of a step. For the whole process, so this is for a
    program, not for a library; where the user has set up malloc, or there is no glibc, it is left as it is.

    Args:
      threads: programs run in threads, one for each of several devices of a CPU. Else they run in the
        thread that calls them, and malloc keeps the memory of that one.
    """
    jax.config.update("jax_cpu_enable_async_dispatch", threads)
    settings = _SETTINGS
    if threads:
        # All share the memory of the first thread, for which the threads of XLA's compiler wait, too.
        settings = {_ARENA_MAX: 1, **_SETTINGS}
    if "GLIBC_TUNABLES" in os.environ or any(name.startswith("MALLOC_") for name in os.environ):
        return
    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in settings.items():
            mallopt(parameter, value)


def give_back() -> None:
    """Gives freed memory back to the system, once.

    What the targets needed, say: kept, it would be held beside what the loop needs, in larger pieces.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
