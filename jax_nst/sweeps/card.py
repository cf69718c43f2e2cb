"""Summary of one item of a sweep, as the contact sheet and the page show it."""

import dataclasses
import math
from collections.abc import Sequence

_THUMBNAIL = 256  # longer side in pixels
_MANY = 400  # items; with more, thumbnails shrink so that page and memory stay bounded


@dataclasses.dataclass(frozen=True)
class Card:
    """Summary of one item; the page reads its fields by name.

    Attributes:
      item: its number.
      labels: name of each varied setting -> label.
      file: file name of the picture in the folder; empty if there is none.
      losses: name -> value, for the saved picture.
      status: see `Outcome.status`.
      seconds: run time.
      curve: pairs of step and total loss.
      inputs: keys of the item's content and styles in the inputs, such as `style 1`.
      measures: name -> value, for the saved picture; empty if it was not measured.
      key: key of the item in the records; empty if it is not known.
      outside: whether the item is of an earlier grid and not of today's.
    """

    item: int
    labels: dict[str, str]
    file: str
    losses: dict[str, float]
    status: str
    seconds: float
    curve: list[tuple[int, float]]
    inputs: list[str]
    measures: dict[str, float] = dataclasses.field(default_factory=dict)
    key: str = ""
    outside: bool = False

    @property
    def title(self) -> str:
        """What tells the item apart, in one line."""
        return ", ".join(f"{name}={label}" for name, label in self.labels.items()) or self.file


def thumbnail_size(count: int) -> int:
    """Longer side, in pixels, of each of `count` thumbnails."""
    return _THUMBNAIL if count <= _MANY else max(96, int(_THUMBNAIL * math.sqrt(_MANY / count)))


def input_of(cards: Sequence[Card], name: str, label: str) -> str | None:
    """Key of the content or style that a label of the axis `name` stands for; None for other axes."""
    if name not in ("content", "style"):
        return None
    found = next((card for card in cards if card.labels.get(name) == label), None)
    return next((key for key in found.inputs if key.startswith(name)), None) if found else None
