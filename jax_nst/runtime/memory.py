"""Memory limits of devices, and searches for the largest program within them."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
import psutil

from jax_nst.runtime.malloc import give_back

Choice = TypeVar("Choice")
Made = TypeVar("Made")

_USABLE = 0.9  # fraction of the available memory; the rest allows for fragmentation
_FULL = 0.9  # fraction of the limit at which a batch is large enough to save further compilations
_GROUPS = Path("/sys/fs/cgroup")


def memory_limit(device: Any, most: int | None = None) -> int:
    """Returns the bytes that a program may allocate on a device.

    On a CPU, the devices of this process share the available main memory equally.

    Args:
      device: of JAX.
      most: bytes that the user grants, of a CPU to the whole process; None: all that there are.
    """
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        granted = min(stats["bytes_limit"], most or stats["bytes_limit"])
        return int(_USABLE * max(0, granted - stats.get("bytes_in_use", 0)))
    give_back()  # memory that malloc keeps would not count as available
    available = available_memory()
    if most is not None:
        available = min(available, max(0, most - psutil.Process().memory_info().rss))
    return int(_USABLE * available) // len(jax.local_devices())


def available_memory() -> int:
    """Returns the bytes of main memory available to this process."""
    return min([psutil.virtual_memory().available, *_of_groups()])


def _of_groups(root: Path = _GROUPS, own: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """Yields the bytes left under each cgroup limit, version 2 or 1, of a container or batch job.

    Args:
      root: mount point of the cgroup file systems.
      own: file that lists the cgroups of this process.
    """
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
        # Limits apply to all descendants. Inside a container, its own cgroup is mounted as the root.
        group = folder / path.lstrip("/")
        for place in (group, *group.parents):
            if not place.is_relative_to(folder):
                break
            try:
                limit, used = (int((place / name).read_text()) for name in names)
            except (OSError, ValueError):
                continue  # no limit: the value is "max", or, at the root, there is no file
            yield max(0, limit - used + _cached(place))


def _cached(group: Path) -> int:
    """Returns the bytes of file cache charged to a group that the kernel can reclaim."""
    try:
        lines = (group / "memory.stat").read_text().splitlines()
        numbers = dict(line.split() for line in lines)
        # In version 1, only the total includes descendants.
        return int(numbers.get("total_inactive_file", numbers.get("inactive_file", 0)))
    except (OSError, ValueError):
        return 0


class OutOfMemoryError(MemoryError):
    """Raised before a run that cannot fit in memory.

    Attributes:
      need: bytes that it would take.
      free: bytes that there are.
      size: longer side of the picture that would fit, in pixels, if it is known.
    """

    def __init__(self, need: int, free: int, size: int | None = None) -> None:
        remedy = f"; a size of {size} would fit" if size else ""
        super().__init__(f"{amount(need)} of memory are needed, and {amount(free)} are free{remedy}")
        self.need, self.free, self.size = need, free, size


def amount(num_bytes: float) -> str:
    """`9.8 GB`, or of less than 0.1 GB `12 MB`; in powers of 1024, as `--memory` reads them."""
    giga = num_bytes / 2**30
    return f"{giga:,.1f} GB" if giga >= 0.1 else f"{num_bytes / 2**20:,.0f} MB"


def check_enough(least: int, limit: int) -> None:
    """Raises OutOfMemoryError if a program would take `least` bytes or more, and all that there is is less.

    It costs nothing, where a program takes long to compile, or cannot be compiled at all.

    Args:
      least: bytes.
      limit: see `memory_limit`.
    """
    if least * _USABLE > limit:
        raise OutOfMemoryError(least, int(limit / _USABLE))


def first_that_fits(
    choices: Sequence[Choice],
    make: Callable[[Choice], tuple[Made, int]],
    limit: int,
    guess: Callable[[Choice], float] = lambda choice: 0,
) -> Made:
    """Returns the result of `make` for the first choice whose program fits, else for the smallest.

    Args:
      choices: in order of preference.
      make: `(choice) -> (result, bytes)`; expensive, as it compiles a program.
      limit: memory limit in bytes.
      guess: `(choice) -> bytes`, cheap; what seems too large is not made.

    Raises:
      OutOfMemoryError: the smallest would take more than all the memory that there is.
    """
    guesses = [guess(choice) for choice in choices]
    smallest = min(reversed(range(len(choices))), key=guesses.__getitem__)
    last_resort: tuple[Made, int] | None = None
    for number, choice in enumerate(choices):
        if guesses[number] > limit:
            continue
        made, num_bytes = make(choice)
        if num_bytes <= limit:
            return made
        if number == smallest:
            last_resort = made, num_bytes
    made, num_bytes = last_resort or make(choices[smallest])
    check_enough(num_bytes, limit)
    return made


def largest_that_fits(most: int, limit: int, num_bytes: Callable[[int], int], guess: int) -> int:
    """Searches for the largest batch size whose program fits, with few compilations.

    Args:
      most: upper bound on the batch size.
      limit: memory limit in bytes.
      num_bytes: `(batch size) -> bytes`, increasing; expensive, as it compiles a program.
      guess: first batch size to try.

    Returns:
      A batch size from 1 to `most` that fills at least 90 % of the limit, or the largest that fits.
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
        # Secant step: memory is about linear in the batch size, with a constant part.
        per_item = max(1.0, (need - last[1]) / (batch - last[0]))
        last = batch, need
        estimate = batch + math.floor(0.98 * (limit - need) / per_item)
        batch = max(fits + 1, min(too_large - 1, estimate))
    return max(1, fits)
