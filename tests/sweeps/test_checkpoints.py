"""The checkpoint of a sweep whose grid is another today."""

import json
import warnings

import pytest

from jax_nst import Checkpoint
from jax_nst.sweeps.checkpoints import open_checkpoint, remove_outlived
from jax_nst.transfer.provenance import environment


@pytest.fixture
def folder(tmp_path):
    """With the state of items 1 and 2 of a grid of three."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    description = {
        "format": 1,
        "number": 1,
        "state": "state_000001.npz",
        "command": {"items": ["a", "b", "c"]},
        "identity": {"environment": environment()},
        "snapshot": {"items": [1, 2], "slots": 2},
    }
    (folder / "checkpoint.json").write_text(json.dumps(description))
    return folder


@pytest.mark.parametrize(
    ("keys", "items"), [("abc", [1, 2]), ("bc", [0, 1]), ("xbyczd", [1, 3])], ids=["same", "fewer", "more"]
)
def test_its_items_get_the_numbers_that_they_have_now(keys, items, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store, saved = open_checkpoint(Checkpoint(folder), list(keys), range(9))
    assert store is not None
    assert saved is not None
    assert saved.batch["items"] == items
    assert saved.batch["numbers"] == dict(zip([1, 2], items, strict=True))


@pytest.mark.parametrize("keys", ["ab", "acb", "xyz"], ids=["lacks one", "other order", "none"])
def test_the_batch_begins_anew_if_the_grid_lacks_an_item_or_orders_them_otherwise(keys, folder):
    with pytest.warns(UserWarning, match="holds the state of items of another grid; its batch begins anew"):
        store, saved = open_checkpoint(Checkpoint(folder), list(keys), range(9))
    assert store is not None
    assert saved is None


@pytest.mark.parametrize("command", [{}, {"items": 3}, {"items": ["a"]}])
def test_a_damaged_one_is_left_with_a_warning(command, folder):
    path = folder / "checkpoint.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"command": command}))
    with pytest.warns(UserWarning, match="the checkpoint is damaged; its batch begins anew"):
        assert open_checkpoint(Checkpoint(folder), ["a", "b", "c"], range(3))[1] is None


def test_there_may_be_none(tmp_path):
    assert open_checkpoint(Checkpoint(tmp_path / "none"), ["a"], [0])[1] is None


def test_one_of_an_item_that_has_come_to_its_end_is_removed(folder):
    remove_outlived(Checkpoint(folder), ["x", "b", "a", "c"], [1, 3])
    assert folder.exists()  # items b and c are still to be run
    remove_outlived(Checkpoint(folder), ["x", "c", "b"], [1])
    assert folder.exists()  # it is of another grid
    remove_outlived(Checkpoint(folder), ["a", "b", "c"], [0, 2])
    assert not folder.exists()


def test_a_run_begins_anew_with_the_batch_of_an_item_that_has_come_to_its_end(folder):
    store, saved = open_checkpoint(Checkpoint(folder), ["a", "b", "c"], [0, 2])
    assert store is not None
    assert saved is None
    assert not folder.exists()
