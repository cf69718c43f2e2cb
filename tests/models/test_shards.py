"""One picture over several devices. What needs four of them runs in a process of its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import on_four_devices, picture, vgg_params
from jax.sharding import AxisType, Mesh

from jax_nst.models.extractor import Extractor
from jax_nst.models.partition import reduce_features
from jax_nst.models.shards import (
    ROWS,
    Share,
    count_shares,
    reduce_over_rows,
    rows_of_share,
    windows,
)
from jax_nst.models.vgg import vgg
from jax_nst.models.wavelet import wavelet

VGG_LAYERS = ("relu1_1", "conv2_2", "relu3_1")
WAVELET_LAYERS = ("luma1", "scale2", "scale3")


@pytest.mark.parametrize("radius", [4, 6])
@pytest.mark.parametrize("num_devices", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("height", [16, 17, 47, 64, 65, 112, 509])
def test_windows_have_what_the_rows_of_each_device_depend_on(height, num_devices, radius):
    rows = rows_of_share(height, 5, num_devices)
    assert rows % 16 == 0
    assert num_devices * rows >= height
    for number in range(5):
        at, own = height >> number, rows >> number
        found = windows(at, own, num_devices, radius)
        assert len(found.starts) == num_devices
        for device, (start, offset) in enumerate(zip(found.starts, found.offsets, strict=True)):
            first, end = min(device * own, at), min(device * own + own, at)
            assert 0 <= start <= max(0, first - radius)
            assert min(at, end + radius) <= start + found.length <= at
            assert offset == device * own - start
            assert number == 4 or start % 2 == 0


def test_rows_of_share_are_a_multiple_of_the_stride_of_the_deepest_stage():
    assert rows_of_share(512, 5, 4) == 128
    assert rows_of_share(513, 5, 4) == 144
    assert rows_of_share(40, 1, 4) == 10


def test_as_many_devices_share_a_picture_as_have_enough_rows():
    def count(height, num_devices, least=64, extractor=None, layers=("relu5_1",)):
        extractor = extractor or vgg("vgg19")
        params = {} if extractor.name == "wavelet" else vgg_params("vgg19", layers)
        return count_shares(extractor, params, (height, 48), layers, num_devices, least)

    assert [count(height, 4) for height in (63, 127, 128, 191, 256, 509)] == [1, 1, 2, 2, 4, 4]
    # 33 times 16 rows: five of these each for six devices, three for the seventh, none for the eighth.
    assert count(528, 8) == 7
    assert count(509, 4, extractor=wavelet(), layers=("scale5",)) == 4


def test_an_extractor_whose_stages_do_not_halve_is_for_one_device():
    def stages(layers):
        del layers
        return [lambda params, x: (x[::4], {"a": x}), lambda params, x: (x, {"b": x})]

    extractor = Extractor("own", ("a", "b"), ("a",), ("b",), stages, radius=0, smallest_side=lambda _: 1)
    assert count_shares(extractor, {}, (512, 40), ("a", "b"), 4, 64) == 1
    assert count_shares(extractor, {}, (512, 40), ("a",), 4, 64) == 1


def test_a_share_says_what_lies_below_the_picture():
    part, x = Share(jnp.asarray(2), {"layer": 10}), jnp.arange(40.0).reshape(10, 4)
    own = part.cut("layer", x, (4, 4))
    np.testing.assert_array_equal(own, np.concatenate([x[8:], np.zeros((2, 4))]))
    np.testing.assert_array_equal(part.own("layer", own, 7.0), np.where(np.arange(4)[:, None] < 2, own, 7))
    share, outside = part.share({"layer": own}, ("layer",))
    assert (share, float(outside)) == (0.4, pytest.approx(0.2))


def reduced(features, part, targets):
    """A mean over positions, a sum against a target at each, and all features."""
    sums = {}
    for layer, x in features.items():
        share, outside = part.share(features, (layer,))
        assert outside is not None or share == 1
        sums[f"mean {layer}"] = share * jnp.mean(part.own(layer, jnp.square(x)), axis=(0, 1))
        target = part.cut(layer, targets[layer], x.shape)
        sums[f"distance {layer}"] = jnp.sum(jnp.square(part.own(layer, x, target) - target))
    return sums, features


def check_values_and_gradients():
    cases = [
        (vgg("vgg19"), vgg_params("vgg19", VGG_LAYERS), VGG_LAYERS, (70, 21)),
        (vgg("vgg16", pooling="average", padding="replicate"), None, VGG_LAYERS, (51, 24)),
        (wavelet(), {}, WAVELET_LAYERS, (83, 33)),
    ]
    for number, (extractor, params, layers, shape) in enumerate(cases):
        params = vgg_params("vgg16", VGG_LAYERS) if params is None else params
        pixels = jnp.asarray(picture(*shape))
        targets = extractor.apply(params, jnp.asarray(picture(*shape, seed=1)), layers)

        def value(pixels, reduce, extractor=extractor, params=params, layers=layers, targets=targets):
            sums, kept = reduce(extractor, params, pixels, layers, reduced, targets)
            total = sum(jnp.sum(x) for x in jax.tree.leaves(sums))
            return total + sum(jnp.mean(x**3) for x in kept.values()), (sums, kept)

        evaluate = jax.jit(jax.value_and_grad(value, has_aux=True), static_argnums=1)
        expected = evaluate(pixels, reduce_features)
        mesh = Mesh(np.asarray(jax.devices()[number % 2 :]), (ROWS,), axis_types=(AxisType.Auto,))

        def shared(*arguments, mesh=mesh, remat=("none", "all")[number // 2]):
            return reduce_over_rows(*arguments, mesh=mesh, remat=remat)

        found = evaluate(pixels, shared)
        for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5 * np.abs(y).max(), err_msg=extractor.name)


@pytest.mark.slow
def test_values_and_gradients_are_those_of_one_device():
    """On four and on three devices, with heights that do not divide, rematerialised or not."""
    on_four_devices(check_values_and_gradients)
