"""A snapshot as arrays: all that a run needs comes back, and nothing of another shape is taken."""

import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jax_nst.losses import make_objective
from jax_nst.models.wavelet import wavelet
from jax_nst.optim import guarded_lbfgs, make_step
from jax_nst.transfer.layout import OnePicture
from jax_nst.transfer.outcome import Outcome, Status, Trace, failed
from jax_nst.transfer.packing import pack, unpack
from jax_nst.transfer.snapshot import RunState, Snapshot

NAMES = ("total", "tv")


def snapshot(optimizer, rng):
    init, _ = make_step(make_objective(wavelet(), []), optimizer)
    steps = jax.tree.map(
        lambda x: jnp.asarray(rng.random(x.shape) * 9).astype(x.dtype), init(jnp.full((4, 5, 3), 0.5))
    )
    trace = Trace(24, rng.random((3, 2)), rng.random(3), 0.25)
    bad = failed(7, "no such file", NAMES)._replace(losses=rng.random((1, 2)), seconds=1.5)
    state = RunState(
        steps, rng.random((4, 2, 2)), rng.random(4), {1: (rng.random((4, 5, 3)), rng.random((2, 2)))}
    )
    starts = {0: rng.random((2, 3, 3)), 5: rng.random((2, 3, 3))}
    traces = {0: (trace,), 5: (trace, trace)}
    return Snapshot(1, starts, traces, {7: bad}, "block1", OnePicture(), {0: 0, 1: 5}, state=state), init


def through_a_file(now):
    tree, description = pack(now)
    paths, _ = jax.tree.flatten_with_path(tree)
    arrays = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in paths}
    file = io.BytesIO()
    np.savez(file, **arrays)
    file.seek(0)
    return json.loads(json.dumps(description)), dict(np.load(file))


@pytest.mark.parametrize(
    "optimizer",
    [guarded_lbfgs(memory_size=3), optax.adam(0.1, mu_dtype=jnp.bfloat16), optax.chain(optax.sgd(0.1))],
    ids=["lbfgs", "adam with bfloat16", "chain"],
)
def test_all_comes_back(optimizer, rng):
    now, init = snapshot(optimizer, rng)
    description, arrays = through_a_file(now)
    shapes = jax.eval_shape(init, jax.ShapeDtypeStruct((4, 5, 3), jnp.float32))
    back = unpack(description, arrays, NAMES, lambda level: shapes)
    assert (back.level, back.choice, back.layout, back.told) == (1, "block1", None, 0)
    for name in ("starts", "traces", "state"):
        before, after = getattr(now, name), getattr(back, name)
        assert jax.tree.structure(before) == jax.tree.structure(after)
        jax.tree.map(np.testing.assert_array_equal, before, after)
    assert isinstance(back.traces[0][0].size, int)
    (outcome,) = back.failures.values()
    assert isinstance(outcome, Outcome)
    assert (outcome.item, outcome.status, outcome.message) == (7, Status.FAILED, "failed: no such file")
    np.testing.assert_array_equal(outcome.losses, now.failures[7].losses)
    assert description["items"] == [0, 5, 7]


def test_another_shape_is_refused(rng):
    now, init = snapshot(guarded_lbfgs(memory_size=3), rng)
    description, arrays = through_a_file(now)
    other = jax.eval_shape(init, jax.ShapeDtypeStruct((5, 5, 3), jnp.float32))
    with pytest.raises(ValueError, match=r"angles is float32\[4, 5, 3\]"):
        unpack(description, arrays, NAMES, lambda level: other)


def test_another_optimizer_is_refused(rng):
    now, _ = snapshot(optax.adam(0.1), rng)
    description, arrays = through_a_file(now)
    _, init = snapshot(guarded_lbfgs(memory_size=3), rng)
    other = jax.eval_shape(init, jax.ShapeDtypeStruct((4, 5, 3), jnp.float32))
    with pytest.raises(KeyError):
        unpack(description, arrays, NAMES, lambda level: other)
