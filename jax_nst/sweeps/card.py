"""Summary of one item of a sweep, as the contact sheet and the page show it."""

import dataclasses
from collections.abc import Sequence


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


def input_of(cards: Sequence[Card], name: str, label: str) -> str | None:
    """Key of the content or style that a label of the axis `name` stands for; None for other axes."""
    if name not in ("content", "style"):
        return None
    found = next((card for card in cards if card.labels.get(name) == label), None)
    return next((key for key in found.inputs if key.startswith(name)), None) if found else None


def axes_of(cards: Sequence[Card]) -> dict[str, list[str]]:
    """Name of each varied setting -> its labels, both in order of appearance."""
    axes: dict[str, dict[str, None]] = {}
    for card in cards:
        for name, label in card.labels.items():
            axes.setdefault(name, {})[label] = None
    return {name: list(labels) for name, labels in axes.items()}
