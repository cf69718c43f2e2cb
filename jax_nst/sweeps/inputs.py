"""The contents and styles of a sweep, read when their turn comes."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from jax_nst.images import Picture
from jax_nst.runtime import distributed
from jax_nst.sweeps.grid import GridItem
from jax_nst.sweeps.job import Job
from jax_nst.transfer.config import DEFAULT_SIZE, Config
from jax_nst.transfer.pictures import (
    PictureLike,
    Source,
    content_shape,
    load_content,
    load_style,
    read_content,
)


class Inputs(NamedTuple):
    """The pictures of a sweep, ready for `run_sweep`: one source for each way in which one is read."""

    contents: list[Source]
    styles: list[Source]
    items: list[GridItem]
    """Those of the job, which index these contents and styles."""


def read_as_content(config: Config) -> Config:
    """The settings that decide how a content is read."""
    return Config(size=config.size, crop=config.crop)


def read_as_style(config: Config) -> Config:
    """The settings that decide how a style is read."""
    sizes = {name: getattr(config, name) for name in ("size", "style_size", "style_scale", "style_sizes")}
    return Config(**sizes)


def own_sources(job: Job) -> Inputs:
    """The pictures as `stylize` takes them; a content that cannot be used says why."""
    contents, styles, items = _readings(job)
    sources = [_content_source(job.picture(name), config) for name, config in contents]
    return Inputs(sources, [_style_source(job.picture(name), config) for name, config in styles], items)


def agreed_sources(job: Job) -> Inputs:
    """The contents with their alpha, for files, and the styles; all processes agree on their shapes."""
    _read_file.cache_clear()  # an earlier sweep of this process may have read other files of these names
    contents, styles, items = _readings(job)
    shapes, errors = _content_shapes(job, contents)
    sources = [
        Source(
            tuple(shape.tolist()) if shape[0] > 0 else None,
            lambda name=name, config=config: load_picture_of(job, name, config).pixels,
            errors.get(index, ""),
        )
        for index, ((name, config), shape) in enumerate(zip(contents, shapes, strict=True))
    ]
    return Inputs(sources, [_style_source(job.picture(name), config) for name, config in styles], items)


_Reading = tuple[str, Config]
"""Name of a picture, and the settings that decide how it is read."""


def _readings(job: Job) -> tuple[list[_Reading], list[_Reading], list[GridItem]]:
    """The contents and styles that items use, each once for each way, and the items that index these."""
    contents: dict[_Reading, int] = {}
    styles: dict[_Reading, int] = {}
    items = []
    for item in job.items:
        as_content, as_style = read_as_content(item.config), read_as_style(item.config)
        content = contents.setdefault((job.contents[item.content], as_content), len(contents))
        own = [styles.setdefault((job.styles[index], as_style), len(styles)) for index in item.styles]
        items.append(item._replace(content=content, styles=tuple(own)))
    return list(contents), list(styles), items


def _content_source(picture: PictureLike, config: Config) -> Source:
    try:
        shape = content_shape(picture, config, flat=True)
    except ValueError as error:
        return Source(None, lambda: np.empty(0), str(error))
    return Source(shape, lambda: read_content(picture, config))


def _style_source(picture: PictureLike, config: Config) -> Source:
    return Source(None, lambda: load_style(picture, config))


def _content_shapes(job: Job, contents: Sequence[_Reading]) -> tuple[np.ndarray, dict[int, str]]:
    """`[contents, 3]` on every process, -1 for those that cannot be read; and on the first, why."""
    shapes = np.full((len(contents), 3), -1, np.int32)
    errors: dict[int, str] = {}
    if distributed.is_first():
        for index, (name, config) in enumerate(contents):
            try:
                shapes[index] = content_shape(job.picture(name), config)
            except ValueError as error:
                errors[index] = str(error)
    return distributed.from_first(shapes), errors


def load_picture_of(job: Job, name: str, config: Config) -> Picture:
    """A content of the sweep as `load_content` gives it; of files the last two are kept."""
    if name in job.pictures:
        return load_content(job.pictures[name], config)
    return _read_file(name, read_as_content(config))


def largest(job: Job) -> Config:
    """The settings of the item with the largest picture."""
    return max((item.config for item in job.items), key=lambda config: config.size or DEFAULT_SIZE)


_read_file = lru_cache(maxsize=2)(load_content)  # contents come one after the other
