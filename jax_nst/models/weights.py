"""h5 file -> checked params; and where the file is found or downloaded from.

Every layout that Keras has published or writes is read: "notop" and full files
(`block1_conv1/block1_conv1_W_1:0`), Keras 2 and whole models (`block1_conv1/block1_conv1/kernel:0`), and
Keras 3 (`layers/conv2d/vars/0`, the layer's name an attribute). A kernel is known by its layer's
name, never by its position; links out of the file are never followed.
"""

import hashlib
import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from jax_nst.models.extractor import Params
from jax_nst.models.vgg import conv_names, kernel_shape, needed_convs
from jax_nst.runtime.files import cache_folder

ENVIRONMENT = "JAX_NST_WEIGHTS"
"""The environment variable that may hold the path of the file."""

PROJECT_FOLDER = Path(__file__).parents[2] / "weights"
"""Where a checkout of the project keeps the files."""

BUNDLED = "blocks1-3_vgg19_float16.h5"
"""The file that comes with the project: all that `vgg19-lite` needs."""

_BUNDLED_FOLDERS = (Path(__file__).parents[1] / "bundled", PROJECT_FOLDER)  # of a wheel, of a checkout

# Seconds to wait for the first answer of the server, and for a later one.
_FIRST_ANSWER, _NEXT_ANSWER = 8.0, 8.0


class WeightsError(ValueError):
    """A weight file is missing or not what it should be; the message says which, what and where."""


class DownloadError(WeightsError):
    """The published file cannot be downloaded, or arrives damaged."""


class Published(NamedTuple):
    """A file that Keras publishes (keras.applications), without the classifier."""

    name: str
    url: str
    md5: str


_URL = "https://storage.googleapis.com/tensorflow/keras-applications/"

PUBLISHED = {
    network: Published(name, f"{_URL}{network}/{name}", md5)
    for network, name, md5 in (
        (
            "vgg19",
            "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "253f8cb515780f3b799900260a226db6",
        ),
        (
            "vgg16",
            "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "6d6bbae143d832006294945121d1f1fc",
        ),
    )
}


def load_params(
    path: str | os.PathLike[str],
    layers: Sequence[str] | None = None,
    *,
    network: str = "vgg19",
) -> Params:
    """Reads the kernels and biases of a VGG.

    Args:
      path: an h5 file in any of Keras' layouts.
      layers: read only what these, such as `relu4_2`, need. None: every
        convolution in the file.
      network: one of `vgg.CONVOLUTIONS`; says which convolutions `layers` need.

    Returns:
      `{"conv1_1": {"kernel": [3, 3, 3, 64], "bias": [64]}, ...}`, float32.

    Raises:
      WeightsError: the file cannot be read, or a layer is missing, of
        another shape, or not finite.
    """
    try:
        with h5py.File(path, "r") as file:
            found = _find_convs(file)
            if layers is None:
                convs = tuple(name for name in conv_names("vgg19") if name in found)
            else:
                convs = needed_convs(network, layers)
                if network == "vgg16" and not found.keys() <= set(conv_names("vgg16")):
                    raise WeightsError(f"{path}: holds VGG19, and VGG16 was asked for")
            return port({conv: found.get(conv, {}) for conv in convs}, path)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such weight file") from error
    except IsADirectoryError as error:
        raise WeightsError(f"{path}: is a folder, not an h5 file of VGG kernels") from error
    except (OSError, RuntimeError, KeyError) as error:
        raise WeightsError(
            f"{path}: cannot be read as an HDF5 file; it is of another kind, or truncated ({error})"
        ) from error


def port(found: dict[str, dict[int, h5py.Dataset]], path: str | os.PathLike[str]) -> Params:
    """Datasets by convolution and rank -> params, each checked; all faults in one error.

    Raises:
      WeightsError: as `load_params`.
    """
    params, faults = {}, []
    for conv, datasets in found.items():
        shape = kernel_shape(conv)
        params[conv] = {}
        if not datasets:
            faults.append(f"{conv} is missing, expected kernel {shape} and bias {shape[-1:]}")
            continue
        for part, expected in (("kernel", shape), ("bias", shape[-1:])):
            dataset = datasets.get(len(expected))
            if dataset is None:
                faults.append(f"{conv} has no {part} of shape {expected}")
            elif dataset.shape != expected:
                faults.append(f"{conv} has a {part} of shape {dataset.shape}, expected {expected}")
            elif dataset.dtype.kind != "f":
                faults.append(f"{conv} has a {part} of type {dataset.dtype}, expected floats")
            else:
                array = np.asarray(dataset[()], np.float32)
                params[conv][part] = array
                if not np.isfinite(array).all():
                    faults.append(f"{conv} has a {part} with values that are not finite")
    if not found:
        faults.append("it has no layer named block1_conv1 ... block5_conv4")
    if faults:
        more = f"; and {len(faults) - 4} more faults" if len(faults) > 4 else ""
        raise WeightsError(f"{path}: not what was expected: {'; '.join(faults[:4])}{more}")
    return params


_LAYER = re.compile(r"block(\d)_conv(\d)")


def _find_convs(file: h5py.File) -> dict[str, dict[int, h5py.Dataset]]:
    """Convolution -> rank -> dataset: a kernel has rank 4, a bias rank 1."""
    found: dict[str, dict[int, h5py.Dataset]] = {}

    def visit(path: str, item: h5py.Group | h5py.Dataset) -> None:
        parts = path.split("/")
        if not isinstance(item, h5py.Dataset) or parts[0].startswith("optimizer"):
            return
        names = [*parts[:-1], str(item.parent.attrs.get("name", ""))]
        matches = [match for name in names if (match := _LAYER.fullmatch(name))]
        if not matches:
            return
        if item.external or item.is_virtual:
            raise WeightsError(f"{file.filename}: {path} lies in another file, which is not followed")
        conv = "conv{}_{}".format(*matches[-1].groups())
        if item.ndim in found.setdefault(conv, {}):
            raise WeightsError(f"{file.filename}: {conv} stands twice, the second time at {path}")
        found[conv][item.ndim] = item

    # Follows hard links only: neither soft links nor links to other files.
    file.visititems(visit)
    return found


def find(network: str, path: str | None = None) -> Path | None:
    """The weight file, if there is one on this machine.

    In this order: `path`; the environment variable `JAX_NST_WEIGHTS`; `weights/` in the
    project; the user's cache. For `vgg19-lite`: `path`, or the file that comes with the project.

    Raises:
      WeightsError: the file that `path` or the variable names does not exist.
    """
    if network == "vgg19-lite" and not path:
        return bundled()
    for origin, named in (("--weights", path), (f"${ENVIRONMENT}", os.environ.get(ENVIRONMENT))):
        if named:
            if not Path(named).is_file():
                raise WeightsError(f"{named}: no such weight file, named by {origin}")
            return Path(named)
    for candidate in sorted(PROJECT_FOLDER.glob(f"{network}*.h5")):
        return candidate
    cached = cache_folder() / PUBLISHED[network].name
    if not cached.is_file():
        return None
    _check_recorded(cached)
    return cached


def bundled() -> Path:
    """The file that comes with the project, blocks 1 to 3 of VGG19 in float16.

    Raises:
      WeightsError: it is missing.
    """
    for folder in _BUNDLED_FOLDERS:
        if (folder / BUNDLED).is_file():
            return folder / BUNDLED
    raise WeightsError(f"{BUNDLED}: missing from {_BUNDLED_FOLDERS[0]}; install jax_nst again")


def find_or_download(network: str, path: str | None = None, *, quiet: bool = False) -> Path:
    """As `find`, and where there is none, the file that Keras publishes, into the user's cache.

    Args:
      network: one of `vgg.CONVOLUTIONS`.
      path: a file to take instead.
      quiet: no progress bar.

    Raises:
      WeightsError: as `find`.
      DownloadError: the file cannot be downloaded, or arrives damaged.
    """
    return find(network, path) or _download(PUBLISHED[network], quiet=quiet)


def _download(published: Published, *, quiet: bool) -> Path:
    import pooch
    import requests

    how = "download it elsewhere and name it with --weights"
    _await_server(published.url, how)
    pooch.get_logger().setLevel("ERROR")
    downloader: Any = pooch.HTTPDownloader(progressbar=not quiet, timeout=(_FIRST_ANSWER, _NEXT_ANSWER))
    try:
        # Pooch downloads to a temporary name, compares, and renames.
        file = pooch.retrieve(
            published.url,
            known_hash=f"md5:{published.md5}",
            fname=published.name,
            path=cache_folder(),
            downloader=downloader,
        )
    except ValueError as error:
        raise DownloadError(
            f"{published.name}: the download is damaged, its MD5 is not {published.md5}; {how}"
        ) from error
    except (OSError, requests.RequestException) as error:
        raise DownloadError(f"{published.name}: the download broke off ({error}); {how}") from error
    # Keras publishes no SHA-256; what arrived with the right MD5 is recorded, and compared from now on.
    _recorded(Path(file)).write_text(sha256(file))
    return Path(file)


def _recorded(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _check_recorded(path: Path) -> None:
    """Raises WeightsError if a downloaded file is no longer what it was."""
    recorded = _recorded(path)
    if recorded.is_file() and recorded.read_text().strip() != sha256(path):
        raise WeightsError(
            f"{path}: has changed since it was downloaded; remove it and it is downloaded anew"
        )


def _await_server(url: str, how: str) -> None:
    """Returns when the server answers.

    In a thread: looking up a name may hang for much longer than any time-out given to the request.

    Raises:
      DownloadError: it does not answer in time.
    """
    import requests

    answers: list[Exception | None] = []

    def ask() -> None:
        try:
            requests.head(url, timeout=_FIRST_ANSWER, allow_redirects=True).raise_for_status()
            answers.append(None)
        except requests.RequestException as error:
            answers.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_FIRST_ANSWER)
    if not answers:
        raise DownloadError(f"{url}: no answer within {_FIRST_ANSWER:g} s; {how}")
    if answers[0] is not None:
        reason = type(answers[0]).__name__
        raise DownloadError(f"{url}: cannot be downloaded ({reason}); {how}")


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
