"""Statistics of groups of layers, whole and of parts."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from jax_nst import CONTENT, CROSS_LAYER, GRAM, TOTAL_VARIATION, Term, wavelet
from jax_nst.losses import PIXELS
from jax_nst.losses.grouped import (
    groups_of,
    is_reducible,
    key_of,
    needed,
    network_layers,
    share_of_mean,
    statistic_of,
)
from jax_nst.models.tiles import Tile

MEAN_OF_EXP = Term(
    "exp",
    statistic=lambda features: jnp.mean(jnp.exp(features), axis=(0, 1)),
    distance=lambda statistic, target: jnp.sum(statistic - target.value),
    combine="additive",
    layers=("a",),
)
"""A mean over positions that is not zero where the features are."""


def on(term, *layers):
    return dataclasses.replace(term, layers=layers)


def test_groups_and_layers_of_terms():
    terms = [on(CONTENT, "c"), on(CROSS_LAYER, "a", "b", "c"), TOTAL_VARIATION]
    assert [group for _, group in groups_of(terms)] == [("c",), ("a", "b"), ("b", "c"), (PIXELS,)]
    assert [key_of(*pair) for pair in groups_of(terms)][1] == "cross_layer/a+b"
    assert network_layers(terms) == ("c", "a", "b")
    features = {"a": 1, "b": 2}
    assert is_reducible(terms[1], ("a", "b"), features)
    assert not is_reducible(terms[1], ("b", "c"), features)
    assert not is_reducible(TOTAL_VARIATION, (PIXELS,), {PIXELS: 0})
    assert needed(("b", "c"), features) == {"b": 2}


@pytest.mark.parametrize("term", [on(GRAM, "a"), on(MEAN_OF_EXP, "a")], ids=lambda term: term.name)
def test_features_in_other_units_have_the_same_statistic(term, rng):
    features = rng.normal(size=(4, 5, 3)).astype(np.float32)
    halved = dataclasses.replace(wavelet(), unit=2.0)
    expected = statistic_of(wavelet(), term, ("a",), {"a": features})
    found = statistic_of(halved, term, ("a",), {"a": features / 2})
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("term", [on(GRAM, "a"), on(MEAN_OF_EXP, "a")], ids=lambda term: term.name)
def test_shares_of_overlapping_windows_add_up_to_the_mean(term, weighted, rng):
    """Two windows of 6 rows, of 10, that share 2: each has 5 of its own."""
    if weighted and not term.takes_weights:
        return
    whole = rng.normal(size=(10, 4, 3)).astype(np.float32)
    weights = rng.random((10, 4)).astype(np.float32) if weighted else None
    total = 0
    for start, first, end in ((0, 0, 5), (4, 5, 10)):
        tile = Tile(jnp.asarray([start, 0, first, 0, end, 4]), {"a": 1}, {"a": 40.0})
        rows = slice(start, start + 6)
        own = None if weights is None else weights[rows]
        total += share_of_mean(wavelet(), term, ("a",), {"a": whole[rows]}, tile, own)
    np.testing.assert_allclose(
        total, statistic_of(wavelet(), term, ("a",), {"a": whole}, weights), rtol=1e-5, atol=1e-6
    )
