"""Runs that pause and go on in another batch are the runs that never paused."""

import dataclasses

import jax
import numpy as np
import pytest
from conftest import picture
from jax.sharding import AxisType, Mesh

from jax_nst import Config
from jax_nst.runtime.platform import CPU
from jax_nst.transfer import engine
from jax_nst.transfer.item import make_item
from jax_nst.transfer.network import load_network
from jax_nst.transfer.pausing import join, pause
from jax_nst.transfer.pictures import Source
from jax_nst.transfer.plan import plan_many, plan_one
from jax_nst.transfer.rows import ITEMS
from jax_nst.transfer.spec import resolve
from jax_nst.transfer.targets import Preparation

CONFIG = Config(
    features="wavelet", content_layers=("luma1",), style_layers=("scale1",), steps=6, scales="2"
)
NETWORK = load_network(CONFIG, platform=CPU)
CONTENT, STYLE = picture(32, 24, 1), picture(32, 32, 2)
MESH = Mesh(np.asarray(jax.devices()[:1]), (ITEMS,), axis_types=(AxisType.Auto,))


def make_runner(optimizer, *, slots):
    """`run(numbers, begin, until) -> (outcomes by number, snapshot, plan)` of items of several weights."""
    config = dataclasses.replace(CONFIG, optimizer=optimizer)
    spec = resolve(config, NETWORK.extractor, CONTENT.shape, CPU)
    weights = (1.0, 30.0, 100.0, 1000.0)
    items = [
        make_item(dataclasses.replace(config, style_weight=weight), spec, 0, (0,), (1.0,))
        for weight in weights
    ]
    sources = [Source(CONTENT.shape, lambda: CONTENT)], [Source(None, lambda: STYLE)]
    plans = {}
    for level in spec.levels:
        made = Preparation(NETWORK, level, CPU, *sources)
        if slots is None:
            plans[level] = plan_one(NETWORK, spec, level, made, items[0])
        else:
            plans[level] = plan_many(NETWORK, spec, level, made, mesh=MESH, items=items, batch=slots)
    plan = plans[spec.levels[-1]]

    def run(numbers, paused=None, until=None):
        kept = []
        begin = None
        if paused:
            begin = join(
                {number: paused[number] for number in numbers},
                level=1,
                choice=plan.choice.name,
                slots=plan.layout.size,
                is_batched=slots is not None,
            )
        outcomes, ended = engine.run(
            spec,
            plans.__getitem__,
            [(number, items[number]) for number in numbers],
            hooks=engine.Hooks(keep=lambda now, ends: kept.append(now)),
            begin=begin,
            until=until,
        )
        assert not ended
        return {outcome.item: outcome for outcome in outcomes}, kept[-1]

    return run


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_a_picture_that_paused_goes_on_to_the_bit(optimizer):
    run = make_runner(optimizer, slots=None)
    whole, _ = run([2])
    begun, snapshot = run([2], until=3)
    assert len(begun[2].losses) == 4
    assert begun[2].message == "ok"
    np.testing.assert_array_equal(begun[2].losses, whole[2].losses[:4])
    gone_on, _ = run([2], pause(snapshot, [2]))
    np.testing.assert_array_equal(gone_on[2].losses, whole[2].losses)
    np.testing.assert_array_equal(gone_on[2].pixels, whole[2].pixels)
    assert [len(trace.losses) for trace in gone_on[2].traces] == [len(x.losses) for x in whole[2].traces]


def test_runs_go_on_in_another_batch():
    """The first and the last of one batch, in other slots, beside one that is empty."""
    run = make_runner("lbfgs", slots=4)
    whole, _ = run([0, 1, 2, 3])
    _, snapshot = run([0, 1, 2, 3], until=2)
    paused = pause(snapshot, [3, 0])
    assert list(paused) == [3, 0]
    gone_on, _ = run([3, 0], paused)
    for number in (0, 3):
        np.testing.assert_allclose(gone_on[number].losses, whole[number].losses, rtol=1e-4)
        assert float(np.abs(gone_on[number].pixels - whole[number].pixels).mean()) < 1e-3


def test_seconds_of_a_joined_batch_are_the_shares_of_its_items():
    run = make_runner("adam", slots=4)
    begun, snapshot = run([0, 1, 2, 3], until=2)
    paused = pause(snapshot, [1, 2])
    joined = join(paused, level=1, choice="none", slots=4, is_batched=True)
    assert joined.state is not None
    assert joined.state.losses.shape == (3, 4, 4)
    assert joined.state.steps.angles.shape == (4, 32, 24, 3)
    np.testing.assert_allclose(joined.state.seconds[-1] / 2, begun[1].traces[-1].share)
