"""Measures of the pictures of a sweep, kept beside its records: `batches/measures.json`."""

import contextlib
import functools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from jax_nst.images import load_picture
from jax_nst.metrics.measures import METRICS, ContentSide, StyleSide, measure
from jax_nst.models.extractor import Extractor
from jax_nst.runtime.platform import current_platform
from jax_nst.sweeps.inputs import load_picture_of, read_as_content, read_as_style
from jax_nst.sweeps.job import BATCHES, Job
from jax_nst.sweeps.records import write_file
from jax_nst.transfer.config import Config
from jax_nst.transfer.measured import content_of, style_of
from jax_nst.transfer.pictures import load_style, style_scales
from jax_nst.transfer.provenance import for_json
from jax_nst.transfer.spec import Level, resolve

_FILE = "measures.json"

Measures = dict[str, float]
"""Name, as in `METRICS` -> value; NaN for what could not be measured."""


def make_measure(
    job: Job, extractor: Extractor, names: Sequence[str] = tuple(METRICS)
) -> Callable[[int, np.ndarray], Measures]:
    """Returns `(item, its picture) -> these measures`; contents and styles used last are kept prepared.

    It raises ValueError where the content or a style cannot be read.
    """
    platform = current_platform()

    @functools.lru_cache(maxsize=1)  # contents come one after the other
    def prepared_content(content: int, config: Config, level: Level) -> ContentSide:
        return content_of(level, load_picture_of(job, job.contents[content], config).pixels)

    @functools.lru_cache(maxsize=16)
    def prepared_style(
        styles: Sequence[int],
        shares: Sequence[float],
        config: Config,
        level: Level,
        scales: Sequence[float],
    ) -> StyleSide:
        pixels = [load_style(job.picture(job.styles[index]), config) for index in styles]
        return style_of(extractor, level, pixels, shares, scales)

    def measure_item(item: int, pixels: np.ndarray) -> Measures:
        content, styles, shares, config, _ = job.items[item]
        shape = load_picture_of(job, job.contents[content], config).pixels.shape
        level = resolve(config, extractor, shape, platform).levels[-1]
        scales = style_scales(config, level.size, len(styles))
        own = prepared_style(styles, shares, read_as_style(config), level, scales)
        return measure(pixels, prepared_content(content, read_as_content(config), level), own, names)

    return measure_item


def measure_files(
    folder: Path,
    job: Job,
    extractor: Extractor,
    items: Iterable[int],
    measures: dict[str, Measures],
    stop: Callable[[], bool],
) -> None:
    """Measures the pictures of some items as they are in their files, and writes all measures.

    An item whose picture, content or style cannot be read is left out.

    Args:
      folder: of the sweep.
      job: the sweep.
      extractor: the network that painted.
      items: those to measure.
      measures: of all pictures of the folder, by file name; those of the items are added.
      stop: asked before each item; a true answer leaves out the rest.
    """
    measure_item = make_measure(job, extractor)
    try:
        for item in items:
            if stop():
                break
            with contextlib.suppress(ValueError):
                file = job.files[item]
                measures[file] = measure_item(item, load_picture(folder / file).pixels)
    finally:
        write_measures(folder, measures)


def write_measures(folder: Path, measures: Mapping[str, Measures]) -> None:
    """Writes the measures of all pictures of a folder, by file name."""
    found = {file: for_json(measures[file]) for file in sorted(measures)}
    write_file(folder / BATCHES / _FILE, json.dumps(found, indent=1).encode())


def read_measures(folder: Path) -> dict[str, Measures]:
    """What `write_measures` wrote, by file name; a file that cannot be read counts as none."""
    try:
        found = json.loads((folder / BATCHES / _FILE).read_text(encoding="utf-8"))
        return {file: {name: _number(of_file[name]) for name in METRICS} for file, of_file in found.items()}
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return {}


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def stack_measures(measures: dict[int, Measures], count: int) -> dict[str, np.ndarray]:
    """Name -> `[items]`, NaN for what was not measured; empty if nothing was."""
    if not measures:
        return {}
    return {
        name: np.array([measures.get(item, {}).get(name, math.nan) for item in range(count)])
        for name in METRICS
    }
