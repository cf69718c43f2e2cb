"""Tiles: that they cover a picture once, and that their windows reach far enough."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import picture, vgg_params

from jax_nst.models.tiles import Tile, tiling_of
from jax_nst.models.vgg import vgg
from jax_nst.models.wavelet import wavelet

LAYERS = {
    "vgg19": ("relu1_1", "relu2_2", "relu4_1"),
    "vgg16": ("relu3_1",),
    "wavelet": ("scale1", "luma2", "scale3"),
}


def make(name):
    return wavelet() if name == "wavelet" else vgg(name)


def reach_of(extractor, layers):
    assert extractor.reach is not None
    return extractor.reach(layers)


def own(places, axis):
    """The rows, or columns, that each tile has of its own, in order."""
    return sorted({(place[2 + axis], place[4 + axis]) for place in places})


@pytest.mark.parametrize("side", [1, 16, 100, 10**6])
@pytest.mark.parametrize("shape", [(300, 411), (97, 1000), (15, 33), (1024, 768)])
@pytest.mark.parametrize("name", LAYERS)
def test_tiles_cover_a_picture_once_and_windows_lie_within_it(name, shape, side):
    extractor, layers = make(name), LAYERS[name]
    tiling = tiling_of(extractor, layers, shape, side)
    stride = 2 ** (len(extractor.stages(layers)) - 1)
    for axis, size in enumerate(shape):
        parts = own(tiling.places, axis)
        assert parts[0][0] == 0
        assert parts[-1][1] >= size
        assert all(before[1] == after[0] for before, after in itertools.pairwise(parts))
        assert max(min(end, size) - first for first, end in parts) <= max(side + stride, stride)
        length = tiling.window[axis]
        for place in tiling.places:
            start, first, end = place[axis], place[2 + axis], min(place[4 + axis], size)
            assert start % stride == 0
            assert 0 <= start <= first < end <= start + length <= size
            # What the tile's features see, or the border of the picture.
            assert start == 0 or first - start >= reach_of(extractor, layers)
            assert start + length == size or start + length - end >= reach_of(extractor, layers)
    assert len(tiling.places) == len(own(tiling.places, 0)) * len(own(tiling.places, 1))
    assert tiling.work >= 1
    if side > max(shape):
        assert (tiling.window, tiling.work) == (shape, 1)


def test_the_work_is_what_the_documentation_says():
    """Two passes, of which one has no gradient, are four thirds of the work of one with a gradient."""
    layers = vgg("vgg19").style_layers
    work = {side: 4 / 3 * tiling_of(vgg("vgg19"), layers, (4096, 6144), side).work for side in (1024, 512)}
    assert work[1024] < 2.1
    assert work[512] < 2.7


@pytest.mark.parametrize("name", LAYERS)
def test_features_see_no_further_than_the_reach(name):
    """Pixels changed further away change nothing; those just within it do."""
    with jax.enable_x64(True):
        extractor, layers = make(name), LAYERS[name]
        params = {} if name == "wavelet" else vgg_params(name, layers, np.float64)
        size = 192
        stride = 2 ** (len(extractor.stages(layers)) - 1)
        first = size // 2 // stride * stride
        deepest, reach = layers[-1], reach_of(extractor, layers)

        @jax.jit
        def position(pixels):
            return extractor.apply(params, pixels, layers)[deepest][first // stride, first // stride]

        pixels = picture(size, size).astype(np.float64)

        def changed(*rows):
            other = pixels.copy()
            other[list(rows)] = 1 - other[list(rows)]
            return float(jnp.abs(position(other) - position(pixels)).max())

        assert changed(*range(first - reach), *range(first + stride + reach, size)) == 0
        assert changed(*range(first - reach // 2)) > 0
        assert changed(*range(first + stride + reach // 2, size)) > 0


def test_what_a_tile_has_of_a_layer(rng):
    """Cutting, keeping its own, writing back, and counting, against slices."""
    tiling = tiling_of(wavelet(), ("scale2",), (100, 64), 32)
    whole = rng.normal(size=(50, 32, 2)).astype(np.float32)
    built = jnp.zeros_like(whole)
    shares = np.zeros(2)
    for row in tiling.rows():
        tile = Tile(jnp.asarray(row), {"scale2": 2}, {"scale2": 50 * 32})
        shape = tiling.window[0] // 2, tiling.window[1] // 2
        part = tile.cut("scale2", whole, shape)
        np.testing.assert_array_equal(
            part, whole[row[0] // 2 : row[0] // 2 + shape[0], row[1] // 2 : row[1] // 2 + shape[1]]
        )
        built = tile.put("scale2", built, part)
        inside, outside = tile.share({"scale2": part}, ("scale2",))
        assert float(jnp.sum(tile.own("scale2", jnp.ones(shape)))) == pytest.approx(
            1600 * float(inside - outside)
        )
        shares += float(inside), float(outside)
    np.testing.assert_array_equal(built, whole)
    assert shares[0] - shares[1] == pytest.approx(1)


def test_adding_windows_is_the_transpose_of_cutting_them(rng):
    tiling = tiling_of(wavelet(), ("scale1",), (40, 30), 16)
    pixels, place = rng.normal(size=(40, 30, 3)).astype(np.float32), jnp.asarray(tiling.rows()[-1])
    window = rng.normal(size=(*tiling.window, 3)).astype(np.float32)
    added = tiling.add(jnp.zeros_like(pixels), window, place)
    left, right = np.vdot(tiling.cut(pixels, place), window), np.vdot(pixels, added)
    assert left == pytest.approx(right, rel=1e-5)


def test_what_cannot_be_divided_is_refused():
    with pytest.raises(ValueError, match="wavelet does not say how far"):
        tiling_of(dataclasses.replace(wavelet(), reach=None), ("scale1",), (64, 64), 32)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        tiling_of(wavelet(), ("scale1",), (64, 64), 0)
