"""OkLab by the way of XYZ, and colour distances against SciPy's."""

import numpy as np
import pytest
import scipy.stats
from conftest import picture

from jax_nst.metrics import color_distance, to_oklab
from jax_nst.metrics.oklab import color_quantiles

# sRGB to XYZ (IEC 61966-2-1), and XYZ to cones (Ottosson 2020).
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
CONES = np.array(
    [
        [0.8189330101, 0.3618667424, -0.1288597137],
        [0.0329845436, 0.9293118715, 0.0361456387],
        [0.0482003018, 0.2643662691, 0.6338517070],
    ]
)


def test_it_is_that_by_the_way_of_xyz(rng):
    coded = rng.random((50, 3))
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    cones = np.cbrt(linear @ XYZ.T @ CONES.T)
    lightness = cones @ [0.2104542553, 0.7936177850, -0.0040720468]
    found = to_oklab(coded)
    np.testing.assert_allclose(found[:, 0], lightness, atol=1e-3)
    np.testing.assert_allclose(found[:, 2], cones @ [0.0259040371, 0.7827717662, -0.8086757660], atol=1e-3)


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((1, 1, 1), (1, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((1, 0, 0), (0.62796, 0.22486, 0.12585)),
        ((0, 0, 1), (0.45201, -0.03246, -0.31153)),
    ],
)
def test_published_values(rgb, lab):
    np.testing.assert_allclose(to_oklab(np.array(rgb)), lab, atol=1e-4)


def test_the_distance_is_scipys():
    x, y = picture(20, 30, 1), picture(31, 17, 2)
    channels = zip(to_oklab(x).reshape(-1, 3).T, to_oklab(y).reshape(-1, 3).T, strict=True)
    expected = np.mean([scipy.stats.wasserstein_distance(a, b) for a, b in channels])
    assert color_distance(x, y) == pytest.approx(expected, rel=0.01)


def test_places_do_not_count_and_black_is_far_from_white(rng):
    x = picture(20, 30)
    mixed = rng.permutation(x.reshape(-1, 3)).reshape(30, 20, 3)
    assert color_distance(x, mixed) < 1e-12
    assert color_distance(np.zeros((4, 4, 3)), np.ones((9, 4, 3))) == pytest.approx(1 / 3, abs=1e-4)
    shifts = [color_distance(np.clip(x + shift, 0, 1), x) for shift in (0, 0.1, 0.2, 0.4)]
    assert shifts == sorted(set(shifts))


def test_several_pictures_count_by_their_shares():
    x, y = picture(12, 10, 1), picture(30, 20, 2)
    parts = [to_oklab(p).reshape(-1, 3) for p in (x, y)]
    together = np.concatenate([np.repeat(parts[0], 3 * 5, 0), parts[1]])  # 3 * 600 of x, 600 of y
    expected = np.quantile(together, [0.2, 0.5, 0.9], axis=0)
    found = color_quantiles([x, y], (0.75, 0.25))
    np.testing.assert_allclose(found[[819, 2048, 3686]], expected, atol=0.01)
