"""The state and the runs of one picture on four CPU devices, in a process of its own."""

import dataclasses
import functools
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import count_compilations, on_four_devices, picture, vgg_params
from jax.sharding import AxisType, Mesh

from jax_nst import Checkpoint, Config, Mask
from jax_nst.losses import make_objective
from jax_nst.models.shards import ROWS
from jax_nst.optim import make_optimizer
from jax_nst.optim.step import make_move
from jax_nst.runtime.platform import CPU
from jax_nst.transfer import meshes
from jax_nst.transfer.checkpoint import Store
from jax_nst.transfer.engine import Hooks
from jax_nst.transfer.item import Item
from jax_nst.transfer.network import load_network
from jax_nst.transfer.pictures import Source, Start
from jax_nst.transfer.plan import plan_one
from jax_nst.transfer.rows import Rows
from jax_nst.transfer.spec import resolve, resolve_level_weights
from jax_nst.transfer.targets import Preparation
from jax_nst.transfer.transfer import run

SHARED = dataclasses.replace(CPU, shares_rows=True)
ON_DEVICE = dataclasses.replace(SHARED, loop_on_device=True)
WAVELET = Config(
    features="wavelet",
    content_layers=("luma2",),
    style_layers=("scale1", "scale2"),
    optimizer="adam",
    remat="none",
    scales=1,
    steps=6,
)
VGG = dataclasses.replace(
    WAVELET,
    features="vgg19",
    content_layers=("relu3_1",),
    style_layers=("relu1_1", "relu2_1"),
    style_loss=("wasserstein",),
)


def rows_of(optimizer, count):
    mesh = Mesh(np.asarray(jax.devices()[:count]), (ROWS,), axis_types=(AxisType.Auto,))
    return Rows(mesh, make_move(optimizer)[0])


def host(tree):
    return jax.tree.map(np.asarray, tree)


def check_states():
    for shape, count in (((21, 13, 3), 4), ((20, 12, 3), 4), ((21, 13, 3), 3)):
        rows = rows_of(make_optimizer("lbfgs", memory_size=5), count)
        plain = rows.init(jnp.asarray(picture(*shape[:2])))
        plain = jax.tree.map(lambda x: x + 0.5 if x.ndim > 1 else x, plain)
        stored = jax.jit(rows.stored)(plain)
        steps = stored.opt_state.inner.pairs.steps
        assert steps.shape[1] % count == 0
        assert steps.addressable_shards[0].data.shape == (5, -(-int(np.prod(shape)) // count))
        assert stored.angles.sharding.is_fully_replicated
        expected = rows.abstract(plain)
        shapes = jax.tree.map(lambda x: (x.shape, x.dtype), stored)
        assert shapes == jax.tree.map(lambda x: (x.shape, x.dtype), expected)
        for same in (rows.fetch(stored), rows.fetch(rows.restore(host(plain)))):
            jax.tree.map(np.testing.assert_array_equal, same, host(plain))
        again = jax.tree.map(lambda x: x.sharding, rows.restore(host(plain)))
        equivalent = jax.tree.map(lambda x, own: x.sharding.is_equivalent_to(own, x.ndim), stored, again)
        assert all(jax.tree.leaves(equivalent))


def test_states_are_stored_and_fetched_on_four_devices():
    on_four_devices(check_states)


def painted(platform, config, shape, params=None, **options):
    network = load_network(config, params=params, platform=platform)
    pictures = picture(*shape, seed=1), [picture(30, 41, seed=2)]
    return run(network, *pictures, config=config, platform=platform, **options)


def totals(result):
    return np.array([entry["total"] for entry in result.history["steps"]])


def objective_of(config, shape, params):
    """`(mesh or None) -> (value, gradient)` in float64, where rounding hides nothing."""
    network = load_network(config, params=params, platform=CPU)
    spec = resolve(config, network.extractor, shape, CPU)
    (level,) = spec.levels
    sources = [Source(shape, lambda: picture(*shape[:2], seed=1))], [Source(None, lambda: picture(30, 41))]
    preparation = Preparation(network, level, CPU, *sources)
    weights = resolve_level_weights(config, spec)
    made = preparation.prepare(Item(0, (0,), (1.0,), weights, Start("content", 0)))
    arguments = picture(*shape[:2], seed=3), network.params, {**made.content, **made.style}, weights[level]
    arguments = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), arguments)

    def evaluate(mesh, **partition):
        objective = make_objective(network.extractor, level.terms, mesh=mesh, **partition)
        (value, losses), gradient = jax.jit(jax.value_and_grad(objective, has_aux=True))(*arguments)
        return {**losses.as_dict(), "value": value}, gradient

    return evaluate


def check_objectives():
    jax.config.update("jax_enable_x64", True)
    mesh = Mesh(np.asarray(jax.devices()), (ROWS,), axis_types=(AxisType.Auto,))
    for loss in ("gram", "wasserstein", "cross_layer", "moments", "sliced"):
        for config in (WAVELET, VGG) if loss == "wasserstein" else (WAVELET,):
            config = dataclasses.replace(config, style_loss=(loss,), size=51)
            params = vgg_params("vgg19", ("relu3_1",)) if config.features == "vgg19" else None
            evaluate = objective_of(config, (51, 33, 3), params)
            (found, gradient), (expected, own) = evaluate(mesh), evaluate(None)
            for name, value in expected.items():
                np.testing.assert_allclose(found[name], value, rtol=1e-7, err_msg=f"{loss}, {name}")
            atol = 1e-6 * float(jnp.max(jnp.abs(own)))
            np.testing.assert_allclose(gradient, own, rtol=1e-6, atol=atol, err_msg=loss)
            if loss == "wasserstein":  # of six tiles, two devices have two and two have one
                found, gradient = evaluate(mesh, tile_size=17)
                np.testing.assert_allclose(found["value"], expected["value"], rtol=1e-7)
                np.testing.assert_allclose(gradient, own, rtol=1e-6, atol=atol)


@pytest.mark.slow
def test_all_losses_and_their_gradients_are_those_of_one_device():
    on_four_devices(check_objectives)


def check_plans():
    """Small levels have fewer devices, and so have tiles over which the host loops."""
    network = load_network(WAVELET, platform=SHARED)

    def meshes(shape, platform=SHARED, **settings):
        config = dataclasses.replace(WAVELET, size=max(shape), **settings)
        spec = resolve(config, network.extractor, (*shape, 3), platform)
        source = [Source((*shape, 3), lambda: picture(*shape))]
        weights = resolve_level_weights(config, spec)
        item = Item(0, (0,), (1.0,), weights, Start("content", 0))
        for level in spec.levels:
            preparation = Preparation(network, level, platform, source, source)
            rows = plan_one(network, spec, level, preparation, item).layout.rows
            yield rows and rows.mesh.size

    assert list(meshes((256, 32), scales=3)) == [None, 2, 4]
    tiles = {"tile_size": 64, "remat": "auto"}
    assert list(meshes((256, 40), **tiles)) == [None]
    assert list(meshes((256, 40), ON_DEVICE, **tiles)) == [4]


@pytest.mark.slow
def test_small_levels_have_fewer_devices_and_tiles_all_that_loop_by_themselves():
    on_four_devices(check_plans)


def check_runs():
    meshes.LEAST_ROWS = 16
    params = vgg_params("vgg19", ("relu3_1",))
    mask = np.zeros((67, 33), np.float32)
    mask[:40, 5:] = 1
    masks = {"mask": (Mask(mask), Mask(1 - mask))}
    cases = [
        (WAVELET, (67, 33), None),
        (dataclasses.replace(WAVELET, optimizer="lbfgs", **masks), (67, 33), None),
        (dataclasses.replace(VGG, scales=3, style_layers=("relu1_1",)), (90, 43), params),
    ]
    tiles = dataclasses.replace(WAVELET, tile_size=40, remat="auto", size=67)
    one, four = (painted(platform, tiles, (67, 67)) for platform in (CPU, ON_DEVICE))
    np.testing.assert_allclose(totals(four), totals(one), rtol=1e-4)
    for config, shape, params in cases:
        rtol = 1e-5 if config is WAVELET else 3e-4  # others amplify rounding
        config = dataclasses.replace(config, size=max(shape))
        one, four = (painted(platform, config, shape, params) for platform in (CPU, SHARED))
        np.testing.assert_allclose(totals(four)[0], totals(one)[0], rtol=1e-5, err_msg=str(config))
        np.testing.assert_allclose(totals(four), totals(one), rtol=rtol, err_msg=str(config))
        assert np.linalg.norm(four.pixels - one.pixels) < rtol * np.linalg.norm(one.pixels)
        if config.features != "wavelet":
            continue
        repeat = functools.partial(painted, SHARED, config, shape, params)
        count, again = count_compilations(repeat)
        assert count == 0
        np.testing.assert_array_equal(again.pixels, four.pixels)


@pytest.mark.slow
def test_runs_are_those_of_one_device_and_compile_once():
    """Odd heights, masks, several levels; the second run of each compiles nothing."""
    on_four_devices(check_runs)


def check_resuming():
    """A run on four devices that was stopped goes on on one."""
    meshes.LEAST_ROWS = 16
    config = dataclasses.replace(WAVELET, optimizer="lbfgs", num_pairs=3, size=67)
    whole = painted(CPU, config, (67, 33))
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Checkpoint(folder, every=0.0))
        stop = Hooks(lambda progress: progress.step >= 1)
        stopped = painted(SHARED, config, (67, 33), hooks=stop, store=store)
        assert 1 < len(totals(stopped)) < len(totals(whole))
        store.wait()
        resumed = painted(CPU, config, (67, 33), store=Store(Checkpoint(folder)), resume=True)
    assert len(totals(resumed)) == len(totals(whole))
    np.testing.assert_allclose(totals(resumed), totals(whole), rtol=1e-4)


@pytest.mark.slow
def test_a_checkpoint_of_four_devices_goes_on_on_one():
    on_four_devices(check_resuming)
