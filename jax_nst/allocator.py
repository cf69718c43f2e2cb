"""Memory of the process, on Linux: kept from step to step instead of given back and asked for again."""

import contextlib
import ctypes
import os

# Of <malloc.h>.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
_SETTINGS = {_ARENA_MAX: 1, _MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1}


def keep_pages() -> None:
    """Makes glibc keep memory that is freed: else each step on a CPU gets hundreds of MB of new pages.

    They are zeroed one by one, a tenth of the time of a step. For the whole process, so this is for a
    program, not for a library; where the user has set up malloc, or there is no glibc, nothing is done.
    """
    if "GLIBC_TUNABLES" in os.environ or any(name.startswith("MALLOC_") for name in os.environ):
        return
    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in _SETTINGS.items():
            mallopt(parameter, value)


def give_back() -> None:
    """Gives freed memory back to the system, once.

    What the targets needed, say: kept, it would be held beside what the loop needs, in larger pieces.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
