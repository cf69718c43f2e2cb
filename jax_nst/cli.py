"""The command line: flags -> Config -> files. The only place with absl, printing and signals."""

import contextlib
import dataclasses
import json
import math
import os
import signal
import sys
import textwrap
import types
import typing
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags
from tqdm import tqdm

from jax_nst.config import INITS, Config
from jax_nst.images import (
    check_replaceable,
    check_writable,
    load_image,
    load_picture,
    replacing,
    resize_picture,
    save_image,
)
from jax_nst.network import load_network
from jax_nst.problem import picture_size
from jax_nst.stylize import Progress, Result, run

USAGE = """\
Repaints a photograph in the style of a painting.

    python main.py --content photograph.jpg --style painting.jpg

writes photograph_painting.png in the working folder and prints its path. A flag
is given as --name VALUE or --name=VALUE.
"""


def define_flags(values: flags.FlagValues) -> None:
    """Defines every flag, those of `Config` with its defaults, in `values`."""
    here: dict[str, Any] = {"flag_values": values, "module_name": "jax_nst"}
    flags.DEFINE_string("content", None, "image file to repaint", **here)
    flags.DEFINE_string("style", None, "image file whose style to take", **here)
    flags.DEFINE_string(
        "output",
        None,
        "image file to write: .png, .jpg, .webp or .tif (default: CONTENT_STYLE.png here)",
        **here,
    )
    for field in dataclasses.fields(Config):
        _define(field, here)
    flags.DEFINE_string("history", None, "JSON file to write the losses of every step to", **here)
    flags.DEFINE_bool("quiet", False, "print the path of the picture only", **here)
    flags.DEFINE_bool("help", False, "show this help", short_name="h", **here)


def _define(field: dataclasses.Field[Any], here: dict[str, Any]) -> None:
    defines: dict[type, Any] = {
        tuple: flags.DEFINE_list,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
    }
    defines[_kind(field)[0]](field.name, field.default, field.metadata["doc"], **here)


def _kind(field: dataclasses.Field[Any]) -> tuple[type, type | None]:
    """The type of a field without its `| None`, and of the items if it is a tuple."""
    kind: Any = field.type
    if isinstance(kind, types.UnionType):
        kind = next(arm for arm in typing.get_args(kind) if arm is not types.NoneType)
    return typing.get_origin(kind) or kind, next(iter(typing.get_args(kind)), None)


def to_config(values: Mapping[str, Any]) -> Config:
    """The flags as a `Config`.

    Raises:
      ValueError: a value is not valid.
    """
    settings = {}
    for field in dataclasses.fields(Config):
        value = values[field.name]
        kind, item = _kind(field)
        if kind is tuple and value is not None:
            try:
                value = tuple((item or str)(part) for part in value)
            except ValueError as error:
                raise ValueError(f"{field.name} takes numbers separated by commas ({error})") from error
        settings[field.name] = value
    return Config(**settings)


def help_text(parser: flags.FlagValues) -> str:
    """What `--help` prints."""
    lines = [USAGE]
    for flag in parser.get_flags_for_module("jax_nst"):
        default = f" (default: {flag.default_as_str})" if flag.default not in (None, False) else ""
        boolean = flag.flag_type() == "bool"
        name = f"--{flag.name}" + ("" if boolean else f" {_placeholder(flag)}")
        lines.append(f"  {name}")
        lines += textwrap.wrap(
            f"{flag.help}{default}", 88, initial_indent=" " * 6, subsequent_indent=" " * 6
        )
    return "\n".join(lines)


def _placeholder(flag: flags.Flag) -> str:
    return {"int": "N", "float": "X", "comma separated list of strings": "A,B"}.get(
        flag.flag_type(), "VALUE"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program.

    Args:
      argv: its name and its arguments; those of the process by default.

    Returns:
      The exit status: 0, 1 after an error, 2 after a wrong flag, 130 after Ctrl-C.
    """
    parser = flags.FlagValues()
    define_flags(parser)
    try:
        rest = parser(list(sys.argv if argv is None else argv))[1:]
        values = parser.flag_values_dict()
        if values["help"]:
            print(help_text(parser))
            return 0
        if rest:
            raise ValueError(f"unexpected argument {rest[0]!r}; every argument needs a flag, see --help")
        for name in ("content", "style"):
            if not values[name]:
                raise ValueError(f"--{name} is missing; name the {name} image, see --help")
        config = to_config(values)
    except (flags.Error, ValueError) as error:
        return _fail(error, status=2)
    try:
        with _warnings_in_a_line():
            return transfer(values, config)
    except KeyboardInterrupt:
        _tell("jax_nst: interrupted, nothing was saved")
        return 128 + signal.SIGINT
    except (ValueError, FloatingPointError, OSError) as error:
        return _fail(error)
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            return _fail("not enough memory for a picture of this size; make --size smaller")
        raise


def transfer(values: Mapping[str, Any], config: Config) -> int:
    """Reads, paints, and writes; returns the exit status.

    Raises:
      ValueError: bad input, in one sentence.
    """
    content_path, style_path = values["content"], values["style"]
    output = values["output"] or f"{Path(content_path).stem}_{Path(style_path).stem}.png"
    history_path, quiet = values["history"], values["quiet"]
    content = load_picture(content_path)
    content = resize_picture(content, picture_size(config, content.pixels.shape))
    style = load_image(style_path)
    read = [content_path, style_path, config.weights]
    if config.init not in INITS:
        load_image(config.init)  # fails here rather than after the weights are read
        read.append(config.init)
    _check_distinct(read, [output, history_path])
    check_writable(output)
    if history_path:
        check_replaceable(history_path)
    network = load_network(config, quiet=quiet)
    with _interrupts() as interrupted, _bar(config.steps, quiet) as bar:

        def save(pixels: np.ndarray, history: dict[str, Any]) -> None:
            settings = {"content": content_path, "style": style_path, **_for_file(history)}
            save_image(output, pixels, alpha=content.alpha, settings=_without_folders(settings))

        def callback(progress: Progress) -> bool:
            _show(bar, progress)
            if config.save_every and progress.step and progress.step % config.save_every == 0:
                save(progress.best_pixels(), progress.history)
            return bool(interrupted)

        result = run(network, content.pixels, [style], config=config, callback=callback)
        save(result.pixels, result.history)
        if history_path:
            with replacing(history_path) as file:
                file.write(json.dumps(_for_json(result.history), indent=1).encode())
    if not quiet:
        _tell(_verdict(output, result))
    print(output)
    return 128 + interrupted[0] if interrupted else 0


def _check_distinct(read: Sequence[str | None], written: Sequence[str | None]) -> None:
    """Raises ValueError if a file would be written over one that is read, or over another one written."""
    taken = {Path(path).resolve() for path in read if path}
    for path in filter(None, written):
        if Path(path).resolve() in taken:
            raise ValueError(
                f"{path}: is read or written already, and would be lost; name another file to write"
            )
        taken.add(Path(path).resolve())


def _for_file(history: dict[str, Any]) -> dict[str, Any]:
    """What of the history travels in the picture: all that decided it."""
    names = ("config", "features", "size", "versions", "device", "weights_sha256")
    return {name: history[name] for name in names}


def _without_folders(value: Any) -> Any:
    """The same with file names for paths: a picture is passed on, the folders are the user's own."""
    if isinstance(value, dict):
        return {key: _without_folders(item) for key, item in value.items()}
    return Path(value).name if isinstance(value, str) and os.sep in value else value


def _verdict(output: str, result: Result) -> str:
    """The losses of the picture as it is in the file, rounded and compressed."""
    losses = result.score(load_picture(output).pixels)
    terms = ", ".join(f"{name} {value:.4g}" for name, value in losses._asdict().items())
    entries = result.history["steps"]
    return (
        f"saved after {entries[-1]['step']} steps, {entries[-1]['seconds']:.1f} s; the file scores {terms}"
    )


def _for_json(value: Any) -> Any:
    """The same with None for the loss of a step that went wrong: JSON has no infinity."""
    if isinstance(value, dict):
        return {key: _for_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_for_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _bar(steps: int, quiet: bool) -> "tqdm[Any]":
    form = "{percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt}{postfix} [{rate_fmt}, {remaining} left]"
    return tqdm(
        total=steps,
        disable=quiet or sys.stderr is None,
        unit=" steps",
        bar_format=form,
        dynamic_ncols=True,
        postfix="compiling",
    )


def _show(bar: "tqdm[Any]", progress: Progress) -> None:
    if progress.step == 0:
        bar.reset()  # the time of compiling is not a step's
    last = progress.entries[-1]
    terms = "loss {total:.4g} = content {content:.3g}, style {style:.3g}, tv {tv:.3g}"
    bar.set_postfix_str(terms.format(**last), refresh=False)
    bar.update(progress.step - bar.n)


@contextlib.contextmanager
def _interrupts() -> Iterator[list[int]]:
    """A list that fills when Ctrl-C is pressed, or a TERM comes; the second time ends at once."""
    received: list[int] = []

    def handle(number: int, frame: types.FrameType | None) -> None:
        del frame
        if received:
            raise KeyboardInterrupt
        received.append(number)
        _tell("\njax_nst: stopping after this step; press Ctrl-C again to quit at once")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _warnings_in_a_line() -> Iterator[None]:
    """Shows our warnings as one line each on standard error."""

    def show(message: Any, category: type[Warning], *rest: Any, **named: Any) -> None:
        del category, rest, named
        _tell(f"jax_nst: warning: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield


def _fail(error: object, status: int = 1) -> int:
    _tell(f"jax_nst: {' '.join(str(error).split())}")
    return status


def _tell(line: str) -> None:
    """Prints to standard error, unless that is closed."""
    if sys.stderr is not None:
        print(line, file=sys.stderr)
