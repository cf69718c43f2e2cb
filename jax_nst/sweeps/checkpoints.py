"""The checkpoint of a sweep: the state of the batch at work, whose items may have other numbers today."""

import warnings
from collections.abc import Sequence

from jax_nst.runtime import distributed
from jax_nst.transfer.checkpoint import Checkpoint, CheckpointError, Saved, Store
from jax_nst.transfer.provenance import environment


def open_checkpoint(checkpoint: Checkpoint, keys: Sequence[str]) -> tuple[Store | None, Saved | None]:
    """Opens the checkpoint of a sweep; one that is not of these items is left with a warning.

    Args:
      checkpoint: where it is, and how often the state is saved.
      keys: of the items of the grid.

    Returns:
      What saves the state of the batch at work, None for several processes; and what an earlier run saved
      of its own.
    """
    if distributed.num_processes() > 1:
        return None, None
    # The items of the state are numbers in the grid of its run.
    store = Store(checkpoint, command={"items": list(keys)})
    try:
        saved = store.open(lambda: {"environment": environment()}, resume=True)
        return store, saved and _renumbered(saved, keys)
    except CheckpointError as error:
        warnings.warn(f"{error}; its batch begins anew", UserWarning, stacklevel=2)
        return store, None


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
