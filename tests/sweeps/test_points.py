import numpy as np
import pandas as pd
import pytest

from jax_nst import Config, Grid
from jax_nst.runtime.files import FileError
from jax_nst.sweeps.grid import make_items
from jax_nst.sweeps.points import pictures_of, read_points

TABLE = """\ufeffstyle_weight,steps,style_layers,style_angle,style,mask
300,20,"relu1_1,relu2_1","0,90",1,
1e3,,relu3_1,,0,"a.png:b.png,c.png"

"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


def test_cells_are_read_as_flags_are_and_empty_ones_are_none(table):
    first, second = read_points(table)
    assert first.values == {
        "style_weight": 300.0, "steps": 20, "style_layers": ("relu1_1", "relu2_1"),
        "style_angle": (0.0, 90.0), "style": 1, "mask": None,
    }  # fmt: skip
    assert (second.values["steps"], second.values["style_angle"]) == (None, None)
    assert [point.where for point in (first, second)] == [f"{table}, line 2", f"{table}, line 3"]


def test_a_file_a_frame_and_a_list_make_the_same_items(table):
    frame = pd.DataFrame(
        {
            "style_weight": [300, 1000],
            "steps": [20, np.nan],
            "style_layers": ["relu1_1,relu2_1", "relu3_1"],
            "style_angle": [(0, 90), None],
            "style": [1, 0],
            "mask": [None, "a.png:b.png,c.png"],
        }
    )
    listed = [
        {"style_weight": 300, "steps": 20, "style_layers": ("relu1_1", "relu2_1"), "style_angle": (0, 90),
         "style": 1},
        {"style_weight": 1000, "style_layers": ("relu3_1",), "style": 0, "mask": ("a.png:b.png", "c.png")},
    ]  # fmt: skip
    grids = [Grid.from_points(points) for points in (str(table), frame, listed)]
    assert grids[0] == grids[1] == grids[2]
    items = make_items(grids[0], 1, 2, Config(steps=7))
    assert [(item.styles, item.config.steps) for item in items] == [((1,), 20), ((0,), 7)]
    assert items[1].config.mask == ("a.png:b.png", "c.png")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps,steps\n1,2\n", "has two columns of one name; name each setting once"),
        ("steps\n1\nmany\n", "line 3: steps takes whole numbers separated by commas, not 'many'"),
        ("steps\n1,2\n", "line 2: has 2 cells, but the table has 1 columns"),
        ("steps\n1\n0\n", "line 3: steps must be 1 or more"),
        ("Steps\n1\n", "line 2: unknown column 'Steps'; did you mean steps"),
        ("style,steps\n1,2\n,3\n", "line 3: style is empty; give one to each point, or to none"),
        ("style,steps\ncat.jpg,2\n", "line 2: style must be a whole number, not 'cat.jpg'"),
        ("steps\n", "there are no points to paint"),
        ("", "there are no points to paint"),
        ('steps\n"1\n', "cannot be read as a table"),
    ],
)
def test_a_table_that_is_wrong_says_where(text, message, tmp_path):
    path = tmp_path / "points.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        Grid.from_points(path)


def test_a_row_of_a_frame_is_named_by_its_index():
    frame = pd.DataFrame({"steps": [1, 0]}, index=["good", "bad"])
    with pytest.raises(ValueError, match="row bad of the table: steps must be 1 or more"):
        Grid.from_points(frame)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None])
def test_a_file_that_is_no_table_is_refused(content, tmp_path):
    path = tmp_path / "points.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileError, match=r"points.csv: cannot be read as a table \(.*\); name a CSV file"):
        read_points(path)


@pytest.mark.parametrize("points", [{"steps": [1]}, 3, [1, 2], None])
def test_what_is_no_list_of_points_is_refused(points):
    with pytest.raises(
        TypeError, match="grid must be a Grid, a list of dictionaries, a DataFrame or a path"
    ):
        read_points(points)


def test_pictures_of_a_column_are_indexed_each_once():
    points = read_points([{"style": "a.jpg"}, {"style": "b.jpg"}, {"style": "a.jpg"}, {"style": None}])
    paths, indexed = pictures_of("style", points)
    assert paths == ["a.jpg", "b.jpg"]
    assert [point.values["style"] for point in indexed] == [0, 1, 0, None]
    assert pictures_of("content", points) == ([], points)
