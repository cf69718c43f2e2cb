"""Sweeps read back: types, paths, curves, and folders that are not complete."""

import csv
import dataclasses
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import picture

from jax_nst import Config, Grid, load_image, read_sweep, save_image, sweep
from jax_nst.runtime.files import FileError
from jax_nst.sweeps.frames import read_columns, read_texts

CONFIG = Config(
    features="wavelet",
    content_layers=("luma1",),
    style_layers=("scale1",),
    steps=3,
    size=16,
    optimizer="adam",
    init="noise",
)
GRID = Grid(style_weight=(10.0, 1000.0), seed=(3, 4))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a measured sweep of eight items, and its result."""
    root = tmp_path_factory.mktemp("made")
    names = [str(root / name) for name in ("content.png", "1.png", "2.png")]
    for index, name in enumerate(names):
        save_image(name, picture(18, 16 + index, index))
    result = sweep(
        names[0], names[1:], grid=GRID, config=CONFIG, folder=root / "out", measure=True, batch=4
    )
    return root / "out", result


def test_settings_losses_and_measures_have_types_and_values(made):
    folder, result = made
    items = read_sweep(folder).items
    assert items["item"].tolist() == list(range(8))
    assert items["style"].cat.categories.tolist() == ["1", "2"]  # names of pictures, not numbers
    kinds = {"item": "Int64", "seed": "Int64", "steps": "Int64", "style_weight": "float64"}
    kinds |= {"total_loss": "float64", "seconds": "float64", "content_ssim": "float64", "status": "string"}
    assert {name: str(items[name].dtype) for name in kinds} == kinds
    assert items["style_weight"].tolist() == [values["style_weight"] for values in result.values]
    assert items["seed"].tolist() == [values["seed"] for values in result.values]
    np.testing.assert_array_equal(items["total_loss"].to_numpy(np.float32), result.losses.total)
    np.testing.assert_allclose(items["content_ssim"], result.measures["content_ssim"], rtol=1e-5)
    assert set(items["status"]) == {"ok"}


def test_paths_are_absolute_and_lead_to_the_pictures(made, monkeypatch):
    folder, result = made
    monkeypatch.chdir(folder.parent)
    for path, pixels in zip(read_sweep("out").items["path"], result.pixels, strict=True):
        assert Path(path).is_absolute()
        np.testing.assert_array_equal(load_image(path), pixels)


def test_curves_are_long_and_hold_every_loss_of_every_step(made):
    folder, result = made
    curves = read_sweep(folder).curves
    assert len(curves) == 8 * 4 * len(curves["loss"].cat.categories)
    for name, history in {"total": result.history.total, "style": result.history["style"]}.items():
        wide = curves[curves["loss"] == name].pivot(index="item", columns="step", values="value")
        np.testing.assert_array_equal(wide.to_numpy(), history)


def test_curves_and_items_join(made):
    items, curves = read_sweep(made[0])
    last = curves[(curves["loss"] == "total") & (curves["step"] == 3)].merge(items, on="item")
    assert len(last) == 8
    assert bool(np.all(last["value"] >= last["total_loss"].astype(np.float32)))  # the best step is kept


def test_a_sweep_that_still_runs_is_read(made, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(FileError, match="holds no sweep"):
        read_sweep(folder)
    (folder / "settings.json").write_text("{}")
    items, curves = read_sweep(folder)
    assert (len(items), len(curves)) == (0, 0)
    assert {"item", "status", "path"} <= set(items)
    table = (made[0] / "results.csv").read_text().splitlines(keepends=True)
    (folder / "results.csv").write_text("".join(table[:4]))
    items, curves = read_sweep(folder)
    assert (items["item"].tolist(), len(curves)) == ([0, 1, 2], 0)
    assert list(curves) == ["item", "step", "loss", "value"]


def write(folder, head, *rows, **history):
    with (folder / "results.csv").open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    if history:
        np.savez(folder / "history.npz", **history)


HEAD = ("item", "key", "color", "crop", "style_weight", "total_loss", "steps", "best_step")
HEAD += ("seconds", "batch", "devices", "file", "status")


def test_empty_cells_are_missing_and_keys_join_curves(tmp_path):
    """Items of an earlier grid have no number; an item that failed has no picture."""
    write(
        tmp_path,
        HEAD,
        ("0", "aa", "keep", "1", "1e3", "2.5", "2", "1", "0.5", "2", "1", "a.png", "ok"),
        ("1", "bb", "", "2", "map.png", "", "0", "", "0.0", "", "", "", "failed: no such file"),
        ("", "cc", "match", "3", "10", "1.5", "2", "2", "0.5", "2", "1", "c.png", "ok"),
        total=np.array([[4, 3, np.nan], [np.nan] * 3, [2, 1, 0.5]], np.float32),
        key=np.array(["cc", "bb", "aa"]),
        picture=np.array(["c.png", "b.png", "a.png"]),
    )
    items, curves = read_sweep(tmp_path)
    assert items["item"].tolist() == [0, 1, pd.NA]
    assert items["path"].isna().tolist() == [False, True, False]
    assert items["color"].isna().tolist() == [False, True, False]
    assert str(items["style_weight"].dtype) == "category"  # a map is no number
    assert items["crop"].dtype == "Int64"
    assert np.isnan(items["total_loss"][1])
    assert items["devices"].isna().tolist() == [False, True, False]
    assert curves["key"].tolist() == ["cc"] * 2 + ["aa"] * 3
    assert curves["item"].tolist() == [pd.NA, pd.NA, 0, 0, 0]
    assert curves["value"].tolist() == [4, 3, 2, 1, 0.5]


@pytest.mark.parametrize("text", ["item,nice\n0,1\n", "\x00", "", "item;status\n"])
def test_a_table_that_is_none_is_told(text, made, tmp_path):
    (tmp_path / "results.csv").write_text(text)
    with pytest.raises(FileError, match=r"results\.csv: cannot be read, or is no table of a sweep"):
        read_columns(tmp_path)


def test_a_damaged_history_is_told(made, tmp_path):
    (tmp_path / "results.csv").write_bytes((made[0] / "results.csv").read_bytes())
    (tmp_path / "history.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(FileError, match=r"history\.npz: cannot be read"):
        read_sweep(tmp_path)


def test_without_pandas_the_extra_is_named(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"needs pandas; install it .* extra tables"):
        read_sweep(made[0])


def test_lists_are_categories(tmp_path):
    """A blend or layer weights, as the sweep itself writes them."""
    content, style = picture(16, 16), picture(16, 18, 1)
    grid = Grid(blend=((0.7, 0.3), (0.25, 0.75)))
    config = dataclasses.replace(CONFIG, steps=1)
    sweep(content, [style, style], grid=grid, config=config, folder=tmp_path / "out")
    items = read_sweep(tmp_path / "out").items
    assert items["blend"].cat.categories.tolist() == ["0.7,0.3", "0.25,0.75"]


def test_the_parquet_file_of_a_sweep_has_the_same_table(made):
    items = read_sweep(made[0]).items.drop(columns="path")
    found = pd.read_parquet(made[0] / "results.parquet", dtype_backend="numpy_nullable")
    assert list(found) == list(items)
    assert found.equals(items.astype(found.dtypes))


def test_rows_outside_the_grid_come_last_and_cells_may_be_missing(tmp_path):
    assert read_texts(tmp_path) == {}
    (tmp_path / "results.csv").write_text("")
    assert read_texts(tmp_path) == {}
    (tmp_path / "results.csv").write_text("item,key,mine\n,cc,x\n1,bb\n\n0,aa,y,more\n")
    expected = {"item": ["0", "1", ""], "key": ["aa", "bb", "cc"], "mine": ["y", "", "x"]}
    assert read_texts(tmp_path) == expected
