"""Row i of a sweep is the single run i."""

import dataclasses
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, count_compilations, on_four_devices, picture, vgg_params

from jax_nst import Checkpoint, Config, Grid, Status, stylize, sweep
from jax_nst.runtime.platform import CPU, current_platform
from jax_nst.sweeps import sweeping
from jax_nst.sweeps.folder import run_in_folder
from jax_nst.sweeps.grid import make_items
from jax_nst.sweeps.job import make_job
from jax_nst.sweeps.sweeping import run_sweep
from jax_nst.transfer import meshes, plan
from jax_nst.transfer.engine import Hooks
from jax_nst.transfer.network import load_network
from jax_nst.transfer.pictures import Source

WAVELET = Config(
    features="wavelet",
    content_layers=("luma1",),
    style_layers=("scale1",),
    steps=20,
    optimizer="adam",
)
VGG = Config(content_layers=("relu2_1",), style_layers=("relu1_1", "relu2_1"), steps=10)

CONTENTS = [picture(24, 32, 1), picture(32, 24, 2)]
STYLES = [picture(28, 20, 3), picture(20, 36, 4), picture(33, 33, 5)]

OK = Status.FINISHED
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
        row = np.stack([result.history.as_dict()[name][index] for name in NAMES], axis=-1)
        np.testing.assert_allclose(row[:same], expected[:same], rtol=tolerance, atol=1e-6)
        lowest, expected_lowest = (np.minimum.accumulate(losses[:, 0]) for losses in (row, expected))
        np.testing.assert_allclose(lowest, expected_lowest, rtol=0.3)
        assert float(np.abs(result.pixels[index] - alone.pixels).mean()) < 0.02


@pytest.mark.parametrize(
    ("base", "optimizer"),
    [
        (WAVELET, "lbfgs"),
        pytest.param(WAVELET, "adam", marks=pytest.mark.slow),
        pytest.param(VGG, "lbfgs", marks=pytest.mark.slow),
        (VGG, "adam"),
    ],
    ids=["wavelet-lbfgs", "wavelet-adam", "vgg-lbfgs", "vgg-adam"],
)
def test_every_row_is_the_single_run(optimizer, base):
    params = None if base is WAVELET else vgg_params("vgg19", ("relu2_1",))
    config = dataclasses.replace(base, optimizer=optimizer)
    grid = Grid(style_weight=(10, 1e3), tv_weight=(1, 30))
    result = sweep(CONTENTS[0], STYLES[:2], grid=grid, config=config, params=params, batch=3)
    assert result.pixels.shape == (8, 24, 32, 3)
    assert (result.status, result.messages) == ([OK] * 8, ["ok"] * 8)
    assert [list(values) for values in result.values] == [["style", "style_weight", "tv_weight"]] * 8
    assert_rows_are_single_runs(result, config, params, (0, 1, 4, 7))
    np.testing.assert_array_equal(result.losses.total, result.history.total.min(axis=1))


@pytest.mark.parametrize("optimizer", [pytest.param("lbfgs", marks=pytest.mark.slow), "adam"])
def test_one_after_the_other_every_row_is_the_single_run_to_the_bit(optimizer):
    config = dataclasses.replace(WAVELET, optimizer=optimizer, scales="2")
    contents = [CONTENTS[0], CONTENTS[0][::-1].copy()]
    result = sweep(contents, STYLES[0], grid=Grid(style_weight=(10, 1e3)), config=config, batch=1)
    for index, values in enumerate(result.values):
        settings = dataclasses.replace(config, style_weight=values["style_weight"])
        alone = stylize(contents[values["content"]], STYLES[0], config=settings)
        np.testing.assert_array_equal(result.pixels[index], alone.pixels)
        row = np.stack([result.history.as_dict()[name][index] for name in NAMES], axis=-1)
        np.testing.assert_array_equal(row, curves(alone.history)[-len(row) :].astype(np.float32))


def test_every_setting_of_a_grid_varies():
    """Each item has its own weights, start and mixture, in one program."""
    grid = Grid(
        blend=((0.7, 0.3), (0.2, 0.8)),
        content_weight=(1, 3),
        tv_weight=(0.5,),
        style_layer_weights=((1, 0), (1, 2)),
        init=("content", "style"),
    )
    layers = {"content_layers": ("luma2",), "style_layers": ("scale1", "scale2")}
    config = dataclasses.replace(WAVELET, **layers)
    result = sweep(CONTENTS[0], STYLES[:2], grid=grid, config=config)
    assert len(result.values) == 16
    assert "tv_weight" not in result.values[0]
    config = dataclasses.replace(config, tv_weight=0.5)
    assert_rows_are_single_runs(result, config, None, (0, 6, 11, 15), styles=STYLES[:2])
    assert len({row.tobytes() for row in result.pixels}) == 16


@pytest.mark.slow
def test_contents_of_one_shape_share_one_program(monkeypatch):
    """And a second sweep, of other pictures and values, compiles nothing."""
    planned = []
    plan_many = sweeping.plan_many

    def noted(*arguments, **named):
        planned.append(plan_many(*arguments, **named))
        return planned[-1]

    monkeypatch.setattr(sweeping, "plan_many", noted)
    contents = [*CONTENTS, picture(24, 32, 7)]
    result = sweep(contents, STYLES, config=dataclasses.replace(WAVELET, steps=2), batch=2)
    assert [plan.level.shape for plan in planned] == [(24, 32), (32, 24)]
    assert [x.shape for x in result.pixels] == [(24, 32, 3)] * 3 + [(32, 24, 3)] * 3 + [(24, 32, 3)] * 3
    grid = Grid(style_weight=(1, 2, 3))
    config = dataclasses.replace(WAVELET, steps=4, tv_weight=1.0)
    several = [x[::-1].copy() for x in STYLES[:2]]
    sweep(contents[0], several, grid=grid, config=config, batch=2)
    count, _ = count_compilations(lambda: sweep(contents[2], several, grid=grid, config=config, batch=2))
    assert count == 0


def run_on(platform, grid, config=WAVELET, **options):
    """Every outcome of a sweep of one content and two styles, in order."""
    items = make_items(grid, 1, 2, config)
    sources = (
        [Source(x.shape, lambda x=x: x) for x in pictures] for pictures in (CONTENTS[:1], STYLES[:2])
    )
    network = load_network(WAVELET, platform=platform)
    batches = list(run_sweep(network, *sources, items, platform=platform, **options))
    return [chosen for chosen, _, _ in batches], [x for _, outcomes, _ in batches for x in outcomes]


def test_the_loop_of_accelerators_makes_the_same_sweep():
    """Up to 32 steps on the device, on one device here; and `auto` takes all items that fit at once."""
    grid, config = Grid(style_weight=(10, 1e4)), dataclasses.replace(WAVELET, steps=8)
    _, on_host = run_on(current_platform(), grid, config)
    platform = dataclasses.replace(CPU, loop_on_device=True, fill_memory=True)
    batches, on_device = run_on(platform, grid, config)
    assert batches == [[0, 1, 2, 3]]
    for one, other in zip(on_host, on_device, strict=True):
        np.testing.assert_allclose(one.losses[:9, 0], other.losses[:9, 0], rtol=1e-2)
        lowest, expected = (np.minimum.accumulate(x.losses[:, 0]) for x in (one, other))
        np.testing.assert_allclose(lowest, expected, rtol=0.1)


def test_only_what_is_to_be_done_is_run():
    """In the batches of the whole sweep, and counted without the rest."""
    seen = []
    batches, outcomes = run_on(
        current_platform(), Grid(style_weight=(1, 2, 3)), todo=[1, 2, 5], batch=2, hooks=Hooks(seen.append)
    )
    assert batches == [[1, 2], [5]]
    assert [outcome.item for outcome in outcomes] == [1, 2, 5]
    assert {progress.num_items for progress in seen} == {3}
    assert {progress.items_done for progress in seen} == {0, 2}


def test_seeds_are_those_of_single_runs():
    config = dataclasses.replace(WAVELET, optimizer="adam", init="noise", steps=10)
    result = sweep(CONTENTS[0], STYLES[0], grid=Grid(seed=(5, 6, 7)), config=config)
    assert_rows_are_single_runs(result, config, None, range(3))


def test_a_bad_item_does_not_take_the_others_down():
    """A content too small, one of a wrong shape, and a start whose loss is not finite."""
    contents = [CONTENTS[0], picture(3, 32, 1), np.zeros((24, 32)), CONTENTS[0]]
    grid = Grid(style_weight=(1e3, 1e38))
    config = dataclasses.replace(WAVELET, steps=3)
    result = sweep(contents, STYLES[0] * 0.1, grid=grid, config=config, batch=3)
    bad = Status.FAILED
    assert result.status == [OK, bad, bad, bad, bad, bad, OK, bad]
    assert [Status.of(message) for message in result.messages] == result.status
    assert "loss of the start is not finite" in result.messages[1]
    assert "the content image is 32 x 3 pixels" in result.messages[2]
    assert "must have shape [H, W, 3], not [24, 32]" in result.messages[4]
    np.testing.assert_array_equal(result.pixels[0], result.pixels[6])
    assert np.isfinite(result.losses.total[[0, 6]]).all()
    assert np.isnan(result.losses.total[[1, 2, 3, 4, 5, 7]]).all()


def test_a_sweep_stopped_at_the_last_step_of_a_batch_begins_no_other():
    grid = Grid(style_weight=(1, 2, 3, 4))
    result = sweep(
        CONTENTS[0], STYLES[0], grid=grid, config=WAVELET, batch=2,
        callback=lambda progress: progress.step == progress.num_steps,
    )  # fmt: skip
    assert result.messages == ["ok", "ok", "not reached", "not reached"]


@pytest.mark.parametrize("optimizer", ["lbfgs", pytest.param("adam", marks=pytest.mark.slow)])
def test_each_item_ends_where_the_single_run_does(optimizer):
    """When it has levelled off, and whatever the others in its batch do."""
    config = dataclasses.replace(WAVELET, optimizer=optimizer, steps=300, tolerance=0.05)
    result = sweep(CONTENTS[0], STYLES[0], grid=Grid(style_weight=(0.1, 1e3)), config=config, batch=2)
    lengths = np.isfinite(result.history.total).sum(axis=1)
    # With little style, Adam finds nothing better than the content.
    assert set(result.status) <= {OK, Status.UNCHANGED}
    assert len(set(lengths)) == 2
    assert max(lengths) < 301
    for index in range(2):
        alone = stylize(CONTENTS[0], STYLES[0], config=dataclasses.replace(config, **result.values[index]))
        assert len(alone.history["steps"]) == pytest.approx(lengths[index], abs=20)
        assert float(np.abs(result.pixels[index] - alone.pixels).mean()) < 0.02


LEVELS = Config(
    features="wavelet",
    content_layers=("luma1",),
    style_layers=("scale1",),
    steps=10,
    size=48,
    scales="2",
    optimizer="adam",
)
LARGER = [picture(48, 40, 1), picture(96, 80, 2), picture(30, 48, 3)]
LARGER_STYLES = [picture(48, 48, 4), picture(60, 40, 5)]


@pytest.mark.slow
def test_a_row_is_the_single_run_with_its_levels():
    """Two contents of one shape and one of another, each from its own picture at each size."""
    result = sweep(LARGER, LARGER_STYLES, config=LEVELS, batch=3)
    assert result.status == [OK] * 6
    for index, values in enumerate(result.values):
        alone = stylize(LARGER[values["content"]], LARGER_STYLES[values["style"]], config=LEVELS)
        expected = [step["total"] for step in alone.history["steps"] if step["size"] == 48]
        np.testing.assert_allclose(result.history.total[index], expected, rtol=2e-2)
        assert float(np.abs(result.pixels[index] - alone.pixels).mean()) < 0.01
    assert [x.shape for x in result.pixels] == [(48, 40, 3)] * 4 + [(30, 48, 3)] * 2


def test_progress_counts_all_levels_and_a_stopped_item_says_where():
    seen = []

    def callback(progress):
        seen.append((progress.step, progress.num_steps))
        return progress.items_done == 2

    grid = Grid(style_weight=(1, 2, 3))
    result = sweep(LARGER[0], LARGER_STYLES[0], grid=grid, config=LEVELS, batch=2, callback=callback)
    assert {num_steps for _, num_steps in seen} == {14}
    assert max(seen)[0] == 14
    assert result.status == [OK, OK, Status.STOPPED]
    assert result.messages[2].startswith("stopped at 24 pixels, after step ")
    assert result.pixels.shape == (3, 48, 40, 3)
    assert result.pixels[2].std() > 0.01
    assert np.isnan(result.losses.total[2])


def test_items_too_small_at_a_coarse_level_do_not_take_the_others_down():
    """Also where no item is left, and at sizes where no program can be traced."""
    result = sweep([LARGER[0], LARGER[0][:5]], LARGER_STYLES[0], config=LEVELS)
    assert result.status[0] is OK
    assert "one of its smaller sizes is" in result.messages[1]
    nothing = sweep(LARGER[0], LARGER_STYLES[:2], config=dataclasses.replace(LEVELS, scales="7"))
    assert all("fewer scales than 7" in message for message in nothing.messages)


def test_an_item_that_fails_at_the_first_level_stays_out_of_the_others():
    grid = Grid(style_weight=(1e3, 1e38))
    result = sweep(LARGER[0], LARGER_STYLES[0] * 0.1, grid=grid, config=LEVELS, batch=2)
    assert result.status[0] is OK
    assert "loss of the start is not finite" in result.messages[1]
    assert np.isfinite(result.losses.total[0])


FOUR_DEVICES = """
import pathlib, sys
sys.path[:0] = sys.argv[1:4]
import jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_enable_compilation_cache", False)  # what is found there is not dumped
from conftest import vgg_params
import test_sweeping as here
from jax_nst import Grid, sweep

assert jax.device_count() == 4
params = vgg_params("vgg19", ("relu2_1",))
for base, params, optimizer in ((here.WAVELET, None, "adam"), (here.VGG, params, "lbfgs")):
    config = here.dataclasses.replace(base, optimizer=optimizer)
    grid = Grid(style_weight=(10, 1e3, 1e4))
    batches = []
    # Six items on four devices, in a batch of two each; then one item, less than there are devices.
    result = sweep(
        here.CONTENTS[0], here.STYLES[:2], grid=grid, config=config, params=params, batch=8,
        callback=lambda progress: batches.append(progress.items),
    )
    assert set(batches) == {(0, 1, 2, 3, 4, 5)}, batches
    here.assert_rows_are_single_runs(result, config, params, (0, 3, 5))
    alone = sweep(here.CONTENTS[0], here.STYLES[0], config=config, params=params)
    here.assert_rows_are_single_runs(alone, config, params, (0,))
    rates = Grid(learning_rate=(0.3, None, 0.7))
    result = sweep(here.CONTENTS[0], here.STYLES[0], grid=rates, config=config, params=params)
    here.assert_rows_are_single_runs(result, config, params, range(3))
steps = list(pathlib.Path(sys.argv[4]).glob("*jit_step*after_optimizations.txt"))
assert any("num_partitions=4" in path.read_text() for path in steps), steps
for path in steps:
    for word in ("all-reduce", "all-gather", "all-to-all", "collective-permute"):
        assert word not in path.read_text(), (word, path)
print("same on four devices")
"""


@pytest.mark.slow
def test_every_row_is_the_single_run_on_four_devices(tmp_path):
    """And devices exchange nothing, by the programs that XLA dumps."""
    dump = f"--xla_dump_to={tmp_path} --xla_dump_hlo_module_re=jit_step --xla_dump_hlo_as_text"
    command = [
        sys.executable,
        "-c",
        FOUR_DEVICES,
        ROOT,
        ROOT / "tests",
        ROOT / "tests" / "sweeps",
        tmp_path,
    ]
    environment = {**os.environ, "XLA_FLAGS": dump}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert "same on four devices" in done.stdout, done.stderr[-2000:]


def check_fewer_items_than_devices():
    shared = dataclasses.replace(CPU, shares_rows=True)
    used, step_programs = [], plan.step_programs

    def noted(objects, partition, mesh=None):
        used.append(mesh and dict(mesh.shape))
        return step_programs(objects, partition, mesh)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(plan, "step_programs", noted)
        patched.setattr(meshes, "LEAST_ROWS", 7)
        patched.setattr(sys.modules[sweep.__module__], "current_platform", lambda: shared)
        for optimizer in ("adam", "lbfgs"):
            config = dataclasses.replace(WAVELET, optimizer=optimizer, scales=1)
            two = sweep(CONTENTS[0], STYLES[0], grid=Grid(style_weight=(10, 1e3)), config=config)
            assert used == [{"items": 2, "rows": 2}]
            assert_rows_are_single_runs(two, config, None, (0, 1))
            used.clear()
        grid, config = Grid(style_weight=(10, 1e3)), dataclasses.replace(VGG, scales=2, optimizer="adam")
        params = vgg_params("vgg19", ("relu2_1",))
        two = sweep(CONTENTS[0], STYLES[0], grid=grid, config=config, params=params)
        assert used == [{"items": 2, "rows": 2}, {"items": 2}]
    same = sweep(CONTENTS[0], STYLES[0], grid=grid, config=config, params=params)
    np.testing.assert_allclose(two.history.total, same.history.total, rtol=2e-3)
    assert set(two.status) == {OK}


@pytest.mark.slow
def test_where_there_are_fewer_items_than_devices_groups_of_these_share_the_rows_of_each():
    on_four_devices(check_fewer_items_than_devices)


def check_resuming_in_groups():
    """Stopped after 6 steps, with the pairs of each picture split between two devices."""
    config = dataclasses.replace(WAVELET, optimizer="lbfgs", scales=1, save_every=1)
    job = make_job(CONTENTS[:1], STYLES[:1], Grid(style_weight=(10.0, 1e3)), config)
    shared = dataclasses.replace(CPU, shares_rows=True)
    network = load_network(config, platform=shared)

    def run(folder, stop_at, resume=False):
        seen = []

        def callback(progress):
            seen.append(progress.step)
            return progress.step >= stop_at

        checkpoint = Checkpoint(Path(folder) / "checkpoint", every=0.0)
        hooks = Hooks(callback)
        rows = run_in_folder(Path(folder), job, network, checkpoint=checkpoint, resume=resume, hooks=hooks)
        return [float(row["total_loss"]) for row in rows], seen

    with pytest.MonkeyPatch.context() as patched, tempfile.TemporaryDirectory() as folder:
        patched.setattr(meshes, "LEAST_ROWS", 7)
        patched.setattr(sys.modules[run_in_folder.__module__], "current_platform", lambda: shared)
        run(f"{folder}/a", 6)
        resumed, seen = run(f"{folder}/a", 1000, resume=True)
        whole, _ = run(f"{folder}/b", 1000)
    assert min(seen) > 6
    assert resumed == whole


@pytest.mark.slow
def test_groups_of_devices_go_on_from_a_checkpoint_to_the_bit():
    on_four_devices(check_resuming_in_groups)
