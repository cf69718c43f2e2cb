"""Targets: statistics of reference pictures."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import picture, vgg_params

from jax_nst import CONTENT, CROSS_LAYER, GRAM, MOMENTS, SORTED, Term, vgg, wavelet
from jax_nst.losses import PIXELS
from jax_nst.losses.grouped import network_layers
from jax_nst.losses.moments import Moments
from jax_nst.losses.references import (
    count_positions,
    finish_statistics,
    measure_statistics,
    mix_statistics,
    nothing_reduced,
    reduced_of_tile,
)
from jax_nst.losses.regions import position_weights
from jax_nst.models.tiles import tiling_of


def on(term, *layers, **changes):
    return dataclasses.replace(term, layers=layers, **changes)


TERMS = {
    "vgg19": (
        on(CONTENT, "relu2_1"),
        on(GRAM, "relu1_1", "relu2_1"),
        on(CROSS_LAYER, "relu1_1", "relu2_1"),
        on(SORTED, "relu2_1"),
        on(GRAM, PIXELS, name="palette"),
    ),
    "wavelet": (
        on(CONTENT, "luma1", "luma2"),
        on(MOMENTS, "scale1", "scale2"),
        on(CROSS_LAYER, "scale1", "scale2"),
    ),
}


def measured(extractor, terms, params, pixels, weights=None):
    """As one program: operation by operation it takes several times as long to compile."""
    return jax.jit(lambda x: measure_statistics(extractor, terms, params, x, weights))(pixels)


def close(actual, expected):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for x, y in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5 * float(jnp.abs(y).max()))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("features", TERMS)
def test_statistics_in_tiles_are_those_of_the_whole_picture(features, masked):
    """Odd sides; what is kept whole is written tile by tile."""
    extractor = wavelet() if features == "wavelet" else vgg(features)
    params = {} if features == "wavelet" else vgg_params(features, ("relu2_1",))
    terms, pixels, weights = TERMS[features], jnp.asarray(picture(71, 60)), None
    if masked:
        terms = [term for term in terms if term.takes_weights and PIXELS not in term.layers]
        mask = np.linspace(0, 1, 71 * 60, dtype=np.float32).reshape(71, 60)
        found = extractor.feature_shapes(params, pixels.shape, network_layers(terms))
        weights = {layer: jnp.asarray(position_weights(mask, x.shape[:2])) for layer, x in found.items()}
    tiling = tiling_of(extractor, network_layers(terms), (71, 60), 16)
    assert len(tiling.places) > 4
    reduced = nothing_reduced(extractor, terms, params, weights, tiling=tiling)
    add = jax.jit(
        lambda reduced, place: reduced_of_tile(
            extractor, terms, params, pixels, weights, reduced=reduced, tiling=tiling, place=place
        )
    )
    for row in tiling.rows():
        reduced = add(reduced, row)
    finish = jax.jit(lambda reduced: finish_statistics(extractor, terms, reduced, pixels, weights))
    close(finish(reduced), measured(extractor, terms, params, pixels, weights))


@pytest.mark.slow
@pytest.mark.parametrize("features", ["vgg19", "wavelet"])
def test_statistics_in_bands_are_those_of_the_undivided_picture(features, monkeypatch):
    extractor = wavelet() if features == "wavelet" else vgg(features)
    params = {} if features == "wavelet" else vgg_params(features, ("relu2_1",))
    terms = TERMS[features]
    pixels = jnp.asarray(picture(39, 48))
    undivided = measured(extractor, terms, params, pixels)
    monkeypatch.setattr("jax_nst.models.partition._BAND", 100)
    in_bands = measured(extractor, terms, params, pixels)
    close(in_bands, undivided)


def test_mixed_statistics_are_weighted_means(rng):
    def statistics():
        mean, square = rng.random((2, 3)).astype(np.float32)
        return {
            "moments": {"a": Moments(mean, square)},
            "style": {"a": rng.random((3, 3)).astype(np.float32)},
        }

    styles, shares = [statistics() for _ in range(3)], np.float32([0.5, 0.3, 0.2])
    expected = jax.tree.map(lambda *x: np.einsum("s,s...->...", shares, np.stack(x)), *styles)
    terms = [dataclasses.replace(term, layers=("a",)) for term in (MOMENTS, GRAM)]
    mix = functools.partial(mix_statistics, terms)
    for mixed in (mix(styles, shares), jax.jit(mix)(styles, shares)):
        assert isinstance(mixed["moments"]["a"], Moments)
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), mixed, expected)


@pytest.mark.parametrize("shape", [(20, 24, 3), (39, 47, 3)])
@pytest.mark.parametrize("features", ["vgg19", "wavelet"])
def test_counted_positions_are_those_of_the_features(features, shape):
    layers = ("relu1_1", "relu2_1") if features == "vgg19" else ("scale1", "luma2")
    extractor = wavelet() if features == "wavelet" else vgg(features, use_winograd=True)
    params = {} if features == "wavelet" else extractor.prepare(vgg_params(features, layers))
    found = jax.eval_shape(lambda pixels: extractor.apply(params, pixels, layers), picture(*shape[:2]))
    expected = {layer: x.shape[0] * x.shape[1] for layer, x in found.items()}
    counted = count_positions(extractor, params, shape, (*layers, PIXELS, layers[0]))
    assert counted == {PIXELS: shape[0] * shape[1], **expected}


def test_a_term_may_mix_styles_in_its_own_way():
    term = Term(
        "first", statistic=jnp.mean, distance=jnp.subtract, layers=("a",), mix=lambda x, shares: x[0]
    )
    styles = [{"first": {"a": jnp.asarray(value)}} for value in (3.0, 5.0)]
    assert float(mix_statistics([term], styles, jnp.asarray([0.5, 0.5]))["first"]["a"]) == 3
