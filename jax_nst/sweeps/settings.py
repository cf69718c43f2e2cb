"""The settings of a sweep on disk: `settings.json`, and its comparison with those of another run."""

import json
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jax_nst.runtime import distributed
from jax_nst.runtime.values import differing
from jax_nst.sweeps.grid import described_grid
from jax_nst.sweeps.job import BATCHES, CHECKPOINT, INPUTS, SETTINGS, THUMBNAILS, Job, is_report
from jax_nst.sweeps.keys import Identity, identify_pictures, mask_identity
from jax_nst.sweeps.records import set_aside, write_file
from jax_nst.transfer.config import INITS
from jax_nst.transfer.masks import parse_mask
from jax_nst.transfer.network import Network
from jax_nst.transfer.provenance import made_with, without_folders

COMPARED = ("config", "grid", "contents", "styles", "inits", "masks", "features", "weights_sha256")
"""What decides the pictures, of what `describe_job` returns."""

FORMAT = 2
"""Of the folder of a sweep; the first kept its records by the numbers of the items."""

_FILES = ("contents", "styles", "inits", "masks")
_LONGEST = 60  # characters of a value in a message


def describe_job(
    job: Job, network: Network, pictures: Mapping[str, Identity] | None = None
) -> dict[str, Any]:
    """Settings, inputs, versions and device, ready for JSON; `pictures` as of `identify_pictures`."""
    pictures = identify_pictures(job) if pictures is None else pictures
    described = {
        "format": FORMAT,
        **made_with(network, job.config),
        "grid": described_grid(job.grid),
        "contents": [pictures[name] for name in job.contents],
        "styles": [pictures[name] for name in job.styles],
        "inits": [
            pictures[path] for path in dict.fromkeys(i.config.init for i in job.items) if path not in INITS
        ],
        "masks": _mask_identities(job, pictures),
        "items": len(job.items),
        "files": job.files,
    }
    return json.loads(json.dumps(without_folders(described)))


def _mask_identities(job: Job, known: Mapping[str, Identity]) -> list[dict[str, str | None]]:
    """Those of all pictures of masks, and of maps of the style weight."""
    configs = list(dict.fromkeys(item.config for item in job.items))
    maps = [config.style_map for config in configs if config.style_map]
    masks = [parse_mask(mask) for config in configs for mask in config.mask or ()]
    pictures = [*maps, *(x for mask in masks for x in (mask.content, mask.style, mask.picture))]
    identities = [mask_identity(picture, known) for picture in pictures]
    return [
        dict(pairs)
        for pairs in dict.fromkeys(tuple(identity.items()) for identity in identities if identity)
    ]


def known_digests(before: Mapping[str, Any]) -> Callable[[Identity], Identity]:
    """Returns what fills in the digest that a file which cannot be read had in the sweep `before`.

    So what was painted from a file that is gone stays in the grid.
    """
    known = _digests([identity for name in _FILES for identity in before[name]])

    def fill(identity: Identity) -> Identity:
        digests = known.get(identity["name"], set()) - {None}
        if identity["sha256"] is None and len(digests) == 1:
            return {"name": identity["name"], "sha256": digests.pop()}
        return identity

    return fill


def with_known_digests(description: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """A description of a job, where its files have the digests of `known_digests`."""
    fill = known_digests(before)
    return {**description, **{name: [fill(identity) for identity in description[name]] for name in _FILES}}


def changed_picture(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Says which file has other contents than all of its name had before; empty if there is none."""
    for name in _FILES:
        there, here = _digests(before[name]), _digests(now[name])
        for file in here:
            both = there.get(file, set()) | here[file]
            if file in there and None not in both and not there[file] & here[file]:
                return f"{name}: the contents of {file} differ"
    return ""


def _digests(identities: Sequence[Identity]) -> dict[str | None, set[str | None]]:
    """Name -> digests of the pictures of that name."""
    found: dict[str | None, set[str | None]] = {}
    for identity in identities:
        found.setdefault(identity["name"], set()).add(identity["sha256"])
    return found


def write_settings(
    folder: Path, description: Mapping[str, Any], *, instead_of: Mapping[str, Any] | None = None
) -> None:
    """Writes `settings.json`, and a copy beside the records, should the first be damaged.

    A file that holds something else, and not `instead_of`, is set aside with a warning.
    """
    content, replaced = (json.dumps(x, indent=1).encode() for x in (description, instead_of))
    (folder / BATCHES).mkdir(exist_ok=True)
    for path in _paths(folder):
        if path.exists():
            found = path.read_bytes()
            if found == content:
                continue
            if found != replaced:
                kept = set_aside(path)
                warnings.warn(
                    f"{path}: was damaged or changed; kept as {kept.name}, and written again",
                    UserWarning,
                    stacklevel=2,
                )
        write_file(path, content)


def read_settings(folder: Path) -> dict[str, Any] | None:
    """What `write_settings` wrote; None if neither file can be read."""
    for path in _paths(folder):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(found, dict) and set(COMPARED) <= set(found):
            return found
    return None


def _paths(folder: Path) -> tuple[Path, Path]:
    return folder / BATCHES / SETTINGS, folder / SETTINGS


def written_by_sweep(folder: str | os.PathLike[str]) -> Callable[[str], bool]:
    """Returns a test whether a path is a file that the sweep in `folder` wrote."""
    root, settings = Path(os.path.realpath(folder)), read_settings(Path(folder))
    files = set((settings or {}).get("files", ()))
    folders = (INPUTS, BATCHES, CHECKPOINT, THUMBNAILS)

    def is_written(path: str) -> bool:
        resolved = Path(os.path.realpath(path))  # Path.resolve would raise for a link to itself
        if settings is None or not resolved.is_relative_to(root):
            return False
        first, *rest = resolved.relative_to(root).parts or ("",)
        name = first.rpartition(".old")[0] or first  # see `set_aside`
        return name in folders or ((is_report(name) or name in files) and not rest)

    return is_written


def difference(
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    *,
    names: Sequence[str] = COMPARED,
    words: tuple[str, str] = ("there", "now"),
    unread: bool = False,
) -> str:
    """Describes the first difference of two descriptions of jobs in a few words; empty if there is none.

    Args:
      before: of one run.
      now: of another.
      names: of what is compared.
      words: how to call them.
      unread: whether a file that one of them could not read is a difference; such a file may be mended
        before a sweep is resumed.
    """
    for name in names:
        if name in _FILES:
            found = _difference_of_files(before[name], now[name], words, unread)
        else:
            found = _difference_of_values(before[name], now[name], words)
        if found:
            return f"{name}{found}"
    return ""


def compare_processes(description: Mapping[str, Any]) -> None:
    """Raises PeerError on every process if one of them has other settings or inputs than the first."""
    if distributed.num_processes() == 1:
        return
    words = ("in process 0", "in this one")
    first = distributed.object_of_first(description)
    with distributed.errors_of_all():
        names = (*COMPARED, "batch")
        found = difference(first, description, names=names, words=words, unread=True)
        if found:
            raise distributed.PeerError(
                f"the processes do not share one sweep ({found}); give each the same flags and files"
            )


def _difference_of_files(before: Any, now: Any, words: tuple[str, str], unread: bool) -> str:
    if len(before) != len(now):
        return f": {len(before)} {words[0]}, {len(now)} {words[1]}"
    for there, here in zip(before, now, strict=True):
        if there["name"] != here["name"]:
            return f": {there['name']} {words[0]}, {here['name']} {words[1]}"
        digests = there["sha256"], here["sha256"]
        if digests[0] != digests[1] and (unread or None not in digests):
            return f": the contents of {here['name']} differ"
    return ""


def _difference_of_values(before: Any, now: Any, words: tuple[str, str]) -> str:
    """As `difference`, of anything from JSON; begins with the path to what differs."""
    for path, there, here in differing(before, now, into_lists=True):
        steps = (f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
        return f"{''.join(steps)}: {_shown(there)} {words[0]}, {_shown(here)} {words[1]}"
    return ""


def _shown(value: Any) -> str:
    text = json.dumps(value)
    if len(text) <= _LONGEST:
        return text
    return (
        f"{len(value)} values"
        if isinstance(value, Sequence) and not isinstance(value, str)
        else (f"{text[: _LONGEST - 3]}...")
    )
