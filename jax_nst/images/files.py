"""Image files <-> pixels: the only place with files of pictures, 8 bits, colour profiles and rounding.

Pixels are RGB (sRGB), float32 in [0, 1], `[H, W, 3]`; alpha is `[H, W]`, 1 where opaque.
"""

import contextlib
import functools
import glob
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from jax_nst.runtime.files import FileError, check_replaceable, replacing

READABLE = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
"""Pillow's names of the formats that are read."""

WRITABLE = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
"""Suffix of a file name -> the format that is written."""

_SUFFIXES = (*WRITABLE, ".bmp", ".gif")

_DEEP_GREY = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
_IMAGE_DESCRIPTION = 0x010E  # a tag of EXIF and TIFF
_TIFF_SIDES = (0x0100, 0x0101)  # tags of width and height
_ORIENTATION, _ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)  # another one, and its values that swap the sides


class ImageError(FileError):
    """A picture cannot be read or written; the message says which file, why, and what to do."""


class Picture(NamedTuple):
    """An image as read."""

    pixels: np.ndarray
    """`[H, W, 3]`, not composited: the colour of a transparent pixel is what the file says."""
    alpha: np.ndarray | None
    """`[H, W]`, or None where the file has none."""


def load_image(path: str | os.PathLike[str], size: int | None = None) -> np.ndarray:
    """Reads a picture as people see it: upright, in sRGB, on white where it is transparent.

    JPEG, PNG, WebP, TIFF, BMP or the first frame of a GIF; grey, palette, CMYK, with alpha, or 16-bit.
    16 bits of grey are kept; 16 bits a channel of colour arrive as 8, since Pillow gives
    no more, and a warning says so.

    Args:
      path: of the file.
      size: longer side in pixels, the shorter in proportion; None for the file's own.

    Returns:
      `[H, W, 3]`, float32 in [0, 1].

    Raises:
      ImageError: the file is missing, damaged, too large, or of another kind.
    """
    pixels, alpha = load_picture(path, size)
    return pixels if alpha is None else composite(pixels, alpha)


def load_picture(path: str | os.PathLike[str], size: int | None = None) -> Picture:
    """As `load_image`, with the alpha apart."""
    with _opened(path) as image:
        shallow = _loses_depth(image)
        image.load()
        picture = _to_picture(ImageOps.exif_transpose(image))
    if shallow:
        warnings.warn(f"{path}: has 16 bits a channel, of which 8 are read", UserWarning, stacklevel=2)
    return picture if size is None else resize_picture(picture, size)


class Head(NamedTuple):
    """What the head of an image file says."""

    shape: tuple[int, int, int]
    """[H, W, 3] of what `load_picture` gives."""
    has_alpha: bool


def read_head(path: str | os.PathLike[str]) -> Head:
    """What `load_picture` will give.

    Raises:
      ImageError: the file is missing or not an image.
    """
    with _opened(path) as image:
        width, height = image.size
        turned = image.getexif().get(_ORIENTATION, 1) in _ON_ITS_SIDE
        if turned and image.format == "TIFF":
            # Pillow may have swapped them already.
            turned = image.size == tuple(image.tag_v2[tag] for tag in _TIFF_SIDES)  # pyright: ignore
        has_alpha = image.mode not in _DEEP_GREY and image.has_transparency_data
    return Head((width, height, 3) if turned else (height, width, 3), has_alpha)


def find_images(given: str) -> list[str]:
    """Paths of the images that a word on the command line means.

    A file; a folder, for all images in it; a glob; or several of these, separated by commas.

    Raises:
      ImageError: a folder or a glob has none.
    """
    if os.path.isdir(given):
        found = sorted(str(file) for file in Path(given).iterdir() if file.suffix.lower() in _SUFFIXES)
        if not found:
            raise ImageError(f"{given}: is a folder without images")
        return found
    if os.path.exists(given):  # not that of Path, which does not take a long list
        return [given]
    if "," in given:
        return [image for part in given.split(",") if part for image in find_images(part)]
    if any(character in given for character in "*?["):
        found = sorted(glob.glob(given, recursive=True))
        if not found:
            raise ImageError(f"{given}: matches no file")
        return found
    return [given]


def jpeg_of(pixels: np.ndarray, size: int) -> bytes:
    """A JPEG of the picture, its longer side `size` at most, for a page."""
    buffer = BytesIO()
    Image.fromarray(quantize(shrink(pixels, size))).save(buffer, format="JPEG", quality=82)
    return buffer.getvalue()


def resize_picture(picture: Picture, size: int) -> Picture:
    """To a longer side of `size`, in proportion."""
    shape = fit_size(picture.pixels.shape, size)
    if picture.alpha is None or picture.pixels.shape[:2] == shape:
        return Picture(resize(picture.pixels, shape), picture.alpha)
    # Weighted by alpha, lest the hidden colour of transparent pixels bleed into their neighbours.
    alpha = resize(picture.alpha[..., None], shape)
    colours = resize(picture.pixels * picture.alpha[..., None], shape)
    return Picture(np.clip(colours / np.maximum(alpha, 1e-6), 0, 1), alpha[..., 0])


def composite(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Pixels `[H, W, 3]` on white, by alpha `[H, W]`."""
    return 1 - alpha[..., None] * (1 - pixels)


def fit_size(shape: tuple[int, ...], size: int) -> tuple[int, int]:
    """(height, width) whose longer side is `size`, in the proportions of `shape` (height, width)."""
    scale = size / max(shape[:2])
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def resize(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Lanczos, antialiased, in float: `[H, W, C]` -> `[*shape, C]`, clipped to [0, 1]."""
    if pixels.shape[:2] == tuple(shape):
        return pixels
    height, width = shape
    channels = [
        Image.fromarray(np.ascontiguousarray(channel)).resize((width, height), Image.Resampling.LANCZOS)
        for channel in np.moveaxis(np.asarray(pixels, np.float32), -1, 0)
    ]
    return np.clip(np.stack([np.asarray(channel) for channel in channels], axis=-1), 0, 1)


def shrink(pixels: np.ndarray, size: int) -> np.ndarray:
    """In proportion to a longer side of `size`; as it is if it is no longer."""
    return resize(pixels, fit_size(pixels.shape, min(size, max(pixels.shape[:2]))))


def cover(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resized in proportion until it covers `shape`, and cropped to its centre: -> `[*shape, 3]`."""
    scale = max(shape[0] / pixels.shape[0], shape[1] / pixels.shape[1])
    height = max(shape[0], round(pixels.shape[0] * scale))
    width = max(shape[1], round(pixels.shape[1] * scale))
    top, left = (height - shape[0]) // 2, (width - shape[1]) // 2
    return resize(pixels, (height, width))[top : top + shape[0], left : left + shape[1]]


def quantize(pixels: np.ndarray) -> np.ndarray:
    """Pixels in [0, 1] -> the nearest 8-bit levels, uint8."""
    return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


def save_image(
    path: str | os.PathLike[str],
    pixels: np.ndarray,
    *,
    alpha: np.ndarray | None = None,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Writes a picture, whole or not at all: to a temporary file in the same folder, then renamed.

    PNG, JPEG (quality 95, 4:4:4), WebP (quality 95) or TIFF, by the suffix, with an sRGB profile.

    Args:
      path: of the file; one that exists is replaced.
      pixels: `[H, W, 3]` in [0, 1], rounded to 8 bits.
      alpha: `[H, W]` in [0, 1]; a JPEG has none and is composited on white.
      settings: how it was made; written as JSON into a PNG's text `jax_nst`, or into the
        image description (EXIF, TIFF) of another.

    Raises:
      FileError: the file cannot be written.
    """
    form = _format(path)
    if alpha is not None and form == "JPEG":
        pixels, alpha = composite(pixels, alpha), None
    levels = pixels if alpha is None else np.concatenate([pixels, alpha[..., None]], axis=-1)
    image = Image.fromarray(quantize(np.asarray(levels)))
    options: dict[str, Any] = {"icc_profile": _srgb_profile()}
    text = json.dumps(dict(settings or {}))
    if form == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_text("Software", "jax_nst")
        options["pnginfo"].add_text("jax_nst", text)
    elif form == "TIFF":
        options |= {"tiffinfo": {_IMAGE_DESCRIPTION: text}, "compression": "tiff_adobe_deflate"}
    else:
        exif = Image.Exif()
        exif[_IMAGE_DESCRIPTION] = text
        options |= {"exif": exif, "quality": 95}
        if form == "JPEG":
            options["subsampling"] = 0  # 4:4:4
    with replacing(path) as file:
        image.save(file, format=form, **options)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raises FileError if a picture could not be saved at `path`; leaves nothing there."""
    _format(path)
    check_replaceable(path)


def load_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The `settings` that `save_image` wrote into a file; empty if it has none."""
    with _one_sentence(path), Image.open(path, formats=READABLE) as image:
        text = getattr(image, "text", {}).get("jax_nst") or image.getexif().get(_IMAGE_DESCRIPTION)
    try:
        return json.loads(text or "{}")
    except ValueError:
        return {}


def _format(path: str | os.PathLike[str]) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in WRITABLE:
        raise ImageError(f"{path}: cannot be written; end its name in {', '.join(WRITABLE)}")
    return WRITABLE[suffix]


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Image.Image]:
    """An image file, read no further than its head; whatever goes wrong meanwhile is an ImageError."""
    with _one_sentence(path), warnings.catch_warnings():
        # Above Pillow's limit an image may be a bomb; twice that is refused.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        # Pillow's remarks on odd metadata are nothing a user can act on.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        with Image.open(path, formats=READABLE) as image:
            yield image


@contextlib.contextmanager
def _one_sentence(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns whatever a decoder raises on a bad file into an ImageError."""
    kinds = "a JPEG, PNG, WebP, TIFF, BMP or GIF"
    try:
        yield
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such image file") from error
    except IsADirectoryError as error:
        raise ImageError(f"{path}: is a folder; name {kinds} file in it") from error
    except PermissionError as error:
        raise ImageError(f"{path}: may not be read; check its permissions") from error
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{path}: has too many pixels to be safe to open; make it smaller first"
        ) from error
    except Image.UnidentifiedImageError as error:
        raise ImageError(f"{path}: is not {kinds} image, or is damaged") from error
    except MemoryError:
        raise
    except Exception as error:  # decoders raise SyntaxError, struct.error, EOFError and more
        raise ImageError(f"{path}: is damaged or truncated ({error})") from error


def _loses_depth(image: Image.Image) -> bool:
    """Whether the file has 16 bits a channel of which Pillow hands out 8."""
    raw_modes = [str(tile[3]) for tile in getattr(image, "tile", [])]  # before it is loaded
    return image.mode in ("RGB", "RGBA", "LA", "CMYK") and any(";16" in raw for raw in raw_modes)


def _to_picture(image: Image.Image) -> Picture:
    profile = image.info.get("icc_profile")
    if image.mode in _DEEP_GREY:
        grey = np.asarray(image, np.float32)
        grey = grey / 65535 if image.mode != "F" else grey
        return Picture(_deep_grey_to_srgb(np.clip(grey, 0, 1), profile), None)
    if image.mode in ("P", "PA", "1"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.has_transparency_data and image.mode in ("L", "RGB"):
        image = image.convert(image.mode.replace("L", "LA").replace("RGB", "RGBA"))
    alpha = None
    if image.mode in ("LA", "La", "RGBA", "RGBa"):
        image = image.convert("LA" if image.mode[0] == "L" else "RGBA")
        alpha = np.asarray(image.getchannel("A"), np.float32) / 255
        image = image.convert(image.mode[:-1])
    return Picture(np.asarray(_to_srgb(image, profile), np.float32) / 255, alpha)


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB in sRGB: by the profile if it is one for this kind of image, else as Pillow converts."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            target = ImageCms.ImageCmsProfile(BytesIO(_srgb_profile()))
            converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a broken profile, or one for another kind of image: as if there were none
    return image.convert("RGB")


def _deep_grey_to_srgb(grey: np.ndarray, profile: bytes | None) -> np.ndarray:
    """`[H, W]` in [0, 1] -> `[H, W, 3]`, with the 8-bit profile's curve, interpolated."""
    if not profile:
        return np.repeat(grey[..., None], 3, axis=-1)
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    curve = np.asarray(_to_srgb(ramp, profile), np.float32)[0] / 255
    levels = np.linspace(0, 1, 256)
    channels = [np.interp(grey, levels, curve[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


@functools.cache
def _srgb_profile() -> bytes:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # Bytes 24-35 are the time of its making: a fixed one, so that the same picture is the same file.
    profile[24:36] = bytes((7, 208, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0))
    return bytes(profile)
