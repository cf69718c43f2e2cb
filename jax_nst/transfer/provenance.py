"""Provenance of a result: settings, versions and device."""

import functools
import hashlib
import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from jax_nst.images import load_image
from jax_nst.losses import LossWeights
from jax_nst.losses.term import group_key
from jax_nst.runtime.files import sha256
from jax_nst.runtime.platform import num_cores
from jax_nst.runtime.values import differing
from jax_nst.transfer.config import INITS, Config, described
from jax_nst.transfer.network import Network
from jax_nst.transfer.outcome import Outcome
from jax_nst.transfer.spec import Level

T = TypeVar("T")


def made_with(network: Network, config: Config) -> dict[str, Any]:
    """Settings, weights, versions and device, ready for JSON."""
    return {
        "config": described(config),
        "features": network.extractor.name,
        "weights_sha256": network.weights_sha256,
        "versions": versions(),
        "device": device(),
    }


def identity_of(network: Network, config: Config, pictures: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What decides the bits of a picture, ready for JSON: settings, inputs, and the environment.

    Args:
      network: the extractor with its params; an extractor or optimizer given as an object counts by name.
      config: the settings.
      pictures: name -> pixels.
    """
    # Files by their names alone: what they hold counts by its digest.
    named = without_folders(described(config))
    settings = {name: x for name, x in named.items() if name not in ("weights", "save_every")}
    weights = network.weights_sha256 or digest_of(*jax.tree.leaves(network.params))
    start = {} if config.init in INITS else {"init": load_image(config.init)}
    return {
        "settings": {**settings, "features": network.extractor.name},
        "inputs": {name: digest_of(pixels) for name, pixels in (*pictures.items(), *start.items())}
        | {"weights": weights},
        "environment": environment(),
    }


def inputs_of(paths: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """What a picture was made from: role, such as `style` -> name and SHA-256 of the file."""
    return {role: {"name": Path(path).name, "sha256": sha256(path)} for role, path in paths.items()}


def named_styles(styles: Sequence[T]) -> dict[str, T]:
    """Role -> what is given of each style: `style` of one, of several `style 1` and so on."""
    if len(styles) == 1:
        return {"style": styles[0]}
    return {f"style {number}": style for number, style in enumerate(styles, 1)}


def weights_in_force(level: Level, weights: LossWeights) -> dict[str, Any]:
    """The loss weights at a level: name of a term -> its factor, and the factor of each group of layers."""
    return {
        term.name: {
            "weight": float(weights.terms[term.name]),
            "layers": dict(
                zip(
                    map(group_key, term.groups),
                    map(float, np.atleast_1d(weights.layers[term.name])),
                    strict=True,
                )
            ),
        }
        for term in level.terms
    }


def of_outcome(outcome: Outcome, names: Sequence[str]) -> dict[str, Any]:
    """How a run ended: `message`, `steps` at each size, and the `losses` of its picture."""
    return {
        "message": outcome.message,
        "steps": {str(trace.size): len(trace.losses) - 1 for trace in outcome.traces},
        "losses": dict(zip(names, map(float, outcome.best), strict=True)),
    }


def environment() -> dict[str, Any]:
    """What decides the bits of a picture beside its settings and inputs, ready for JSON."""
    return {**versions(), "device": device(), "XLA_FLAGS": os.environ.get("XLA_FLAGS", "")}


def digest_of(*arrays: Any) -> str:
    """SHA-256 of arrays, of their shapes and types, too."""
    digest = hashlib.sha256()
    for array in arrays:
        on_host = np.ascontiguousarray(array)
        digest.update(f"{on_host.dtype}{on_host.shape}".encode())
        digest.update(on_host.view(np.uint8).data if on_host.ndim else on_host.tobytes())
    return digest.hexdigest()


def differences(before: Any, now: Any) -> list[str]:
    """What differs between two values ready for JSON, such as `["steps: 80 there, 100 here"]`.

    Long texts, which are digests, are not shown.
    """
    return [
        f"{path[-1] if path else ''}: another one"
        if any(isinstance(value, str) and len(value) == 64 for value in (there, here))
        else f"{path[-1] if path else ''}: {json.dumps(there)} there, {json.dumps(here)} here"
        for path, there, here in differing(before, now, into_lists=False)
    ]


def versions() -> dict[str, str]:
    """Versions of the packages that decide the result."""
    names = ("jax_nst", "jax", "jaxlib", "flax", "optax", "numpy", "pillow")
    found = {name: _version(name) for name in names}
    return {"python": platform.python_version(), **found}


@functools.cache
def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def without_folders(value: Any) -> Any:
    """Replaces paths by file names: pictures are passed on, and folders are private."""
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(item) for item in value]
    return Path(value).name if isinstance(value, str) and os.sep in value else value


def for_json(value: Any) -> Any:
    """Replaces infinity and NaN by None, since JSON has neither."""
    if isinstance(value, dict):
        return {key: for_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [for_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def device() -> str:
    """Name of the device, and how many there are; of a CPU with the cores that this process may use.

    The numbers decide the last bits.
    """
    first, count = jax.devices()[0], jax.device_count()
    if first.platform != "cpu":
        return first.device_kind if count == 1 else f"{count} x {first.device_kind}"
    return f"cpu: {first.device_kind}, {num_cores()} of {os.cpu_count()} cores"
