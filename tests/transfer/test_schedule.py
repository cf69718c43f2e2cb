import dataclasses

import numpy as np
import pytest
from conftest import EXAMPLES, picture

from jax_nst import Config, Grid, load_image, stylize, sweep
from jax_nst.images import resize
from jax_nst.models.vgg import vgg19
from jax_nst.models.wavelet import layers_at
from jax_nst.transfer.network import load_network
from jax_nst.transfer.schedule import scale_configs

WAVELET = Config(
    features="wavelet", content_layers=("luma1",), style_layers=("scale1", "scale2"), steps=10, size=48
)
NETWORK = load_network(WAVELET)
TWO_SCALES = dataclasses.replace(WAVELET, scales="2")


def sizes(config, shape=(300, 400, 3)):
    return [scale.size for scale in scale_configs(NETWORK, config, shape)]


@pytest.mark.parametrize(
    ("scales", "size", "expected"),
    [
        ("1", 512, [512]),
        ("3", 500, [125, 250, 500]),
        ("auto", 100, [100]),
        ("auto", 256, [256]),
        ("auto", 362, [362]),
        ("auto", 363, [182, 363]),
        ("auto", 512, [256, 512]),
        ("auto", 725, [181, 362, 725]),
        ("auto", 1024, [256, 512, 1024]),
        ("2", None, [200, None]),
    ],
)
def test_sizes_double_up_to_that_of_the_picture(scales, size, expected):
    assert sizes(Config(scales=scales, size=size)) == expected


def test_a_given_size_of_the_style_shrinks_along_and_the_rest_stays():
    config = Config(scales="2", size=512, style_size=301, seed=5)
    coarse, full = scale_configs(NETWORK, config, (300, 400, 3))
    assert (coarse.style_size, coarse.style_scale) == (None, 301 / 512)
    assert (coarse.seed, coarse.steps, full.steps) == (5, 24, 80)
    assert dataclasses.replace(full, content_layers=None, style_layers=None) == config
    long = dataclasses.replace(config, steps=1000)
    assert scale_configs(NETWORK, long, (300, 400, 3))[0].steps == 30
    relative = dataclasses.replace(config, style_size=None, style_scale=0.5)
    assert [scale.style_scale for scale in scale_configs(NETWORK, relative, (300, 400, 3))] == [0.5, 0.5]


def test_auto_leaves_out_what_is_too_small_for_the_network():
    """A panorama, and wavelets of four scales: 32 pixels at least on the shorter side."""
    config = Config(features="wavelet", scales="auto", size=1024)
    sizes = [scale.size for scale in scale_configs(load_network(config), config, (300, 1000, 3))]
    assert sizes == [256, 512, 1024]
    flat = [scale.size for scale in scale_configs(load_network(config), config, (100, 1000, 3))]
    assert flat == [512, 1024]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scales": "6", "size": 256}, "at one of its smaller sizes is 8 x 6 .* fewer scales than 6"),
        (
            {"scales": "6", "size": 8},
            "the content image is 8 x 6 pixels, but wavelet needs 8 .* larger size",
        ),
    ],
)
def test_a_size_that_is_too_small_is_said_before_anything_is_computed(settings, message):
    with pytest.raises(ValueError, match=message):
        sizes(dataclasses.replace(WAVELET, **settings))


def test_each_size_has_its_own_layers_where_the_config_leaves_them_open():
    shape = (300, 400, 3)
    coarse, full = scale_configs(NETWORK, Config(size=512), shape)
    assert (coarse.content_layers, coarse.style_layers) == layers_at((192, 256))
    assert (full.content_layers, full.style_layers) == layers_at((384, 512))
    for config in scale_configs(
        NETWORK, Config(content_layers=("luma5",), style_layers=("scale3",)), shape
    ):
        assert (config.content_layers, config.style_layers) == (("luma5",), ("scale3",))
    # Weights of style layers are for those that the help names.
    for config in scale_configs(NETWORK, Config(size=256, style_layer_weights=(1, 2, 3, 4, 5)), shape):
        assert config.style_layers is None
    vgg = NETWORK._replace(extractor=vgg19())
    assert scale_configs(vgg, Config(size=512), shape)[-1] == Config(size=512)


def test_a_run_is_scored_with_the_layers_of_its_size_also_when_stopped():
    content, style = picture(64, 64, 1), picture(64, 64, 2)
    config, own = Config(features="wavelet", size=64, scales="2", steps=3), layers_at((64, 64))
    named = dataclasses.replace(config, content_layers=own[0], style_layers=own[1])
    expected = stylize(content, style, config=named)
    for ended in (False, True):
        result = stylize(content, style, config=config, callback=lambda progress, ended=ended: ended)
        assert result.score(content) == expected.score(content)


def test_a_small_style_is_enlarged_for_the_network_at_the_coarse_sizes():
    config = Config(features="wavelet", scales="2", size=128, style_size=70, steps=2)
    result = stylize(picture(128, 128), picture(70, 70), config=config)
    assert [step["size"] for step in result.history["steps"]] == [64, 64, 128, 128, 128]


@pytest.mark.parametrize("scales", ["0", "17", "many", "-1", "1.5"])
def test_scales_that_will_not_do(scales):
    with pytest.raises(ValueError, match="scales must be auto, or from 1 to 16"):
        Config(scales=scales)


def test_each_scale_starts_where_the_last_one_ended():
    """In float: at the coarse size the run is that of this size, and its best is the next one's start."""
    content, style = picture(48, 40, 1), picture(48, 48, 2)
    coarse = stylize(content, style, config=dataclasses.replace(WAVELET, size=24, steps=3))
    seen = []
    both = stylize(
        content,
        style,
        config=TWO_SCALES,
        callback=lambda progress: seen.append((progress.step, progress.num_steps, progress.best_pixels())),
    )
    steps = both.history["steps"]
    assert [step["step"] for step in steps] == list(range(15))
    assert [step["size"] for step in steps] == [24] * 4 + [48] * 11
    assert [step["total"] for step in steps[:4]] == [step["total"] for step in coarse.history["steps"]]
    seconds = [step["seconds"] for step in steps]
    assert seconds == sorted(seconds)
    assert all(pixels.shape == (48, 40, 3) for _, _, pixels in seen)
    assert seen[-1][:2] == (14, 14)
    enlarged = np.clip(resize(coarse.pixels, (48, 40)), 4 / 255, 1 - 4 / 255)
    assert steps[4]["total"] == pytest.approx(float(both.score(enlarged).total), rel=1e-3)
    assert float(both.score(both.pixels).total) == pytest.approx(
        min(step["total"] for step in steps[4:]), rel=1e-3
    )


def test_one_that_is_stopped_early_is_as_large_as_it_should_be():
    content, style = picture(48, 40, 1), picture(48, 48, 2)
    result = stylize(content, style, config=TWO_SCALES, callback=lambda progress: progress.step >= 1)
    assert result.pixels.shape == (48, 40, 3)
    assert result.history["steps"][-1]["size"] == 24
    assert np.isfinite(float(result.score(result.pixels).total))


CONTENTS = [picture(48, 40, 1), picture(96, 80, 2), picture(30, 48, 3)]
STYLES = [picture(48, 48, 4), picture(60, 40, 5)]


def test_a_row_of_a_sweep_is_the_single_run_with_its_scales():
    """Two contents of one shape and one of another, each from its own picture at each size."""
    result = sweep(CONTENTS, STYLES, config=TWO_SCALES, batch=3)
    assert result.status == ["ok"] * 6
    for index, values in enumerate(result.values):
        alone = stylize(CONTENTS[values["content"]], STYLES[values["style"]], config=TWO_SCALES)
        expected = [step["total"] for step in alone.history["steps"] if step["size"] == 48]
        np.testing.assert_allclose(result.history.total[index], expected, rtol=2e-2)
        assert float(np.abs(result.pixels[index] - alone.pixels).mean()) < 0.01
    assert [x.shape for x in result.pixels] == [(48, 40, 3)] * 4 + [(30, 48, 3)] * 2


def test_progress_of_a_sweep_counts_all_scales_and_one_that_is_stopped_says_where():
    seen = []

    def callback(progress):
        seen.append((progress.step, progress.num_steps))
        return progress.items_done == 2

    grid = Grid(style_weight=(1, 2, 3))
    result = sweep(CONTENTS[0], STYLES[0], grid=grid, config=TWO_SCALES, batch=2, callback=callback)
    assert {num_steps for _, num_steps in seen} == {14}
    assert max(seen)[0] == 14
    assert result.status[:2] == ["ok", "ok"]
    assert result.status[2].startswith("stopped at 24 pixels, after step ")
    assert result.pixels.shape == (3, 48, 40, 3)
    assert result.pixels[2].std() > 0.01
    assert np.isnan(result.losses.total[2])


def test_items_that_are_too_small_at_a_smaller_size_do_not_take_the_others_down():
    """At sizes where no program can be traced, too."""
    result = sweep([CONTENTS[0], CONTENTS[0][:12]], STYLES[0], config=TWO_SCALES)
    assert result.status[0] == "ok"
    assert "one of its smaller sizes is" in result.status[1]
    nothing = sweep(CONTENTS[0], STYLES[:2], config=dataclasses.replace(WAVELET, scales="7"))
    assert all("fewer scales than 7" in status for status in nothing.status)


def test_an_item_that_fails_at_the_first_scale_stays_out_of_the_others():
    grid = Grid(style_weight=(1e3, 1e38))
    result = sweep(CONTENTS[0], STYLES[0] * 0.1, grid=grid, config=TWO_SCALES, batch=2)
    assert result.status[0] == "ok"
    assert "loss of the start is not finite" in result.status[1]
    assert np.isfinite(result.losses.total[0])


def both_sizes(features, **settings):
    """The cat in the style of the waves at two sizes, from one size first: the results, and the content."""
    content, style = (load_image(EXAMPLES / name) for name in ("cat.jpg", "waves.jpg"))
    configs = [Config(features=features, size=size, style_scale=1.0, **settings) for size in (192, 384)]
    return [stylize(content, style, config=config) for config in configs], content


def apart(results):
    """Root mean square between the large shapes of two pictures."""
    small, large = (resize(result.pixels, (32, 48)) for result in results)
    return np.sqrt(np.mean(np.square(small - large)))


@pytest.mark.slow
def test_the_same_settings_give_the_same_look_at_every_size():
    """At twice the size each term begins and ends about as large, by layers as wide in the picture."""
    results, content = both_sizes("wavelet", steps=40)
    starts = [float(result.score(resize(content, result.pixels.shape[:2])).total) for result in results]
    losses = [result.score(result.pixels) for result in results]
    for start, end in zip(starts, losses, strict=True):
        assert float(end.total) < 0.05 * start
    np.testing.assert_allclose(*starts, rtol=0.1)
    np.testing.assert_allclose(*([x.total, x.content, x.style] for x in losses), rtol=0.45)
    assert apart(results) < 0.06  # begun at half of each size: 0.09


@pytest.mark.slow
def test_the_same_look_with_layers_that_stay(shared):
    """Those of VGG are what they are; that both begin at 192 pixels makes the same large shapes."""
    layers = {"content_layers": ("relu3_2",), "style_layers": ("relu1_1", "relu2_1", "relu3_1")}
    weights = str(shared / "weights" / "vgg19_blocks1-3.h5")
    results, _ = both_sizes("vgg19", steps=30, weights=weights, **layers)
    assert apart(results) < 0.16  # begun at half of each size: 0.21
