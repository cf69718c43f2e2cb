"""Nearest-neighbour matching against brute force in float64, and its gradients."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_nst.losses.nearest import (
    NEAREST,
    NUM_CANDIDATES,
    candidates,
    nearest,
    sample_candidates,
)
from jax_nst.losses.references import mix_statistics

ALL = jnp.ones(1)  # the share of a single style


def target_of(*styles, shares=ALL, num_candidates=64):
    statistics = [NEAREST.statistic(style) for style in styles]
    return candidates(sample_candidates(statistics, shares, num_candidates=num_candidates), 1)


def loss_of(features, style):
    return NEAREST.distance(NEAREST.statistic(features), target_of(style))


jitted = jax.jit(loss_of)


def slow_loss(features, style):
    """1 - cos with the most similar position of the style, found by trying each."""
    total, positions = 0.0, features.reshape(-1, features.shape[-1])
    for f in positions:
        similar = [f @ s / np.sqrt((f @ f) * (s @ s)) for s in style.reshape(-1, style.shape[-1])]
        total += (1 - max(similar)) / len(positions)
    return total


def two_layers(rng, dtype=np.float64):
    """Features of two pictures of different sizes; some are below zero, so that cosines vary."""
    return tuple(rng.normal(size=(h, w, 4)).astype(dtype) for h, w in ((5, 7), (6, 3)))


def test_loss_equals_brute_force_plain_jitted_and_vmapped(rng):
    with jax.enable_x64(True):
        features, style = (jnp.asarray(x) for x in two_layers(rng))
        expected = slow_loss(np.asarray(features), np.asarray(style))
        assert float(loss_of(features, style)) == pytest.approx(expected, rel=1e-10)
        assert float(jax.jit(loss_of)(features, style)) == pytest.approx(expected, rel=1e-10)
        others = features[::-1, :, ::-1]
        mapped = jax.vmap(loss_of)(jnp.stack([features, others]), jnp.stack([style, style]))
        other = slow_loss(np.asarray(others), np.asarray(style))
        assert abs(other - expected) > 1e-3
        np.testing.assert_allclose(mapped, [expected, other], rtol=1e-10)


def test_loss_in_float32_is_close_to_that_in_float64(rng):
    features, style = two_layers(rng)
    found = jitted(features.astype(np.float32), style.astype(np.float32))
    assert found.dtype == jnp.float32
    assert float(found) == pytest.approx(slow_loss(features, style), rel=1e-5)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_short_features_are_compared_in_float32(dtype, rng):
    features, style = (jnp.asarray(x, dtype) for x in two_layers(rng))
    expected = slow_loss(*(np.asarray(x, np.float64) for x in (features, style)))
    found = jitted(features, style)
    assert found.dtype == jnp.float32
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_loss_of_the_target_itself_is_zero(rng):
    features, style = two_layers(rng, np.float32)
    start = float(jitted(features, style))
    for same in (features, style, np.zeros_like(style), np.ones_like(style)):
        assert float(jitted(same, same)) < 1e-6 * start


def test_loss_depends_neither_on_the_place_of_a_position_nor_on_its_length(rng):
    with jax.enable_x64(True):
        features, style = two_layers(rng)
        expected = float(jitted(features, style))
        shuffled = rng.permutation(features.reshape(-1, 4)).reshape(7, 5, 4)
        moved = rng.permutation(style.reshape(-1, 4)).reshape(2, 9, 4)
        assert float(jitted(shuffled, moved)) == pytest.approx(expected, rel=1e-12)
        longer = features * rng.uniform(0.5, 2, size=(5, 7, 1))
        assert float(jitted(1e4 * longer, 1e-2 * style)) == pytest.approx(expected, rel=1e-12)


def test_gradient_against_finite_differences(rng):
    with jax.enable_x64(True):
        features, style = (jnp.asarray(x) for x in two_layers(rng))
        gradient = np.asarray(jax.jit(jax.grad(loss_of))(features, style))
        h = 1e-6
        for index in np.ndindex(features.shape):
            after, before = (float(jitted(features.at[index].add(step), style)) for step in (h, -h))
            assert gradient[index] == pytest.approx((after - before) / (2 * h), rel=1e-6, abs=1e-9)


def test_matches_are_constants_of_the_gradient(rng):
    features, style = (NEAREST.statistic(x) for x in two_layers(rng, np.float32))

    def of_keys(keys):
        return NEAREST.distance(features, candidates(keys, 1))

    assert float(of_keys(style)) > 0
    assert not np.asarray(jax.grad(of_keys)(style)).any()


@pytest.mark.parametrize("chunk", [1, 8, 17, 100])
def test_matching_in_chunks_finds_the_same(chunk, rng):
    queries, keys = rng.normal(size=(17, 3)).astype(np.float32), rng.normal(size=(9, 3)).astype(np.float32)
    unit = keys / np.linalg.norm(keys, axis=1, keepdims=True)
    expected = np.argmax(queries @ unit.T, axis=1)
    assert len(set(expected)) > 3
    np.testing.assert_array_equal(nearest(queries, unit, chunk=chunk), expected)
    mapped = jax.vmap(lambda x: nearest(x, unit, chunk=chunk))(np.stack([queries, queries[::-1]]))
    np.testing.assert_array_equal(mapped, [expected, expected[::-1]])


def test_no_array_holds_all_pairs_of_positions():
    shapes = jax.ShapeDtypeStruct((64, 128, 4), jnp.float32), jax.ShapeDtypeStruct((4096, 4), jnp.float32)

    def gradient(features, keys):
        return jax.grad(lambda x: NEAREST.distance(NEAREST.statistic(x), candidates(keys, 1)))(features)

    program = jax.jit(gradient).lower(*shapes).compile()
    assert program.memory_analysis().temp_size_in_bytes < 0.75 * 4 * 64 * 128 * 4096


def test_candidates_are_all_positions_once_before_one_repeats(rng):
    style = NEAREST.statistic(two_layers(rng, np.float32)[1])  # 18 positions
    found = np.asarray(sample_candidates([style], ALL, num_candidates=40))
    for first in (0, 18):
        np.testing.assert_array_equal(
            np.unique(found[first : first + 18], axis=0), np.unique(style, axis=0)
        )
    few = np.asarray(sample_candidates([style], ALL, num_candidates=5))
    assert len(np.unique(few, axis=0)) == 5


@pytest.mark.parametrize("shares", [(0.75, 0.25), (1.0, 0.0), (0.0, 1.0), (0.2, 0.3, 0.5)])
def test_a_mixture_has_candidates_of_each_style_by_its_share(shares, rng):
    """The styles are of 20, 25 and 30 positions; those of style i are in two channels of its own."""
    statistics = []
    for i in range(len(shares)):
        style = np.zeros((4 + i, 5, 6), np.float32)
        style[..., 2 * i : 2 * i + 2] = rng.random((4 + i, 5, 2))
        statistics.append(NEAREST.statistic(style))
    assert NEAREST.mix is sample_candidates
    for mix in (sample_candidates, jax.jit(sample_candidates)):
        mixed = np.asarray(mix(statistics, jnp.asarray(shares)))
        assert mixed.shape == (NUM_CANDIDATES, 6)
        for i, share in enumerate(shares):
            own = mixed[mixed[:, 2 * i : 2 * i + 2].any(axis=1)]
            assert len(own) / NUM_CANDIDATES == pytest.approx(share, abs=1 / NUM_CANDIDATES)
            assert len(np.unique(own, axis=0)) == pytest.approx(share * (20 + 5 * i), abs=0.5)


def test_the_target_is_of_all_candidates():
    assert (NEAREST.target, NEAREST.combine) == (candidates, "global")


def test_targets_of_styles_of_all_sizes_have_one_shape(rng):
    term = dataclasses.replace(NEAREST, layers=("layer",))
    for size in (1, 8, 70):
        style = {"nnfm": {"layer": NEAREST.statistic(rng.random((size, size, 3)).astype(np.float32))}}
        mixed = mix_statistics([term], [style], ALL)["nnfm"]["layer"]
        assert candidates(mixed, 1).value.shape == (NUM_CANDIDATES, 3)


@pytest.mark.parametrize("blank", ["features", "style", "both"])
def test_blank_positions_have_a_finite_loss_and_gradient(blank, rng):
    value_and_grad = jax.jit(jax.value_and_grad(loss_of))
    for rows in (slice(2), slice(None)):
        features, style = two_layers(rng, np.float32)
        if blank != "style":
            features[rows] = 0
        if blank != "features":
            style[rows] = 0
        value, gradient = value_and_grad(features, style)
        assert 0 <= float(value) < 2
        assert np.isfinite(gradient).all()
