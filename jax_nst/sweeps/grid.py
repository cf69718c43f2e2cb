"""Grid of varied settings -> the items of a sweep, each one transfer."""

import dataclasses
import difflib
import itertools
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from jax_nst.runtime.values import as_reals, as_whole
from jax_nst.sweeps.points import Point, PointsLike, read_points
from jax_nst.sweeps.ranges import Range, as_range
from jax_nst.transfer.config import Config, uses_seed
from jax_nst.transfer.conversion import NUMBERS
from jax_nst.transfer.masks import Mask, MaskLike, described_masks
from jax_nst.transfer.pictures import blend_shares, style_scales


@dataclasses.dataclass(frozen=True)
class Grid:
    """The values that a sweep goes through, beside its contents and styles.

    Each field takes one value, or several in a tuple, list, range, iterator or array, and keeps them as a
    tuple. An empty tuple leaves a setting as the `Config` says, and so does a value None. Numbers may be a
    `Range` of random ones, also as text. The last field varies fastest. Equal items are painted once.

    Items that differ in `content_weight` and in fields after it share programs and batches; those that
    differ in a field before it have their own.

    Attributes:
      content: which contents, by index; all if empty.
      style: which styles, by index; all if empty.
      blend: shares of the styles, one for each; all styles then make one, and each entry is a mixture.
      zip: pairs the values, the first with the first, instead of combining all with all; a single value
        is used for all.

    Every other field is that of `Config`. Of settings that are lists of words, such as `style_layers`, each
    string is one value, with commas between its words. `recipe` and `optimizer` are given by name.

    Raises:
      ValueError: a field holds something else; the message names it.

    Example:
      >>> from jax_nst import Grid
      >>> grid = Grid(style_weight=(300, 1000), tv_weight=range(3))  # six items for each content and style
      >>> grid.tv_weight
      (0.0, 1.0, 2.0)
    """

    content: tuple[int, ...] = ()
    style: tuple[int, ...] = ()
    blend: tuple[tuple[float, ...], ...] = ()
    pooling: tuple[str, ...] = ()
    padding: tuple[str, ...] = ()
    precision: tuple[str, ...] = ()
    recipe: tuple[str, ...] = ()
    style_loss: tuple[tuple[str, ...], ...] = ()
    content_loss: tuple[tuple[str, ...], ...] = ()
    content_layers: tuple[tuple[str, ...], ...] = ()
    style_layers: tuple[tuple[str, ...], ...] = ()
    optimizer: tuple[str, ...] = ()
    learning_rate: tuple[float, ...] = ()
    num_pairs: tuple[int, ...] = ()
    lbfgs_pairs: tuple[str, ...] = ()
    size: tuple[int, ...] = ()
    scales: tuple[str, ...] = ()
    style_size: tuple[int, ...] = ()
    style_scale: tuple[float, ...] = ()
    steps: tuple[int, ...] = ()
    tolerance: tuple[float, ...] = ()
    content_weight: tuple[float, ...] = ()
    style_weight: tuple[float | str, ...] = ()
    tv_weight: tuple[float, ...] = ()
    style_layer_weights: tuple[tuple[float, ...], ...] = ()
    style_sizes: tuple[tuple[int, ...], ...] = ()
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
        for name in COLUMNS:
            values = tuple(_checked(name, value) for value in _several(name, getattr(self, name)))
            object.__setattr__(self, name, values if self.zip else tuple(dict.fromkeys(values)))

    @classmethod
    def from_points(cls, points: PointsLike) -> "Grid":
        """The grid of a list of points: each item has the settings of one of them.

        Args:
          points: dictionaries, setting -> value; a DataFrame of pandas; or the path of a CSV file. Columns
            are the fields of the grid. What a point lacks is left as the `Config` says. `content` and
            `style` are indices; without them there is one of each, or one for each point.

        Raises:
          ValueError: there is no point, or one has an unknown column or a value that is not valid; the
            message names the point.

        Example:
          >>> from jax_nst import Grid
          >>> Grid.from_points([{"steps": 20}, {"steps": 80, "tv_weight": 2}]).tv_weight
          (None, 2.0)
        """
        return grid_of(read_points(points))


def grid_of(points: Sequence[Point]) -> Grid:
    """The grid of points that were read; see `Grid.from_points`."""
    columns = list(dict.fromkeys(name for point in points for name in point.values))
    if {"style", "blend"} <= set(columns):
        raise ValueError("points have both style and blend, which mixes all styles; leave one out")
    for point in points:
        try:
            for name in point.values:
                _check_column(name)
            for name in columns:
                value = point.values.get(name)
                if value is None and name in ("content", "style", "blend"):
                    raise ValueError(f"{name} is empty; give one to each point, or to none")
                _checked(name, value)
        except ValueError as error:
            raise ValueError(f"{point.where}: {error}") from error
    values = {name: tuple(point.values.get(name) for point in points) for name in columns}
    return Grid(**values, zip=True)  # pyright: ignore[reportArgumentType]


def _check_column(name: Any) -> None:
    """Raises ValueError if no field that holds values has that name."""
    if name in {field.name for field in dataclasses.fields(Config)} - set(COLUMNS):
        raise ValueError(f"{name} is the same for all items; give it once, beside the points")
    if name not in COLUMNS:
        (near,) = difflib.get_close_matches(str(name), COLUMNS, 1, 0)
        raise ValueError(f"unknown column {str(name)!r}; did you mean {near}?")


def _several(name: str, given: Any) -> Iterator[Any]:
    """The values of a field, of which a single one may stand alone, and of which ranges stand for many.

    Raises:
      ValueError: there are none, or they are in something without an order.
    """
    for value in _listed(name, given):
        drawn = as_range(value) if name in NUMBERS or isinstance(value, Range) else None
        yield from (value,) if drawn is None else drawn.draw(name)


def _listed(name: str, given: Any) -> tuple[Any, ...]:
    given = _plain(given)
    if given is None or given == ():
        return ()
    if isinstance(given, str | os.PathLike | int | float | Mask | Range):
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


def _checked(name: str, value: Any) -> Any:
    """A value of a field, checked and converted as that of a `Config`.

    Raises:
      ValueError: it is not valid.
    """
    if value is None:
        return None
    if name in ("content", "style"):
        return as_whole(name, value, 0, _MOST_ITEMS)
    if name == "blend":
        return as_reals(name, value)
    if name in ("recipe", "optimizer") and not isinstance(value, str):
        raise ValueError(f"{name} varies by name; one of your own is passed in a Config")
    return getattr(dataclasses.replace(_ANY, **{name: value}), name)


def described_grid(grid: Grid) -> dict[str, Any]:
    """The values, ready for JSON."""
    values = {field.name: getattr(grid, field.name) for field in dataclasses.fields(grid)}
    return values | {"mask": [masks and described_masks(masks) for masks in grid.mask]}


_ANY = Config(color="keep")
"""With these settings, every value of any one setting is valid."""

_LISTS = ("blend", "style_layer_weights", "style_sizes", "style_angle")
"""Fields whose values are lists of numbers."""

COLUMNS = tuple(field.name for field in dataclasses.fields(Grid) if field.name != "zip")
"""The fields that hold values."""

SETTINGS = tuple(name for name in COLUMNS if name not in ("content", "style", "blend"))
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
    axes: dict[str, Any] = {"content": _indices("content", grid.content, num_contents)}
    style = {"style": _indices("style", grid.style, num_styles)}
    axes |= {"blend": grid.blend} if grid.blend else style
    axes |= {name: getattr(grid, name) for name in SETTINGS if getattr(grid, name)}
    varied = [name for name, values in axes.items() if len(set(values)) > 1]
    count = math.prod(len(values) for values in axes.values())
    if count > _MOST_ITEMS and not grid.zip:
        raise ValueError(f"the values make {count:,} items; give fewer, for {_MOST_ITEMS:,} at most")
    items: dict[Any, GridItem] = {}
    for values in _pairs(axes) if grid.zip else itertools.product(*axes.values()):
        item = _make_item(dict(zip(axes, values, strict=True)), num_styles, config, varied)
        items.setdefault(item[:4], item)
    _check_seeds(list(items.values()))
    return list(items.values())


def _make_item(point: dict[str, Any], num_styles: int, config: Config, varied: Sequence[str]) -> GridItem:
    """The item of a point of the grid: axis -> value."""
    blend = point.get("blend")
    styles = tuple(range(num_styles)) if blend is not None else (point["style"],)
    settings = {name: point[name] for name in SETTINGS if point.get(name) is not None}
    own = dataclasses.replace(config, **settings)
    style_scales(own, 1, len(styles))  # raises if there is not one size for each
    values = {name: getattr(own, name) if name in SETTINGS else point[name] for name in varied}
    return GridItem(point["content"], styles, blend_shares(blend, len(styles)), own, values)


def _indices(name: str, chosen: Sequence[int], count: int) -> Sequence[int]:
    """The indices that a grid chooses of so many pictures; all if it chooses none."""
    if chosen and max(chosen) >= count:
        raise ValueError(
            f"{name} {max(chosen)} is chosen, but there are {count}, counted from 0; choose one of them"
        )
    return chosen or range(count)


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
