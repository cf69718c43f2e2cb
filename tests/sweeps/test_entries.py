"""Entries: what a folder knows of its items, of today's grid and of earlier ones."""

import dataclasses
import json

import pytest
from conftest import picture

from jax_nst import Config, Grid, save_image
from jax_nst.sweeps.entries import (
    cell,
    loss_names,
    make_entries,
    outside,
    read_entries,
    varied,
    write_entries,
)
from jax_nst.sweeps.job import make_job
from jax_nst.sweeps.keys import identify_pictures, item_keys
from jax_nst.transfer.network import load_network

CONFIG = Config(features="wavelet", steps=3, size=24, init="noise")


@pytest.fixture(scope="module")
def network():
    return load_network(CONFIG)


@pytest.fixture
def entries_of(tmp_path, monkeypatch, network):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "batches").mkdir()
    for number, name in enumerate(["a", "b", "x/a", "y/a"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        save_image(f"{name}.png", picture(20, 24, number))

    def entries_of(contents, styles, grid=Grid(), before=None, losses=("total", "tv"), **settings):
        job = make_job(contents, styles, grid, dataclasses.replace(CONFIG, **settings))
        pictures = identify_pictures(job)
        return make_entries(job, item_keys(job, network), pictures, lambda _: losses, before or {})

    return entries_of


def cells(entries, name):
    return [cell(entry, name) for entry in entries.values()]


def test_entries_are_read_as_they_were_written(entries_of, tmp_path):
    entries = entries_of(["a.png"], ["b.png"], Grid(seed=(0, 1), style_layer_weights=((1, 2), (2, 1))))
    write_entries(tmp_path, entries)
    assert read_entries(tmp_path) == entries
    assert list(read_entries(tmp_path)) == list(entries)
    assert [entry.item for entry in entries.values()] == [0, 1, 2, 3]
    assert varied(entries.values()) == ["style_layer_weights", "seed"]
    assert cells(entries, "style_layer_weights") == ["1.0,2.0", "1.0,2.0", "2.0,1.0", "2.0,1.0"]
    assert cells(entries, "seed") == [0, 1, 0, 1]
    assert cells(entries, "style") == ["b"] * 4
    assert cells(entries, "blend") == [""] * 4


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"a": 1}', '{"a": {"item": 0}}', "null"], ids=str
)  # fmt: skip
def test_damaged_entries_are_set_aside(text, entries_of, tmp_path):
    entries, path = entries_of(["a.png"], ["b.png"]), tmp_path / "batches" / "items.json"
    path.write_text(text)
    assert read_entries(tmp_path) == {}
    with pytest.warns(UserWarning, match=r"items\.json: was damaged or changed; kept as items\.json\.old"):
        write_entries(tmp_path, entries)
    assert read_entries(tmp_path) == entries


def test_the_picture_of_an_entry_lies_in_its_folder(entries_of, tmp_path):
    write_entries(tmp_path, entries_of(["a.png"], ["b.png"]))
    path = tmp_path / "batches" / "items.json"
    found = json.loads(path.read_text())
    next(iter(found.values()))["file"] = "../mine.png"
    path.write_text(json.dumps(found))
    assert read_entries(tmp_path) == {}


def test_entries_name_no_folders(entries_of, tmp_path):
    full = [str(tmp_path / name) for name in ("a.png", "b.png")]
    masks = (f"{full[0]}:{full[1]}",)
    grid = Grid(style_weight=(1, full[0]), init=("noise", full[1]), mask=(masks, (full[0],)))
    write_entries(tmp_path, entries_of(full[:1], full[1:], grid))
    assert str(tmp_path) not in (tmp_path / "batches" / "items.json").read_text()
    entries = read_entries(tmp_path)
    assert varied(entries.values()) == ["style_weight", "mask", "init"]
    assert set(cells(entries, "style_weight")) == {1.0, "a"}
    assert set(cells(entries, "init")) == {"noise", "b"}
    assert set(cells(entries, "mask")) == {"a", "a~2"}


def test_inputs_keep_their_numbers(entries_of):
    def numbers(entries):
        return [[given["key"] for given in entry.inputs] for entry in entries.values()]

    before = entries_of(["a.png"], ["b.png"])
    assert numbers(before) == [["content 0", "style 0"]]
    now = entries_of(["a.png"], ["x/a.png", "b.png", "none.png"], before=before)
    assert numbers(now) == [["content 0", f"style {number}"] for number in (1, 0, 2)]
    save_image("none.png", picture(20, 24, 9))
    blend = entries_of(["y/a.png"], ["none.png", "b.png"], Grid(blend=((1, 1),)), before=now)
    assert numbers(blend) == [["content 1", "style 2", "style 0"]]


def test_only_what_is_painted_stays_outside(entries_of):
    before = entries_of(["a.png"], ["b.png"], Grid(seed=(0, 1, 2)))
    now = entries_of(["a.png"], ["b.png"], Grid(seed=(0,)))
    keys = list(before)
    found = outside(now, before, {keys[0], keys[2]})
    assert list(found) == [keys[2]]
    assert found[keys[2]] == before[keys[2]]._replace(item=None)
    assert varied({**now, **found}.values()) == ["seed"]
    assert varied(now.values()) == []


def test_a_value_has_one_label_and_no_label_two_values(entries_of):
    """`a.png` of two folders: first both, then one, then the other."""
    before = entries_of(["b.png"], ["x/a.png", "y/a.png"])
    assert cells(before, "style") == ["x_a", "y_a"]
    now = entries_of(["b.png"], ["x/a.png"], Grid(seed=(0, 1)))
    assert cells({**now, **outside(now, before, set(before))}, "style") == ["a", "a", "y_a"]
    other = entries_of(["b.png"], ["y/a.png"])
    assert cells({**other, **outside(other, now, set(now))}, "style") == ["a", "a~2", "a~2"]


def test_losses_are_in_the_order_of_the_item_with_the_most(entries_of):
    few = entries_of(["a.png"], ["b.png"], losses=("total", "style", "tv"))
    more = entries_of(["b.png"], ["a.png"], losses=("total", "style", "moments", "tv"))
    other = entries_of(["b.png"], ["b.png"], losses=("total", "sliced", "tv"))
    assert loss_names({**few, **more, **other}.values()) == ["total", "style", "moments", "tv", "sliced"]
