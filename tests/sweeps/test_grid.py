import pytest

from jax_nst import Config, Grid
from jax_nst.sweeps.grid import make_items


def test_the_product_of_all_values_the_last_fastest():
    grid = Grid(style_weight=(1, 2), seed=(7, 8, 9), tv_weight=(0.5,))
    items = make_items(grid, 2, 2, Config(content_weight=4))
    assert len(items) == 24
    assert items[0].values == {"content": 0, "style": 0, "style_weight": 1, "seed": 7}
    assert items[1].values == {"content": 0, "style": 0, "style_weight": 1, "seed": 8}
    assert items[-1].values == {"content": 1, "style": 1, "style_weight": 2, "seed": 9}
    assert items[-1].config == Config(content_weight=4, style_weight=2, tv_weight=0.5, seed=9)
    assert (items[-1].content, items[-1].styles, items[-1].shares) == (1, (1,), (1.0,))


def test_zip_pairs_values():
    grid = Grid(style_weight=(1, 2, 3), tv_weight=(5,), zip=True)
    items = make_items(grid, 1, 3, Config())
    assert [item.values for item in items] == [{"style": i, "style_weight": i + 1} for i in range(3)]
    assert {item.config.tv_weight for item in items} == {5}


def test_zip_of_different_numbers_of_values_is_refused():
    with pytest.raises(ValueError, match="there are 3 of style, 2 of seed; give as many of each, or one"):
        make_items(Grid(seed=(1, 2), zip=True), 1, 3, Config())


def test_a_blend_makes_one_style_of_all():
    (item,) = make_items(Grid(blend=((3, 1),)), 1, 2, Config())
    assert (item.styles, item.shares, item.values) == ((0, 1), (0.75, 0.25), {})
    two = make_items(Grid(blend=((3, 1), (0, 2))), 1, 2, Config())
    assert [item.values for item in two] == [{"blend": (3, 1)}, {"blend": (0, 2)}]
    with pytest.raises(ValueError, match="blend has 3 shares for 2 styles"):
        make_items(Grid(blend=((1, 1, 1),)), 1, 2, Config())


def test_an_invalid_value_is_refused():
    with pytest.raises(ValueError, match="seed must be 0 or more"):
        make_items(Grid(seed=(1, -1)), 1, 1, Config())


def test_one_item_varies_nothing():
    (item,) = make_items(Grid(), 1, 1, Config())
    assert (item.values, item.config) == ({}, Config())
