"""How much fits: memory of a device, and the largest batch within it."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax

from jax_nst.runtime.malloc import give_back

Made = TypeVar("Made")

# Of what a device has, the part that programs may take: the rest is for fragments.
_USABLE = 0.9
# Where Linux shows the limits of groups of processes.
_GROUPS = Path("/sys/fs/cgroup")
# A batch that fills this much of it is large enough: another try would be another compilation.
_FULL = 0.9


def memory_limit(device: Any) -> int:
    """Bytes that a program may take of the device; of a CPU, its part of what the system has available."""
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return int(_USABLE * (stats["bytes_limit"] - stats.get("bytes_in_use", 0)))
    give_back()  # what was freed is there for the next program
    return int(_USABLE * _available()) // len(jax.local_devices())


def _available() -> int:
    """Bytes of main memory that this process can have."""
    return min([_of_machine(), *_of_groups()])


def _of_groups(root: Path = _GROUPS, own: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """Bytes left of each limit that a container or a scheduler of jobs has set: cgroups, v2 and v1."""
    try:
        groups = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return
    for _, controllers, path in groups:
        names = ("memory.max", "memory.current")
        folder = root
        if "memory" in controllers.split(","):
            names, folder = ("memory.limit_in_bytes", "memory.usage_in_bytes"), root / "memory"
        elif controllers:
            continue
        # The limit of a group holds for the groups in it. In a container its own is the root.
        group = folder / path.lstrip("/")
        for place in (group, *group.parents):
            if not place.is_relative_to(folder):
                break
            try:
                limit, used = (int((place / name).read_text()) for name in names)
            except (OSError, ValueError):
                continue  # there is no limit: "max", or no file at the root
            yield max(0, limit - used + _cached(place))


def _cached(group: Path) -> int:
    """Bytes of files that a group has in memory and that the system can drop."""
    try:
        lines = (group / "memory.stat").read_text().splitlines()
        numbers = dict(line.split() for line in lines)
        # Of version 1, which tells it apart from that of the groups within.
        return int(numbers.get("total_inactive_file", numbers.get("inactive_file", 0)))
    except (OSError, ValueError):
        return 0


def _of_machine() -> int:
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
