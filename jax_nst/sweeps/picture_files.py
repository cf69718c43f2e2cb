"""The pictures of a batch as files, with the settings that they were made with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jax_nst.images import save_image
from jax_nst.runtime.files import FileError
from jax_nst.sweeps.inputs import load_picture_of
from jax_nst.sweeps.job import Job
from jax_nst.transfer.network import Network
from jax_nst.transfer.outcome import Outcome, Status
from jax_nst.transfer.provenance import for_json, named_styles, of_outcome, without_folders
from jax_nst.transfer.transfer import describe


def save_pictures(
    folder: Path,
    job: Job,
    network: Network,
    description: Mapping[str, Any],
    names: Sequence[Sequence[str]],
    outcomes: Sequence[Outcome],
) -> tuple[list[Outcome], FileError | None]:
    """Saves the pictures of a batch; one that is still the start of its run is left out.

    Args:
      folder: of the sweep.
      job: the sweep.
      network: the extractor with its params.
      description: see `describe_job`.
      names: of the losses of each item.
      outcomes: of the items of the batch.

    Returns:
      The outcomes to record, without pictures, and why one of the pictures could not be saved.
    """
    saved, problem = [], None
    for outcome in outcomes:
        if outcome.status is Status.STOPPED and not any(len(trace.losses) > 1 for trace in outcome.traces):
            continue
        try:
            if outcome.pixels is not None:
                _save(folder, job, network, description, names[outcome.item], outcome)
            saved.append(outcome._replace(pixels=None, traces=()))
        except FileError as error:
            problem = problem or error
    return saved, problem


def _save(
    folder: Path,
    job: Job,
    network: Network,
    description: Mapping[str, Any],
    names: Sequence[str],
    outcome: Outcome,
) -> None:
    assert outcome.pixels is not None
    item = job.items[outcome.item]
    content = load_picture_of(job, job.contents[item.content], item.config)
    styles = named_styles([description["styles"][index] for index in item.styles])
    settings = {
        **describe(network, item.config, content.pixels.shape, item.shares),
        "inputs": {"content": description["contents"][item.content], **styles},
        "run": of_outcome(outcome, names),
    }
    path = folder / job.files[outcome.item]
    save_image(path, outcome.pixels, alpha=content.alpha, settings=for_json(without_folders(settings)))
