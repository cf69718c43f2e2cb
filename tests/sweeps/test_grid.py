from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jax_nst import Config, Grid
from jax_nst.sweeps.grid import make_items


def test_the_product_of_all_values_the_last_fastest():
    grid = Grid(style_weight=(1, 2), seed=(7, 8, 9), tv_weight=(0.5,))
    items = make_items(grid, 2, 2, Config(content_weight=4, init="noise"))
    assert len(items) == 24
    assert items[0].values == {"content": 0, "style": 0, "style_weight": 1, "seed": 7}
    assert items[1].values == {"content": 0, "style": 0, "style_weight": 1, "seed": 8}
    assert items[-1].values == {"content": 1, "style": 1, "style_weight": 2, "seed": 9}
    assert items[-1].config == Config(content_weight=4, init="noise", style_weight=2, tv_weight=0.5, seed=9)
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


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"style_weight": 1000}, (1000.0,)),
        ({"style_weight": [300, 1000]}, (300.0, 1000.0)),
        ({"style_weight": np.array([1, 2], np.int32)}, (1.0, 2.0)),
        ({"style_weight": jnp.array([0.5, 2.0])}, (0.5, 2.0)),
        ({"style_weight": [np.float32(0.5), jnp.float32(2)]}, (0.5, 2.0)),
        ({"style_weight": (10.0**power for power in range(2))}, (1.0, 10.0)),
        ({"style_weight": np.float64(3)}, (3.0,)),
        ({"style_weight": None}, ()),
        ({"seed": range(3)}, (0, 1, 2)),
        ({"seed": [np.int64(4), 5.0]}, (4, 5)),
        ({"init": "noise"}, ("noise",)),
        ({"init": np.array(["noise", "style"])}, ("noise", "style")),
        ({"init": Path("a") / "b.png"}, (str(Path("a") / "b.png"),)),
        ({"color": "keep"}, ("keep",)),
        ({"color": np.array(["match", "keep"])}, ("match", "keep")),
        ({"color_amount": [0, 0.5]}, (0.0, 0.5)),
        ({"blend": (0.7, 0.3)}, ((0.7, 0.3),)),
        ({"blend": [[1, 2], (2, 1)]}, ((1.0, 2.0), (2.0, 1.0))),
        ({"blend": np.eye(2)}, ((1.0, 0.0), (0.0, 1.0))),
        ({"style_layer_weights": [jnp.arange(2), [np.int8(2), 3]]}, ((0.0, 1.0), (2.0, 3.0))),
    ],
)
def test_values_are_taken_as_what_they_are(given, kept):
    ((name, _),) = given.items()
    grid = Grid(**given)
    values = getattr(grid, name)
    assert values == kept
    flat = [x for value in values for x in (value if isinstance(value, tuple) else (value,))]
    assert {type(x) for x in flat} <= {{"seed": int, "init": str, "color": str}.get(name, float)}
    assert hash(grid) == hash(Grid(**{name: kept}))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"style_weight": "1000"}, "style_weight takes numbers, not '1000'"),
        ({"tv_weight": [1, None]}, "tv_weight takes numbers, not None"),
        ({"tv_weight": [True]}, "tv_weight takes numbers, not True"),
        ({"content_weight": [[1, 2]]}, r"content_weight takes numbers, not \[1, 2\]"),
        ({"seed": 1.5}, "seed takes whole numbers, not 1.5"),
        ({"seed": [float("nan")]}, "seed takes whole numbers, not nan"),
        ({"seed": {1, 2}}, "seed takes a value, or a tuple, list, range or array of values, not set"),
        ({"seed": []}, "seed is empty; give it a value, or leave it out"),
        ({"seed": (x for x in ())}, "seed is empty"),
        ({"seed": np.arange(0)}, "seed is empty"),
        ({"seed": 10**400}, "seed takes numbers that a float can hold"),
        ({"init": 3}, "init takes content, style, noise or paths of images, not 3"),
        ({"color": "kept"}, "color takes keep, match, style, not 'kept'"),
        ({"color": [1]}, "color takes keep, match, style, not 1"),
        ({"color_amount": "half"}, "color_amount takes numbers, not 'half'"),
        ({"blend": "0.7,0.3"}, "blend takes lists of numbers, not '0.7,0.3'"),
        ({"blend": [1, (2, 3)]}, "blend takes lists of numbers, not 1"),
        ({"style_layer_weights": [["1"]]}, "style_layer_weights takes numbers, not '1'"),
        ({"zip": "yes"}, "zip must be True or False, not 'yes'"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_name(given, message):
    with pytest.raises(ValueError, match=message):
        Grid(**given)


def test_equal_values_are_painted_once_in_the_order_given():
    grid = Grid(style_weight=(1000, 30, 1000.0, 30), tv_weight=(5, 5.0))
    items = make_items(grid, 1, 1, Config())
    assert [item.values for item in items] == [{"style_weight": 1000}, {"style_weight": 30}]
    assert {item.config.tv_weight for item in items} == {5}


def test_zip_may_repeat_a_value_but_no_pair():
    grid = Grid(style_weight=(10, 10, 20, 10), tv_weight=(1, 2, 1, 1.0), zip=True)
    items = make_items(grid, 1, 1, Config())
    assert [tuple(item.values.values()) for item in items] == [(10, 1), (10, 2), (20, 1)]


@pytest.mark.parametrize(
    ("grid", "config"),
    [
        (Grid(seed=(0, 1, 2)), Config()),
        (Grid(seed=(0, 1), style_weight=(1, 2)), Config(init="style")),
        (Grid(seed=(0, 1), init=("content", "style")), Config(init="noise")),
    ],
)
def test_seeds_that_nothing_uses_are_refused(grid, config):
    with pytest.raises(
        ValueError, match="seed varies, but only a start from noise, init_noise and noise use it"
    ):
        make_items(grid, 1, 2, config)


def test_seeds_vary_where_they_matter():
    assert len(make_items(Grid(seed=(0, 1)), 1, 1, Config(init="noise"))) == 2
    assert len(make_items(Grid(seed=(0, 1), init=("content", "noise")), 1, 1, Config())) == 4
    # Paired with other styles, no two pictures are equal.
    assert len(make_items(Grid(seed=(0, 1), zip=True), 1, 2, Config())) == 2


def test_more_items_than_anyone_can_want_are_refused_at_once():
    values = range(1, 1001)
    grid = Grid(content_weight=values, style_weight=values, tv_weight=values)
    with pytest.raises(ValueError, match="the values make 1,000,000,000 items; give fewer"):
        make_items(grid, 1, 1, Config())
