"""HTML page of a sweep: its data are within it, its pictures and thumbnails in files beside it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jinja2

from jax_nst.metrics import METRICS
from jax_nst.sweeps.card import Card
from jax_nst.sweeps.seeds import Deviation, Group
from jax_nst.sweeps.thumbnails import Thumbnail


def page(
    title: str,
    axes: Mapping[str, Sequence[str]],
    cards: Sequence[Card],
    thumbnails: Sequence[Thumbnail | None],
    inputs: Mapping[str, tuple[str, Thumbnail]],
    *,
    groups: Iterable[tuple[Group, Deviation | None]] = (),
    paired: bool = False,
    running: str = "",
) -> str:
    """Renders the page; it opens from disk and makes no network request.

    Without JavaScript it shows all pictures with their labels. With it, they can be arranged, filtered,
    sorted, plotted, picked and compared.

    Args:
      title: heading of the page.
      axes: name of each varied setting -> its labels.
      cards: one per item.
      thumbnails: one per item; None for an item without a picture.
      inputs: `content 0`, `style 1` and so on -> (file name in the folder, thumbnail).
      groups: of items that differ in their seeds, and how much their pictures differ.
      paired: whether values were combined pairwise instead of as a grid.
      running: what tells the run that the page shows apart, if it goes on; see `live`. Empty if it ended.

    Returns:
      HTML.
    """
    shown = list(zip(cards, thumbnails, strict=True))
    data = {
        "paired": paired,
        "running": running,
        "axes": [{"name": name, "labels": list(labels)} for name, labels in axes.items()],
        "items": [item_data(card, thumbnail) for card, thumbnail in shown],
        "groups": [_group_data(group, deviation, shown) for group, deviation in groups],
        "metrics": {name: {"better": metric.better, "doc": metric.doc} for name, metric in METRICS.items()},
        "inputs": {name: {"file": file, "thumbnail": small} for name, (file, small) in inputs.items()},
    }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jax_nst.sweeps"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "separators": (",", ":")}
    measured = [name for name in METRICS if any(name in card.measures for card in cards)]
    # Those outside the grid stand last.
    ordered = sorted(shown, key=lambda pair: pair[0].outside)
    return environment.get_template("index.html.jinja").render(
        title=title, data=data, shown=ordered, inputs=inputs, measured=measured
    )


def item_data(card: Card, thumbnail: Thumbnail | None) -> dict[str, Any]:
    """What the scripts of the page know of an item; ready for JSON."""
    return {**vars(card), "thumbnail": thumbnail}


def _group_data(
    group: Group, deviation: Deviation | None, shown: Sequence[tuple[Card, Thumbnail | None]]
) -> dict[str, Any]:
    """A group as an item: that of its first seed, with means instead of values."""
    cards = [shown[number][0] for number in group.members]
    first, thumbnail = shown[group.members[0]]
    return {
        **item_data(first, thumbnail),
        "labels": group.labels,
        "losses": {name: value for name, value in group.mean.items() if name.endswith("_loss")},
        "measures": {name: value for name, value in group.mean.items() if name in METRICS},
        "seconds": sum(card.seconds for card in cards),
        "key": f"seeds of {first.key or first.item}",
        "seeds": [card.labels["seed"] for card in cards],
        "spread": group.spread,
        "deviation": deviation,
    }
