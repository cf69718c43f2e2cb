"""The terminal: progress bars, signals, warnings and messages."""

import contextlib
import os
import signal
import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any

from tqdm import tqdm

from jax_nst.runtime import distributed
from jax_nst.transfer.outcome import Progress

# Ctrl-C, the end asked for by the system, and a closed terminal, which Windows does not have.
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


def items_bar(num_items: int, quiet: bool) -> "tqdm[Any]":
    """The progress bar of a sweep; only the first of several processes shows one."""
    form = "{percentage:3.0f}%|{bar:20}|{postfix} [{elapsed}, {remaining} left]"
    return tqdm(
        total=num_items,
        disable=quiet or sys.stderr is None or not distributed.is_first(),
        file=_Forgiving(),
        bar_format=form,
        dynamic_ncols=True,
        postfix="compiling",
        delay=0.5,  # a mistake is found before
    )


def show_items(bar: "tqdm[Any]", progress: Progress, num_items: int) -> None:
    """Shows the items done; those at work count by the share of their steps."""
    before = num_items - progress.num_items + progress.items_done  # with those of an earlier run
    if bar.n == 0 and before:
        bar.initial = bar.n = num_items - progress.num_items
    share = len(progress.items) * progress.step / progress.num_steps
    rate = bar.format_dict["rate"]
    per_minute = f", {60 * rate:.1f} items/min" if rate else ""
    bar.set_postfix_str(
        f"{before}/{num_items} items, {len(progress.items)} at work: "
        f"step {progress.step}/{progress.num_steps}{per_minute}",
        refresh=False,
    )
    bar.update(before + share - bar.n)


def steps_bar(steps: int, quiet: bool) -> "tqdm[Any]":
    """The progress bar of one picture."""
    form = "{percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt}{postfix} [{rate_fmt}, {remaining} left]"
    return tqdm(
        total=steps,
        disable=quiet or sys.stderr is None,
        file=_Forgiving(),
        unit=" steps",
        bar_format=form,
        dynamic_ncols=True,
        postfix="compiling",
    )


def show_steps(bar: "tqdm[Any]", progress: Progress) -> None:
    """Shows the step, the size and the losses."""
    if progress.step == 0:
        bar.reset(progress.num_steps)  # the time of compiling is not a step's
    (entries,) = progress.entries.values()
    last = {name: value for name, value in entries[-1].items() if name not in ("step", "size", "seconds")}
    total = last.pop("total")
    terms = ", ".join(f"{name} {value:.3g}" for name, value in last.items())
    bar.set_postfix_str(f"{progress.size} px, loss {total:.4g} = {terms}", refresh=False)
    bar.update(progress.step - bar.n)


@contextlib.contextmanager
def saved_files() -> Iterator[list[str]]:
    """Yields a list for the files saved so far; an interrupt names the last of them."""
    paths: list[str] = []
    try:
        yield paths
    except KeyboardInterrupt as interrupt:
        if paths:
            raise KeyboardInterrupt(f"{paths[-1]} is saved") from interrupt
        raise


@contextlib.contextmanager
def interrupts() -> Iterator[list[int]]:
    """Yields a list that receives the number of the signals that end a run; a second one quits at once."""
    received: list[int] = []

    def handle(number: int, frame: types.FrameType | None) -> None:
        del frame
        if received:
            raise KeyboardInterrupt
        received.append(number)
        tell("\njax_nst: stopping after this step; press Ctrl-C again to quit at once")

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def warnings_in_a_line() -> Iterator[None]:
    """Shows our warnings as one line each on standard error."""

    def show(message: Any, category: type[Warning], *rest: Any, **named: Any) -> None:
        del category, rest, named
        tell(f"jax_nst: warning: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield


def fail(error: object, status: int = 1) -> int:
    """Prints an error in one line; returns the exit status."""
    tell(f"jax_nst: {' '.join(str(error).split())}")
    return status


def tell(line: str) -> None:
    """Prints to standard error, unless that is closed, full or broken."""
    _Forgiving().write(f"{line}\n")


def show(line: str) -> None:
    """Prints to standard output; a stream that is full, or a pipe that is closed, is no failure.

    Characters that the stream cannot encode are escaped.
    """
    if sys.stdout is None:
        return
    encoding = sys.stdout.encoding or "utf-8"
    try:
        print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  Python would flush the broken one at its end


class _Forgiving:
    """Standard error as a file whose failures end nothing: progress is not worth a picture."""

    def write(self, text: str) -> None:
        """Writes, if that is possible."""
        try:
            if sys.stderr is not None:
                sys.stderr.write(text)
                sys.stderr.flush()
        except (OSError, ValueError):
            sys.stderr = open(os.devnull, "w")  # noqa: SIM115  Python would flush the broken one at its end

    def flush(self) -> None:
        """Does nothing: what is written is flushed."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)
