"""Grid of varied settings -> the items of a sweep, each one transfer."""

import dataclasses
import itertools
from typing import Any, NamedTuple

from jax_nst.transfer.config import Config
from jax_nst.transfer.pictures import blend_shares


@dataclasses.dataclass(frozen=True)
class Grid:
    """The values that a sweep goes through, beside its contents and styles.

    An empty tuple leaves a setting as the `Config` says. The last one varies fastest.

    Attributes:
      blend: shares of the styles, one for each; all styles then make one, and each entry is a mixture.
      content_weight: as `Config.content_weight`.
      style_weight: as `Config.style_weight`.
      tv_weight: as `Config.tv_weight`.
      style_layer_weights: as `Config.style_layer_weights`.
      init: as `Config.init`.
      seed: as `Config.seed`.
      zip: pairs the values, the first with the first, instead of combining all with all; a single value
        is used for all.

    Example:
      >>> from jax_nst import Grid
      >>> grid = Grid(style_weight=(300, 1000, 3000), seed=(0, 1))  # six items for each content and style
    """

    blend: tuple[tuple[float, ...], ...] = ()
    content_weight: tuple[float, ...] = ()
    style_weight: tuple[float, ...] = ()
    tv_weight: tuple[float, ...] = ()
    style_layer_weights: tuple[tuple[float, ...], ...] = ()
    init: tuple[str, ...] = ()
    seed: tuple[int, ...] = ()
    zip: bool = False


SETTINGS = tuple(field.name for field in dataclasses.fields(Grid) if field.name not in ("blend", "zip"))
"""The fields of `Config` that may vary."""


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
      ValueError: a value is not valid, there is nothing to paint, or values cannot be paired.
    """
    if not num_contents or not num_styles:
        raise ValueError("a sweep needs a content and a style at least")
    axes: dict[str, Any] = {"content": range(num_contents)}
    axes |= {"blend": grid.blend} if grid.blend else {"style": range(num_styles)}
    axes |= {name: getattr(grid, name) for name in SETTINGS if getattr(grid, name)}
    varied = [name for name, values in axes.items() if len(values) > 1]
    items = []
    for values in _pairs(axes) if grid.zip else itertools.product(*axes.values()):
        point = dict(zip(axes, values, strict=True))
        blend = point.get("blend")
        styles = tuple(range(num_styles)) if blend is not None else (point["style"],)
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
    return items


def _pairs(axes: dict[str, Any]) -> list[tuple[Any, ...]]:
    lengths = {name: len(values) for name, values in axes.items() if len(values) > 1}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{count} of {name}" for name, count in lengths.items())
        raise ValueError(f"zip pairs values, but there are {counts}; give as many of each, or one")
    length = max(lengths.values(), default=1)
    full = [values if len(values) > 1 else list(values) * length for values in axes.values()]
    return list(zip(*full, strict=True))
