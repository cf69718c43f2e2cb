"""The estimate of the memory beside XLA's own analysis."""

import functools

import jax
import numpy as np
import pytest
from conftest import count_compilations, picture, vgg_params

from jax_nst import Config, vgg, wavelet
from jax_nst.models.partition import Partition
from jax_nst.optim import make_optimizer
from jax_nst.optim.step import Controls
from jax_nst.runtime.platform import current_platform
from jax_nst.transfer.choices import Choice
from jax_nst.transfer.estimate import estimate_of
from jax_nst.transfer.item import Item
from jax_nst.transfer.needs import state_of
from jax_nst.transfer.network import Network
from jax_nst.transfer.pictures import Source, Start
from jax_nst.transfer.plan import objects_of, plan_one
from jax_nst.transfer.programs import step_programs
from jax_nst.transfer.spec import resolve, resolve_level_weights
from jax_nst.transfer.targets import Preparation

PLATFORM = current_platform()  # with its options of the compiler


@functools.cache
def network_of(name):
    if name == "wavelet":
        return Network(wavelet(), {}, None)
    extractor = vgg(name, use_winograd=True)
    layers = (*extractor.content_layers, *extractor.style_layers)
    return Network(extractor, extractor.prepare(vgg_params(name, layers)), None)


def problem(name, size, **settings):
    """A spec, its level, the shapes of its targets, and its loss weights."""
    network = network_of(name)
    shape = (size * 3 // 4, size, 3)
    config = Config(features=network.extractor, size=size, scales=1, **settings)
    spec = resolve(config, network.extractor, shape, PLATFORM)
    level, source = spec.levels[-1], Source(shape, lambda: picture(*shape[:2]))
    content, style = Preparation(network, level, PLATFORM, [source], [source]).abstract()
    return network, spec, level, {**content, **style}, resolve_level_weights(config, spec)[level]


def both(name, size, partition, optimizer):
    """The estimate, and the bytes of the program."""
    style_loss = ("gram",) if name == "wavelet" else ("wasserstein",)
    network, spec, level, targets, weights = problem(name, size, style_loss=style_loss)
    choice = Choice(partition, optimizer, str(partition))
    estimate = estimate_of(network.extractor, network.params, level.terms, level.shape, targets, weights)
    programs = step_programs(objects_of(spec, level, choice), partition)
    arguments = network.params, targets, Controls(weights, np.float32(1))
    _, num_bytes = programs.compile_advance(state_of(spec, level, choice), *arguments)
    return estimate(choice), num_bytes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "partition"),
    [
        ("vgg19-lite", 256, Partition()),
        ("vgg19-lite", 1024, Partition("block1")),
        ("vgg19-lite", 1024, Partition(tile_size=512)),
        ("wavelet", 1024, Partition()),
        ("wavelet", 512, Partition("all")),
        ("wavelet", 2048, Partition(tile_size=256)),
        ("vgg19", 256, Partition("block1")),
        ("vgg19-lite", 2048, Partition("all")),
        ("vgg19-lite", 4096, Partition(tile_size=1024)),
    ],
    ids=str,
)
def test_the_estimate_is_within_15_percent_of_the_analysis(name, size, partition):
    """With the default losses."""
    estimate, num_bytes = both(name, size, partition, make_optimizer("lbfgs", memory_size=10))
    assert estimate == pytest.approx(num_bytes, rel=0.15)


def test_it_compiles_nothing_and_counts_the_pairs():
    network, _, level, targets, weights = problem("wavelet", 640)
    estimate = estimate_of(network.extractor, {}, level.terms, level.shape, targets, weights)

    def bytes_of():
        choices = [make_optimizer("lbfgs", memory_size=count) for count in (10, 50)]
        return [estimate(Choice(Partition(tile_size=64), optimizer, "")) for optimizer in choices]

    compilations, of = count_compilations(bytes_of)
    assert compilations == 0
    assert of[1] - of[0] == pytest.approx(80 * 640 * 480 * 3 * 4, rel=1e-3)


def test_a_larger_picture_and_larger_tiles_take_more():
    optimizer = make_optimizer("adam")

    def bytes_of(size, partition):
        network, _, level, targets, weights = problem("wavelet", size)
        estimate = estimate_of(network.extractor, {}, level.terms, level.shape, targets, weights)
        return estimate(Choice(partition, optimizer, ""))

    order = [Partition(tile_size=64), Partition(tile_size=256), Partition("all"), Partition("none")]
    found = [bytes_of(1024, partition) for partition in order]
    assert found == sorted(found)
    assert bytes_of(2048, order[0]) > 3 * found[0] > 0


def test_devices_that_share_the_rows_have_a_part_of_the_memory_each():
    """But for the arguments and a few pictures; in tiles one device has it all."""
    network, _, level, targets, weights = problem("wavelet", 640)

    def bytes_of(num_devices, partition):
        arguments = network.extractor, {}, level.terms, level.shape, targets, weights, num_devices
        return estimate_of(*arguments)(Choice(partition, make_optimizer("lbfgs"), ""))

    one, four = (bytes_of(count, Partition()) for count in (1, 4))
    of_pictures = 12 * 12 * 640 * 480 + sum(x.size * 4 for x in jax.tree.leaves(targets))
    assert one / 4 < four < one / 4 + of_pictures
    assert bytes_of(1, Partition(tile_size=64)) == bytes_of(4, Partition(tile_size=64))


def test_a_plan_takes_the_first_choice_that_fits(monkeypatch):
    """With too little memory for the whole picture, and then for 50 pairs."""
    network, spec, level, targets, weights = problem("wavelet", 320)
    shape = (*level.shape, 3)
    item = Item(0, (0,), (1.0,), {level: weights}, Start("content", 0))
    source = Source(shape, lambda: picture(*shape[:2]))
    preparation = Preparation(network, level, PLATFORM, [source], [source])
    estimate = estimate_of(network.extractor, {}, level.terms, level.shape, targets, weights)
    by_name = {choice.name: choice for choice in spec.choices}
    wanted = by_name["tiles of 256, 5 pairs in bfloat16"]
    limit = int(1.05 * estimate(wanted))
    monkeypatch.setattr("jax_nst.transfer.plan.limit_of", lambda spec: limit)
    plan = plan_one(network, spec, level, preparation, item)
    assert plan.num_bytes <= limit
    assert plan.choice.name not in ("none", "block1", "all")
    assert plan.limit == limit
