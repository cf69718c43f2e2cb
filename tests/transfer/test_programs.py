import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import count_compilations, picture, vgg_params
from jax.sharding import AxisType, Mesh

from jax_nst import TOTAL_VARIATION, Config, Recipe
from jax_nst.models import winograd
from jax_nst.models.partition import Partition
from jax_nst.optim import Controls
from jax_nst.runtime.platform import CPU
from jax_nst.transfer.item import Item
from jax_nst.transfer.network import load_network
from jax_nst.transfer.pictures import Source, Start
from jax_nst.transfer.plan import objects_of
from jax_nst.transfer.programs import MAX_CHUNK, on_all_devices, score_program, step_programs
from jax_nst.transfer.rows import ITEMS
from jax_nst.transfer.spec import resolve
from jax_nst.transfer.targets import Preparation
from jax_nst.transfer.terms import resolve_weights

WAVELET = Config(
    features="wavelet", content_layers=("luma2",), style_layers=("scale1",), steps=4, remat="none"
)
ON_DEVICE = dataclasses.replace(CPU, loop_on_device=True)


def problem_of(config, content, style, platform=CPU, params=None):
    """The objects of the programs of one picture, its params, its start, targets and controls."""
    network = load_network(config, params=params, platform=platform)
    spec = resolve(config, network.extractor, content.shape, platform)
    level = spec.levels[-1]
    weights = resolve_weights(config, network.extractor, level.terms)
    sources = [Source(content.shape, lambda: content)], [Source(None, lambda: style)]
    preparation = Preparation(network, level, platform, *sources)
    made = preparation.prepare(Item(0, (0,), (1.0,), {level: weights}, Start("content", 0)))
    targets = {**made.content, **made.style}
    return objects_of(spec, level), jnp.asarray(made.start), (network.params, targets, Controls(weights))


def scored(arguments):
    """What a score takes of the arguments of a step."""
    *others, controls = arguments
    return *others, controls.loss_weights


def compile_(objects, start, arguments, partition=Partition()):
    programs = step_programs(objects, partition)
    state = programs.init(start)
    advance, num_bytes = programs.compile_advance(state, *arguments)
    return state, advance, num_bytes


@pytest.mark.parametrize("platform", [CPU, pytest.param(ON_DEVICE, marks=pytest.mark.slow)])
def test_losses_are_the_total_and_each_term(platform):
    objects, start, arguments = problem_of(WAVELET, picture(24, 32, 1), picture(20, 20, 2), platform)
    state, advance, _ = compile_(objects, start, arguments)
    expected = score_program(objects)(jnp.clip(start, 4 / 255, 1 - 4 / 255), *scored(arguments))
    state, blocks = advance(state, *arguments, 3)
    losses = np.concatenate(blocks)
    assert len(losses) == (MAX_CHUNK if platform.loop_on_device else 3)
    np.testing.assert_allclose(losses[0], list(expected.as_dict().values()), rtol=1e-3, atol=1e-6)
    assert list(expected.as_dict()) == ["total", "content", "style", "tv"]
    assert losses[1, 0] < losses[0, 0]


def test_the_loop_on_the_device_and_that_on_the_host_agree():
    curves = []
    for platform in (CPU, ON_DEVICE):
        objects, start, arguments = problem_of(WAVELET, picture(24, 32, 1), picture(20, 20, 2), platform)
        state, advance, _ = compile_(objects, start, arguments)
        rows = []
        for count in (1, 8, 4):
            state, blocks = advance(state, *arguments, count)
            rows.append(np.concatenate(blocks)[:count])
        curves.append(np.concatenate(rows))
    assert curves[0].shape == (13, 4)
    np.testing.assert_allclose(curves[0], curves[1], rtol=5e-3)


def test_what_is_on_all_devices_is_not_copied_again():
    """Else each size of a sweep had weights of its own."""
    mesh = Mesh(np.asarray(jax.devices()), (ITEMS,), axis_types=(AxisType.Auto,))
    once = on_all_devices({"kernel": jnp.ones(1000)}, mesh)["kernel"]
    twice = on_all_devices({"kernel": once}, mesh)["kernel"]
    pointers = [
        [shard.data.unsafe_buffer_pointer() for shard in x.addressable_shards] for x in (once, twice)
    ]
    assert pointers[0] == pointers[1]
    assert once.sharding.is_fully_replicated


def test_the_bytes_of_a_program_count_the_donated_state_once():
    """With the total variation alone, the state of L-BFGS, a hundred pictures, is nearly all there is."""
    config = Config(features="wavelet", recipe=Recipe("smooth", ((1.0, TOTAL_VARIATION),)), steps=4)
    objects, start, arguments = problem_of(config, picture(48, 64, 1), picture(20, 20, 2))
    state, _, num_bytes = compile_(objects, start, arguments)
    of_state = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    assert of_state > 100 * start.nbytes
    assert of_state <= num_bytes < 1.5 * of_state


def test_programs_that_run_once_convolve_directly(monkeypatch):
    """Winograd's algorithm would take longer to compile than it saves."""
    calls, convolve = [], winograd.convolve
    monkeypatch.setattr(winograd, "convolve", lambda *args: calls.append(args) or convolve(*args))
    layers = ("relu2_2",)
    # Pooled by averages, as in no other test: a program that is traced already would call nothing.
    config = Config(
        features="vgg19",
        content_layers=layers,
        style_layers=layers,
        pooling="average",
        optimizer="adam",
        remat="none",
        scales=1,
    )
    content = 0.2 + 0.6 * picture(48, 64)  # within the bounds of the start
    objects, start, arguments = problem_of(
        config, content, picture(20, 20), params=vgg_params("vgg19", layers)
    )
    score = score_program(objects)(start, *scored(arguments))
    assert not calls
    state, advance, _ = compile_(objects, start, arguments)
    assert calls
    (losses,) = advance(state, *arguments, 1)[1]
    np.testing.assert_allclose(losses[0], list(score.as_dict().values()), rtol=1e-3, atol=1e-5)


def test_a_step_is_compiled_once_for_arguments_of_one_shape():
    def compile_for(seed):
        objects, start, arguments = problem_of(WAVELET, picture(26, 30, seed), picture(20, 20, 9))
        return compile_(objects, start, arguments)[2]

    num_bytes = compile_for(1)
    assert num_bytes > 0
    assert count_compilations(lambda: compile_for(2)) == (0, num_bytes)


def test_programs_are_the_same_objects_for_equal_settings():
    objects, *_ = problem_of(WAVELET, picture(24, 32, 1), picture(20, 20, 2))
    again, *_ = problem_of(WAVELET, picture(24, 32, 3), picture(20, 20, 4))
    assert step_programs(objects) is step_programs(again)
    assert step_programs(objects) is not step_programs(objects, Partition("all"))
    assert score_program(objects) is score_program(again)
