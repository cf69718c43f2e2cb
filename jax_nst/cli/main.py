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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags
from tqdm import tqdm

from jax_nst.images import (
    WRITABLE,
    check_writable,
    find_images,
    load_image,
    load_picture,
    save_image,
)
from jax_nst.runtime import distributed
from jax_nst.runtime.compilation import keep_compiled
from jax_nst.runtime.files import check_replaceable, replacing
from jax_nst.runtime.malloc import keep_pages
from jax_nst.sweeps.batch import FAILED, OK
from jax_nst.sweeps.folder import PAGE, REPORTS, Job, make_job, run_in_folder
from jax_nst.sweeps.grid import SETTINGS, Grid
from jax_nst.sweeps.sweeping import SweepProgress
from jax_nst.transfer.config import INITS, Config
from jax_nst.transfer.network import load_network
from jax_nst.transfer.problem import load_content
from jax_nst.transfer.provenance import without_folders
from jax_nst.transfer.transfer import Progress, Result, run

USAGE = """\
Repaints a photograph in the style of a painting.

    python main.py --content photograph.jpg --style painting.jpg

writes photograph_painting.png in the working folder and prints its path. A flag
is given as --name VALUE or --name=VALUE. Where several values are allowed, separated
by commas or by repeating the flag, each is tried with each: a sweep, into a folder.

    python main.py --content cat.jpg --style 'paintings/*.jpg' --style_weight 300,1000
"""


def define_flags(values: flags.FlagValues) -> None:
    """Defines every flag, those of `Config` with its defaults, in `values`."""
    here: dict[str, Any] = {"flag_values": values, "module_name": "jax_nst"}
    many = "a file; several, a folder or a glob in quotes make a sweep"
    flags.DEFINE_multi_string("content", None, f"image to repaint: {many}", **here)
    flags.DEFINE_multi_string("style", None, f"image whose style to take: {many}", **here)
    flags.DEFINE_string(
        "output",
        None,
        "image file to write: .png, .jpg, .webp or .tif (default: CONTENT_STYLE.png here); of a sweep, a "
        "folder (default: sweep)",
        **here,
    )
    for field in dataclasses.fields(Config):
        _define(field, here)
    flags.DEFINE_multi_string(
        "blend",
        None,
        "makes one style of all: their shares, separated by commas; repeated, it makes a sweep",
        **here,
    )
    flags.DEFINE_bool("zip", False, "pair the values of a sweep, instead of all with all", **here)
    flags.DEFINE_string(
        "batch", "auto", "items of a sweep at once; auto: what fits, on a CPU what is fastest", **here
    )
    flags.DEFINE_bool("resume", False, "go on with the sweep in the folder --output", **here)
    flags.DEFINE_bool(
        "distributed",
        False,
        "share a sweep with the other processes of a TPU pod, Slurm or MPI job, or those that the next "
        "three flags name; all see one folder",
        **here,
    )
    flags.DEFINE_string("coordinator_address", None, "HOST:PORT of process 0", **here)
    flags.DEFINE_integer("num_processes", None, "how many processes there are", **here)
    flags.DEFINE_integer("process_id", None, "which of them this one is, from 0", **here)
    flags.DEFINE_string(
        "compilation_cache",
        "auto",
        "folder for compiled programs, which saves most of the start of later runs; auto: in your cache "
        "folder, or where JAX_COMPILATION_CACHE_DIR says; off: none",
        **here,
    )
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
    doc = field.metadata["doc"]
    if field.name in SETTINGS:
        separated = "repeated, it makes a sweep" if _kind(field)[0] is tuple else "several make a sweep"
        default = None if field.default is None else [str(field.default)]
        flags.DEFINE_multi_string(field.name, default, f"{doc}; {separated}", **here)
    else:
        defines[_kind(field)[0]](field.name, field.default, doc, **here)


def _kind(field: dataclasses.Field[Any]) -> tuple[type, type | None]:
    """The type of a field without its `| None`, and of the items if it is a tuple."""
    kind: Any = field.type
    if isinstance(kind, types.UnionType):
        kind = next(arm for arm in typing.get_args(kind) if arm is not types.NoneType)
    return typing.get_origin(kind) or kind, next(iter(typing.get_args(kind)), None)


def to_job(values: Mapping[str, Any]) -> Job:
    """The flags as what to do: one transfer, or the many of a sweep.

    Raises:
      ValueError: a value is not valid.
    """
    settings: dict[str, Any] = {}
    varied: dict[str, Any] = {"zip": values["zip"]}
    for field in dataclasses.fields(Config):
        name, given = field.name, values[field.name]
        if given is None:
            continue
        kind, item = _kind(field)
        if name in SETTINGS:
            parsed = _values(name, given, kind, item)
            # One value is a setting like others; several are an axis, whose first stands in for the rest.
            settings[name] = parsed[0]
            if len(parsed) > 1:
                varied[name] = parsed
        else:
            settings[name] = tuple(given) if kind is tuple else given
    if values["blend"]:
        varied["blend"] = _values("blend", values["blend"], tuple, float)
    images = {}
    for name in ("content", "style"):
        if not values[name] or not all(values[name]):
            raise ValueError(f"--{name} is missing; name the {name} image, see --help")
        images[name] = [path for given in values[name] for path in find_images(given)]
    return make_job(images["content"], images["style"], Grid(**varied), Config(**settings))


def _values(name: str, given: Sequence[str], kind: Any, item: Any) -> tuple[Any, ...]:
    """The values of a flag that may be repeated; those that are no lists themselves may have commas."""
    try:
        if kind is tuple:
            return tuple(tuple(item(part) for part in text.split(",")) for text in given)
        if kind is str:
            return tuple(part for text in given for part in _unless_a_file(text))
        return tuple(kind(part) for text in given for part in text.split(","))
    except ValueError as error:
        raise ValueError(f"{name} takes numbers separated by commas ({error})") from error


def _unless_a_file(text: str) -> list[str]:
    return [text] if os.path.exists(text) else text.split(",")


def help_text(parser: flags.FlagValues) -> str:
    """What `--help` prints."""
    lines = [USAGE]
    for flag in parser.get_flags_for_module("jax_nst"):
        default = f" (default: {_default(flag)})" if flag.default not in (None, False) else ""
        boolean = flag.flag_type() == "bool"
        name = f"--{flag.name}" + ("" if boolean else f" {_placeholder(flag)}")
        lines.append(f"  {name}")
        lines += textwrap.wrap(
            f"{flag.help}{default}", 88, initial_indent=" " * 6, subsequent_indent=" " * 6
        )
    return "\n".join(lines)


def _default(flag: flags.Flag) -> str:
    return ",".join(flag.default) if isinstance(flag.default, list) else str(flag.default)


def _placeholder(flag: flags.Flag) -> str:
    named = {
        "int": "N",
        "float": "X",
        "comma separated list of strings": "A,B",
        "multi string": "VALUE,...",
    }
    if flag.name in ("style_layer_weights", "blend"):
        return "X,X"
    return named.get(flag.flag_type(), "VALUE")


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
            raise ValueError(
                f"unexpected argument {rest[0]!r}; give arguments to flags, globs in quotes; see --help"
            )
        job = to_job(values)
        batch = _batch(values["batch"])
        _check_together(values, job)
    except (flags.Error, ValueError) as error:
        return _fail(error, status=2)
    try:
        with _warnings_in_a_line():
            return _run(values, job, batch)
    except KeyboardInterrupt as interrupt:
        sweeping = len(job.items) > 1
        usual = "go on with --resume" if sweeping else "nothing was saved"
        _tell(f"jax_nst: interrupted, {interrupt.args[0] if interrupt.args else usual}")
        status = 128 + signal.SIGINT
    except (ValueError, FloatingPointError, OSError, distributed.PeerError) as error:
        status = _fail(error)
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not (isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)):
            raise
        smaller = "--batch or --size" if len(job.items) > 1 else "--size"
        status = _fail(f"not enough memory for pictures of this size; make {smaller} smaller")
    if values["distributed"]:
        os._exit(status)  # a usual exit would wait for the others, who wait for this one
    return status


def _run(values: Mapping[str, Any], job: Job, batch: int | None) -> int:
    """Prepares the process and JAX, and paints; returns the exit status."""
    several = len(job.items) > 1
    keep_pages(threads=several)
    keep_compiled(values["compilation_cache"])
    if several:
        distributed.use_cores()
    if values["distributed"]:
        distributed.initialize(values["coordinator_address"], values["num_processes"], values["process_id"])
    return run_job(values, job, batch) if several else transfer(values, job)


def _batch(text: str) -> int | None:
    if text == "auto":
        return None
    if not (text.isdecimal() and int(text)):
        raise ValueError(f"batch must be auto, or a number from 1, not {text!r}")
    return int(text)


def _check_together(values: Mapping[str, Any], job: Job) -> None:
    """Raises ValueError if a flag would do nothing."""
    useless: dict[str, str] = {}
    if len(job.items) > 1:
        useless["history"] = "a sweep writes history.npz into its folder"
        useless["save_every"] = "a sweep saves as each batch ends"
    else:
        names = ("zip", "resume", "distributed", *(["batch"] if values["batch"] != "auto" else []))
        useless |= dict.fromkeys(names, "there is only one picture to make")
    for name, reason in useless.items():
        if values[name]:
            raise ValueError(f"--{name} has no use here: {reason}; leave it out")
    if not values["distributed"]:
        for name in ("coordinator_address", "num_processes", "process_id"):
            if values[name] is not None:
                raise ValueError(f"--{name} has no use without --distributed; add that, or leave it out")


def run_job(values: Mapping[str, Any], job: Job, batch: int | None) -> int:
    """Runs a sweep into its folder; returns the exit status.

    Raises:
      ValueError: bad input, in one sentence.
    """
    folder, quiet = Path(values["output"] or "sweep"), values["quiet"]
    if folder.suffix.lower() in WRITABLE:
        raise ValueError(f"{folder}: {len(job.items)} pictures need a folder; name one with --output")
    read = [*job.contents, *job.styles, job.config.weights]
    read += [item.config.init for item in job.items if item.config.init not in INITS]
    _check_distinct(dict.fromkeys(read), [str(folder / file) for file in (*job.files, *REPORTS)])
    network = load_network(job.config, quiet=quiet)
    with _interrupts() as interrupted, _items_bar(len(job.items), quiet) as bar:

        def callback(progress: SweepProgress) -> bool:
            _show_items(bar, progress, len(job.items))
            if interrupted and distributed.num_processes() > 1:
                raise KeyboardInterrupt  # the others notice at the end of their batch
            return bool(interrupted)

        rows = run_in_folder(folder, job, network, batch=batch, resume=values["resume"], callback=callback)
    bad = [row for row in rows if row["status"] != OK]
    for row in bad:
        _tell(f"jax_nst: item {row['item']}: {row['status']}")
    if not quiet:
        done = len(rows) - sum(row["status"].startswith(FAILED) for row in rows)
        _tell(f"{done} of {len(job.items)} pictures; open {folder / PAGE} to look through them")
    print(folder)
    if interrupted:
        return 128 + interrupted[0]
    return 1 if any(row["status"].startswith(FAILED) for row in rows) else 0


def _items_bar(num_items: int, quiet: bool) -> "tqdm[Any]":
    form = "{percentage:3.0f}%|{bar:20}|{postfix} [{elapsed}, {remaining} left]"
    return tqdm(
        total=num_items,
        disable=quiet or sys.stderr is None or not distributed.is_first(),
        bar_format=form,
        dynamic_ncols=True,
        postfix="compiling",
        delay=0.5,  # a mistake is found before
    )


def _show_items(bar: "tqdm[Any]", progress: SweepProgress, num_items: int) -> None:
    """Items done, in halves too: those at work count by their steps."""
    before = num_items - progress.num_items + progress.items_done  # and those of an earlier run
    if bar.n == 0 and before:
        bar.initial = bar.n = num_items - progress.num_items
    share = len(progress.batch) * progress.step / progress.num_steps
    rate = bar.format_dict["rate"]
    per_minute = f", {60 * rate:.1f} items/min" if rate else ""
    bar.set_postfix_str(
        f"{before}/{num_items} items, {len(progress.batch)} at work: "
        f"step {progress.step}/{progress.num_steps}{per_minute}",
        refresh=False,
    )
    bar.update(before + share - bar.n)


def transfer(values: Mapping[str, Any], job: Job) -> int:
    """Reads, paints, and writes one picture; returns the exit status.

    Raises:
      ValueError: bad input, in one sentence.
    """
    (item,) = job.items
    config, (content_path,) = item.config, job.contents
    style_paths = [job.styles[index] for index in item.styles]
    stems = "_".join(Path(path).stem for path in (content_path, *style_paths))
    output = values["output"] or f"{stems}.png"
    history_path, quiet = values["history"], values["quiet"]
    content = load_content(content_path, config)
    styles = [load_image(path) for path in style_paths]
    read = [content_path, *style_paths, config.weights]
    if config.init not in INITS:
        load_image(config.init)  # fails here rather than after the weights are read
        read.append(config.init)
    _check_distinct(read, [output, history_path])
    check_writable(output)
    if history_path:
        check_replaceable(history_path)
    network = load_network(config, quiet=quiet)
    with _saved() as saved, _interrupts() as interrupted, _bar(config.steps, quiet) as bar:

        def save(pixels: np.ndarray, history: dict[str, Any]) -> None:
            style = style_paths[0] if len(style_paths) == 1 else style_paths
            settings = {"content": content_path, "style": style, **_for_file(history)}
            save_image(output, pixels, alpha=content.alpha, settings=without_folders(settings))
            saved.append(output)

        def callback(progress: Progress) -> bool:
            _show(bar, progress)
            steps = (entry["step"] for entry in progress.entries if entry["step"])
            if config.save_every and any(step % config.save_every == 0 for step in steps):
                save(progress.best_pixels(), progress.history)
            return bool(interrupted)

        result = run(network, content.pixels, styles, config=config, blend=item.shares, callback=callback)
        save(result.pixels, result.history)
        if history_path:
            with replacing(history_path) as file:
                file.write(json.dumps(_for_json(result.history), indent=1).encode())
        bar.close()
        if not quiet:
            _tell(_verdict(output, result, hurry=bool(interrupted)))
    print(output)
    return 128 + interrupted[0] if interrupted else 0


def _check_distinct(read: Iterable[str | None], written: Sequence[str | None]) -> None:
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
    names = ("config", "blend", "features", "size", "versions", "device", "weights_sha256")
    return {name: history[name] for name in names}


def _verdict(output: str, result: Result, *, hurry: bool) -> str:
    """The losses of the picture as it is in the file, rounded and compressed; in a hurry, none."""
    last = result.history["steps"][-1]
    verdict = f"saved after {last['step']} steps, {last['seconds']:.1f} s"
    if hurry:
        return verdict
    losses = result.score(load_picture(output).pixels)
    terms = ", ".join(f"{name} {value:.4g}" for name, value in losses._asdict().items())
    return f"{verdict}; the file scores {terms}"


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
        bar.reset(progress.num_steps)  # the time of compiling is not a step's
    last = progress.entries[-1]
    terms = "{size} px, loss {total:.4g} = content {content:.3g}, style {style:.3g}, tv {tv:.3g}"
    bar.set_postfix_str(terms.format(**last), refresh=False)
    bar.update(progress.step - bar.n)


@contextlib.contextmanager
def _saved() -> Iterator[list[str]]:
    """A list of files that are saved, which an interrupt tells of."""
    paths: list[str] = []
    try:
        yield paths
    except KeyboardInterrupt as interrupt:
        if paths:
            raise KeyboardInterrupt(f"{paths[-1]} is saved") from interrupt
        raise


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
