import numpy as np
import pytest

from jax_nst import Status
from jax_nst.sweeps.records import Record, merged, read_batches, set_aside, write_batch
from jax_nst.transfer.outcome import Outcome, failed

NAMES = ("total", "content", "tv")
STOPPED = Status.STOPPED, "stopped after step 1"


def record(file, losses, status=Status.FINISHED, message="ok", names=NAMES):
    rows = np.array(losses, np.float32)[:, None] * np.arange(1, 1 + len(names), dtype=np.float32)
    return Record(Outcome(-1, status, message, None, (), rows, 1.23456), 4, 2, names, file)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "batches").mkdir()
    return tmp_path


def assert_same(found, expected):
    assert list(found) == list(expected)
    for x, y in zip(found.values(), expected.values(), strict=True):
        np.testing.assert_array_equal(x.outcome.losses, y.outcome.losses)
        assert x.outcome._replace(losses=None) == y.outcome._replace(losses=None)
        assert x[1:] == y[1:]


def test_records_are_read_as_they_were_written(folder):
    first = {"c": record("c.png", [3, np.nan, np.inf]), "a": record("a.png", [3, 2], *STOPPED)}
    first["b"] = record("b.png", [])
    bad = {"d": Record(failed(-1, "p.png: is no picture, but a \u00fc", NAMES), 0, 0, NAMES, "d.png")}
    write_batch(folder, first)
    write_batch(folder, bad)
    assert sorted(path.name for path in (folder / "batches").iterdir()) == ["00001.npz", "00002.npz"]
    found = read_batches(folder)
    assert_same(found[0], first)
    assert_same(found[1], bad)
    assert [x.has_picture for x in merged(found).values()] == [True, True, True, False]


def test_items_of_a_batch_may_have_other_losses_and_steps(folder):
    more = ("total", "content", "moments", "tv")
    records = {"a": record("a.png", [3, 2]), "b": record("b.png", [4, 3, 2, 1], names=more)}
    write_batch(folder, records)
    assert_same(read_batches(folder)[0], records)


def test_the_last_record_of_an_item_counts(folder):
    again = record("a.png", [3, 2, 1])
    write_batch(folder, {"a": record("a.png", [3, 2], *STOPPED), "b": record("b.png", [4])})
    write_batch(folder, {"a": again})
    assert_same(merged(read_batches(folder)), {"a": again, "b": record("b.png", [4])})


def test_a_batch_leaves_the_files_of_others_alone(folder):
    write_batch(folder, {"a": record("a.png", [3, 2, 1])})
    path = folder / "batches" / "00001.npz"
    before = path.stat()
    write_batch(folder, {"b": record("b.png", [3, 2, 1])})
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert (folder / "batches" / "00002.npz").stat().st_size == before.st_size


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_torn_file_costs_only_its_own_records(keep, folder):
    for key in "abc":
        write_batch(folder, {key: record(f"{key}.png", [3, 2, 1])})
    path = folder / "batches" / "00002.npz"
    torn = path.read_bytes()[: int(keep * path.stat().st_size) if keep < 1 else keep]
    path.write_bytes(torn)
    with pytest.warns(UserWarning, match=r"00002\.npz: is damaged, or not of this sweep; kept as 00002"):
        assert sorted(merged(read_batches(folder))) == ["a", "c"]
    assert (folder / "batches" / "00002.npz.old").read_bytes() == torn
    write_batch(folder, {"b": record("b.png", [3, 2, 1])})
    assert sorted(merged(read_batches(folder))) == ["a", "b", "c"]


def test_a_file_with_code_in_it_is_not_run(folder):
    np.savez(folder / "batches" / "00001.npz", key=np.array([print], object))
    with pytest.warns(UserWarning, match="not of this sweep"):
        assert read_batches(folder) == []


def test_a_picture_lies_in_the_folder(folder):
    write_batch(folder, {"a": record("../../a.png", [3])})
    assert read_batches(folder)[0]["a"].file == "a.png"


def test_what_is_set_aside_replaces_nothing(tmp_path):
    for text in ("one", "two", "three"):
        (tmp_path / "a.png").write_text(text)
        set_aside(tmp_path / "a.png")
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {"a.png.old": "one", "a.png.old2": "two", "a.png.old3": "three"}
