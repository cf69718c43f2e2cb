"""A step tile by tile, against the step of the whole picture."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import count_compilations, picture

from jax_nst import Config, stylize, sweep
from jax_nst.models.partition import Partition
from jax_nst.optim.step import Controls
from jax_nst.runtime.platform import CPU
from jax_nst.transfer import target_programs, tile_programs
from jax_nst.transfer.by_shape import ByShape, bytes_of
from jax_nst.transfer.item import Item
from jax_nst.transfer.network import load_network
from jax_nst.transfer.pictures import Source, Start
from jax_nst.transfer.plan import objects_of
from jax_nst.transfer.programs import score_program, step_programs
from jax_nst.transfer.spec import resolve, resolve_level_weights
from jax_nst.transfer.targets import Preparation

CONFIG = Config(
    features="wavelet", content_layers=("luma2",), style_layers=("scale1", "scale2"), steps=3, scales=1
)
ON_DEVICE = dataclasses.replace(CPU, loop_on_device=True)


def problem(size=96, platform=CPU, **changes):
    """Objects, the start, and the arguments of a step."""
    config = dataclasses.replace(CONFIG, size=size, **changes)
    network = load_network(config, platform=platform)
    spec = resolve(config, network.extractor, (size, size, 3), platform)
    level, weights = spec.levels[-1], resolve_level_weights(config, spec)
    sources = (
        [Source((size, size, 3), lambda: picture(size, size))],
        [Source(None, lambda: picture(40, 50))],
    )
    made = Preparation(network, level, platform, *sources).prepare(
        Item(0, (0,), (1.0,), weights, Start("content", 0))
    )
    targets = {**made.content, **made.style}
    rate = np.float32(0.05) if config.optimizer == "adam" else np.float32(1)
    return objects_of(spec, level), made.start, (network.params, targets, Controls(weights[level], rate))


def steps(objects, start, arguments, partition, count=3):
    programs = step_programs(objects, partition)
    state = programs.init(jnp.asarray(start))
    advance, num_bytes = programs.compile_advance(state, *arguments)
    state, rows = advance(state, *arguments, count)
    return state, np.concatenate([np.asarray(row) for row in rows]), num_bytes


@pytest.mark.parametrize("platform", [CPU, pytest.param(ON_DEVICE, marks=pytest.mark.slow)])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_steps_in_tiles_are_those_of_the_whole_picture(optimizer, platform):
    """The host loops over the tiles on a CPU, else the program does."""
    parts = problem(platform=platform, optimizer=optimizer)
    whole, rows, _ = steps(*parts, Partition())
    tiled, found, _ = steps(*parts, Partition(tile_size=32))
    np.testing.assert_allclose(found, rows[: len(found)], rtol=1e-4)
    np.testing.assert_allclose(tiled.angles, whole.angles, atol=2e-3)
    assert float(tiled.best_value) == pytest.approx(float(whole.best_value), rel=1e-4)


@pytest.mark.parametrize("size", [112, 176])
def test_a_program_is_compiled_once_whatever_the_number_of_tiles(size):
    objects, start, arguments = problem(size, optimizer="adam")
    parts = step_programs(objects, Partition(tile_size=48))
    state = parts.init(jnp.asarray(start))
    count, (advance, _) = count_compilations(lambda: parts.compile_advance(state, *arguments))
    assert count == 6  # the pixels, zeros, a sum, the total, a gradient, and the move
    again, _ = count_compilations(lambda: advance(state, *arguments, 2))
    assert again == 0


def test_the_host_waits_for_each_tile(monkeypatch):
    """Programs that wait in a queue would all have their memory at once."""
    early, compile_ = [], ByShape.compile

    def noting(self, *shapes):
        program, num_bytes = compile_(self, *shapes)

        def run(*arguments):
            arrays = (x for x in jax.tree.leaves(arguments) if isinstance(x, jax.Array))
            early.append(not all(x.is_ready() for x in arrays))
            return program(*arguments)

        return run, num_bytes

    monkeypatch.setattr(ByShape, "compile", noting)
    steps(*problem(256, optimizer="adam"), Partition(tile_size=64), count=2)
    assert len(early) > 2 * 2 * 16  # two passes over the tiles of each of two steps
    assert sum(early) <= 2 * 4  # only the first of each pass, the total and the move


def test_memory_that_a_pass_has_freed_is_given_back_before_the_next(monkeypatch):
    """Or it grows from step to step, to twice at 2048 pixels, since the parts of a step fragment it."""
    given = []
    monkeypatch.setattr(tile_programs, "give_back", lambda: given.append(1))
    steps(*problem(64, optimizer="adam"), Partition(tile_size=32), count=4)
    assert len(given) == 3 * 4


def test_bytes_are_those_of_the_largest_program_and_what_lies_beside_it():
    parts = problem(192)
    *_, whole = steps(*parts, Partition(), 1)
    *_, tiled = steps(*parts, Partition(tile_size=32), 1)
    *_, larger = steps(*parts, Partition(tile_size=96), 1)
    assert tiled < larger < whole


def test_targets_lie_beside_the_move(monkeypatch):
    made, compile_ = [], ByShape.compile

    def noting(self, *shapes):
        program, num_bytes = compile_(self, *shapes)
        made.append(num_bytes)
        return program, num_bytes

    monkeypatch.setattr(ByShape, "compile", noting)
    objects, start, arguments = problem(640, optimizer="adam")
    made.clear()
    *_, num_bytes = steps(objects, start, arguments, Partition(tile_size=32), 1)
    assert num_bytes == made[-1] + bytes_of(arguments[:2])  # more than beside a tile


@pytest.fixture
def small_tiles(monkeypatch):
    """Pictures of more than 48 x 48 pixels are measured in tiles of 32."""
    target_programs.target_programs.cache_clear()
    score_program.cache_clear()
    monkeypatch.setattr(tile_programs, "_LARGE", 48 * 48)
    monkeypatch.setattr(tile_programs, "_TILE", 32)
    yield
    target_programs.target_programs.cache_clear()
    score_program.cache_clear()


def test_targets_and_score_of_a_large_picture_are_computed_in_tiles(small_tiles):
    del small_tiles
    objects, start, (params, targets, controls) = problem(100)
    losses = score_program(objects)(start, params, targets, controls.loss_weights)
    whole = jax.jit(score_program(objects))(start, params, targets, controls.loss_weights)
    for name in losses:
        assert float(losses[name]) == pytest.approx(float(whole[name]), rel=1e-4)
    target_programs.target_programs.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tile_programs, "_LARGE", 10**9)
        _, _, (_, expected, _) = problem(100)
    for found, other in zip(jax.tree.leaves(targets), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(found, other, rtol=1e-4, atol=1e-5 * np.abs(other).max())


def test_a_run_in_tiles_and_a_sweep_in_tiles_are_those_of_whole_pictures():
    content, style = picture(50, 64, 1), picture(40, 50, 2)
    config = dataclasses.replace(CONFIG, size=64, optimizer="adam")
    whole = stylize(content, style, config=config)
    tiled = stylize(content, style, config=dataclasses.replace(config, tile_size=32))
    swept = sweep(content, style, config=dataclasses.replace(config, tile_size=32), batch=2)
    np.testing.assert_allclose(tiled.pixels, whole.pixels, atol=1e-3)
    np.testing.assert_allclose(swept.pixels[0], whole.pixels, atol=1e-3)
    assert tiled.history["steps"][-1]["total"] == pytest.approx(
        whole.history["steps"][-1]["total"], rel=1e-3
    )
