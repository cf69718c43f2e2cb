import numpy as np
import pytest
from conftest import picture

from jax_nst import Config
from jax_nst.sweeps import batch
from jax_nst.sweeps.batch import Outcome, Preparation, Source, _evenly, in_batches
from jax_nst.sweeps.grid import Grid, make_items
from jax_nst.transfer.network import load_network

WAVELET = Config(features="wavelet", content_layers=("luma2",), style_layers=("scale1", "scale2"), steps=4)


@pytest.mark.parametrize(
    ("num_items", "most", "num_devices", "expected"),
    [(16, 4, 1, 4), (5, 4, 1, 3), (9, 8, 1, 5), (3, 8, 1, 3), (1, 4, 4, 1), (6, 4, 4, 1), (6, 8, 4, 2)],
)
def test_batches_are_of_about_one_size(num_items, most, num_devices, expected):
    assert _evenly(num_items, most, num_devices) == expected


def test_in_batches():
    assert in_batches(range(5), 2) == [range(0, 2), range(2, 4), range(4, 5)]


def counted(pixels, loads):
    def load():
        loads.append(id(pixels))
        return pixels

    return Source(pixels.shape, load)


def test_what_items_share_is_read_and_computed_once(monkeypatch):
    loads, features = [], []
    network = load_network(WAVELET)
    contents = [counted(picture(24, 32, s), loads) for s in (1, 2)]
    styles = [counted(picture(28, 28, s), loads) for s in (3, 4, 5)]
    items = make_items(Grid(style_weight=(1, 2), blend=((1, 2, 3), (3, 2, 1))), 2, 3, WAVELET)
    target_programs = batch.target_programs

    def listening(*arguments):
        programs = target_programs(*arguments)
        return programs._replace(
            content=lambda *a: features.append("content") or programs.content(*a),
            grams=lambda *a: features.append("grams") or programs.grams(*a),
        )

    monkeypatch.setattr(batch, "target_programs", listening)
    preparation = Preparation(network, contents, styles)
    made = [preparation.prepare(item) for item in items]
    assert len(items) == 8
    assert len(loads) == 5
    assert sorted(features) == ["content"] * 2 + ["grams"] * 3
    assert made[0].content["luma2"].value is made[3].content["luma2"].value


def outcome(losses):
    losses = np.array(losses, np.float32)
    return batch._outcome(3, np.zeros((2, 2, 3)), np.repeat(losses[:, None], 4, axis=1), 1.0, False)


def test_statuses():
    assert outcome([3, 2, 1]).status == "ok"
    assert outcome([3, np.inf, 1]).status == "ok"
    assert outcome([3, 2, 1, np.nan, np.nan]).status == "diverged at step 3; the best before is kept"
    assert outcome([np.nan, 1]).status.startswith("failed: the loss of the start is not finite")


def test_the_best_evaluation_is_finite():
    assert outcome([3, np.nan, 2, np.inf, 4]).best.tolist() == [2.0] * 4
    nothing = Outcome(0, None, np.empty((0, 4)), 0.0, "failed")
    assert np.isnan(nothing.best).all()
