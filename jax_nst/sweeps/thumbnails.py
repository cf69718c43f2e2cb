"""Thumbnails of the pictures of a sweep: JPEG files beside its page, made once for each picture."""

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from jax_nst.images import ImageError, jpeg_of, load_image
from jax_nst.runtime.files import replacing
from jax_nst.sweeps.job import THUMBNAILS

_SIDE = 256  # longer side, in pixels


class Thumbnail(NamedTuple):
    """A small image in a file, with its size in pixels, so that a page can keep its place."""

    file: str
    """Relative to the folder of the sweep."""
    width: int
    height: int


def make_thumbnail(folder: Path, file: str, name: str) -> Thumbnail | None:
    """Writes the thumbnail of a picture, unless it is there already.

    A thumbnail has the time of its picture, which shows whether it was made from the picture as it is now.

    Args:
      folder: of the sweep.
      file: of the picture, relative to the folder.
      name: of the thumbnail, without a suffix.

    Returns:
      The thumbnail; None if the picture is missing or damaged.

    Raises:
      FileError: the thumbnail cannot be written.
    """
    path = folder / THUMBNAILS / f"{name}.jpg"
    try:
        made = (folder / file).stat().st_mtime_ns
        with contextlib.suppress(OSError):  # missing or damaged
            if path.stat().st_mtime_ns == made:
                return read_thumbnail(folder, path)
        write_thumbnail(path, jpeg_of(load_image(folder / file), _SIDE))
        os.utime(path, ns=(made, made))
        return read_thumbnail(folder, path)
    except (OSError, ImageError):
        return None


def write_thumbnail(path: Path, content: bytes) -> None:
    """Writes an encoded image, whole or not at all, to a folder that is made if need be."""
    path.parent.mkdir(exist_ok=True)
    with replacing(path, durable=False) as file:  # it takes longer to wait for the disk than to make it
        file.write(content)


def read_thumbnail(folder: Path, path: Path) -> Thumbnail:
    """What is in a file; only its head is read."""
    with Image.open(path) as image:
        return Thumbnail(path.relative_to(folder).as_posix(), *image.size)
