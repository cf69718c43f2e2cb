"""Keys of items: the same for the same picture, another for any other."""

import dataclasses
import shutil

import numpy as np
import pytest
from conftest import picture

from jax_nst import Config, Grid, Mask, save_image
from jax_nst.optim import OPTIMIZERS
from jax_nst.sweeps.job import make_job
from jax_nst.sweeps.keys import identify_pictures, item_keys
from jax_nst.transfer.network import load_network
from jax_nst.transfer.terms import resolve_recipe

CONFIG = Config(features="wavelet", steps=3, size=24)


@pytest.fixture(scope="module")
def network():
    return load_network(CONFIG)


@pytest.fixture
def paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for index in range(4):
        save_image(f"p{index}.png", picture(20, 24, index))
    return [f"p{index}.png" for index in range(4)]


def keys_of(network, contents, styles, grid=Grid(), config=CONFIG):
    return item_keys(make_job(contents, styles, grid, config), network)


def test_keys_are_12_digits_and_distinct(network, paths):
    keys = keys_of(network, paths[:2], paths[2:], Grid(style_weight=(1, 2, 3)))
    assert len(set(keys)) == 12
    assert all(len(key) == 12 and int(key, 16) >= 0 for key in keys)


def test_the_grid_around_an_item_does_not_count(network, paths):
    one = keys_of(network, paths[:1], paths[1:2], config=dataclasses.replace(CONFIG, style_weight=2.0))
    weights = Grid(style_weight=(1, 2))
    many = keys_of(network, paths[:1], paths[1:3], weights)
    paired = keys_of(network, paths[:1], paths[1:3], Grid(style_weight=(2, 1), zip=True))
    other_first = dataclasses.replace(CONFIG, style_weight=7.0, save_every=5)
    assert one == many[1:2] == paired[:1]
    assert keys_of(network, paths[:1], paths[1:3], weights, other_first) == many
    assert keys_of(network, paths[:1], paths[2:0:-1], weights) == many[2:] + many[:2]


def test_a_default_counts_as_if_it_were_given(network, paths):
    weights = {
        term.reference: float(weight) for weight, term in resolve_recipe(CONFIG, network.extractor).terms
    }
    before = keys_of(network, paths[:1], paths[1:2])
    for name, value in {
        "content_weight": weights["content"],
        "style_weight": weights["style"],
        "tv_weight": weights[None],
        "learning_rate": OPTIMIZERS["lbfgs"][1],
    }.items():
        config = dataclasses.replace(CONFIG, **{name: value})
        assert keys_of(network, paths[:1], paths[1:2], config=config) == before
        config = dataclasses.replace(CONFIG, **{name: 2 * value + 1})
        assert keys_of(network, paths[:1], paths[1:2], config=config) != before
    grid = Grid(style_weight=(1.0, weights["style"]))
    assert keys_of(network, paths[:1], paths[1:2], grid)[1:] == before


def test_only_the_contents_of_a_file_count(network, paths, tmp_path):
    before = keys_of(network, paths[:1], paths[1:2])
    (tmp_path / "elsewhere").mkdir()
    moved = shutil.copy(paths[1], tmp_path / "elsewhere" / "other.png")
    assert keys_of(network, paths[:1], [str(moved)]) == before
    save_image(paths[1], picture(20, 24, 77))
    assert keys_of(network, paths[:1], paths[1:2]) != before


def test_a_file_that_cannot_be_read_counts_by_its_name(network, paths):
    one, other = (keys_of(network, paths[:1], [name]) for name in ("none.png", "nothing.png"))
    assert one == keys_of(network, paths[:1], ["none.png"]) != other
    known = identify_pictures(make_job(paths[:1], ["none.png"], Grid(), CONFIG))
    assert known["none.png"] == {"name": "none.png", "sha256": None}


def test_equal_files_are_items_of_their_own(network, paths):
    shutil.copy(paths[1], "copy.png")
    keys = keys_of(network, paths[:1], [paths[1], "copy.png"])
    assert keys[0] == keys_of(network, paths[:1], paths[1:2])[0]
    assert len(set(keys)) == 2
    assert keys == keys_of(network, paths[:1], ["copy.png", paths[1]])


CHANGES = {
    "steps": {"steps": 4},
    "size": {"size": 25},
    "optimizer": {"optimizer": "adam"},
    "color": {"color": "keep"},
    "seed": {"seed": 1, "init": "noise"},
    "start": {"init": "p2.png"},
    "other start": {"init": "p3.png"},
    "map": {"style_weight": "p2.png"},
    "mask": {"mask": ("p2.png:p3.png",)},
    "mask turned": {"mask": ("p3.png:p2.png",)},
    "weight of the mask": {"mask": ("p2.png:p3.png:weight=2",)},
    "mask in memory": {"mask": (Mask(np.ones((4, 4))),)},
    "other mask in memory": {"mask": (Mask(np.zeros((4, 4))),)},
    "loss": {"style_loss": ("moments",)},
    "layers": {"style_layers": ("scale1",)},
}


def test_every_setting_counts(network, paths):
    keys = [keys_of(network, paths[:1], paths[1:2])[0]]
    keys += [
        keys_of(network, paths[:1], paths[1:2], config=dataclasses.replace(CONFIG, **change))[0]
        for change in CHANGES.values()
    ]
    assert len(set(keys)) == len(CHANGES) + 1


def test_the_shares_of_styles_and_the_network_count(network, paths):
    blends = keys_of(network, paths[:1], paths[1:3], Grid(blend=((1, 1), (1, 3), (2, 2))))
    assert len(set(blends[:2])) == 2
    assert keys_of(network, paths[:1], paths[1:3], Grid(blend=((2, 2),))) == blends[:1]
    other = network._replace(weights_sha256="1" * 64)
    assert keys_of(other, paths[:1], paths[1:2]) != keys_of(network, paths[:1], paths[1:2])


def test_pictures_in_memory_count_by_their_pixels(network, paths):
    content, style = picture(20, 24, 1), picture(20, 24, 2)
    grid = Grid(style_weight=(1, 2))
    keys = keys_of(network, [content], [style], grid)
    assert keys == keys_of(network, [content.copy()], [style.copy()], grid)
    assert keys[:1] == keys_of(network, [style, content], [style], grid)[2:3]
    assert set(keys).isdisjoint(keys_of(network, [style], [content], grid))


def test_the_default_loss_is_in_the_key(tmp_path):
    paths = [str(tmp_path / name) for name in ("c.png", "s.png")]
    for seed, path in enumerate(paths):
        save_image(path, picture(20, 24, seed))

    def keys(**named):
        config = Config(features="wavelet", steps=2, **named)
        return item_keys(make_job(paths[:1], paths[1:], Grid(), config), load_network(config))

    assert keys() == keys(style_loss="gram", content_loss="features") != keys(style_loss="moments")
