"""Going on with a run: the flags that it was started with are kept in its checkpoint."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags

from jax_nst.cli.flags import unless_a_file
from jax_nst.images import WRITABLE
from jax_nst.runtime.files import FileError
from jax_nst.sweeps.commands import read_command
from jax_nst.sweeps.job import SETTINGS, Job
from jax_nst.transfer.checkpoint import NAME, Checkpoint, read_checkpoint
from jax_nst.transfer.config import INITS
from jax_nst.transfer.masks import with_full_paths

_AFTER = 120.0
"""Seconds after which a run without `--checkpoint` is long enough for one."""

_OF_THE_PROCESS = (
    *("resume", "resume_anyway", "checkpoint", "checkpoint_every", "quiet", "no_clobber", "report", "plan"),
    *("merge", "compilation_cache", "distributed", "coordinator_address", "num_processes", "process_id"),
    *("help", "version"),
)
"""Flags that a run does not pass on to the one that goes on with it."""


def command_of(values: Mapping[str, Any], job: Job, output: str) -> dict[str, Any]:
    """The flags of a run, as a checkpoint keeps them: with full paths, and every image named."""
    kept = {name: value for name, value in values.items() if name not in _OF_THE_PROCESS}
    for name, paths in (("content", job.contents), ("style", job.styles)):
        kept[name] = kept[name] and [_full(path) for path in paths]  # else the table of points names them
    kept["output"] = _full(output)
    for name in ("weights", "history", "points", "tensorboard"):
        kept[name] = _full(kept[name]) if kept[name] else None
    inits = [part for text in kept["init"] for part in unless_a_file(text)]
    kept["init"] = [path if path in INITS else _full(path) for path in inits]
    kept["mask"] = [with_full_paths(masks) for masks in kept["mask"] or ()] or None
    weights = [part for text in kept["style_weight"] or () for part in unless_a_file(text)]
    kept["style_weight"] = [_full(text) if os.path.exists(text) else text for text in weights] or None
    return kept


def fill_in(parser: flags.FlagValues) -> None:
    """Gives flags that are not on the command line the values that the run to go on with was given.

    Raises:
      FileError: `--resume` names no run.
      ValueError: `--resume` is no folder, or `--output` names another than that of the sweep.
    """
    folder, output = parser["resume"].value, parser["output"]
    if folder is None:
        return
    if not folder or folder.startswith("--"):  # the next flag
        raise ValueError("--resume needs a value; name the folder of a checkpoint, or of a sweep")
    own = parser["checkpoint"]
    if own.present and own.value != "auto" and not _is_same(folder, str(own.value)):
        raise ValueError(
            f"--checkpoint {own.value} has no use with --resume {folder}, where the state stays; leave it "
            "out"
        )
    path = Path(folder)
    if os.path.exists(path / SETTINGS):
        if output.present and not _is_same(folder, str(output.value)):
            raise ValueError(f"--resume {folder} is a sweep, but --output names another; leave one out")
        output.value, output.present = folder, 1
        command = read_command(path)
        given = parser["points"].present or (parser["content"].present and parser["style"].present)
        if not (command or given):
            raise FileError(
                f"{folder}: holds a sweep that is finished, or was begun from Python; give all its flags "
                "to extend it, or to paint what is missing in it"
            )
    elif _may_begin(parser, folder):
        return
    else:
        command = read_checkpoint(path).description["command"]
    for name, value in command.items():
        if name in parser and not parser[name].present:
            if not _is_value(parser[name], value):
                raise FileError(
                    f"{folder}: the checkpoint is damaged, in its {name}; delete it to begin anew"
                )
            parser[name].value = value


def _may_begin(parser: flags.FlagValues, folder: str) -> bool:
    """Whether a run may begin in the folder of `--resume`: there is none, and another flag names it, too.

    So that one command can begin a run and go on with it.
    """
    named = any(_is_same(folder, str(parser[name].value)) for name in ("checkpoint", "output"))
    is_image = Path(folder).suffix.lower() in WRITABLE
    return named and not is_image and not os.path.exists(Path(folder) / NAME)


def _is_value(flag: flags.Flag, value: Any) -> bool:
    """Whether a value from JSON is one of that flag."""
    kinds: dict[str, Any] = {"int": int, "float": int | float, "bool": bool, "string": str}
    kind = kinds.get(flag.flag_type())
    if kind is None:
        return value is None or (isinstance(value, list) and all(isinstance(part, str) for part in value))
    return value is None or isinstance(value, kind)


def _is_same(folder: str, other: str) -> bool:
    return os.path.realpath(folder) == os.path.realpath(other)


def checkpoint_of(values: Mapping[str, Any], output: str) -> Checkpoint:
    """Where and when the state of one picture is saved."""
    every, anyway = values["checkpoint_every"], values["resume_anyway"]
    if values["resume"] or values["checkpoint"] not in ("auto", "off"):
        return Checkpoint(values["resume"] or values["checkpoint"], every=every, anyway=anyway)
    after = max(every, _AFTER) if values["checkpoint"] == "auto" else math.inf
    return Checkpoint(f"{output}.checkpoint", every=every, after=after, replace=True)


def _full(path: str) -> str:
    return str(Path(path).absolute())
