"""The controls together: masks, Wasserstein, colour and strokes in one sweep, which equals single runs."""

import dataclasses

import numpy as np
from conftest import count_compilations, picture

from jax_nst import Config, Grid, Mask, load_image, save_image, stylize, sweep

SHAPE = (24, 32)
CONTENT, STYLE, OTHER = picture(*SHAPE, 1), picture(28, 28, 2), picture(20, 30, 3)
LEFT = np.tile(np.clip((18 - np.arange(32, dtype=np.float32)) / 4, 0, 1), (24, 1))
MASKS = ((Mask(LEFT), Mask(1 - LEFT, picture=OTHER)), (Mask(LEFT, weight=2.0), Mask(1 - LEFT)))
GRID = Grid(mask=MASKS, color=("keep", "match"))
CONFIG = Config(
    features="wavelet",
    content_layers=("luma2",),
    style_layers=("scale1",),
    style_loss=("wasserstein", "gram"),
    style_angle=(0.0, 90.0),
    noise=0.02,
    steps=3,
    scales=1,
)


def test_a_sweep_of_all_controls_equals_single_runs(tmp_path):
    single = sweep(CONTENT, STYLE, grid=GRID, config=CONFIG, batch=1)
    assert single.messages == ["ok"] * 4
    for values, pixels in zip(single.values, single.pixels, strict=True):
        alone = stylize(CONTENT, STYLE, config=dataclasses.replace(CONFIG, **values))
        np.testing.assert_array_equal(pixels, alone.pixels)
    batched = sweep(CONTENT, STYLE, grid=GRID, config=CONFIG)
    np.testing.assert_allclose(batched.losses.total, single.losses.total, rtol=0.02)
    np.testing.assert_allclose(batched.pixels, single.pixels, atol=0.05)
    # They differ from each other.
    assert min(np.abs(x - single.pixels[0]).max() for x in single.pixels[1:]) > 0.01
    save_image(tmp_path / "one.png", batched.pixels[0])
    assert load_image(tmp_path / "one.png").shape == (*SHAPE, 3)


def test_the_second_sweep_compiles_nothing():
    def run():
        sweep(CONTENT, STYLE, grid=GRID, config=CONFIG)

    run()
    assert count_compilations(run)[0] == 0
