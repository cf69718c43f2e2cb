"""The report of a sweep: the contact sheet, the page, and beside them the inputs as they were used."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jax_nst.images import ImageError, load_image, save_image, shrink
from jax_nst.sweeps.card import THUMBNAIL, Card
from jax_nst.sweeps.contact_sheet import contact_sheet
from jax_nst.sweeps.job import CONTACT_SHEET, INPUTS, PAGE, Job
from jax_nst.sweeps.labels import item_labels, safe
from jax_nst.sweeps.page import page
from jax_nst.sweeps.tables import loss_columns, write_file
from jax_nst.transfer.spec import picture_size


def write_report(
    folder: Path,
    job: Job,
    features: str,
    rows: Mapping[int, Mapping[str, Any]],
    history: np.ndarray,
    names: Sequence[str],
) -> None:
    """Writes the contact sheet, the page and the inputs.

    Args:
      folder: of the sweep, with its pictures.
      job: the sweep.
      features: name of the network, for the title.
      rows: of the table, by item.
      history: `[items, evaluations, names]`.
      names: of the losses.
    """
    inputs = _save_inputs(folder, job)
    cards = [_card(job, index, rows[index], history[index, :, 0], names) for index in sorted(rows)]
    axes = {name: list(labels.values()) for name, labels in job.axes.items()}
    title = f"{len(job.items)} pictures, {job.config.steps} steps, {features}"
    # Shrunk as soon as they are read: there may be thousands.
    pictures = [shrink(load_image(folder / card.file), THUMBNAIL) if card.file else None for card in cards]
    shown = {name: pixels for name, (_, pixels) in inputs.items()}
    sheet = contact_sheet(axes, cards, pictures, shown, paired=job.grid.zip)
    save_image(folder / CONTACT_SHEET, sheet, settings={"sweep": title})
    write_file(folder / PAGE, page(title, axes, cards, pictures, inputs).encode())


def _card(job: Job, index: int, row: Mapping[str, Any], curve: np.ndarray, names: Sequence[str]) -> Card:
    item = job.items[index]
    return Card(
        item_labels(item, job.axes),
        str(row["file"]),
        {name: float(row[name]) for name in loss_columns(names) if row[name] != ""},
        str(row["status"]),
        float(row["seconds"]),
        [float(x) for x in curve[np.isfinite(curve)]],
        [f"content {item.content}", *(f"style {i}" for i in item.styles)],
    )


def _save_inputs(folder: Path, job: Job) -> dict[str, tuple[str, np.ndarray]]:
    """`content 0`, `style 1` ... -> file in the folder and small picture, of those that can be read."""
    inputs = {}
    (folder / INPUTS).mkdir(exist_ok=True)
    for kind, paths in (("content", job.contents), ("style", job.styles)):
        for index, path in enumerate(paths):
            file = f"{INPUTS}/{kind}_{index}_{safe(Path(path).stem)[:100]}.png"
            try:
                pixels = load_image(path)
            except ImageError:
                continue
            pixels = shrink(pixels, picture_size(job.config, pixels.shape))
            save_image(folder / file, pixels)
            inputs[f"{kind} {index}"] = file, shrink(pixels, THUMBNAIL)
    return inputs
