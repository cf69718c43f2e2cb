import pytest

from jax_nst import METRICS, Config, Grid
from jax_nst.losses import CONTENT_TERMS, STYLE_TERMS
from jax_nst.sweeps.grid import COLUMNS, make_items
from jax_nst.sweeps.labels import (
    axis_labels,
    column_of,
    file_names,
    item_labels,
    number_labels,
    picture_labels,
    safe,
)


def named(grid, contents=("c.jpg",), styles=("s.jpg",)):
    items = make_items(grid, len(contents), len(styles), Config(init="noise"))
    axes = axis_labels(items, contents, styles)
    return items, axes, file_names(items, axes)


def test_file_names_list_the_varied_settings():
    items, axes, names = named(
        Grid(style_weight=(300.0, 1000.0), seed=(1,)), styles=("a/starry_night.jpg", "wave.png")
    )
    assert names == [
        "style=starry_night__style_weight=300.png",
        "style=starry_night__style_weight=1000.png",
        "style=wave__style_weight=300.png",
        "style=wave__style_weight=1000.png",
    ]
    assert item_labels(items[1], axes) == {"style": "starry_night", "style_weight": "1000"}


def test_labels_are_distinct():
    _, axes, names = named(
        Grid(
            style_weight=(1000.0, 1000.5),
            blend=((1, 2), (2, 1)),
            init=("noise", "a/b.png"),
            seed=(0, 12345),
        ),
        styles=("x/s.jpg", "y/s.jpg"),
    )
    assert list(axes["style_weight"].values()) == ["1000", "1000.5"]
    assert list(axes["blend"].values()) == ["1,2", "2,1"]
    assert list(axes["init"].values()) == ["noise", "b"]
    assert list(axes["seed"].values()) == ["0", "12345"]
    assert len(set(names)) == 16


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ((1000.0, 300.0, 1e5), ["1000", "300", "100000"]),
        ((0.001, 1e-6, 0.00015, 0.1), ["0.001", "1e-06", "0.00015", "0.1"]),
        ((1e6, 1e9, 12345678.0), ["1e+06", "1e+09", "12345678"]),
        ((1 / 3, 316.22776601683796, 1234.5), ["0.333333", "316.228", "1234.5"]),
        ((1000000, 1000001, 2**32 - 1), ["1000000", "1000001", "4294967295"]),
        ((1000000.0, 1000000.25), ["1000000", "1000000.25"]),
        ((0.1, 0.1000000001), ["0.1", "0.1000000001"]),
        (((0.7, 0.3), (1.0, 1e-6)), ["0.7,0.3", "1,1e-06"]),
    ],
)
def test_numbers_are_written_as_people_write_them(values, labels):
    assert number_labels(values) == labels


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (["a/cat.jpg", "b/cat.jpg", "dog.png"], ["a_cat", "b_cat", "dog"]),
        (["cat.jpg", "a/cat.jpg"], ["cat", "a_cat"]),
        (["cat.jpg", "cat.png"], ["cat_jpg", "cat_png"]),
        (["x/1/cat.jpg", "y/1/cat.jpg"], ["x_1_cat", "y_1_cat"]),
        (["/x/cat.jpg", "/cat.jpg"], ["x_cat", "cat"]),
        (["a/cat.jpg", "b/cat.jpg", "a_cat.png"], ["a_cat", "b_cat", "a_cat~2"]),
        (["a/Cat.jpg", "b/cat.jpg"], ["a_Cat", "b_cat"]),
        (["noise", "x/noise.png"], ["noise", "noise_png"]),
        (["cat.jpg", "cat.jpg"], ["cat", "cat~2"]),
        ([".hidden.jpg", "a,b.png"], [".hidden", "a,b"]),
    ],
)
def test_pictures_whose_names_clash_are_told_apart_by_suffix_or_folder(paths, labels):
    assert picture_labels(paths) == labels


def test_files_and_tables_tell_clashing_names_apart():
    _, axes, names = named(Grid(), styles=("x/s.jpg", "y/s.jpg", "s~2.png"))
    assert list(axes["style"].values()) == ["x_s", "y_s", "s~2"]
    assert names == ["style=x_s.png", "style=y_s.png", "style=s~2.png"]


@pytest.mark.parametrize("stem", ["x" * 250, "é" * 120])
def test_long_file_names_are_truncated(stem):
    _, _, names = named(Grid(seed=(1, 2)), styles=(f"{stem}a.jpg", f"{stem}b.jpg"))
    assert len(set(names)) == 4
    assert all(len(name.encode()) < 230 for name in names)


def test_names_that_differ_only_in_case_are_numbered():
    _, _, names = named(Grid(), styles=("A.jpg", "a.jpg"))
    assert len({name.lower() for name in names}) == 2


def test_safe_replaces_reserved_characters():
    assert safe('a/b:c*"d"') == "a_b_c__d_"


def test_labels_can_be_encoded_whatever_the_names_are():
    labels = picture_labels(["a\udcff.png", "b\udcfe.png"])
    assert labels == ["a\\udcff", "b\\udcfe"]


def test_every_kind_of_value_has_a_label():
    grid = Grid(
        style_loss=("gram", "gram:2,moments"),
        style_layers=(None, "relu1_1,relu2_1"),
        scales=("auto", 2),
        precision=("float32", "bfloat16"),
        style_size=(None, 64),
        size=(32, 64),
        zip=True,
    )
    _, axes, names = named(grid)
    assert {name: list(labels.values()) for name, labels in axes.items()} == {
        "style_loss": ["gram", "gram:2,moments"],
        "style_layers": ["default", "relu1_1,relu2_1"],
        "scales": ["auto", "2"],
        "precision": ["float32", "bfloat16"],
        "style_size": ["default", "64"],
        "size": ["32", "64"],
    }
    assert "style_loss=gram_2,moments__style_layers=relu1_1,relu2_1__" in names[1]


def test_no_column_has_the_name_of_another():
    columns = [column_of(name) for name in COLUMNS]
    results = [
        "item",
        "key",
        "steps",
        "best_step",
        "seconds",
        "batch",
        "devices",
        "file",
        "status",
        *METRICS,
    ]
    terms = {"total", "content", "style", "tv", *STYLE_TERMS, *CONTENT_TERMS}
    losses = [f"{name}_loss" for name in terms]
    assert len({*columns, *results, *losses}) == len(columns) + len(results) + len(losses)
