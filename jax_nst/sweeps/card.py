"""Summary of one item of a sweep, as the contact sheet and the page show it."""

import dataclasses

THUMBNAIL = 256
"""Longer side, in pixels, of pictures on the page; an upper bound on the contact sheet."""


@dataclasses.dataclass(frozen=True)
class Card:
    """Summary of one item; the page reads its fields by name.

    Attributes:
      labels: name of each varied setting -> label.
      file: file name of the picture in the folder; empty if there is none.
      losses: name -> value, for the saved picture.
      status: see `Outcome.status`.
      seconds: run time.
      curve: total loss of each evaluation.
      inputs: keys of the item's content and styles in the inputs, such as `style 1`.
    """

    labels: dict[str, str]
    file: str
    losses: dict[str, float]
    status: str
    seconds: float
    curve: list[float]
    inputs: list[str]
