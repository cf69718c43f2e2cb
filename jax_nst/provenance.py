"""What a result was made with: versions and device."""

import importlib.metadata
import os
import platform

import jax


def versions() -> dict[str, str]:
    """Of the packages that decide what comes out."""
    names = ("jax_nst", "jax", "jaxlib", "flax", "optax", "numpy", "pillow")
    found = {name: _version(name) for name in names}
    return {"python": platform.python_version(), **found}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def device() -> str:
    """What the computation runs on, in words."""
    first = jax.devices()[0]
    return (
        f"{first.platform}: {first.device_kind}, {os.cpu_count()} cores"
        if first.platform == "cpu"
        else first.device_kind
    )
