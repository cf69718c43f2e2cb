"""Event files for TensorBoard (extra `tensorboard`): losses, picture, settings and results of each run.

They are written with `EventsWriter` of tensorboardX, since its `SummaryWriter` keeps a thread and a queue
for each run, of which a sweep has thousands.
"""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jax_nst.images import load_image, quantize
from jax_nst.runtime.files import FileError
from jax_nst.transfer.provenance import without_folders

_NOT_A_LOSS = ("step", "size", "seconds")


def open_board(path: str | None) -> Path | None:
    """The folder for the runs, created; None if none is named.

    Raises:
      FileError: tensorboardX is not installed, or the folder cannot be made.
    """
    if path is None:
        return None
    try:
        import tensorboardX  # noqa: F401  is only looked for
    except ImportError as error:
        raise FileError(
            "--tensorboard needs tensorboardX; install it with pip install tensorboardX, or jax_nst with "
            "its extra tensorboard"
        ) from error
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}; name another folder for --tensorboard") from error
    return Path(path)


class Run:
    """One run of TensorBoard; its file is created with the first losses."""

    def __init__(self, folder: Path) -> None:
        """`folder` is that of the run; its name is the name that TensorBoard shows."""
        self._folder, self._writer, self._step = folder, None, 0

    def add_losses(self, entries: Iterable[Mapping[str, float]]) -> None:
        """Adds `loss/NAME` for each evaluation; entries are as in `Progress`.

        What the run holds of the first step or later, of an earlier command, TensorBoard then forgets.
        """
        from tensorboardX.summary import scalar

        for entry in entries:
            self._step = int(entry["step"])
            for name, value in entry.items():
                if name not in _NOT_A_LOSS:
                    self._write(scalar(f"loss/{name}", value))

    def finish(self, pixels: np.ndarray, settings: Mapping[str, Any], results: Mapping[str, float]) -> None:
        """Adds the picture and what TensorBoard compares runs by; nothing if there are no losses.

        Args:
          pixels: `[H, W, 3]` in [0, 1].
          settings: name -> number or text.
          results: losses and measures of the picture, shown as `result/NAME` where they are finite.
        """
        from tensorboardX.summary import hparams, image, scalar

        if self._writer is None:
            return
        self._write(image("picture", quantize(pixels), dataformats="HWC"))
        numbers = {f"result/{name}": float(x) for name, x in results.items() if math.isfinite(x)}
        for summary in hparams(dict(settings), numbers):
            self._write(summary)
        for name, number in numbers.items():
            self._write(scalar(name, number))
        self._writer.close()
        self._writer = None

    def _write(self, summary: Any) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2

        proto: Any = event_pb2  # its classes are made at run time
        if self._writer is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._writer = EventsWriter(str(self._folder / "events"))
            start = proto.SessionLog(status=proto.SessionLog.START)
            self._writer.write_event(proto.Event(wall_time=time.time(), step=self._step, session_log=start))
        self._writer.write_event(proto.Event(wall_time=time.time(), step=self._step, summary=summary))


def write_items(
    board: Path, folder: Path, items: Iterable[tuple[Mapping[str, Any], np.ndarray, Sequence[str]]]
) -> None:
    """Writes a run for each of some items of a sweep, named as its picture is.

    Args:
      board: the folder for the runs.
      folder: of the sweep, with the pictures.
      items: the row of the table of each, its losses `[evaluations, names]`, and their names. Those without
        a picture are left out.
    """
    for row, curves, names in items:
        if not row["file"]:
            continue
        run = Run(board / Path(row["file"]).stem)
        run.add_losses(
            {"step": step, **dict(zip(names, map(float, losses), strict=True))}
            for step, losses in enumerate(curves)
        )
        columns = list(row)
        first_loss = columns.index("total_loss")
        settings = {name: row[name] for name in columns[:first_loss] if name not in ("item", "key")}
        results = {name: row[name] for name in columns[first_loss:] if isinstance(row[name], float)}
        run.finish(load_image(folder / row["file"]), settings, results)


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of one picture as TensorBoard takes them: numbers and texts, without folders."""
    plain = {name: value for name, value in without_folders(dict(config)).items() if value is not None}
    return {
        name: value if isinstance(value, int | float | str) else ",".join(map(str, value))
        for name, value in plain.items()
    }


def results_of(history: Mapping[str, Any]) -> dict[str, float]:
    """The losses, as a sweep names them, and the measures of one picture; see `Result.history`."""
    run = history["run"]
    return {**{f"{name}_loss": x for name, x in run["losses"].items()}, **run.get("measures", {})}
