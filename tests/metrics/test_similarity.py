"""Self-similarity against a slow loop, and its invariances."""

import numpy as np
import pytest
from conftest import picture

from jax_nst.metrics.measures import _vgg
from jax_nst.metrics.similarity import compare_similarities, self_similarity


def slow(x, y):
    n, columns = len(x), []
    for samples in (x, y):
        distances = np.zeros((n, n))
        for i in range(n):
            for j in range(n):
                product = samples[i] @ samples[j]
                distances[i, j] = 1 - product / np.sqrt(samples[i] @ samples[i] * (samples[j] @ samples[j]))
        columns.append([distances[:, j] / sum(distances[:, j]) for j in range(n)])
    return np.mean([np.sum(np.abs(a - b)) for a, b in zip(*columns, strict=True)])


def test_it_is_that_of_a_slow_loop(rng):
    x, y = rng.random((2, 9, 5))
    assert compare_similarities(x, y) == pytest.approx(slow(x, y), rel=1e-9)


def test_it_does_not_depend_on_the_size_or_basis_of_features(rng):
    x, y = rng.random((2, 9, 5))
    basis = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    assert compare_similarities(3 * x @ basis, y) == pytest.approx(compare_similarities(x, y), rel=1e-9)
    assert compare_similarities(3 * x @ basis, x) < 1e-12


def test_it_is_at_most_two():
    """Positions that are alike in one picture and not at all in the other."""
    x = np.eye(4)[[0, 0, 1, 1]]
    y = np.eye(4)[[0, 1, 0, 1]]
    assert 0 < compare_similarities(x, y) <= 2
    assert compare_similarities(np.zeros((4, 4)), x) == 1  # a flat picture has no distances at all


def test_noise_raises_it(rng):
    network, params = _vgg()
    content = picture(32, 32)
    noise = rng.standard_normal(content.shape).astype(np.float32)
    found = [
        self_similarity(np.clip(content + sigma * noise, 0, 1), content, network, params, layer="relu3_4")
        for sigma in (0, 0.05, 0.1, 0.3)
    ]
    assert found[0] < 1e-9
    assert found == sorted(set(found))
    assert found[-1] < 2
