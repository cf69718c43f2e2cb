import dataclasses

import jax
import numpy as np
import pytest
from conftest import picture

from jax_nst import Config, save_image, stylize
from jax_nst.transfer.network import load_network
from jax_nst.transfer.problem import (
    blend_shares,
    content_shape,
    fit_style,
    load_content,
    make_problem,
    picture_size,
    starting_pixels,
)

WAVELET = Config(features="wavelet", content_layers=("luma2",), style_layers=("scale1", "scale2"), steps=8)


def test_sizes():
    assert picture_size(Config(), (3000, 4000, 3)) == 512
    assert picture_size(Config(), (300, 200, 3)) == 300
    assert picture_size(Config(size=700), (300, 200, 3)) == 700


@pytest.mark.parametrize(
    ("settings", "side"),
    [({}, 32), ({"style_scale": 1.5}, 48), ({"style_scale": 0.75}, 24), ({"style_size": 50}, 50)],
)
def test_size_of_the_style(settings, side):
    """Its own if that is smaller; relative to the picture, upwards too, or absolute."""
    config = dataclasses.replace(WAVELET, size=32, **settings)
    small = fit_style(load_network(config), config, picture(20, 40, 1), (24, 32, 3))
    assert max(small.shape) == side


def test_a_content_with_alpha_is_read_at_its_size(tmp_path):
    save_image(tmp_path / "a.png", picture(20, 40, 1), alpha=np.ones((20, 40)))
    save_image(tmp_path / "b.png", picture(20, 40, 1))
    config = Config(size=20)
    for name, shape in (("a.png", (10, 20, 3)), ("b.png", (20, 40, 3))):
        assert load_content(str(tmp_path / name), config).pixels.shape == shape
        assert content_shape(str(tmp_path / name), config) == shape


def test_a_blend_is_the_mixture_of_the_gram_matrices():
    network = load_network(WAVELET)
    content, *styles = (picture(24, 32, seed) for seed in range(3))
    alone = [make_problem(network, content, [style], config=WAVELET).arguments[1].style for style in styles]
    mixed = make_problem(network, content, styles, config=WAVELET, blend=(3, 1)).arguments[1].style
    for layer, target in mixed.items():
        expected = 0.75 * alone[0][layer].value + 0.25 * alone[1][layer].value
        np.testing.assert_allclose(target.value, expected, rtol=1e-5, atol=1e-7)
        assert float(np.abs(target.value - alone[0][layer].value).max()) > 1e-3


def test_a_blend_of_one_style_with_itself_is_that_style():
    content, style = picture(24, 32, 1), picture(24, 32, 2)
    one = stylize(content, style, config=WAVELET)
    twice = stylize(content, [style, style], config=WAVELET, blend=(0.5, 0.5))
    for first, second in zip(one.history["steps"], twice.history["steps"], strict=True):
        assert first["total"] == pytest.approx(second["total"], rel=1e-3)
    assert (one.history["blend"], twice.history["blend"]) == (None, [0.5, 0.5])


@pytest.mark.parametrize(
    ("blend", "message"),
    [
        ((1.0,), "blend has 1 shares for 2 styles"),
        ((0.0, 0.0), "must be zero or more, and not all zero"),
        ((1.0, -0.5), "must be zero or more"),
        ((1.0, float("nan")), "must be zero or more"),
    ],
)
def test_shares_that_will_not_do(blend, message):
    with pytest.raises(ValueError, match=message):
        blend_shares(blend, 2)


def test_shares_add_up_to_one():
    assert blend_shares((7, 3), 2) == pytest.approx((0.7, 0.3))
    assert blend_shares(None, 4) == (0.25,) * 4


def test_a_start_of_several_styles_is_their_mean():
    content, *styles = (picture(24, 32, seed) for seed in range(3))
    config = Config(init="style")
    start = starting_pixels(config, content, styles, (0.25, 0.75))
    np.testing.assert_allclose(start, 0.25 * styles[0] + 0.75 * styles[1], rtol=1e-5)


def test_a_problem_scores_any_picture():
    content, style = picture(24, 32, 1), picture(28, 20, 2)
    problem = make_problem(load_network(WAVELET), content, [style], config=WAVELET)
    assert float(problem.score(content).content) < 1e-8
    assert float(problem.score(jax.numpy.asarray(content[::-1])).content) > 1e-3
