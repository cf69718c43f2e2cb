"""Grid of varied settings -> the items of a sweep, each one transfer."""

import dataclasses
import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from jax_nst.transfer.config import COLORS, INITS, Config, uses_seed
from jax_nst.transfer.conversion import as_masks, is_path
from jax_nst.transfer.masks import Mask, MaskLike, described_masks
from jax_nst.transfer.pictures import blend_shares, style_scales


@dataclasses.dataclass(frozen=True)
class Grid:
    """The values that a sweep goes through, beside its contents and styles.

    Each field takes one value, or several in a tuple, list, range, iterator or array, and keeps them as a
    tuple of Python's own numbers or strings. An empty tuple leaves a setting as the `Config` says. The last
    field varies fastest. Equal values are painted once, unless `zip` pairs them.

    Attributes:
      blend: shares of the styles, one for each; all styles then make one, and each entry is a mixture.
      content_weight: as `Config.content_weight`.
      style_weight: as `Config.style_weight`; a number or the path of a map.
      mask: as `Config.mask`; a set of masks, each a tuple, or the masks of one picture as text.
      tv_weight: as `Config.tv_weight`.
      style_layer_weights: as `Config.style_layer_weights`.
      color: as `Config.color`.
      color_amount: as `Config.color_amount`.
      style_angle: as `Config.style_angle`.
      init: as `Config.init`.
      init_blur: as `Config.init_blur`.
      init_noise: as `Config.init_noise`.
      noise: as `Config.noise`.
      seed: as `Config.seed`; only a start from noise, `init_noise` and `noise` use it.
      zip: pairs the values, the first with the first, instead of combining all with all; a single value
        is used for all.

    Raises:
      ValueError: a field holds something else; the message names it.

    Example:
      >>> from jax_nst import Grid
      >>> grid = Grid(style_weight=(300, 1000), tv_weight=range(3))  # six items for each content and style
      >>> grid.tv_weight
      (0.0, 1.0, 2.0)
    """

    blend: tuple[tuple[float, ...], ...] = ()
    content_weight: tuple[float, ...] = ()
    style_weight: tuple[float | str, ...] = ()
    tv_weight: tuple[float, ...] = ()
    style_layer_weights: tuple[tuple[float, ...], ...] = ()
    style_angle: tuple[tuple[float, ...], ...] = ()
    mask: tuple[tuple[MaskLike, ...], ...] = ()
    color: tuple[str, ...] = ()
    color_amount: tuple[float, ...] = ()
    init: tuple[str, ...] = ()
    init_blur: tuple[float, ...] = ()
    init_noise: tuple[float, ...] = ()
    noise: tuple[float, ...] = ()
    seed: tuple[int, ...] = ()
    zip: bool = False

    def __post_init__(self) -> None:
        if not isinstance(_plain(self.zip), bool):
            raise ValueError(f"zip must be True or False, not {self.zip!r}")
        object.__setattr__(self, "zip", bool(self.zip))
        for name, parse in _PARSERS.items():
            values = tuple(parse(name, value) for value in _several(name, getattr(self, name)))
            object.__setattr__(self, name, values if self.zip else tuple(dict.fromkeys(values)))


def _several(name: str, given: Any) -> tuple[Any, ...]:
    """The values of a field, of which a single one may stand alone.

    Raises:
      ValueError: there are none, or they are in something without an order.
    """
    given = _plain(given)
    if given is None or given == ():
        return ()
    if isinstance(given, str | os.PathLike | int | float | Mask):
        return (given,)
    if not isinstance(given, Sequence | Iterator):
        raise ValueError(
            f"{name} takes a value, or a tuple, list, range or array of values, not {type(given).__name__}"
        )
    values = tuple(map(_plain, given))
    if not values:
        raise ValueError(f"{name} is empty; give it a value, or leave it out")
    # A list of numbers is one mixture of styles, or one set of weights; several are a list of lists.
    single = name in _LISTS and all(isinstance(value, int | float) for value in values)
    return (values,) if single else values


def _plain(value: Any) -> Any:
    """Arrays and scalars of NumPy and JAX as lists and numbers of Python."""
    return value.tolist() if hasattr(value, "tolist") else value


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} takes numbers, not {value!r}")
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(f"{name} takes numbers that a float can hold, not one so large") from error


def _whole_number(name: str, value: Any) -> int:
    if not _number(name, value).is_integer():
        raise ValueError(f"{name} takes whole numbers, not {value!r}")
    return int(value)


def _numbers(name: str, values: Any) -> tuple[float, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ValueError(f"{name} takes lists of numbers, not {values!r}")
    return tuple(_number(name, _plain(value)) for value in values)


def _color(name: str, value: Any) -> str:
    if value not in COLORS:
        raise ValueError(f"{name} takes {', '.join(COLORS)}, not {value!r}")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str | os.PathLike):
        raise ValueError(f"{name} takes {', '.join(INITS)} or paths of images, not {value!r}")
    return str(os.fspath(value))


def described_grid(grid: Grid) -> dict[str, Any]:
    """The values, ready for JSON."""
    values = {field.name: getattr(grid, field.name) for field in dataclasses.fields(grid)}
    return values | {"mask": [described_masks(masks) for masks in grid.mask]}


_PARSERS: dict[str, Callable[[str, Any], Any]] = {
    "blend": _numbers,
    "content_weight": _number,
    "style_weight": lambda name, value: os.fspath(value) if is_path(value) else _number(name, value),
    "tv_weight": _number,
    "style_layer_weights": _numbers,
    "style_angle": _numbers,
    "mask": as_masks,
    "color": _color,
    "color_amount": _number,
    "init": _text,
    "init_blur": _number,
    "init_noise": _number,
    "noise": _number,
    "seed": _whole_number,
}
_LISTS = ("blend", "style_layer_weights", "style_angle")

SETTINGS = tuple(field.name for field in dataclasses.fields(Grid) if field.name not in ("blend", "zip"))
"""The fields of `Config` that may vary."""


_MOST_ITEMS = 100_000


class GridItem(NamedTuple):
    """One transfer of a sweep: a point of its grid."""

    content: int
    """Index of the content."""
    styles: tuple[int, ...]
    """Indices of the styles that make its style."""
    shares: tuple[float, ...]
    """Share of each of these styles; they add up to 1."""
    config: Config
    values: dict[str, Any]
    """Varied settings: name -> value; an index for `content` and `style`."""


def make_items(grid: Grid, num_contents: int, num_styles: int, config: Config) -> list[GridItem]:
    """All items of a sweep, contents slowest.

    Raises:
      ValueError: a value is not valid, there is nothing to paint, there are too many, values cannot be
        paired, or seeds vary that nothing uses.
    """
    if not num_contents or not num_styles:
        raise ValueError("a sweep needs a content and a style at least")
    axes: dict[str, Any] = {"content": range(num_contents)}
    axes |= {"blend": grid.blend} if grid.blend else {"style": range(num_styles)}
    axes |= {name: getattr(grid, name) for name in SETTINGS if getattr(grid, name)}
    varied = [name for name, values in axes.items() if len(values) > 1]
    count = math.prod(len(values) for values in axes.values())
    if count > _MOST_ITEMS and not grid.zip:
        raise ValueError(f"the values make {count:,} items; give fewer, for {_MOST_ITEMS:,} at most")
    items = []
    for values in _pairs(axes) if grid.zip else itertools.product(*axes.values()):
        point = dict(zip(axes, values, strict=True))
        blend = point.get("blend")
        styles = tuple(range(num_styles)) if blend is not None else (point["style"],)
        style_scales(config, 1, len(styles))  # raises if there is not one size for each
        settings = {name: point[name] for name in SETTINGS if name in point}
        items.append(
            GridItem(
                point["content"],
                styles,
                blend_shares(blend, len(styles)),
                dataclasses.replace(config, **settings),
                {name: point[name] for name in varied},
            )
        )
    _check_seeds(items)
    return items


def _check_seeds(items: list[GridItem]) -> None:
    """Raises ValueError if seeds vary, and nothing uses them."""
    if any(uses_seed(item.config) for item in items):
        return
    others = {tuple(value for name, value in item.values.items() if name != "seed") for item in items}
    if len(others) < len(items):
        raise ValueError(
            "seed varies, but only a start from noise, init_noise and noise use it, so the pictures would "
            "be equal; start from noise (init), or give one seed"
        )


def _pairs(axes: dict[str, Any]) -> list[tuple[Any, ...]]:
    lengths = {name: len(values) for name, values in axes.items() if len(values) > 1}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{count} of {name}" for name, count in lengths.items())
        raise ValueError(f"zip pairs values, but there are {counts}; give as many of each, or one")
    length = max(lengths.values(), default=1)
    full = [values if len(values) > 1 else list(values) * length for values in axes.values()]
    return list(dict.fromkeys(zip(*full, strict=True)))
