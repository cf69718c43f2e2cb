"""The flags: their definitions, and what they ask for."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import flags

from jax_nst.cli.keeping import define_halving
from jax_nst.images import find_images
from jax_nst.runtime.files import FileError
from jax_nst.sweeps.grid import SETTINGS, Grid, grid_of
from jax_nst.sweeps.job import SWEEP, Job, make_job
from jax_nst.sweeps.points import Point, pictures_of, read_points
from jax_nst.sweeps.ranges import as_range
from jax_nst.sweeps.settings import written_by_sweep
from jax_nst.transfer.config import Config, uses_seed
from jax_nst.transfer.conversion import NUMBERS, from_text, is_list


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
    flags.DEFINE_string(
        "points",
        None,
        "CSV file of a sweep, an item in each line: columns are named as the flags that may have several "
        "values; content and style are paths; an empty cell takes the value of the flag",
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
    flags.DEFINE_list(
        "merge", None, "only add the items of other sweeps to that in --output: their folders", **here
    )
    flags.DEFINE_bool(
        "plan",
        False,
        "only check every input, and say what the run would do: pictures, sizes, programs, memory and time",
        **here,
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
    flags.DEFINE_string(
        "tensorboard",
        None,
        "folder to write the losses, pictures, settings and results to for TensorBoard, during the run; of "
        "a sweep, as each batch ends; needs tensorboardX",
        **here,
    )
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
    doc: str = field.metadata["doc"]
    default: Any = field.default
    if field.name in SETTINGS:
        separated = "repeated, it makes a sweep" if is_list(field.name) else "several make a sweep"
        given = None if default is None else [str(default)]
        flags.DEFINE_multi_string(field.name, given, f"{doc}; {separated}", **here)
    elif is_list(field.name):
        flags.DEFINE_list(field.name, default, doc, **here)
    elif isinstance(default, int):
        flags.DEFINE_integer(field.name, default, doc, **here)
    else:
        flags.DEFINE_string(field.name, default, doc, **here)


def to_job(values: Mapping[str, Any]) -> Job:
    """The flags as what to do: one transfer, or the many of a sweep.

    Raises:
      ValueError: a value is not valid.
    """
    axes = {name: _values(name, values[name]) for name in SETTINGS if values[name] is not None}
    grid = Grid(**axes, zip=values["zip"])  # pyright: ignore[reportArgumentType]
    blend = tuple(from_text("blend", text) for text in values["blend"] or ())
    # One value is a setting like others; several are an axis, whose first stands in for the rest.
    settings = {name: getattr(grid, name)[0] for name in axes}
    several = {name: getattr(grid, name) for name in axes if len(getattr(grid, name)) > 1}
    singles = (field.name for field in dataclasses.fields(Config) if field.name not in SETTINGS)
    config = Config(**settings, **{name: values[name] for name in singles})
    points: list[Point] = []
    if values["points"] is not None:
        points = _read_points(values["points"], several)
    images, is_written = {}, written_by_sweep(values["output"] or SWEEP)
    for name in ("content", "style"):
        images[name], points = pictures_of(name, points)
        if images[name] and values[name]:
            raise ValueError(f"--{name} and the column {name} of --points name pictures; leave one out")
        if not images[name] and not (values[name] and all(values[name])):
            raise ValueError(f"--{name} is missing; name the {name} image, see --help")
        for given in values[name] or ():
            images[name] += _find_images(name, given, is_written)
    grid = grid_of(points) if points else Grid(**several, zip=values["zip"])
    if blend and grid.style:
        raise ValueError("--blend mixes all styles, but --points has a column style; leave one out")
    grid = dataclasses.replace(grid, blend=blend) if blend else grid
    return make_job(images["content"], images["style"], grid, config)


def _read_points(path: str, several: Mapping[str, Any]) -> list[Point]:
    """The points of a table, beside which no flag has several values."""
    for name in several:
        raise ValueError(f"--points lists all that varies; give one --{name}, or a column of that name")
    if not path:
        raise ValueError("--points is empty; name a CSV file")
    return read_points(path)


def _find_images(name: str, given: str, skip: Callable[[str], bool]) -> list[str]:
    """The files that an argument names; raises FileError for a list of files of which there is none."""
    found = find_images(given, skip=skip)
    if len(found) > 1 and not any(os.path.exists(path) for path in found):
        raise FileError(
            f"--{name} {given}: no such image file; nor is there one of the files that its commas separate"
        )
    return found


def _values(name: str, given: Sequence[str]) -> list[Any]:
    """The values of a flag that may be repeated; those that are no lists themselves may have commas."""
    texts = given if is_list(name) else [part for text in given for part in unless_a_file(text)]
    return [text if name in NUMBERS and as_range(text) else from_text(name, text) for text in texts]


def unless_a_file(text: str) -> list[str]:
    return [text] if os.path.exists(text) else text.split(",")


def parse_batch(text: str) -> int | None:
    if text == "auto":
        return None
    if not (text.isdecimal() and int(text)):
        raise ValueError(f"batch must be auto, or a number from 1, not {text!r}")
    return int(text)


def check_together(values: Mapping[str, Any], job: Job) -> None:
    """Raises ValueError if a flag is empty, or would do nothing."""
    files = ("output", "history", "tensorboard", "checkpoint", "compilation_cache", "weights")
    for name in (*files, "coordinator_address"):
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
    if values["plan"]:
        useless["distributed"] = "--plan looks at one process"
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
        names = ("zip", *(["batch"] if values["batch"] != "auto" else []))
        useless |= dict.fromkeys(names, "there is only one picture to make")
        if values["distributed"]:
            useless["resume"] = "one picture of several processes has no checkpoint"
            if values["checkpoint"] != "auto":
                useless["checkpoint"] = useless["resume"]
    for name, reason in useless.items():
        if values[name]:
            raise ValueError(f"--{name} has no use here: {reason}; leave it out")
    if not values["distributed"]:
        for name in ("coordinator_address", "num_processes", "process_id"):
            if values[name] is not None:
                raise ValueError(f"--{name} has no use without --distributed; add that, or leave it out")
