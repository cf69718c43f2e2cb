import dataclasses
import doctest
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jax_nst import RECIPES, Config, Grid, Range
from jax_nst.sweeps.grid import SETTINGS, make_items


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
        ({"style_sizes": (20, 30)}, ((20, 30),)),
        ({"style_loss": "gram"}, (("gram",),)),
        ({"style_loss": ["gram", "gram:2,moments"]}, (("gram",), ("gram:2", "moments"))),
        ({"style_layers": [("a", "b"), ["c"]]}, (("a", "b"), ("c",))),
        ({"size": np.array([64, 128])}, (64, 128)),
        ({"scales": ["auto", 2]}, ("auto", "2")),
        ({"steps": [80.0]}, (80,)),
        ({"optimizer": ("lbfgs", "adam")}, ("lbfgs", "adam")),
        ({"content": [1, 0]}, (1, 0)),
    ],
)
def test_values_are_taken_as_what_they_are(given, kept):
    ((name, _),) = given.items()
    grid = Grid(**given)
    values = getattr(grid, name)
    assert values == kept
    flat = [x for value in values for x in (value if isinstance(value, tuple) else (value,))]
    types = {"float": float, "int": int, "str": str, "MaskLike": str}
    hint = Grid.__dataclass_fields__[name].type
    assert {type(x) for x in flat} <= {kind for word, kind in types.items() if word in str(hint)}
    assert hash(grid) == hash(Grid(**{name: kept}))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"style_weight": "1000"}, "style_weight must be a number, not '1000'"),
        ({"tv_weight": [True]}, "tv_weight must be a number, not True"),
        ({"tv_weight": [1, -1]}, "tv_weight must be zero or more"),
        ({"content_weight": [[1, 2]]}, r"content_weight must be a number, not \[1, 2\]"),
        ({"seed": 1.5}, "seed must be a whole number, not 1.5"),
        ({"seed": [float("nan")]}, "seed must be a whole number, not nan"),
        ({"seed": {1, 2}}, "seed takes a value, or a tuple, list, range or array of values, not set"),
        ({"seed": []}, "seed is empty; give it a value, or leave it out"),
        ({"seed": (x for x in ())}, "seed is empty"),
        ({"seed": np.arange(0)}, "seed is empty"),
        ({"seed": 10**400}, "seed must be 0 or more, 4294967295 at most"),
        ({"init": 3}, "init must be a string or a path, not 3"),
        ({"color": "kept"}, "unknown color 'kept'; the valid ones are keep, match, style"),
        ({"color": [1]}, "unknown color 1; the valid ones are keep"),
        ({"color_amount": "half"}, "color_amount must be a number, not 'half'"),
        ({"blend": "0.7,0.3"}, "blend must be a tuple of numbers, not '0.7,0.3'"),
        ({"blend": [1, (2, 3)]}, "blend must be a tuple of numbers, not 1"),
        ({"style_layer_weights": [["1"]]}, "style_layer_weights must be a number, not '1'"),
        ({"style_sizes": [[0, 3]]}, "style_sizes must be 1 or more"),
        ({"steps": ["80"]}, "steps must be a whole number, not '80'"),
        ({"steps": [0]}, "steps must be 1 or more"),
        ({"pooling": ["mean"]}, "unknown pooling 'mean'; the valid ones are max, average"),
        ({"scales": "few"}, "scales must be auto, or from 1 to 16"),
        ({"style_layers": [""]}, "style_layers must name layers"),
        (
            {"optimizer": [optax.sgd(0.1)]},
            "optimizer varies by name; one of your own is passed in",
        ),
        ({"recipe": [RECIPES[0]]}, "recipe varies by name"),
        ({"content": [-1]}, "content must be 0 or more"),
        ({"pooling": Range(1, 2, 3)}, "pooling takes no range, which draws numbers"),
        ({"tv_weight": "1..2:log"}, "the range 1..2:log lacks its number of values; write 1..2:log:20"),
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


FIXED = ("features", "weights", "crop", "remat", "tile_size", "memory", "save_every")
"""Settings of which a sweep has one value; docs/sweeps.md says why."""


def test_every_setting_that_can_vary_is_an_axis():
    assert sorted((*SETTINGS, *FIXED)) == sorted(field.name for field in dataclasses.fields(Config))


VALUES = {
    "pooling": "average", "padding": "replicate", "precision": "bfloat16", "recipe": "gatys2015",
    "style_loss": ("gram:2", "moments"), "content_loss": ("self_similarity",), "content_layers": ("a",),
    "style_layers": ("b", "c"), "optimizer": "adam", "learning_rate": 0.5, "lbfgs_pairs": "bfloat16",
    "num_pairs": 5,
    "size": 64, "scales": "2", "style_size": 64, "style_scale": 0.5, "steps": 7, "tolerance": 0.1,
    "content_weight": 3.0, "style_weight": 4.0, "tv_weight": 5.0, "style_layer_weights": (1.0, 3.0),
    "style_sizes": (20,), "style_angle": (90.0,), "mask": ("a.png:b.png", "c.png"), "color": "match",
    "color_amount": 0.5, "init": "noise", "init_blur": 2.0, "init_noise": 0.1, "noise": 0.05, "seed": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_each_value_of_an_axis_is_that_of_an_item(name):
    """Beside None, which leaves it as it is."""
    value, base = VALUES[name], Config(color="keep", noise=0.01)
    items = make_items(Grid(**{name: [value, None]}), 1, 1, base)
    assert [item.config for item in items] == [dataclasses.replace(base, **{name: value}), base]
    assert [item.values for item in items] == [{name: getattr(item.config, name)} for item in items]


def test_none_leaves_a_setting_as_the_config_says():
    grid = Grid(style_weight=(None, 3, 5), steps=(None, 7))
    items = make_items(grid, 1, 1, Config(style_weight=3, steps=7))
    assert [item.values for item in items] == [
        {"style_weight": 3, "steps": 7},
        {"style_weight": 5, "steps": 7},
    ]


def test_contents_and_styles_are_chosen_by_index():
    items = make_items(Grid(content=(2, 0), style=1), 3, 2, Config())
    assert [(item.content, item.styles) for item in items] == [(2, (1,)), (0, (1,))]
    assert [item.values for item in items] == [{"content": 2}, {"content": 0}]
    with pytest.raises(ValueError, match="content 3 is chosen, but there are 3, counted from 0"):
        make_items(Grid(content=3), 3, 2, Config())


def test_equal_items_are_painted_once():
    """Shares that are the same mixture, and points that stand twice in a table."""
    assert len(make_items(Grid(blend=((1, 1), (2, 2))), 1, 2, Config())) == 1
    items = make_items(Grid.from_points([{"steps": 2}, {"steps": 3}, {"steps": 2.0}]), 1, 1, Config())
    assert [item.config.steps for item in items] == [2, 3]


def test_ranges_are_values():
    """Also as text and among others; paired they are a random search."""
    drawn = Range(10, 1000, 4, log=True).draw("style_weight")
    for given in (Range(10, 1000, 4, log=True), "10..1000:log:4", ["10..1000:log:4"]):
        assert Grid(style_weight=given).style_weight == drawn
    assert Grid(style_weight=[5, "10..1000:log:4"]).style_weight == (5, *drawn)
    grid = Grid(
        style_weight="10..1000:log:4", tv_weight="0..1:uniform:4", size="16..64:uniform:4", zip=True
    )
    items = make_items(grid, 1, 1, Config())
    assert len(items) == 4
    assert all(isinstance(item.config.size, int) for item in items)


# Points.


def test_a_point_is_an_item():
    points = [
        {"content": 1, "style": 0, "steps": 20},
        {"content": 0, "style": 0, "style_layers": ("a", "b"), "tv_weight": np.float32(2)},
        {"content": 0, "style": 2, "steps": None},
    ]
    grid = Grid.from_points(points)
    items = make_items(grid, 2, 3, Config(steps=7))
    assert [(x.content, *x.styles, x.config.steps) for x in items] == [(1, 0, 20), (0, 0, 7), (0, 2, 7)]
    assert [item.config.tv_weight for item in items] == [None, 2.0, None]
    assert items[1].values == {
        "content": 0, "style": 0, "style_layers": ("a", "b"), "steps": 7, "tv_weight": 2.0,
    }  # fmt: skip


def test_points_without_contents_are_paired_with_them():
    points = [{"steps": 2}, {"steps": 3}]
    assert [x.content for x in make_items(Grid.from_points(points), 1, 1, Config())] == [0, 0]
    assert [x.content for x in make_items(Grid.from_points(points), 2, 1, Config())] == [0, 1]
    with pytest.raises(ValueError, match="there are 3 of content, 2 of steps; give as many"):
        make_items(Grid.from_points(points), 3, 1, Config())


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], "there are no points to paint; give one at least"),
        ([{"steps": 2}, {"stops": 2}], "point 1: unknown column 'stops'; did you mean steps"),
        ([{"features": "vgg16"}], "point 0: features is the same for all items; give it once, beside the"),
        ([{"steps": 2}, {"steps": "many"}], "point 1: steps must be a whole number, not 'many'"),
        ([{"content": 0}, {"steps": 2}], "point 1: content is empty; give one to each point, or to none"),
        ([{"blend": (1, 2)}, {"blend": None}], "point 1: blend is empty"),
        ([{"blend": (1, 2), "style": 0}], "points have both style and blend"),
    ],
)
def test_a_point_that_is_wrong_is_named(points, message):
    with pytest.raises(ValueError, match=message):
        Grid.from_points(points)


def test_the_example_of_points_runs():
    (test,) = doctest.DocTestFinder(recurse=False).find(Grid.from_points, "from_points", globs={})
    assert doctest.DocTestRunner().run(test) == doctest.TestResults(failed=0, attempted=2)
