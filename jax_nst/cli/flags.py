"""The flags: their definitions, their help, and what they ask for."""

import dataclasses
import os
import textwrap
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import flags

from jax_nst.cli.keeping import define_halving
from jax_nst.images import find_images
from jax_nst.runtime.files import FileError
from jax_nst.sweeps.grid import SETTINGS, Grid
from jax_nst.sweeps.job import SWEEP, Job, make_job
from jax_nst.sweeps.settings import written_by_sweep
from jax_nst.transfer.config import Config, uses_seed

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
        "image file to write: .png, .jpg, .webp or .tif; {content}, {style} and {SETTING} in it stand for "
        "their names and values (default: CONTENT_STYLE.png here, with the settings that you change, as in "
        "CONTENT_STYLE_steps=200.png); of a sweep, a folder (default: sweep)",
        **here,
    )
    flags.DEFINE_bool("no_clobber", False, "refuse to replace an existing file", **here)
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
        "batch",
        "auto",
        "items of a sweep computed at once; auto: as many as fit, on a CPU as many as are fastest",
        **here,
    )
    flags.DEFINE_string(
        "checkpoint",
        "auto",
        "folder for the state of a run, from which --resume goes on; removed at its end; auto: for runs of "
        "more than two minutes, OUTPUT.checkpoint; off: none; a sweep has its own",
        **here,
    )
    flags.DEFINE_float(
        "checkpoint_every",
        60.0,
        "seconds between two savings of the state; more where it takes long",
        **here,
    )
    flags.DEFINE_string(
        "resume",
        None,
        "go on with a run: the folder of its checkpoint, or of a sweep; flags that are not given are those "
        "of that run; with the same --checkpoint, begin if there is nothing to go on with",
        **here,
    )
    flags.DEFINE_bool(
        "resume_anyway",
        False,
        "go on, too, where versions, device or cores differ, so that the picture differs by rounding",
        **here,
    )
    flags.DEFINE_string(
        "report", None, "only make the contact sheet and the page of a sweep anew: its folder", **here
    )
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
    define_halving(here)
    flags.DEFINE_string("history", None, "JSON file to write the losses of every step to", **here)
    flags.DEFINE_bool(
        "measure",
        False,
        "measure the pictures: how near they are to the style, on features that were not painted with, and "
        "to the content; printed, and kept with the picture and its history; in a sweep, columns of its "
        "table and page",
        **here,
    )
    flags.DEFINE_bool("quiet", False, "print the path of the picture only", **here)
    flags.DEFINE_bool("version", False, "show the version", **here)
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
        # Of `str | Extractor` and the like the command line takes the name.
        kind = typing.get_args(kind)[0]
    item = next(iter(typing.get_args(kind)), None)
    if isinstance(item, types.UnionType):
        item = typing.get_args(item)[0]
    return typing.get_origin(kind) or kind, item


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
            parts = [",".join(given)] if kind is tuple and given else []
            settings[name] = next(iter(_values(name, parts, kind, item)), ()) if kind is tuple else given
    if values["blend"]:
        varied["blend"] = _values("blend", values["blend"], tuple, float)
    images, is_written = {}, written_by_sweep(values["output"] or SWEEP)
    for name in ("content", "style"):
        if not values[name] or not all(values[name]):
            raise ValueError(f"--{name} is missing; name the {name} image, see --help")
        images[name] = [path for given in values[name] for path in _find_images(name, given, is_written)]
    return make_job(images["content"], images["style"], Grid(**varied), Config(**settings))


def _find_images(name: str, given: str, skip: Callable[[str], bool]) -> list[str]:
    """The files that an argument names; raises FileError for a list of files of which there is none."""
    found = find_images(given, skip=skip)
    if len(found) > 1 and not any(os.path.exists(path) for path in found):
        raise FileError(
            f"--{name} {given}: no such image file; nor is there one of the files that its commas separate"
        )
    return found


def _values(name: str, given: Sequence[str], kind: Any, item: Any) -> tuple[Any, ...]:
    """The values of a flag that may be repeated; those that are no lists themselves may have commas."""
    try:
        if kind is tuple:
            return tuple(tuple(item(part) for part in text.split(",")) for text in given)
        if kind is str:
            return tuple(part for text in given for part in _unless_a_file(text))
        if name == "style_weight":
            return tuple(_number_or_path(part) for text in given for part in _unless_a_file(text))
        return tuple(kind(part) for text in given for part in text.split(","))
    except ValueError as error:
        raise ValueError(f"{name} takes numbers separated by commas ({error})") from error


def _number_or_path(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        if os.path.exists(text):
            return text
        raise ValueError(f"{text!r} is none, nor is there an image of that name") from None


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
            f"{help_of(flag)}{default}", 88, initial_indent=" " * 6, subsequent_indent=" " * 6
        )
    return "\n".join(lines)


def help_of(flag: flags.Flag) -> str:
    """The help of a flag in one line, without what absl adds to that of a flag that may be repeated."""
    added = "repeat this option to specify a list of values"
    return " ".join((flag.help or "").split()).removesuffix(added).rstrip("; ")


def _default(flag: flags.Flag) -> str:
    return ",".join(flag.default) if isinstance(flag.default, list) else str(flag.default)


def _placeholder(flag: flags.Flag) -> str:
    named = {
        "int": "N",
        "float": "X",
        "comma separated list of strings": "A,B",
        "multi string": "VALUE,...",
    }
    if flag.name in ("style_layer_weights", "style_angle", "blend"):
        return "X,X"
    return named.get(flag.flag_type(), "VALUE")


def parse_batch(text: str) -> int | None:
    if text == "auto":
        return None
    if not (text.isdecimal() and int(text)):
        raise ValueError(f"batch must be auto, or a number from 1, not {text!r}")
    return int(text)


def check_together(values: Mapping[str, Any], job: Job) -> None:
    """Raises ValueError if a flag is empty, or would do nothing."""
    for name in ("output", "history", "checkpoint", "compilation_cache", "weights", "coordinator_address"):
        if values[name] == "":
            raise ValueError(f"--{name} is empty; give it a value, or leave it out")
    for name in ("output", "history"):
        if values[name] == "-":
            raise ValueError(
                f"--{name} cannot be standard output, which gets the path of the picture; name a file"
            )
    if not values["checkpoint_every"] >= 0:
        raise ValueError(f"--checkpoint_every must be zero or more, not {values['checkpoint_every']}")
    if values["resume_anyway"] and not values["resume"]:
        raise ValueError("--resume_anyway has no use without --resume; add that, or leave it out")
    useless: dict[str, str] = {}
    noisy = "seed" in job.axes or any(uses_seed(item.config) for item in job.items)
    if job.config.seed and not noisy:
        useless["seed"] = "only --init noise, --init_noise and --noise use it"
    if len(job.items) > 1:
        useless["history"] = "a sweep writes history.npz into its folder"
        useless["save_every"] = "a sweep saves as each batch ends"
        useless["no_clobber"] = "a sweep replaces no files but those it continues with --resume"
        if values["checkpoint"] != "auto":
            useless["checkpoint"] = "a sweep keeps its own in its folder"
    else:
        names = ("zip", "distributed", *(["batch"] if values["batch"] != "auto" else []))
        useless |= dict.fromkeys(names, "there is only one picture to make")
    for name, reason in useless.items():
        if values[name]:
            raise ValueError(f"--{name} has no use here: {reason}; leave it out")
    if not values["distributed"]:
        for name in ("coordinator_address", "num_processes", "process_id"):
            if values[name] is not None:
                raise ValueError(f"--{name} has no use without --distributed; add that, or leave it out")
