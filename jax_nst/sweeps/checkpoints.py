"""The checkpoint of a sweep: the state of the batch at work, whose items may have other numbers today."""

import contextlib
import warnings
from collections.abc import Sequence

from jax_nst.runtime import distributed
from jax_nst.transfer.checkpoint import Checkpoint, CheckpointError, Saved, Store
from jax_nst.transfer.provenance import environment


def open_checkpoint(
    checkpoint: Checkpoint, keys: Sequence[str], left: Sequence[int]
) -> tuple[Store | None, Saved | None]:
    """Opens the checkpoint of a sweep; one that is not of these items is left with a warning.

    Args:
      checkpoint: where it is, and how often the state is saved.
      keys: of the items of the grid.
      left: the items that are to be run; see `remove_outlived`.

    Returns:
      What saves the state of the batch at work, None for several processes; and what an earlier run saved
      of its own.
    """
    if distributed.num_processes() > 1:
        return None, None
    # The items of the state are numbers in the grid of its run.
    store = Store(checkpoint, command={"items": list(keys)})
    try:
        return store, _open(store, keys, left)
    except CheckpointError as error:
        warnings.warn(f"{error}; its batch begins anew", UserWarning, stacklevel=2)
        return store, None


def remove_outlived(checkpoint: Checkpoint, keys: Sequence[str], left: Sequence[int]) -> None:
    """Removes the checkpoint of a batch that is not to be run again as a whole, so that no run can use it.

    Args:
      checkpoint: see `open_checkpoint`, and so are the others.
      keys: the same.
      left: the same.
    """
    with contextlib.suppress(CheckpointError):
        _open(Store(checkpoint), keys, left)


def _open(store: Store, keys: Sequence[str], left: Sequence[int]) -> Saved | None:
    """What the store holds, unless an item of it has come to its end since; then that is removed."""
    saved = store.open(lambda: {"environment": environment()}, resume=True)
    saved = saved and _renumbered(saved, keys)
    if saved and not set(saved.batch["items"]) <= set(left):
        store.remove()
        return None
    return saved


def _renumbered(saved: Saved, keys: Sequence[str]) -> Saved:
    """The batch at work with the numbers that its items have in the grid of today.

    Raises:
      CheckpointError: an item is outside the grid, or they are in another order, and so in other slots.
    """
    snapshot, numbers = saved.description["snapshot"], {key: number for number, key in enumerate(keys)}
    try:
        before = saved.description["command"]["items"]
        now = {item: numbers.get(before[item], -1) for item in snapshot["items"]}
    except (LookupError, TypeError) as error:
        raise CheckpointError(f"{saved.state.parent}: the checkpoint is damaged") from error
    if min(now.values(), default=0) < 0 or list(now.values()) != sorted(now.values()):
        raise CheckpointError(f"{saved.state.parent}: holds the state of items of another grid")
    snapshot = {**snapshot, "items": list(now.values()), "numbers": now}
    return saved._replace(description={**saved.description, "snapshot": snapshot})
