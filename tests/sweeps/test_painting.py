"""Early halving with the engine, in memory and in a folder."""

import json
import shutil

import numpy as np
import pytest
from conftest import count_compilations, picture

from jax_nst import Config, Grid, Halving, Status, merge_sweeps, sweep
from jax_nst.sweeps.decisions import read_decisions
from jax_nst.sweeps.job import BATCHES, CHECKPOINT

CONFIG = Config(
    features="wavelet", content_layers=("luma1",), style_layers=("scale1",), steps=9, optimizer="adam"
)
CONTENT, STYLE = picture(32, 24, 1), picture(32, 32, 2)
GRID = Grid(style_weight=tuple(10.0**power for power in range(9)))
HALVING = Halving(1 / 3, "color_distance_style")


def paint(**options):
    return sweep(CONTENT, STYLE, grid=GRID, config=CONFIG, **options)


def steps_of(result):
    return np.isfinite(result.history.total).sum(axis=1) - 1


@pytest.fixture(scope="module")
def whole():
    return paint(batch=1)


def test_items_that_go_on_are_those_of_a_sweep_without_halving_to_the_bit(whole):
    result = paint(batch=1, halving=HALVING)
    assert sorted(steps_of(result)) == [1] * 6 + [3] * 2 + [9]
    for index, steps in enumerate(steps_of(result)):
        kept = slice(0, steps + 1)
        np.testing.assert_array_equal(result.history.total[index, kept], whole.history.total[index, kept])
        assert (result.status[index] is Status.HALTED) == (steps < 9)
    (best,) = np.flatnonzero(steps_of(result) == 9)
    np.testing.assert_array_equal(result.pixels[best], whole.pixels[best])


def test_batches_are_refilled_and_compile_nothing_the_second_time(whole):
    first = paint(batch=4, halving=HALVING)
    count, second = count_compilations(lambda: paint(batch=4, halving=HALVING))
    assert count == 0
    assert sorted(steps_of(first)) == [1] * 6 + [3] * 2 + [9]
    np.testing.assert_array_equal(first.pixels, second.pixels)
    for index, steps in enumerate(steps_of(first)):
        kept = slice(0, steps + 1)
        expected = whole.history.total[index, kept]
        np.testing.assert_allclose(first.history.total[index, kept], expected, rtol=2e-3)


def test_styles_do_not_compete():
    styles = [STYLE, picture(32, 32, 3)]
    grid = Grid(style_weight=(1.0, 100.0, 1e4))
    result = sweep(CONTENT, styles, grid=grid, config=CONFIG, batch=4, halving=HALVING)
    finished = [steps == 9 for steps in steps_of(result)]
    assert sum(finished[:3]) == sum(finished[3:]) == 1


def test_a_sweep_in_a_folder_goes_on_with_what_is_decided(tmp_path):
    """Stopped in the second round; the values of the first are not measured anew."""
    folder = tmp_path / "sweep"
    never_stopped = paint(batch=1, folder=tmp_path / "other", halving=HALVING)
    seen = []

    def callback(progress):
        seen.append(progress.step)
        return progress.step == 3

    stopped = paint(batch=1, folder=folder, halving=HALVING, callback=callback)
    assert sorted(x.value for x in stopped.status) == ["halted"] * 6 + ["stopped"] * 3
    file = folder / BATCHES / "halving.json"
    values = json.loads(file.read_text())
    assert list(values) == ["color_distance_style"]
    assert len(values["color_distance_style"]) == 9
    again = paint(batch=1, folder=folder, halving=HALVING, resume=True)
    assert again.messages == never_stopped.messages
    np.testing.assert_array_equal(again.pixels, never_stopped.pixels)
    np.testing.assert_array_equal(steps_of(again), steps_of(never_stopped))
    shutil.rmtree(folder)


def test_halted_items_are_not_run_again(tmp_path):
    paint(batch=4, folder=tmp_path / "sweep", halving=HALVING)
    seen = []
    again = paint(batch=4, folder=tmp_path / "sweep", halving=HALVING, resume=True, callback=seen.append)
    assert seen == []
    assert sum(status is Status.HALTED for status in again.status) == 8


def test_a_folder_remembers_what_was_decided_outside_the_grid(tmp_path):
    """Opened with fewer values and one more, by another measure, and with all of them again."""
    folder, less = tmp_path / "sweep", (1.0, 100.0, 12345.0)
    first = paint(batch=4, folder=folder, halving=HALVING)
    before = read_decisions(folder)[HALVING.by]
    for by in (HALVING.by, "variation_ratio"):
        options = {"folder": folder, "resume": True, "batch": 4, "halving": Halving(1 / 3, by)}
        sweep(CONTENT, STYLE, grid=Grid(style_weight=less), config=CONFIG, **options)
    now = read_decisions(folder)
    assert now[HALVING.by].items() > before.items()
    assert len(now[HALVING.by]) == 10
    seen = []
    again = paint(batch=4, folder=folder, halving=HALVING, resume=True, callback=seen.append)
    assert seen == []
    assert again.messages == first.messages
    assert read_decisions(folder) == now


def test_merged_folders_go_on_with_the_decisions_of_all(tmp_path):
    """Each has half of the grid; both together decide of an item that is new."""
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder, weights in zip(folders, (GRID.style_weight[:5], GRID.style_weight[4:]), strict=True):
        options = {"folder": folder, "batch": 4, "halving": HALVING}
        sweep(CONTENT, STYLE, grid=Grid(style_weight=weights), config=CONFIG, **options)
    both = tmp_path / "both"
    merge_sweeps(folders, both)
    of_each, merged = [read_decisions(folder)[HALVING.by] for folder in folders], read_decisions(both)
    assert merged[HALVING.by].keys() == of_each[0].keys() | of_each[1].keys()
    assert len(merged[HALVING.by]) == 9
    grid = Grid(style_weight=(*GRID.style_weight, 300.0))
    options = {"folder": both, "resume": True, "batch": 4, "halving": HALVING}
    result = sweep(CONTENT, STYLE, grid=grid, config=CONFIG, **options)
    now = read_decisions(both)[HALVING.by]
    assert now.items() > merged[HALVING.by].items()
    (new,) = (of_item[1] for key, of_item in now.items() if key not in merged[HALVING.by])
    rank = sum(of_item[1] <= new for of_item in now.values())  # the last of equal ones
    assert rank > 4  # of which a third of ten goes on
    assert result.messages[-1] == f"halted at step 1, rank {rank} of 10 by color_distance_style"


def test_the_state_of_a_batch_that_halving_ends_is_removed(tmp_path):
    folder = tmp_path / "sweep"
    paint(batch=4, folder=folder, callback=lambda progress: progress.step >= 2)
    assert (folder / CHECKPOINT).exists()
    paint(batch=4, folder=folder, halving=HALVING, resume=True)
    assert not (folder / CHECKPOINT).exists()


def test_the_state_of_a_batch_that_halving_does_not_end_is_gone_on_with(whole, tmp_path):
    """The item of the state is stopped in the first round, so that a run without halving has to go on."""
    folder = tmp_path / "sweep"
    paint(batch=1, folder=folder, callback=lambda progress: progress.step >= 5)
    paint(batch=1, folder=folder, halving=HALVING, resume=True, callback=lambda now: now.items == (1,))
    assert (folder / CHECKPOINT).exists()
    steps = {}
    again = paint(
        batch=1, folder=folder, resume=True, callback=lambda now: steps.setdefault(now.items, now.step) < 0
    )
    assert steps[(0,)] > 5
    assert not (folder / CHECKPOINT).exists()
    np.testing.assert_array_equal(again.history.total, whole.history.total)
