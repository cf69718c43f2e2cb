"""What items cost, beside sums that are written out."""

import pytest
from conftest import picture

from jax_nst import Config, Grid, Halving
from jax_nst.runtime.platform import current_platform
from jax_nst.sweeps.costs import Trial, num_evaluations, rounds_of, seconds_of
from jax_nst.sweeps.job import make_job
from jax_nst.transfer.network import load_network
from jax_nst.transfer.spec import resolve

CONFIG = Config(
    features="wavelet", content_layers=("luma1",), style_layers=("scale1",), size=32, scales=2, steps=9
)
TRIAL = Trial((32, 32), 4, 2.0, 0.0, 0)


@pytest.fixture(scope="module")
def spec():
    spec = resolve(CONFIG, load_network(CONFIG).extractor, (32, 32, 3), current_platform())
    assert [(level.shape, level.steps) for level in spec.levels] == [((16, 16), 3), ((32, 32), 9)]
    return spec


def test_time_counts_pixels_steps_and_empty_slots(spec):
    steps = 10 + 4 / 4  # a step of the smaller size is a quarter of one
    assert seconds_of(spec, [(4, 9)], TRIAL) == pytest.approx(steps * 2)
    assert seconds_of(spec, [(5, 9)], TRIAL) == pytest.approx(2 * steps * 2)
    assert seconds_of(spec, [(2, 9)], TRIAL) == pytest.approx(steps * 2 / 2)
    larger = Trial((64, 64), 4, 2.0, 0.0, 0)
    assert seconds_of(spec, [(4, 9)], larger) == pytest.approx(steps * 2 / 4)


def test_each_round_goes_on_with_fewer_items(spec):
    rounds = [(9, 1), (3, 3), (1, 9)]
    assert num_evaluations(spec, rounds) == 9 * (4 + 2) + 3 * 2 + 1 * 6
    batches = [3, 3 / 4, 1 / 4]  # the first round has one item more than two batches
    expected = batches[0] * (4 / 4 + 2) + batches[1] * 2 + batches[2] * 6
    assert seconds_of(spec, rounds, TRIAL) == pytest.approx(expected * 2)


def test_items_of_each_content_and_style_keep_their_share(spec):
    grid = Grid(style_weight=(1.0, 2.0, 3.0, 4.0))
    items = make_job([picture(32, 32)], [picture(32, 32, 1), picture(32, 32, 2)], grid, CONFIG).items
    assert rounds_of(spec, items, None) == [(8, 9)]
    assert rounds_of(spec, items, Halving(1 / 3)) == [(8, 1), (4, 3), (2, 9)]
    assert rounds_of(spec, items[:5], Halving(1 / 2, at=(5, 20))) == [(5, 5), (3, 9)]
