import dataclasses

import numpy as np
import pytest
from conftest import picture

from jax_nst import Config, Grid, stylize, sweep
from jax_nst.images import resize
from jax_nst.schedule import scale_configs

WAVELET = Config(
    features="wavelet", content_layers=("luma1",), style_layers=("scale1", "scale2"), steps=6, size=48
)
TWO_SCALES = dataclasses.replace(WAVELET, scales="2")


def sizes(config, shape=(300, 400, 3)):
    return [scale.size for scale in scale_configs(config, shape)]


@pytest.mark.parametrize(
    ("scales", "size", "expected"),
    [
        ("1", 512, [512]),
        ("3", 500, [125, 250, 500]),
        ("auto", 512, [128, 256, 512]),
        ("auto", 511, [256, 511]),
        ("auto", 100, [100]),
        ("2", None, [200, None]),
    ],
)
def test_sizes_double_up_to_that_of_the_picture(scales, size, expected):
    assert sizes(Config(scales=scales, size=size)) == expected


def test_a_given_size_of_the_style_shrinks_along_and_the_rest_stays():
    coarse, full = scale_configs(Config(scales="2", size=512, style_size=301, seed=5), (300, 400, 3))
    assert (coarse.style_size, full.style_size) == (150, 301)
    assert coarse.seed == 5
    assert full == Config(scales="2", size=512, style_size=301, seed=5)


@pytest.mark.parametrize("scales", ["0", "17", "many", "-1", "1.5"])
def test_scales_that_will_not_do(scales):
    with pytest.raises(ValueError, match="scales must be auto, or from 1 to 16"):
        Config(scales=scales)


def test_each_scale_starts_where_the_last_one_ended():
    """In float: at the coarse size the run is that of this size, and its best is the next one's start."""
    content, style = picture(48, 40, 1), picture(48, 48, 2)
    coarse = stylize(content, style, config=dataclasses.replace(WAVELET, size=24))
    seen = []
    both = stylize(
        content,
        style,
        config=TWO_SCALES,
        callback=lambda progress: seen.append((progress.step, progress.num_steps, progress.best_pixels())),
    )
    steps = both.history["steps"]
    assert [step["step"] for step in steps] == list(range(14))
    assert [step["size"] for step in steps] == [24] * 7 + [48] * 7
    assert [step["total"] for step in steps[:7]] == [step["total"] for step in coarse.history["steps"]]
    seconds = [step["seconds"] for step in steps]
    assert seconds == sorted(seconds)
    assert all(pixels.shape == (48, 40, 3) for _, _, pixels in seen)
    assert seen[-1][:2] == (13, 13)
    enlarged = np.clip(resize(coarse.pixels, (48, 40)), 4 / 255, 1 - 4 / 255)
    assert steps[7]["total"] == pytest.approx(float(both.score(enlarged).total), rel=1e-3)
    assert float(both.score(both.pixels).total) == pytest.approx(
        min(step["total"] for step in steps[7:]), rel=1e-3
    )


def test_one_that_is_stopped_early_is_as_large_as_it_should_be():
    content, style = picture(48, 40, 1), picture(48, 48, 2)
    result = stylize(content, style, config=TWO_SCALES, callback=lambda progress: progress.step >= 1)
    assert result.pixels.shape == (48, 40, 3)
    assert result.history["steps"][-1]["size"] == 24
    assert np.isfinite(float(result.score(result.pixels).total))


def test_sweeps_do_not_take_scales_yet():
    for grid in (Grid(), Grid(seed=(1, 2))):
        with pytest.raises(ValueError, match="scales are for"):
            sweep(picture(48, 40, 1), picture(48, 48, 2), config=TWO_SCALES, grid=grid)
