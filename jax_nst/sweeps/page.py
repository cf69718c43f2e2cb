"""HTML page of a sweep, self-contained except for the full-size pictures beside it."""

import base64
import dataclasses
from collections.abc import Mapping, Sequence

import jinja2
import numpy as np

from jax_nst.images import jpeg_of
from jax_nst.sweeps.card import THUMBNAIL, Card

_MAX_POINTS = 200  # points of a loss curve; more than a plot can show only make the page larger


def page(
    title: str,
    axes: Mapping[str, Sequence[str]],
    cards: Sequence[Card],
    pictures: Sequence[np.ndarray | None],
    inputs: Mapping[str, tuple[str, np.ndarray]],
) -> str:
    """Renders the page; it opens from disk and makes no network request.

    Args:
      title: heading of the page.
      axes: name of each varied setting -> its labels.
      cards: one per item.
      pictures: one per item, `[H, W, 3]`; None for an item without a picture.
      inputs: `content 0`, `style 1` and so on -> (file name in the folder, pixels).

    Returns:
      HTML, with thumbnails embedded as data URIs.
    """
    data = {
        "axes": [{"name": name, "labels": list(labels)} for name, labels in axes.items()],
        "items": [
            dataclasses.asdict(card) | {"thumb": _data_uri(picture), "curve": _thinned(card.curve)}
            for card, picture in zip(cards, pictures, strict=True)
        ],
        "inputs": {
            name: {"file": file, "thumb": _data_uri(picture)} for name, (file, picture) in inputs.items()
        },
    }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jax_nst.sweeps"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    return environment.get_template("index.html.jinja").render(title=title, data=data)


def _data_uri(picture: np.ndarray | None) -> str:
    if picture is None:
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg_of(picture, THUMBNAIL)).decode()


def _thinned(curve: Sequence[float]) -> list[list[float]]:
    """Samples at most `_MAX_POINTS` pairs [step, loss], always with the first and the last step."""
    if not curve:
        return []
    steps = np.unique(np.linspace(0, len(curve) - 1, min(len(curve), _MAX_POINTS)).astype(int))
    return [[int(step), float(f"{curve[step]:.5g}")] for step in steps]
