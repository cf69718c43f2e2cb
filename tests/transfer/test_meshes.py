"""Which devices share what, on four CPU devices, in a process of its own."""

import dataclasses
import re

import jax
from conftest import on_four_devices, picture

from jax_nst import Config
from jax_nst.runtime.platform import CPU
from jax_nst.transfer import meshes
from jax_nst.transfer.item import Item
from jax_nst.transfer.meshes import count_groups, mesh_of_batch, mesh_of_items, mesh_of_picture
from jax_nst.transfer.network import load_network
from jax_nst.transfer.pictures import Source, Start
from jax_nst.transfer.plan import plan_many
from jax_nst.transfer.spec import resolve, resolve_level_weights
from jax_nst.transfer.targets import Preparation

SHARED = dataclasses.replace(CPU, shares_rows=True, loop_on_device=True)
CONFIG = Config(
    features="wavelet", content_layers=("luma2",), style_layers=("scale1", "scale2"), num_pairs=5, scales=1
)
NETWORK = load_network(CONFIG, platform=SHARED)


def spec_of(shape, platform=SHARED, **settings):
    config = dataclasses.replace(CONFIG, size=max(shape), **settings)
    return resolve(config, NETWORK.extractor, (*shape, 3), platform)


def test_one_device_has_all_pictures_for_itself():
    assert jax.device_count() == 1
    spec = spec_of((512, 64))
    assert mesh_of_picture(NETWORK, spec, spec.levels[-1]) is None
    assert count_groups(NETWORK, spec, 1) == 1
    assert dict(mesh_of_items().shape) == {"items": 1}


def check_groups():
    large, small, tiny = (spec_of((size, 32)) for size in (512, 128, 64))
    assert [count_groups(NETWORK, large, n) for n in (1, 2, 3, 4, 5)] == [1, 2, 1, 4, 4]
    assert [count_groups(NETWORK, small, n) for n in (1, 2, 3)] == [2, 2, 4]
    assert [count_groups(NETWORK, tiny, n) for n in (1, 3)] == [4, 4]
    alone = spec_of((512, 32), dataclasses.replace(SHARED, shares_rows=False))
    assert [count_groups(NETWORK, alone, n) for n in (1, 2)] == [4, 4]
    for spec, expected in ((large, {"items": 2, "rows": 2}), (tiny, {"items": 2})):
        assert dict(mesh_of_batch(NETWORK, spec, spec.levels[-1], 2).shape) == expected
    devices = mesh_of_batch(NETWORK, large, large.levels[-1], 2).devices
    assert [[device.id for device in group] for group in devices] == [[0, 1], [2, 3]]


def test_there_are_as_many_groups_as_paint_in_the_least_time():
    on_four_devices(check_groups)


def plan_of(shape, num_groups):
    spec = spec_of(shape)
    (level,) = spec.levels
    source = [Source((*shape, 3), lambda: picture(*shape))]
    preparation = Preparation(NETWORK, level, SHARED, source, source)
    weights = resolve_level_weights(CONFIG, spec)
    item = Item(0, (0,), (1.0,), weights, Start("content", 0))
    mesh = mesh_of_batch(NETWORK, spec, level, num_groups)
    return plan_many(NETWORK, spec, level, preparation, mesh=mesh, items=[item] * num_groups, batch=None)


def check_exchange():
    meshes.LEAST_ROWS = 16
    plan = plan_of((67, 33), 2)
    state, *arguments = plan.layout.abstract(plan.params)
    text = plan.layout.programs.program.lower(state, *arguments, 0).compile().as_text()
    pairs = re.findall(r"source_target_pairs=\{\{([\d,{}]+)\}\}", text)
    assert len(pairs) > 4
    assert {pair for of_one in pairs for pair in of_one.split("},{")} <= {"0,1", "1,0", "2,3", "3,2"}
    groups = set(re.findall(r"replica_groups=(\S+?),? ", text))
    assert groups
    assert groups <= {"[2,2]<=[4]", "{{0,1},{2,3}}"}
    assert not re.search(r"all-to-all", text)
    steps = state.opt_state.inner.pairs.steps
    assert steps.shape == (2, 5, 6634)  # 67 * 33 * 3, padded for two devices
    assert steps.sharding.shard_shape(steps.shape) == (1, 5, 3317)


def test_groups_exchange_nothing_with_others_and_share_the_pairs():
    on_four_devices(check_exchange)
