"""Settings that decide the program vary: each item is the single run of its settings."""

import csv
import dataclasses

import numpy as np
import pytest
from conftest import count_compilations, picture, vgg_params

from jax_nst import Config, Grid, iterate_sweep, save_image, stylize, sweep
from jax_nst.sweeps import sweeping

CONFIG = Config(content_layers=("relu1_2",), style_layers=("relu1_1",), steps=2, optimizer="adam")
PARAMS = vgg_params("vgg19", ("relu2_1",))
CONTENT, STYLE = picture(24, 32, 1), picture(28, 20, 3)


def assert_items_are_single_runs(result):
    """To the bit, as `batch=1` makes them; with NaN for what a run does not have."""
    every = list(result.history.as_dict())
    for index, values in enumerate(result.values):
        alone = stylize(CONTENT, STYLE, config=dataclasses.replace(CONFIG, **values), params=PARAMS)
        np.testing.assert_array_equal(result.pixels[index], alone.pixels, err_msg=str(values))
        steps = alone.history["steps"]
        full = [entry for entry in steps if entry["size"] == steps[-1]["size"]]
        for name in every:
            expected = np.full(result.history.total.shape[1], np.nan, np.float32)
            expected[: len(full)] = [entry.get(name, np.nan) for entry in full]
            np.testing.assert_array_equal(result.history.as_dict()[name][index], expected)
            best = expected[np.nanargmin([entry["total"] for entry in full])]
            np.testing.assert_array_equal(result.losses.as_dict()[name][index], best)


@pytest.mark.slow
def test_losses_steps_and_sizes_vary():
    grid = Grid(style_loss=("gram", "gram:2,moments"), size=(16, 24), steps=(1, 3))
    result = sweep(CONTENT, STYLE, grid=grid, config=CONFIG, params=PARAMS, batch=1)
    assert list(result.history.as_dict()) == ["total", "content", "style", "tv", "gram", "moments"]
    assert result.history.total.shape == (8, 4)
    assert [x.shape[1] for x in result.pixels] == [16, 16, 24, 24] * 2
    assert_items_are_single_runs(result)
    at_once = sweep(CONTENT, STYLE, grid=grid, config=CONFIG, params=PARAMS)
    np.testing.assert_allclose(at_once.history.total, result.history.total, rtol=1e-3)


@pytest.mark.parametrize(
    "varied",
    [
        {
            "precision": ("bfloat16", "float32"), "padding": ("zeros", "replicate"),
            "pooling": ("max", "average"), "content_layers": ("conv2_1", None),
            "style_layers": ("relu1_1", "relu1_2,relu2_1"),
        },
        {
            "optimizer": ("lbfgs", "adam"), "learning_rate": (0.5, 0.1), "tolerance": (0.0, 0.5),
            "scales": (1, 2), "style_size": (20, None), "style_scale": (None, 1.5),
        },
        {"recipe": ("normalized", "gatys2015"), "style_sizes": ((20,), (30,))},
    ],
    ids=["network", "run", "recipe"],
)  # fmt: skip
def test_each_setting_that_decides_the_program_varies(varied):
    grid = Grid(**varied, zip=True)
    result = sweep(CONTENT, STYLE, grid=grid, config=CONFIG, params=PARAMS, batch=1)
    differing = [name for name, (first, second) in varied.items() if first != second]
    assert sorted(result.values[0]) == sorted(differing)
    assert_items_are_single_runs(result)
    assert not np.array_equal(*result.pixels)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_learning_rates_share_a_batch_and_a_program(optimizer, monkeypatch):
    """Also with one that is not given; another rate compiles nothing."""
    sizes, plan_many = [], sweeping.plan_many

    def noted(*arguments, **named):
        sizes.append(len(named["items"]))
        return plan_many(*arguments, **named)

    monkeypatch.setattr(sweeping, "plan_many", noted)
    config = dataclasses.replace(CONFIG, optimizer=optimizer)
    grid = Grid(learning_rate=(0.3, None, 0.7), style_weight=(10.0, 1000.0))
    result = sweep(CONTENT, STYLE, grid=grid, config=config, params=PARAMS)
    assert sizes == [6]
    for values, total in zip(result.values, result.history.total, strict=True):
        one = stylize(CONTENT, STYLE, config=dataclasses.replace(config, **values), params=PARAMS)
        np.testing.assert_allclose(total, [step["total"] for step in one.history["steps"]], rtol=1e-2)
    assert len(set(result.losses.total.tolist())) == 6
    others = Grid(learning_rate=(0.1, 0.2, 0.4), style_weight=(10.0, 1000.0))
    count, _ = count_compilations(lambda: sweep(CONTENT, STYLE, grid=others, config=config, params=PARAMS))
    assert count == 0


def test_items_of_one_spec_go_through_one_program(monkeypatch):
    """Two sizes and three weights are two programs; other steps, and the same again, compile nothing."""
    planned = []
    plan_many = sweeping.plan_many

    def noted(network, spec, level, *arguments, **named):
        planned.append((spec, level))
        return plan_many(network, spec, level, *arguments, **named)

    monkeypatch.setattr(sweeping, "plan_many", noted)

    def paint(**varied):
        planned.clear()
        grid = Grid(size=(20, 28), style_weight=(1, 10, 100), **varied)
        return count_compilations(
            lambda: sweep(CONTENT, STYLE, grid=grid, config=CONFIG, params=PARAMS, batch=2)
        )

    first, result = paint()
    assert first > 0
    assert len(planned) == len(set(planned)) == 2
    more, result = paint(steps=(3, 4))
    assert (more, len(planned), len(set(planned))) == (0, 4, 4)
    assert result.history.total.shape == (12, 5)


def test_items_come_with_their_own_losses():
    grid = Grid(style_loss=(("gram", "moments"), ("gram",)), steps=(1, 2), zip=True)
    items = iterate_sweep(CONTENT, STYLE, grid=grid, config=CONFIG, params=PARAMS)
    found = [(item.item, item.history) for item in items]
    assert [(item, list(history.as_dict())) for item, history in found] == [
        (0, ["total", "content", "gram", "moments", "tv"]),
        (1, ["total", "content", "style", "tv"]),
    ]
    assert [history.total.shape for _, history in found] == [(2,), (3,)]


def test_points_are_the_items():
    points = [{"size": 16, "steps": 1}, {"style_weight": 10.0}, {"size": 20, "style_loss": ("moments",)}]
    result = sweep([CONTENT], STYLE, grid=points, config=CONFIG, params=PARAMS, batch=1)
    assert [len(pixels[0]) for pixels in result.pixels] == [16, 32, 20]
    assert result.values[1] == {"style_loss": None, "size": None, "steps": 2, "style_weight": 10.0}
    assert_items_are_single_runs(result)


def test_a_folder_has_a_column_for_each_setting_and_each_loss(tmp_path):
    """And it goes on without painting anything anew."""
    save_image(tmp_path / "c.png", CONTENT)
    grid = Grid(style_loss=(("gram",), ("gram", "moments")), size=(16, None), steps=(1, 3))
    options = {"grid": grid, "config": CONFIG, "params": PARAMS, "folder": tmp_path / "sweep"}
    result = sweep(tmp_path / "c.png", STYLE, **options)
    with (tmp_path / "sweep" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = ("style_loss_setting", "size", "steps_setting", "steps", "style_loss", "moments_loss", "file")
    assert [tuple(bool(row[name]) for name in columns) for row in rows[:4:3]] == [
        (True, True, True, True, True, False, True), (True, False, True, True, True, False, True),
    ]  # fmt: skip
    assert [row["steps"] for row in rows] == [row["steps_setting"] for row in rows] == ["1", "3"] * 4
    assert [row["moments_loss"] != "" for row in rows] == [False] * 4 + [True] * 4
    assert rows[7]["file"] == "style_loss=gram,moments__size=default__steps=3.png"
    with np.load(tmp_path / "sweep" / "history.npz") as history:
        assert history["total"].shape == (8, 4)
        assert np.isnan(history["moments"][:4]).all()
        np.testing.assert_array_equal(history["style"], result.history["style"])
    assert "steps," not in (tmp_path / "sweep" / "index.html").read_text().split("</title>")[0]
    seen = []
    again = sweep(tmp_path / "c.png", STYLE, **options, resume=True, callback=seen.append)
    assert seen == []
    np.testing.assert_array_equal(again.history.total, result.history.total)
