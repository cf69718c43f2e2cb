import pytest

from jax_nst import Config, Grid
from jax_nst.sweeps.grid import make_items
from jax_nst.sweeps.labels import axis_labels, file_names, item_labels, safe


def named(grid, contents=("c.jpg",), styles=("s.jpg",)):
    items = make_items(grid, len(contents), len(styles), Config())
    axes = axis_labels(items, contents, styles)
    return items, axes, file_names(items, axes)


def test_file_names_list_the_varied_settings():
    items, axes, names = named(
        Grid(style_weight=(300.0, 1000.0), seed=(1,)), styles=("a/starry_night.jpg", "wave.png")
    )
    assert names == [
        "style=starry_night__style_weight=300.png",
        "style=starry_night__style_weight=1e+03.png",
        "style=wave__style_weight=300.png",
        "style=wave__style_weight=1e+03.png",
    ]
    assert item_labels(items[1], axes) == {"style": "starry_night", "style_weight": "1e+03"}


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
    assert list(axes["style_weight"].values()) == ["1000.0", "1000.5"]
    assert list(axes["blend"].values()) == ["1,2", "2,1"]
    assert list(axes["init"].values()) == ["noise", "b"]
    assert list(axes["seed"].values()) == ["0", "12345"]
    assert len(set(names)) == 16


def test_files_with_the_same_name_get_distinct_labels():
    _, axes, names = named(Grid(), styles=("x/s.jpg", "y/s.jpg", "s~2.png"))
    assert len(set(axes["style"].values())) == len(set(names)) == 3


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
