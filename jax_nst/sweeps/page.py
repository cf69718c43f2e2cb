"""HTML page of a sweep, self-contained except for the full-size pictures beside it."""

import base64
import dataclasses
from collections.abc import Mapping, Sequence

import jinja2

from jax_nst.metrics import METRICS
from jax_nst.sweeps.card import Card


def page(
    title: str,
    axes: Mapping[str, Sequence[str]],
    cards: Sequence[Card],
    thumbnails: Sequence[bytes | None],
    inputs: Mapping[str, tuple[str, bytes]],
    *,
    paired: bool = False,
) -> str:
    """Renders the page; it opens from disk and makes no network request.

    Without JavaScript it shows all pictures with their labels. With it, they can be arranged, filtered,
    sorted, picked and compared.

    Args:
      title: heading of the page.
      axes: name of each varied setting -> its labels.
      cards: one per item.
      thumbnails: one per item, as JPEG; None for an item without a picture.
      inputs: `content 0`, `style 1` and so on -> (file name in the folder, JPEG).
      paired: whether values were combined pairwise instead of as a grid.

    Returns:
      HTML, with thumbnails embedded as data URIs.
    """
    data = {
        "paired": paired,
        "axes": [{"name": name, "labels": list(labels)} for name, labels in axes.items()],
        "items": [dataclasses.asdict(card) for card in cards],
        "metrics": {
            name: {"better": metric.better, "doc": metric.doc}
            for name, metric in METRICS.items()
            if any(name in card.measures for card in cards)
        },
        "inputs": {name: {"file": file} for name, (file, _) in inputs.items()},
    }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jax_nst.sweeps"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    environment.filters["data_uri"] = _data_uri
    return environment.get_template("index.html.jinja").render(
        title=title, data=data, shown=list(zip(cards, thumbnails, strict=True)), inputs=inputs
    )


def _data_uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
