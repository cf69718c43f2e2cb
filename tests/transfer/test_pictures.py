import dataclasses
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import picture

from jax_nst import Config, save_image, wavelet
from jax_nst.images import blur, checked_pixels, cover, decode, grain, resize, rotate, white_noise
from jax_nst.runtime.platform import CPU
from jax_nst.transfer import pictures
from jax_nst.transfer.pictures import (
    Start,
    blend_shares,
    content_shape,
    fit_content,
    fit_style,
    grain_of,
    load_content,
    load_style,
    read_content,
    rotated_style,
    start_of,
    starting_pixels,
    style_scales,
)
from jax_nst.transfer.spec import resolve

WAVELET = Config(features="wavelet", content_layers=("luma2",), style_layers=("scale1", "scale2"), size=32)


def level_of(**settings):
    (level,) = resolve(dataclasses.replace(WAVELET, **settings), wavelet(), (24, 32, 3), CPU).levels
    return level


@pytest.mark.parametrize(
    ("settings", "side"),
    [({}, 32), ({"style_scale": 1.5}, 48), ({"style_scale": 0.75}, 24), ({"style_size": 50}, 50)],
)
def test_size_of_the_style(settings, side):
    """Its own if that is smaller; relative to the picture, upwards too, or absolute."""
    small = fit_style(wavelet(), level_of(**settings), picture(20, 40, 1))
    assert max(small.shape) == side


def test_a_style_smaller_than_the_picture_keeps_its_size():
    assert fit_style(wavelet(), level_of(), picture(20, 24, 1)).shape == (20, 24, 3)


def test_a_long_style_is_large_enough_for_the_network():
    """At 32 x 4 pixels the wavelets of two scales could not see it."""
    assert fit_style(wavelet(), level_of(), picture(16, 128, 1)).shape == (8, 64, 3)
    assert fit_style(wavelet(), level_of(style_scale=0.5), picture(16, 128, 1)).shape == (8, 64, 3)


def test_a_style_too_small_for_the_network_is_refused():
    message = "the style image is 16 x 4 pixels, but wavelet needs 8 .* give a larger style_size"
    with pytest.raises(ValueError, match=message):
        fit_style(wavelet(), level_of(style_size=16), picture(8, 32, 1))


def test_the_content_is_resized_to_the_level():
    pixels = picture(48, 64, 1)
    assert fit_content(level_of(), pixels).shape == (24, 32, 3)
    np.testing.assert_array_equal(fit_content(level_of(), pixels[:24, :32]), pixels[:24, :32])


def test_a_content_with_alpha_is_read_at_its_size(tmp_path):
    save_image(tmp_path / "a.png", picture(20, 40, 1), alpha=np.ones((20, 40)))
    save_image(tmp_path / "b.png", picture(20, 40, 1))
    config = Config(size=20)
    for name, shape in (("a.png", (10, 20, 3)), ("b.png", (20, 40, 3))):
        assert load_content(str(tmp_path / name), config).pixels.shape == shape
        assert content_shape(str(tmp_path / name), config) == shape


@pytest.fixture
def large(tmp_path, monkeypatch):
    """Files that count as large: 48 x 96 pixels, with alpha and without."""
    monkeypatch.setattr(decode, "LARGE", 1000)
    save_image(tmp_path / "a.png", picture(48, 96, 1), alpha=np.ones((48, 96)))
    save_image(tmp_path / "b.png", picture(48, 96, 1))
    return str(tmp_path / "a.png"), str(tmp_path / "b.png")


@pytest.mark.parametrize(("size", "shape"), [(20, (10, 20, 3)), (None, (48, 96, 3)), (200, None)])
def test_a_large_content_is_read_at_its_size(size, shape, large):
    """Unless it is enlarged, which the levels do."""
    config = Config(size=size)
    for path, enlarged in zip(large, ((100, 200, 3), (48, 96, 3)), strict=True):
        assert load_content(path, config).pixels.shape == content_shape(path, config) == (shape or enlarged)


def test_a_large_style_is_read_as_large_as_it_is_used(large, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "_ENOUGH", 4)
    for config, side in (
        (Config(size=20), 20),
        (Config(size=20, style_size=30), 30),
        (Config(size=20, style_sizes=(30, 25)), 30),
        (Config(size=20, style_scale=1.5), 30),
        (Config(size=20, style_scale=9), 96),
        (Config(), 96),
    ):
        for path in large:
            assert max(load_style(path, config).shape) == side
    save_image(tmp_path / "long.png", picture(8, 800, 1))
    assert load_style(tmp_path / "long.png", Config(size=20)).shape == (4, 400, 3)


def test_python_reads_large_files_so_too(large):
    for path in large:
        assert read_content(path, Config(size=20)).shape == (10, 20, 3)
        assert load_style(Path(path), Config(style_size=256)).shape == (48, 96, 3)
        start = starting_pixels(Start(path, 0), picture(20, 20), [], ())
        assert start.shape == (20, 20, 3)
        np.testing.assert_allclose(start, cover(picture(48, 96, 1), (20, 20)), atol=0.1)


@pytest.mark.parametrize(
    ("blend", "message"),
    [
        ((1.0,), "blend has 1 shares for 2 styles"),
        ((0.0, 0.0), "must be zero or more, and not all zero"),
        ((1.0, -0.5), "must be zero or more"),
        ((1.0, float("nan")), "must be zero or more"),
    ],
)
def test_invalid_shares_are_refused(blend, message):
    with pytest.raises(ValueError, match=message):
        blend_shares(blend, 2)


def test_shares_add_up_to_one():
    assert blend_shares((7, 3), 2) == pytest.approx((0.7, 0.3))
    assert blend_shares(None, 4) == (0.25,) * 4


def test_starting_pixels(tmp_path):
    content, *styles = (picture(24, 32, seed) for seed in range(3))
    save_image(tmp_path / "start.png", picture(40, 40, 7))
    starts = [
        starting_pixels(Start(init, seed), content, styles, (0.5, 0.5))
        for init, seed in (
            ("content", 0),
            ("style", 0),
            ("noise", 0),
            ("noise", 1),
            (str(tmp_path / "start.png"), 0),
        )
    ]
    np.testing.assert_array_equal(starts[0], content)
    assert {(start.shape, start.dtype.name) for start in starts} == {((24, 32, 3), "float32")}
    assert all(start.min() >= 0 and start.max() <= 1 for start in starts)
    assert len({start.tobytes() for start in starts}) == 5
    again = starting_pixels(Start("noise", 1), content, styles, (0.5, 0.5))
    np.testing.assert_array_equal(starts[3], again)


def test_a_start_of_several_styles_is_their_mean():
    content, *styles = (picture(24, 32, seed) for seed in range(3))
    start = starting_pixels(Start("style", 0), content, styles, (0.25, 0.75))
    np.testing.assert_allclose(start, 0.25 * styles[0] + 0.75 * styles[1], rtol=1e-5)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((24, 32)), r"content must have shape \[H, W, 3\], not \[24, 32\]"),
        (np.zeros((24, 32, 4)), "content must have shape"),
        (np.zeros((0, 32, 3)), "content must have shape"),
        (np.full((24, 32, 3), np.nan), "content must be finite and lie in"),
        (np.full((24, 32, 3), 200.0), "content must be finite and lie in"),
    ],
)
def test_an_array_that_is_no_picture_is_refused(pixels, message):
    with pytest.raises(ValueError, match=message):
        checked_pixels("content", pixels)


def test_a_picture_may_be_of_jax_and_of_any_precision():
    assert checked_pixels("content", jnp.ones((2, 2, 3), jnp.bfloat16)).dtype == np.float32
    assert isinstance(checked_pixels("content", np.ones((2, 2, 3))), np.ndarray)


def test_a_cropped_content_is_its_central_part(tmp_path):
    content, square = picture(30, 50, 1), Config(crop=("1:1",), size=20)
    (level,) = resolve(
        dataclasses.replace(WAVELET, crop=("1:1",), size=20), wavelet(), (30, 50, 3), CPU
    ).levels
    np.testing.assert_array_equal(fit_content(level, content), resize(content[:, 10:40], (20, 20)))
    alpha = np.tile(np.linspace(0, 1, 50, dtype=np.float32), (30, 1))
    save_image(tmp_path / "a.png", content, alpha=alpha)
    loaded = load_content(tmp_path / "a.png", square)
    assert loaded.pixels.shape == content_shape(tmp_path / "a.png", square) == (20, 20, 3)
    assert loaded.alpha.mean() == pytest.approx(0.5, abs=0.01)
    assert loaded.alpha.min() > 0.15  # the margins are gone


def test_a_large_content_is_read_so_that_its_part_has_the_size(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "LARGE", 1000)
    save_image(tmp_path / "a.png", picture(300, 500, 1))
    config = Config(crop=("1:1",), size=60)
    assert content_shape(tmp_path / "a.png", config) == (60, 100, 3)
    assert load_content(tmp_path / "a.png", config).pixels.shape == (60, 100, 3)
    assert read_content(tmp_path / "a.png", config).shape == (60, 100, 3)


def test_contents_in_memory_are_loaded_as_those_of_files():
    content = picture(30, 50, 1)
    assert load_content(content, Config()).alpha is None
    np.testing.assert_array_equal(load_content(content, Config()).pixels, content)
    assert content_shape(content, Config()) == (30, 50, 3)
    np.testing.assert_array_equal(load_style(content, Config()), content)


@pytest.mark.parametrize("blend", ["1", 1.0, ["a"], [True]])
def test_shares_that_are_no_numbers_are_refused_by_name(blend):
    with pytest.raises(ValueError, match="blend must be a"):
        pictures.blend_shares(blend, 1)


def test_a_rotated_style_keeps_the_size_of_its_strokes():
    """It is rotated after it is resized; the copy is smaller by its corners only."""
    style = picture(80, 120, 1)
    resized = resize(style, (32, 48))
    level = level_of(style_scale=1.5)
    fitted = fit_style(wavelet(), level, style)
    np.testing.assert_array_equal(fitted, resized)
    for angle in (30.0, 90.0):
        found = rotated_style(wavelet(), level, fitted, angle)
        np.testing.assert_array_equal(found, rotate(resized, angle))
        assert not np.array_equal(found, resized)
    np.testing.assert_array_equal(rotated_style(wavelet(), level, fitted, 0.0), resized)


def test_a_style_too_small_when_rotated_is_refused():
    fits = picture(10, 32, 1)
    assert rotated_style(wavelet(), level_of(), fits, 90.0).shape == (32, 10, 3)
    message = "rotated by 45 degrees and without its corners, is 7 x 7 pixels, but .* other angles"
    with pytest.raises(ValueError, match=message):
        rotated_style(wavelet(), level_of(), fits, 45.0)


@pytest.mark.parametrize("init", ["content", "style", "path"])
def test_a_start_may_be_blurred_and_noisy(init, tmp_path):
    save_image(tmp_path / "start.png", picture(40, 40, 7))
    init = str(tmp_path / "start.png") if init == "path" else init
    content, style = picture(24, 32, 0), picture(24, 32, 1)

    def start(**settings):
        given = start_of(Config(init=init, **settings), 64)
        return starting_pixels(given, content, [style], (1.0,))

    plain, noise = start(), white_noise((24, 32, 3), 5)
    np.testing.assert_array_equal(plain, start(init_blur=0, init_noise=0, seed=5))
    assert init != "content" or plain is content
    blurred = blur(plain, 2.0)  # half of the deviation at half of the size
    np.testing.assert_array_equal(start(init_blur=4.0), np.clip(blurred, 0, 1))
    np.testing.assert_array_equal(start(init_noise=0.3, seed=5), np.clip(plain + 0.3 * noise, 0, 1))
    both = start(init_blur=4.0, init_noise=0.3, seed=5)
    np.testing.assert_array_equal(both, np.clip(blurred + 0.3 * noise, 0, 1))
    assert both.dtype == np.float32


def test_a_start_from_noise_is_that_of_jax():
    import jax

    expected = jnp.clip(0.5 + 0.1 * jax.random.normal(jax.random.key(3), (24, 32, 3)), 0, 1)
    found = starting_pixels(Start("noise", 3), picture(24, 32), [], ())
    np.testing.assert_array_equal(found, expected)


def test_grain_is_the_same_at_all_sizes():
    content = picture(48, 64, 1)
    coarse, last = resolve(
        dataclasses.replace(WAVELET, size=64, scales="2"), wavelet(), (48, 64, 3), CPU
    ).levels
    assert (coarse.shape, last.shape) == ((24, 32), (48, 64))
    added = grain_of(Config(noise=0.1, seed=5), last.shape)
    expected = np.clip(content + 0.1 * grain((48, 64), 5), 0, 1)
    np.testing.assert_array_equal(fit_content(last, content, added), expected)
    np.testing.assert_array_equal(fit_content(coarse, content, added), resize(expected, (24, 32)))
    assert grain_of(Config(noise=0, seed=5), last.shape) is None
    np.testing.assert_array_equal(fit_content(last, content, None), content)


def test_a_cropped_content_has_grain_in_what_is_left():
    config = dataclasses.replace(WAVELET, crop=("1:1",), size=20, noise=0.1)
    (level,) = resolve(config, wavelet(), (30, 50, 3), CPU).levels
    content = picture(30, 50, 1)
    found = fit_content(level, content, grain_of(config, level.shape))
    cropped = resize(content[:, 10:40], (20, 20))
    np.testing.assert_array_equal(found, np.clip(cropped + 0.1 * grain((20, 20), 0), 0, 1))


def test_sizes_of_several_styles_shrink_with_the_picture():
    config = dataclasses.replace(WAVELET, size=64, scales="2", style_sizes=(50, 90))
    coarse, last = resolve(config, wavelet(), (48, 64, 3), CPU).levels
    scales = style_scales(config, last.size, 2)
    for scale, sides in zip(scales, ((25, 50), (45, 90)), strict=True):
        for level, side in zip((coarse, last), sides, strict=True):
            assert max(fit_style(wavelet(), level, picture(40, 40, 1), scale).shape) == side
    assert style_scales(WAVELET, 64, 3) == ()
    with pytest.raises(ValueError, match=r"style_sizes has 2 sizes, but .* is 3; give a size for each"):
        style_scales(config, 64, 3)
