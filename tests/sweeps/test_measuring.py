"""Measures of a sweep: measured once, kept, and in the table, the page and the result."""

import csv
import dataclasses
import json
import math

import numpy as np
import pytest
from conftest import picture
from tiny_sweeps import data_of

from jax_nst import METRICS, Config, Grid, save_image, sweep
from jax_nst.images import load_image
from jax_nst.sweeps import measuring
from jax_nst.sweeps.job import make_job
from jax_nst.sweeps.measuring import make_measure, measure_files, read_measures, stack_measures
from jax_nst.transfer.measured import measure_run
from jax_nst.transfer.network import load_network

CONFIG = Config(
    features="wavelet",
    content_layers=("luma1",),
    style_layers=("scale1", "scale2", "scale3", "scale4"),
    steps=2,
    optimizer="adam",
    size=32,
)
GRID = Grid(style_weight=(10.0, 1000.0))


@pytest.fixture
def counted(monkeypatch):
    """Counts what is measured, and says how bright it is instead of measuring."""
    seen = []

    def measure(pixels, content, style, names):
        seen.append(pixels)
        return {name: float(pixels.mean()) for name in METRICS} | {"style_distance_wavelet": math.nan}

    monkeypatch.setattr(measuring, "measure", measure)
    monkeypatch.setattr(measuring, "content_of", lambda *arguments: None)
    monkeypatch.setattr(measuring, "style_of", lambda *arguments: None)
    return seen


@pytest.fixture
def inputs(tmp_path):
    for index in range(2):
        save_image(tmp_path / f"p{index}.png", picture(32, 32, index))
    return [str(tmp_path / f"p{index}.png") for index in range(2)]


def run(inputs, folder, config=CONFIG, **options):
    return sweep(*inputs, grid=GRID, config=config, folder=folder, **options)


def table(folder):
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_measures_of_an_item_are_those_of_its_run(inputs):
    job, extractor = make_job(inputs[:1], inputs[1:], GRID, CONFIG), load_network(CONFIG).extractor
    pixels = picture(32, 32, 3)
    expected = measure_run(extractor, CONFIG, load_image(inputs[0]), [load_image(inputs[1])], None, pixels)
    measure_item = make_measure(job, extractor)
    for item in (0, 1):
        assert measure_item(item, pixels) == pytest.approx(expected, nan_ok=True)
    assert math.isnan(expected["style_distance_wavelet"])


def test_a_measured_sweep_has_columns_and_a_panel(inputs, tmp_path, counted):
    folder = tmp_path / "sweep"
    result = run(inputs, folder, measure=True)
    assert len(counted) == 2
    rows = table(folder)
    assert set(METRICS) <= set(rows[0])
    assert list(rows[0]).index("clipped") < list(rows[0]).index("steps")
    for row, pixels, clipped in zip(rows, result.pixels, result.measures["clipped"], strict=True):
        assert float(row["clipped"]) == pytest.approx(float(pixels.mean()), rel=1e-5)
        assert clipped == pytest.approx(float(pixels.mean()))
        assert row["style_distance_wavelet"] == ""
    for item in data_of(folder)["items"]:
        assert set(item["measures"]) == set(METRICS) - {"style_distance_wavelet"}


def test_an_unmeasured_sweep_has_neither(inputs, tmp_path, counted):
    folder = tmp_path / "sweep"
    assert run(inputs, folder).measures == {}
    assert counted == []
    assert not set(METRICS) & set(table(folder)[0])
    assert not any(item["measures"] for item in data_of(folder)["items"])
    assert not (folder / "batches" / "measures.json").exists()


def test_a_sweep_is_measured_later_and_only_once(inputs, tmp_path, counted):
    folder = tmp_path / "sweep"
    run(inputs, folder)
    run(inputs, folder, resume=True, measure=True)
    assert len(counted) == 2
    before = table(folder)
    assert before[1]["clipped"]
    result = run(inputs, folder, resume=True, measure=True)
    assert len(counted) == 2
    assert run(inputs, folder, resume=True).measures.keys() == result.measures.keys() == METRICS.keys()
    assert table(folder) == before
    assert not list(folder.glob("*.old*"))


def test_what_is_painted_again_is_measured_again(inputs, tmp_path, counted):
    folder = tmp_path / "sweep"
    run(inputs, folder, measure=True)
    before = table(folder)
    (folder / before[1]["file"]).unlink()
    run(inputs, folder, resume=True, measure=True)
    assert len(counted) == 3
    assert [row["clipped"] for row in table(folder)] == [row["clipped"] for row in before]


def test_a_stopped_item_loses_its_measures_when_it_is_another_picture(inputs, tmp_path, counted):
    folder = tmp_path / "sweep"
    config = dataclasses.replace(CONFIG, steps=100)
    run(inputs, folder, config, measure=True, callback=lambda progress: progress.level_step >= 1)
    stopped = table(folder)
    assert stopped[0]["status"].startswith("stopped")
    assert stopped[0]["clipped"]
    run(inputs, folder, config, resume=True)
    finished = table(folder)
    assert finished[0]["status"] == "ok"
    assert finished[0].get("clipped", "") == ""


def test_an_edited_table_is_kept_beside(inputs, tmp_path, counted):
    folder = tmp_path / "sweep"
    run(inputs, folder, measure=True)
    text = (folder / "results.csv").read_text()
    (folder / "results.csv").write_text(text.replace("ok", "lovely"))
    with pytest.warns(UserWarning, match=r"results\.csv: differs from the records"):
        run(inputs, folder, resume=True)
    assert (folder / "results.csv").read_text() == text


@pytest.mark.parametrize("damage", ["{", "[]", '{"p": 3}', "null"])
def test_damaged_measures_are_measured_again(inputs, tmp_path, counted, damage):
    folder = tmp_path / "sweep"
    run(inputs, folder, measure=True)
    (folder / "batches" / "measures.json").write_text(damage)
    (folder / "results.csv").unlink()
    run(inputs, folder, resume=True, measure=True)
    assert len(counted) == 4
    assert table(folder)[1]["clipped"]


def test_what_cannot_be_read_is_left_out_and_stopping_keeps_the_rest(inputs, tmp_path, counted):
    job, extractor = make_job(inputs[:1], inputs[1:], GRID, CONFIG), load_network(CONFIG).extractor
    (tmp_path / "batches").mkdir()
    save_image(tmp_path / job.files[1], picture(32, 32))
    measures = {}
    measure_files(tmp_path, job, extractor, [0, 1], measures, lambda: False)
    assert list(measures) == job.files[1:]
    asked = iter([False, True])
    measure_files(tmp_path, job, extractor, [1, 0], measures, lambda: next(asked))
    assert len(counted) == 2
    found = read_measures(tmp_path)
    assert list(found) == job.files[1:]
    assert found[job.files[1]] == pytest.approx(measures[job.files[1]], nan_ok=True)
    assert json.loads((tmp_path / "batches" / "measures.json").read_text())[job.files[1]]["clipped"]


def test_a_sweep_in_memory_is_measured_at_8_bits(inputs, counted):
    contents = [load_image(inputs[0])]
    result = sweep(contents, inputs[1:], grid=GRID, config=CONFIG, measure=True)
    np.testing.assert_allclose(result.measures["clipped"], result.pixels.mean((1, 2, 3)), atol=2e-3)
    for pixels in counted:
        np.testing.assert_allclose(255 * pixels, np.rint(255 * pixels), atol=1e-4)
    assert sweep(contents, inputs[1:], grid=GRID, config=CONFIG).measures == {}


def test_stacked_measures_have_a_place_for_every_item():
    stacked = stack_measures({1: dict.fromkeys(METRICS, 0.5)}, 3)
    assert list(stacked) == list(METRICS)
    np.testing.assert_array_equal(stacked["clipped"], [np.nan, 0.5, np.nan])
    assert stack_measures({}, 3) == {}
