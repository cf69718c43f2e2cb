"""Row i of a sweep is the single run i."""

import dataclasses
import os
import subprocess
import sys

import jax.monitoring
import numpy as np
import pytest
from conftest import ROOT, picture, vgg_params

from jax_nst import Config, Grid, stylize, sweep
from jax_nst.sweeps.sweeping import SweepProgress
from jax_nst.transfer import programs

WAVELET = Config(features="wavelet", content_layers=("luma2",), style_layers=("scale1", "scale2"), steps=20)
VGG = Config(content_layers=("relu2_1",), style_layers=("relu1_1", "relu2_1"), steps=20)

CONTENTS = [picture(24, 32, 1), picture(32, 24, 2)]
STYLES = [picture(28, 20, 3), picture(20, 36, 4), picture(33, 33, 5)]


NAMES = ("total", "content", "style", "tv")


def curves(history):
    return np.array([[step[name] for name in NAMES] for step in history["steps"]])


def assert_rows_are_single_runs(result, config, params, indices, contents=CONTENTS, styles=STYLES):
    """To float32 rounding, which Adam keeps and L-BFGS magnifies, of single runs too."""
    same, tolerance = (9, 1e-2) if config.optimizer == "lbfgs" else (config.steps + 1, 2e-3)
    for index in indices:
        values = result.values[index]
        settings = {k: v for k, v in values.items() if k not in ("content", "style", "blend")}
        alone = stylize(
            contents[values.get("content", 0)],
            styles if "blend" in values else styles[values.get("style", 0)],
            config=dataclasses.replace(config, **settings),
            blend=values.get("blend"),
            params=params,
        )
        expected = curves(alone.history)
        row = np.stack([getattr(result.history, name)[index] for name in NAMES], axis=-1)
        np.testing.assert_allclose(row[:same], expected[:same], rtol=tolerance, atol=1e-6)
        lowest, expected_lowest = (np.minimum.accumulate(losses[:, 0]) for losses in (row, expected))
        np.testing.assert_allclose(lowest, expected_lowest, rtol=0.3)
        assert float(np.abs(result.pixels[index] - alone.pixels).mean()) < 0.02


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("base", [WAVELET, VGG], ids=["wavelet", "vgg"])
def test_every_row_is_the_single_run(optimizer, base):
    params = None if base is WAVELET else vgg_params("vgg19", ("relu2_1",))
    config = dataclasses.replace(base, optimizer=optimizer)
    grid = Grid(style_weight=(10, 1e3), tv_weight=(1, 30))
    result = sweep(CONTENTS[0], STYLES[:2], grid=grid, config=config, params=params, batch=3)
    assert result.pixels.shape == (8, 24, 32, 3)
    assert result.status == ["ok"] * 8
    assert [list(values) for values in result.values] == [["style", "style_weight", "tv_weight"]] * 8
    assert_rows_are_single_runs(result, config, params, (0, 1, 4, 7))
    np.testing.assert_array_equal(result.losses.total, result.history.total.min(axis=1))


def test_every_setting_that_may_vary_does():
    """Each item has its own weights, start and mixture, in one program."""
    grid = Grid(
        blend=((0.7, 0.3), (0.2, 0.8)),
        content_weight=(1, 3),
        tv_weight=(0.5,),
        style_layer_weights=((1, 0), (1, 2)),
        init=("content", "style"),
    )
    result = sweep(CONTENTS[0], STYLES[:2], grid=grid, config=WAVELET)
    assert len(result.values) == 16
    assert "tv_weight" not in result.values[0]
    config = dataclasses.replace(WAVELET, tv_weight=0.5)
    assert_rows_are_single_runs(result, config, None, (0, 6, 11, 15), styles=STYLES[:2])
    assert len({row.tobytes() for row in result.pixels}) == 16


def compilations(function):
    """How many programs the backend compiles meanwhile."""
    heard = []

    def hear(name, duration, **rest):
        del duration, rest
        heard.append(name)

    jax.monitoring.register_event_duration_secs_listener(hear)
    result = function()
    return sum("backend_compile" in name for name in heard), result


def test_contents_of_one_shape_share_one_program(monkeypatch):
    """And a second sweep, of other pictures and values, compiles nothing."""
    programs._batch_programs.cache_clear()
    programs._target_programs.cache_clear()
    made = []
    compile_once = programs._compile_once

    def counted(function):
        compile_ = compile_once(function)

        def counting(*arguments):
            before = compile_(*arguments)
            made.append(id(before[0]))
            return before

        return counting

    monkeypatch.setattr(programs, "_compile_once", counted)
    contents = [*CONTENTS, picture(24, 32, 7)]
    result = sweep(contents, STYLES, config=dataclasses.replace(WAVELET, steps=2), batch=2)
    assert len(set(made)) == 2  # two shapes: 24 x 32 and 32 x 24
    assert [x.shape for x in result.pixels] == [(24, 32, 3)] * 3 + [(32, 24, 3)] * 3 + [(24, 32, 3)] * 3
    grid = Grid(style_weight=(1, 2, 3))
    config = dataclasses.replace(WAVELET, steps=4, tv_weight=1.0)
    several = [x[::-1].copy() for x in STYLES[:2]]
    sweep(contents[0], several, grid=grid, config=config, batch=2)
    count, _ = compilations(lambda: sweep(contents[2], several, grid=grid, config=config, batch=2))
    assert count == 0


def test_the_loop_of_accelerators_makes_the_same_sweep(monkeypatch):
    """Up to 32 steps on the device, on one device here; and `auto` takes all items that fit at once."""
    grid = Grid(style_weight=(10, 1e3, 1e4))
    on_host = sweep(CONTENTS[0], STYLES[:2], grid=grid, config=WAVELET)
    monkeypatch.setattr(programs, "_advance_for_device", lambda: programs._looping)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    programs._batch_programs.cache_clear()
    batches = []
    on_device = sweep(
        CONTENTS[0],
        STYLES[:2],
        grid=grid,
        config=WAVELET,
        callback=lambda progress: batches.append(progress.batch),
    )
    programs._batch_programs.cache_clear()
    assert batches[0] == [0, 1, 2, 3, 4, 5]
    for one, other in zip(on_host.history.total, on_device.history.total, strict=True):
        np.testing.assert_allclose(one[:9], other[:9], rtol=1e-2)
        np.testing.assert_allclose(np.minimum.accumulate(one), np.minimum.accumulate(other), rtol=0.1)


def test_seeds_are_those_of_single_runs():
    config = dataclasses.replace(WAVELET, optimizer="adam", init="noise", steps=10)
    result = sweep(CONTENTS[0], STYLES[0], grid=Grid(seed=(5, 6, 7)), config=config)
    assert_rows_are_single_runs(result, config, None, range(3))


def test_a_bad_item_does_not_take_the_others_down():
    """A content too small, one of a wrong shape, and a start whose loss is not finite."""
    contents = [CONTENTS[0], picture(5, 32, 1), np.zeros((24, 32)), CONTENTS[0]]
    grid = Grid(style_weight=(1e3, 1e38))
    config = dataclasses.replace(WAVELET, steps=3)
    result = sweep(contents, STYLES[0] * 0.1, grid=grid, config=config, batch=3)
    assert [status.split(":")[0] for status in result.status] == ["ok", "failed"] + ["failed"] * 4 + [
        "ok",
        "failed",
    ]
    assert "loss of the start is not finite" in result.status[1]
    assert "the content image is 32 x 5 pixels" in result.status[2]
    assert "must have shape [H, W, 3], not [24, 32]" in result.status[4]
    np.testing.assert_array_equal(result.pixels[0], result.pixels[6])
    assert np.isfinite(result.losses.total[[0, 6]]).all()
    assert np.isnan(result.losses.total[2:6]).all()


def test_a_callback_sees_every_chunk_and_may_stop():
    seen = []

    def callback(progress):
        seen.append(progress)
        return progress.items_done >= 2 and progress.step >= 1

    grid = Grid(style_weight=(1, 2, 3, 4, 5, 6))
    result = sweep(CONTENTS[0], STYLES[0], grid=grid, config=WAVELET, batch=2, callback=callback)
    assert seen[0] == SweepProgress(0, 6, [0, 1], 0, 20)
    assert max(progress.step for progress in seen if progress.items_done == 0) == 20
    assert result.status[:2] == ["ok", "ok"]
    assert all(status.startswith("stopped after step") for status in result.status[2:4])
    assert result.status[4:] == ["not reached"] * 2
    assert np.isfinite(result.losses.total[:4]).all()


def test_a_sweep_stopped_at_the_last_step_of_a_batch_begins_no_other():
    grid = Grid(style_weight=(1, 2, 3, 4))
    result = sweep(
        CONTENTS[0], STYLES[0], grid=grid, config=WAVELET, batch=2,
        callback=lambda progress: progress.step == progress.num_steps,
    )  # fmt: skip
    assert result.status == ["ok", "ok", "not reached", "not reached"]


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_each_item_ends_where_the_single_run_does(optimizer):
    """When it has levelled off, and whatever the others in its batch do."""
    config = dataclasses.replace(WAVELET, optimizer=optimizer, steps=300, tolerance=0.05)
    result = sweep(CONTENTS[0], STYLES[0], grid=Grid(style_weight=(0.1, 1e3)), config=config, batch=2)
    lengths = np.isfinite(result.history.total).sum(axis=1)
    assert result.status == ["ok", "ok"]
    assert len(set(lengths)) == 2
    assert max(lengths) < 301
    for index in range(2):
        alone = stylize(CONTENTS[0], STYLES[0], config=dataclasses.replace(config, **result.values[index]))
        assert len(alone.history["steps"]) == pytest.approx(lengths[index], abs=20)
        assert float(np.abs(result.pixels[index] - alone.pixels).mean()) < 0.02


def test_nothing_to_sweep():
    with pytest.raises(ValueError, match="a content and a style at least"):
        sweep([], STYLES, config=WAVELET)


FOUR_DEVICES = """
import sys
sys.path[:0] = sys.argv[1:3]
import jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 4)
import numpy as np
from conftest import vgg_params
import test_sweep as here
from jax_nst import Grid, sweep
from jax_nst.sweeps import batch

assert jax.device_count() == 4
plans = []
make_plan = batch.make_plan
here_sweep = sys.modules["jax_nst.sweeps.sweeping"]
here_sweep.make_plan = lambda *a: plans.append(make_plan(*a)) or plans[-1]
params = vgg_params("vgg19", ("relu2_1",))
for base, params in ((here.WAVELET, None), (here.VGG, params)):
    for optimizer in ("lbfgs", "adam"):
        config = here.dataclasses.replace(base, optimizer=optimizer)
        grid = Grid(style_weight=(10, 1e3, 1e4))
        # Six items on four devices, in a batch of two each; then one item, less than there are devices.
        result = sweep(here.CONTENTS[0], here.STYLES[:2], grid=grid, config=config, params=params, batch=8)
        assert plans[-1].slots.per_device == 2, plans[-1].slots
        here.assert_rows_are_single_runs(result, config, params, (0, 3, 5))
        alone = sweep(here.CONTENTS[0], here.STYLES[0], config=config, params=params)
        here.assert_rows_are_single_runs(alone, config, params, (0,))
import jax
text = plans[0].advance.__closure__  # the compiled step
compiled = [cell.cell_contents for cell in text if hasattr(cell.cell_contents, "as_text")][0].as_text()
for word in ("all-reduce", "all-gather", "all-to-all", "collective-permute"):
    assert word not in compiled, word
print("same on four devices")
"""


def test_every_row_is_the_single_run_on_four_devices():
    """And devices exchange nothing."""
    command = [sys.executable, "-c", FOUR_DEVICES, str(ROOT), str(ROOT / "tests")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert "same on four devices" in done.stdout, done.stderr[-2000:]
