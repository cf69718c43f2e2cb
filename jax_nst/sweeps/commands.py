"""How the sweep in a folder was started, kept until it is finished, so that `--resume` needs no flags."""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jax_nst.sweeps.job import CHECKPOINT
from jax_nst.sweeps.records import write_file

_FILE = "command.json"


def read_command(folder: Path) -> dict[str, Any]:
    """How the sweep in a folder was started; empty if it is finished, or that is not known."""
    try:
        found = json.loads((folder / CHECKPOINT / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_command(folder: Path, command: Mapping[str, Any] | None) -> None:
    """Keeps it, or if it is None removes it: it has the names of folders, which are private."""
    path = folder / CHECKPOINT / _FILE
    if command is not None:
        path.parent.mkdir(exist_ok=True)
        write_file(path, json.dumps(command, indent=1).encode())
    elif path.exists():
        path.unlink()
        with contextlib.suppress(OSError):  # there is a checkpoint, too
            path.parent.rmdir()
