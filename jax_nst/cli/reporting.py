"""What is done with the folders of sweeps without painting: `--report` and `--merge`."""

from pathlib import Path

from absl import flags

from jax_nst.cli.terminal import show
from jax_nst.sweeps.job import PAGE, SWEEP
from jax_nst.sweeps.merging import merge_sweeps
from jax_nst.sweeps.report import make_report


def report(parser: flags.FlagValues) -> int:
    """Makes the report of a sweep anew; returns the exit status.

    Raises:
      ValueError: no folder is named, or other flags are given.
      FileError: as `make_report`.
    """
    folder = parser["report"].value
    if not folder:
        raise ValueError("--report is empty; name the folder of a sweep")
    _check_alone(parser, "report", "quiet")
    make_report(Path(folder))
    show(str(Path(folder) / PAGE))
    return 0


def merge(parser: flags.FlagValues) -> int:
    """Adds the items of sweeps to the folder of `--output`; returns the exit status.

    Raises:
      ValueError: no folder is named, or other flags are given.
      FileError: as `merge_sweeps`.
    """
    folders, output = parser["merge"].value, parser["output"].value
    if not (folders and all(folders)) or output == "":
        raise ValueError("--merge and --output name folders of sweeps; give them a value")
    _check_alone(parser, "merge", "output", "quiet")
    merge_sweeps(folders, output or SWEEP)
    show(str(Path(output or SWEEP) / PAGE))
    return 0


def _check_alone(parser: flags.FlagValues, name: str, *allowed: str) -> None:
    """Raises ValueError if flags are given that would do nothing."""
    others = [other for other in parser if parser[other].present and other not in (name, *allowed)]
    if others:
        raise ValueError(f"--{others[0]} has no use with --{name}, which paints nothing; leave it out")
