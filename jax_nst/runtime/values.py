"""Values that users pass from Python: taken where they mean one thing, else refused by name."""

import numbers
import os
import reprlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np


def as_whole(name: str, value: Any, least: int, most: int) -> int:
    """A whole number from `least` to `most`; 512.0 and scalars of NumPy and JAX are taken.

    Raises:
      ValueError: it is no whole number (strings and booleans are none), or out of range.
    """
    number = _plain(value)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if not isinstance(number, int) or isinstance(number, bool):
        raise ValueError(f"{name} must be a whole number, not {shown(value)}")
    if not least <= number <= most:
        raise ValueError(f"{name} must be {least} or more, {most} at most, not {shown(number)}")
    return number


def as_real(name: str, value: Any) -> float:
    """A number as a float; whole ones and scalars of NumPy and JAX are taken.

    Raises:
      ValueError: it is no number (strings and booleans are none).
    """
    number = _plain(value)
    if not isinstance(number, numbers.Real) or isinstance(number, bool):
        raise ValueError(f"{name} must be a number, not {shown(value)}")
    try:
        return float(number)
    except OverflowError:
        return float("inf")


def as_reals(name: str, value: Any) -> tuple[float, ...]:
    """The numbers of a list, a tuple or an array of one axis.

    Raises:
      ValueError: it is none of these, or holds what is no number.
    """
    if not isinstance(value, list | tuple) and getattr(value, "ndim", 0) != 1:
        raise ValueError(f"{name} must be a tuple of numbers, not {shown(value)}")
    return tuple(as_real(name, number) for number in value)


def as_wholes(name: str, value: Any, least: int, most: int) -> tuple[int, ...]:
    """The whole numbers of a list, a tuple or an array of one axis, each from `least` to `most`.

    Raises:
      ValueError: it is none of these, or holds what is no such number.
    """
    if not isinstance(value, list | tuple) and getattr(value, "ndim", 0) != 1:
        raise ValueError(f"{name} must be a tuple of whole numbers, not {shown(value)}")
    return tuple(as_whole(name, number, least, most) for number in value)


def as_names(name: str, value: Any) -> tuple[str, ...]:
    """The strings of a list or tuple, or of one string that separates them by commas.

    Raises:
      ValueError: it is none of these.
    """
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(","))
    if not isinstance(value, list | tuple) or not all(isinstance(part, str) for part in value):
        raise ValueError(f"{name} must be a tuple of strings, not {shown(value)}")
    return tuple(str(part) for part in value)


def as_path(name: str, value: Any) -> str:
    """A path as a string.

    Raises:
      ValueError: it is no path.
    """
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise ValueError(f"{name} must be a string or a path, not {shown(value)}")
    return str(os.fspath(value))


def check_type(name: str, value: Any, kind: type) -> None:
    """Raises TypeError, which names the argument, if a value is not of the type that it must be."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a {kind.__name__}, not {shown(value)}")


def check_callback(callback: Any) -> None:
    """Raises TypeError if it is neither None nor a function."""
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be a function, or None, not {shown(callback)}")


def shown(value: Any) -> str:
    """A value in an error message: short, and in one line."""
    return " ".join(reprlib.repr(value).split())


def _plain(value: Any) -> Any:
    """Scalars of NumPy and JAX, and arrays without axes, as Python's; others as they are."""
    scalar = isinstance(value, np.generic) or (hasattr(value, "item") and getattr(value, "ndim", 1) == 0)
    return value.item() if scalar else value


def differing(
    before: Any, now: Any, *, into_lists: bool, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Any, Any]]:
    """Yields the path to each difference of two values from JSON, and what is there in each.

    Args:
      before: the one.
      now: the other; a key that one of them lacks is None in it.
      into_lists: whether lists of one length are compared item by item, rather than as a whole.
      path: to both.
    """
    pairs: Iterable[tuple[str | int, Any, Any]] = ()
    if isinstance(before, dict) and isinstance(now, dict):
        pairs = [(str(key), before.get(key), now.get(key)) for key in dict.fromkeys((*before, *now))]
    elif into_lists and isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = [(index, *pair) for index, pair in enumerate(zip(before, now, strict=True))]
    elif before != now:
        yield path, before, now
    for key, *pair in pairs:
        yield from differing(*pair, into_lists=into_lists, path=(*path, key))
