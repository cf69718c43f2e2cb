"""Saving the picture of one transfer, come what may."""

import contextlib
import json
import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jax_nst.cli.names import shortened
from jax_nst.cli.terminal import tell
from jax_nst.images import load_picture, read_head, save_image
from jax_nst.runtime.files import FileError, replacing
from jax_nst.transfer.outcome import Progress, Status
from jax_nst.transfer.provenance import for_json
from jax_nst.transfer.transfer import Result

_GRACE = 3.0
"""Seconds that a second signal waits for the picture to be saved."""

_REMEDY = "Make the learning rate or the weights of the losses smaller, or leave them out"


class Saver:
    """Saves the picture of one run, during it and at its end.

    Attributes:
      path: where the picture was last saved; empty before.
    """

    def __init__(
        self,
        output: str,
        history: str | None,
        *,
        alpha: np.ndarray | None,
        settings: Mapping[str, Any],
        measure: Callable[[np.ndarray], dict[str, float]] | None = None,
    ) -> None:
        """`settings` are stored in the file, beside what the run did; `measure` measures pixels."""
        self.path = ""
        self._output, self._history, self._alpha, self._settings = output, history, alpha, settings
        self._measure = measure
        self._done = threading.Event()
        self._history_failed = False

    def save_during(self, progress: Progress) -> None:
        """Saves the best picture so far; a failure is only told."""
        (entries,) = progress.entries.values()
        run = {"message": f"saved at step {progress.step} of {progress.num_steps}", "last": entries[-1]}
        try:
            self._save(progress.best_pixels(), self._output, run)
        except FileError as error:
            tell(f"jax_nst: warning: {error}; painting goes on")

    def save_result(self, result: Result) -> None:
        """Saves the picture, and the history whatever happens to the picture.

        Raises:
          FileError: the picture can be saved nowhere.
        """
        try:
            self._save_somewhere(result)
        finally:
            self._done.set()
            self._save_history(result)
        if result.status is Status.UNCHANGED:
            tell(f"jax_nst: warning: {result.message}; the picture is its start. {_REMEDY}")
        elif result.status is Status.DIVERGED:
            tell(f"jax_nst: warning: {result.message}. {_REMEDY}")

    def save_measures(self, result: Result) -> dict[str, float]:
        """Measures the picture as it is in the file; saves it once more, with that, and the history.

        Returns:
          Name -> value; empty if no measures were asked for.
        """
        if not self._measure:
            return {}
        measures = self._measure(load_picture(self.path).pixels)
        result.history["run"]["measures"] = measures
        try:
            self._save(result.pixels, self.path, result.history["run"])
        except FileError as error:
            self._history_failed = True
            tell(f"jax_nst: {error}; the picture is saved, but without its measures")
        self._save_history(result)
        return measures

    def rescue(self, error: BaseException) -> None:
        """Saves the picture that an exception carries, if there is one, and no later one was saved."""
        result = getattr(error, "result", None)
        if isinstance(result, Result) and not self.path:
            with contextlib.suppress(FileError):
                self.save_result(result)
                tell(f"jax_nst: {result.message}; the picture so far is saved as {self.path}")

    def quit_at_once(self) -> None:
        """Tells what is saved, after a moment for the picture that may just be at hand."""
        self._done.wait(_GRACE)
        tell(f"jax_nst: interrupted, {f'{self.path} is saved' if self.path else 'nothing was saved'}")

    @property
    def has_failed(self) -> bool:
        """Whether the picture or the history could not be saved where it was to be."""
        return self.path != self._output or self._history_failed

    def _save_history(self, result: Result) -> None:
        if not self._history:
            return
        try:
            with replacing(self._history) as file:
                file.write(json.dumps(for_json(result.history), indent=1).encode())
        except FileError as error:
            self._history_failed = True
            tell(f"jax_nst: {error}; name another --history")

    @property
    def is_composited(self) -> bool:
        """Whether the file has no alpha, though the content has."""
        return self._alpha is not None and not read_head(self.path).has_alpha

    def _save(self, pixels: np.ndarray, path: str, run: Mapping[str, Any]) -> None:
        settings = for_json({**self._settings, "run": dict(run)})
        save_image(path, pixels, alpha=self._alpha, settings=settings)
        self.path = path

    def _save_somewhere(self, result: Result) -> None:
        """Saves at the output, or where that fails in the working or the temporary folder."""
        run = result.history["run"]
        try:
            self._save(result.pixels, self._output, run)
            return
        except FileError as error:
            reason = error
        name = f"{shortened(Path(self._output).stem)}_rescued_{os.getpid()}.png"
        for find_folder in (os.getcwd, tempfile.gettempdir):
            with contextlib.suppress(FileError, OSError):  # the folder may be gone
                path = str(Path(find_folder(), name))
                self._save(result.pixels, path, run)
                tell(f"jax_nst: {reason}; the picture is saved as {path} instead")
                return
        raise FileError(f"{reason}; nor in another folder; free some space, or name another --output")


def verdict(output: str, result: Result, *, hurry: bool, composited: bool) -> str:
    """Steps, seconds, and unless in a hurry the losses of the picture as it is in the file.

    A picture that lost its alpha, which JPEG does not have, scores otherwise than the run. Of one with the
    colours of the content, only what the run painted is scored, see `Result.score`.
    """
    last = result.history["steps"][-1]
    steps = sum(entry["size"] == last["size"] for entry in result.history["steps"]) - 1
    text = f"saved after {steps} steps at {last['size']} px, {last['seconds']:.1f} s"
    if hurry:
        return text
    losses = result.score(load_picture(output).pixels)
    terms = ", ".join(f"{name} {value:.4g}" for name, value in losses.as_dict().items())
    flat = " (composited over white)" if composited else ""
    kept = result.history["config"]["color"] == "keep"
    return f"{text}; {'the luminance of ' if kept else ''}the file{flat} scores {terms}"
