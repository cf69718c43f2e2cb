"""Keys of the items of a sweep: digests of all that decides a picture, whatever the grid that it is in."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jax_nst.images import ImageError, checked_pixels, read_head
from jax_nst.losses.recipes import default_loss
from jax_nst.models.extractor import Extractor
from jax_nst.optim import OPTIMIZERS
from jax_nst.runtime.files import sha256
from jax_nst.sweeps.job import Job
from jax_nst.transfer.config import INITS, Config, described
from jax_nst.transfer.masks import parse_mask
from jax_nst.transfer.network import Network
from jax_nst.transfer.pictures import files_of
from jax_nst.transfer.provenance import digest_of
from jax_nst.transfer.terms import resolve_recipe

Identity = dict[str, str | None]
"""`name` of a picture and `sha256`, which is None where its file cannot be read."""

_DIGITS = 12  # 48 bits: two of 100,000 items share them by chance once in 50,000 sweeps
# The network counts by its name and digest.
_NOT_IN_THE_PICTURE = ("save_every", "weights", "features", "tile_size", "memory")


def identify_pictures(job: Job) -> dict[str, Identity]:
    """Path, or name in `Job.pictures` -> identity, of all pictures that items are made from."""
    configs = dict.fromkeys(item.config for item in job.items)
    paths = [
        *job.contents,
        *job.styles,
        *(path for config in configs for path in files_of(config).values()),
    ]
    return {path: _identity(path, job.pictures.get(path)) for path in dict.fromkeys(paths)}


def item_keys(job: Job, network: Network, pictures: Mapping[str, Identity] | None = None) -> list[str]:
    """The key of each item; two jobs give one key to the same picture, whatever their grids.

    Args:
      job: the sweep.
      network: the extractor with its params.
      pictures: as `identify_pictures` gives them, if that is known.

    Returns:
      12 hexadecimal digits for each item. An item that a job has twice, as when two files are equal, has a
      key of its own each time.
    """
    pictures = identify_pictures(job) if pictures is None else pictures
    weights = network.weights_sha256 or digest_of(*jax.tree.leaves(network.params))
    of_network = [network.extractor.name, weights]
    settings: dict[Config, Any] = {}
    seen: dict[str, int] = {}
    keys = []
    for item in job.items:
        if item.config not in settings:
            found = described_settings(item.config, pictures) | _defaults(item.config, network.extractor)
            settings[item.config] = _without_names(
                {name: value for name, value in found.items() if name not in _NOT_IN_THE_PICTURE}
            )
        styles = [_digest(pictures[job.styles[index]]) for index in item.styles]
        content = _digest(pictures[job.contents[item.content]])
        decides = [content, styles, list(item.shares), settings[item.config], of_network]
        key = _hash(decides)
        seen[key] = seen.get(key, 0) + 1
        keys.append(key if seen[key] == 1 else _hash([*decides, seen[key]]))
    return keys


def _defaults(config: Config, extractor: Extractor) -> dict[str, Any]:
    """The losses, weights and learning rate that are not given, so that an axis may begin with them."""
    found: dict[str, Any] = {}
    recipe = resolve_recipe(config, extractor)
    for name, reference in (("content_weight", "content"), ("style_weight", "style"), ("tv_weight", None)):
        own = [weight for weight, term in recipe.terms if term.reference == reference]
        if getattr(config, name) is None and len(own) == 1:
            found[name] = float(own[0])
    if config.recipe == "normalized":
        for reference in ("content", "style"):
            if getattr(config, f"{reference}_loss") is None:
                found[f"{reference}_loss"] = (default_loss(reference, extractor.name),)
    if config.learning_rate is None and isinstance(config.optimizer, str):
        found["learning_rate"] = OPTIMIZERS[config.optimizer][1]
    return found


def described_settings(config: Config, pictures: Mapping[str, Identity]) -> dict[str, Any]:
    """The settings, ready for JSON, with the identities of pictures in place of their paths."""
    values = described(config)
    if config.init not in INITS:
        values["init"] = pictures[config.init]
    if config.style_map:
        values["style_weight"] = pictures[config.style_map]
    if config.mask:
        masks = [parse_mask(mask) for mask in config.mask]
        values["mask"] = [
            {
                **{name: mask_identity(getattr(mask, name), pictures) for name in _OF_A_MASK},
                "weight": mask.weight,
            }
            for mask in masks
        ]
    return values


_OF_A_MASK = ("content", "style", "picture")


def mask_identity(picture: Any, pictures: Mapping[str, Identity]) -> Identity | None:
    """The identity of a picture of a mask: a path, an array or None."""
    if picture is None:
        return None
    if isinstance(picture, str | os.PathLike):
        return pictures[os.fspath(picture)]
    return {"name": "mask", "sha256": digest_of(np.asarray(picture))}


def _without_names(value: Any) -> Any:
    """Digests in place of identities."""
    if isinstance(value, Mapping):
        if set(value) == {"name", "sha256"}:
            return _digest(value)
        return {name: _without_names(part) for name, part in value.items()}
    return [_without_names(part) for part in value] if isinstance(value, list | tuple) else value


def _digest(identity: Mapping[str, str | None]) -> str:
    return identity["sha256"] or f"name {identity['name']}"


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def _identity(path: str, picture: Any = None) -> Identity:
    """Name and digest of a file, or of a picture in memory.

    There is no digest of a bad file, which may be mended before a resume.
    """
    if picture is not None:
        return {"name": path, "sha256": digest_of(checked_pixels(path, picture))}
    try:
        read_head(path)
        return {"name": Path(path).name, "sha256": sha256(path)}
    except (ImageError, OSError):
        return {"name": Path(path).name, "sha256": None}
