"""How much fits: memory of a device, and the largest batch within it."""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

Made = TypeVar("Made")

# Of what a device has, the part that programs may take: the rest is for fragments.
_USABLE = 0.9
# A batch that fills this much of it is large enough: another try would be another compilation.
_FULL = 0.9


def memory_limit(device: Any) -> int:
    """Bytes that a program may take of the device; on a CPU, of what the system has available."""
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return int(_USABLE * (stats["bytes_limit"] - stats.get("bytes_in_use", 0)))
    return int(_USABLE * _available())


def _available() -> int:
    """Bytes of main memory that are free or can be freed."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return 4 * 2**30


def first_that_fits(choices: Sequence[str], make: Callable[[str], tuple[Made, int]], limit: int) -> Made:
    """What is made of the first choice whose program takes no more than `limit` bytes; else of the last.

    Args:
      choices: in order, the most wanted first.
      make: gives something and the bytes it takes; a call costs a compilation.
      limit: bytes.
    """
    for choice in choices[:-1]:
        made, num_bytes = make(choice)
        if num_bytes <= limit:
            return made
    return make(choices[-1])[0]


def largest_that_fits(most: int, limit: int, num_bytes: Callable[[int], int], guess: int) -> int:
    """The largest batch, of `most` at most, whose program takes no more than `limit` bytes; 1 at least.

    Args:
      most: more are not wanted.
      limit: bytes.
      num_bytes: `(batch) -> bytes`, growing; a call costs a compilation, so there are few.
      guess: of a batch that about fits, to begin with.
    """
    fits, too_large = 0, most + 1
    batch, last = max(1, min(most, guess)), (0, 0)
    while too_large - fits > 1:
        need = num_bytes(batch)
        if need > limit:
            too_large = batch
        else:
            fits = batch
            if need > _FULL * limit:
                break
        # The same for each item more, and something that does not depend on how many there are.
        for_one = max(1.0, (need - last[1]) / (batch - last[0]))
        last = batch, need
        estimate = batch + math.floor(0.98 * (limit - need) / for_one)
        batch = max(fits + 1, min(too_large - 1, estimate))
    return max(1, fits)
