"""Masks: which region of the content takes its style from where."""

import dataclasses
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jax_nst.images import checked_pixels, crop, fit_size, load_bounded, masks_of, resize, same_label
from jax_nst.runtime.values import as_real, shown

_MOST = 2048  # pixels of the longer side of a mask that is kept
_MOST_REGIONS = 32
_COLON = re.compile(r"(?<!^[A-Za-z])(?<![:=][A-Za-z]):|:(?![\\/])")  # not that of a Windows drive
_FADES = 0.05  # sum of masks below which the content shows through
_BLACK = 0.05  # what JPEG makes of black is below


@dataclasses.dataclass(frozen=True, eq=False)
class Mask:
    """A region of the content, or one for each label, and where its style comes from.

    Grey masks are white inside, black outside, and may have soft edges. Masks with flat colours are labels:
    each colour but black is a region, and takes its style where the style's mask has that colour. What no
    mask covers has no style loss.

    Attributes:
      content: `[H, W]` in [0, 1], of any size with the proportions of the content; or booleans, 8-bit
        levels, labels as `[H, W, 3]`, or the path of an image.
      style: the same, of the style picture; None for all of it.
      picture: a style picture for this region alone, as `stylize` takes it; None for that of the run.
      weight: factor of the style loss here; 0 leaves the region as it is.

    Raises:
      ValueError: the weight is not zero or more.

    Example:
      >>> import numpy as np
      >>> from jax_nst import Config, Mask
      >>> sky = np.zeros((40, 60))
      >>> sky[:20] = 1
      >>> config = Config(mask=(Mask(sky), Mask(1 - sky, weight=0.3)))
    """

    content: Any
    style: Any = None
    picture: Any = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= as_real("the weight of a mask", self.weight) < float("inf"):
            raise ValueError(f"the weight of a mask must be zero or more, not {self.weight}")

    @property
    def files(self) -> tuple[str, ...]:
        """The paths among its pictures."""
        return tuple(
            os.fspath(x)
            for x in (self.content, self.style, self.picture)
            if isinstance(x, str | os.PathLike)
        )


MaskLike = str | Mask
"""A mask, or its text, see `parse_mask`."""


def parse_mask(mask: MaskLike) -> Mask:
    """A mask from text: `CONTENT.png:STYLE.png`, and further `picture=PAINTING.jpg` and `weight=X`.

    The parts are separated by colons; only the first is needed.

    Raises:
      ValueError: a part is none of these, or stands twice.
    """
    if isinstance(mask, Mask):
        return mask
    found: dict[str, Any] = {}
    for part in _COLON.split(mask):
        name, equals, value = part.partition("=")
        if not equals or name not in ("picture", "weight"):
            name, value = ("content" if "content" not in found else "style"), part
        if name in found or not value:
            raise ValueError(
                f"mask {shown(mask)} has a part that is empty, or too many; give CONTENT.png:STYLE.png, "
                "and after it :picture=PAINTING.jpg or :weight=X if wanted"
            )
        found[name] = value
    if "weight" in found:
        try:
            found["weight"] = float(found["weight"])
        except ValueError:
            raise ValueError(
                f"the weight in mask {shown(mask)} is no number; give one, such as weight=0.5"
            ) from None
    if "content" not in found:
        raise ValueError(f"mask {shown(mask)} names no mask of the content; give CONTENT.png first")
    return Mask(**found)


@dataclasses.dataclass(frozen=True, eq=False)
class Region:
    """One region of a picture, with its masks at hand.

    Attributes:
      mask: `[H, W]`, of the content, in [0, 1].
      style_mask: `[H', W']`, of the style; None for all of it.
      picture: `[H', W', 3]`, its own style; None for that of the run.
      weight: factor of its style loss.
      name: of the style's mask, in messages.
    """

    mask: np.ndarray
    style_mask: np.ndarray | None = None
    picture: np.ndarray | None = None
    weight: float = 1.0
    name: str = ""


Regions = tuple[Region, ...]


def load_regions(
    masks: Sequence[MaskLike] | None, style_map: str | None, shape: tuple[int, ...] | None
) -> Regions:
    """The regions of a content of `shape` [H, W, 3].

    Args:
      masks: as `Config.mask`.
      style_map: path of an image whose brightness multiplies the style weight; None for none.
      shape: of the content, whose proportions the masks must have; None: any.

    Returns:
      None of them where there is neither a mask nor a map.

    Raises:
      ValueError: a mask cannot be read, has other proportions than its picture, covers nothing, or has a
        label without a partner; the message names it.
    """
    regions = [region for mask in masks or () for region in _regions_of(parse_mask(mask), shape)]
    if style_map is not None:
        (strength,) = _checked("style_weight", style_map, shape, labels=False).values()
        whole = regions or [Region(np.ones_like(strength))]
        regions = [_multiplied(region, strength) for region in whole]
    if len(regions) > _MOST_REGIONS:
        raise ValueError(f"the masks make {len(regions)} regions, but {_MOST_REGIONS} at most are possible")
    if regions and not any(region.weight for region in regions):
        raise ValueError("all masks have the weight 0, so nothing would be painted; raise one")
    return tuple(regions)


def fit_mask(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A mask `[H, W]` at the shape (height, width) of a level; cropped as its picture is."""
    height, width = shape
    if fit_size(mask.shape, max(shape)) != shape:
        mask = crop(mask, width / height)
    return resize(mask[..., None], shape)[..., 0]


def keep_uncovered(masks: Sequence[np.ndarray], painted: np.ndarray, content: np.ndarray) -> np.ndarray:
    """A painted picture with the content where no mask is; it fades where masks add up to little.

    Args:
      masks: `[H, W]` of each region that is painted.
      painted: `[H, W, 3]`.
      content: `[H, W, 3]`.
    """
    share = np.clip(sum(masks) / _FADES, 0, 1)[..., None]
    return np.asarray(content + share * (painted - content), np.float32)


def files_of_masks(masks: Sequence[MaskLike] | None) -> tuple[str, ...]:
    """The paths that masks name."""
    return tuple(path for mask in masks or () for path in parse_mask(mask).files)


def with_full_paths(text: str) -> str:
    """Masks as text, separated by commas, whose paths are absolute where that needs no comma or colon."""
    return ",".join(_as_text(parse_mask(part.strip())) for part in text.split(","))


def _as_text(mask: Mask) -> str:
    full = [_full(path) for path in (mask.content, mask.style) if path is not None]
    picture = [] if mask.picture is None else [f"picture={_full(mask.picture)}"]
    return ":".join([*full, *picture, f"weight={mask.weight!r}"])


def _full(path: str) -> str:
    full = str(Path(path).absolute())
    return path if "," in full or _COLON.search(full) else full


def label_of(masks: Sequence[MaskLike]) -> str:
    """A name for masks: those of the files of the content's."""
    contents = [parse_mask(mask).content for mask in masks]
    return "+".join(Path(x).stem if isinstance(x, str | os.PathLike) else "mask" for x in contents)


def described_masks(masks: Sequence[MaskLike]) -> list[str]:
    """Masks, ready for JSON, as `parse_mask` takes them: files by their names, arrays by their digests."""
    return [_described(parse_mask(mask)) for mask in masks]


def _described(mask: Mask) -> str:
    parts = [_name_of(x) for x in (mask.content, mask.style) if x is not None]
    parts += [] if mask.picture is None else [f"picture={_name_of(mask.picture)}"]
    return ":".join([*parts, *([] if mask.weight == 1 else [f"weight={mask.weight:g}"])])


def _name_of(given: Any) -> str:
    if isinstance(given, str | os.PathLike):
        return Path(given).name
    array = np.ascontiguousarray(given)
    return (
        f"array {hashlib.sha256(f'{array.shape}{array.dtype}'.encode() + array.tobytes()).hexdigest()[:12]}"
    )


def _regions_of(mask: Mask, shape: tuple[int, ...] | None) -> list[Region]:
    picture = None if mask.picture is None else _pixels("the picture of a mask", mask.picture)
    of_content = _checked("mask", mask.content, shape)
    if mask.style is None:
        return [Region(x, None, picture, mask.weight) for x in of_content.values()]
    of_style = _checked("mask", mask.style, None if picture is None else picture.shape)
    regions = []
    for label, own in of_content.items():
        try:
            partner = same_label(label, list(of_style))
        except KeyError:
            raise ValueError(
                f"{_named(mask.style)}: has no region in the colour {label or 'grey'} that "
                f"{_named(mask.content)} has; paint one, or make that region black"
            ) from None
        regions.append(Region(own, of_style[partner], picture, mask.weight, _named(mask.style)))
    return regions


def _checked(
    what: str, given: Any, shape: tuple[int, ...] | None, *, labels: bool = True
) -> Mapping[Any, np.ndarray]:
    """Label -> mask of a file or an array; raises ValueError if it cannot be used."""
    pixels = _pixels(what, given)
    if shape is not None:
        check_proportions(_named(given), pixels.shape, shape)
    try:
        found = masks_of(pixels) if labels else {None: pixels.mean(axis=-1, dtype=np.float32)}
    except ValueError as error:
        raise ValueError(f"{_named(given)}: {error}") from None
    if not found or any(mask.max() < _BLACK for mask in found.values()):
        raise ValueError(
            f"{_named(given)}: is black, so it marks nothing; give an image with the region in white"
        )
    return found


def check_proportions(name: str, own: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Raises ValueError if a mask of `own` [H, W] does not have the proportions of `shape` [H, W]."""
    if not (_alike(own, shape) or _alike(shape, own)):  # either may have been rounded at a small size
        raise ValueError(
            f"{name}: is {own[1]} x {own[0]} pixels, but its picture is {shape[1]} x {shape[0]}; give a "
            "mask of the same proportions"
        )


def _alike(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether a shape is, within a pixel, the other one resized."""
    fitted = fit_size(other, max(shape[:2]))
    return all(abs(own - wanted) <= 1 for own, wanted in zip(shape[:2], fitted, strict=True))


def _pixels(what: str, given: Any) -> np.ndarray:
    """`[H, W, 3]` of a picture or a mask; a grey array `[H, W]` has three equal channels."""
    if isinstance(given, str | os.PathLike):
        pixels, alpha = load_bounded(given, lambda shape: _MOST)
        return pixels if alpha is None else pixels * alpha[..., None]  # what is transparent is no region
    if getattr(given, "ndim", 0) == 2:
        given = np.repeat(np.asarray(given)[..., None], 3, axis=-1)
    if getattr(given, "dtype", None) == np.bool_:
        given = np.asarray(given, np.float32)
    return checked_pixels(what, given)


def _named(given: Any) -> str:
    return os.fspath(given) if isinstance(given, str | os.PathLike) else "mask"


def _multiplied(region: Region, strength: np.ndarray) -> Region:
    """A region whose mask is multiplied by a map."""
    shape = max(region.mask.shape, strength.shape)
    mask, by = (resize(x[..., None], shape)[..., 0] for x in (region.mask, strength))
    return dataclasses.replace(region, mask=mask * by)
