"""Colour control, from what a run sees to what leaves it."""

import dataclasses
import re
from typing import Any

import jax
import numpy as np
import pytest
from conftest import picture

from jax_nst import Checkpoint, Config, Grid, Mask, Status, stylize, sweep
from jax_nst.images.color_transfer import luminance, with_chroma
from jax_nst.transfer.colors import Color, color_of, finish_picture, seen_picture, seen_style

CONFIG = Config(
    features="wavelet",
    content_layers=("luma1",),
    style_layers=("scale1",),
    size=48,
    scales="2",
    steps=10,
    optimizer="adam",
)
KEEP = dataclasses.replace(CONFIG, color="keep")
CONTENT, STYLE = picture(48, 40, 1), picture(44, 48, 2)


def painted(**settings):
    return stylize(CONTENT, STYLE, config=dataclasses.replace(CONFIG, **settings))


def test_an_amount_of_zero_is_color_style():
    assert color_of(CONFIG) == Color("style", 1.0)
    for mode in ("keep", "match"):
        assert color_of(Config(color=mode, color_amount=0)) == color_of(CONFIG)
        assert color_of(Config(color=mode)) == Color(mode, 1.0)


@pytest.mark.parametrize("mode", ["keep", "match"])
def test_what_a_run_sees_changes_continuously_with_the_amount(mode):
    nothing = seen_style(Color("style"), STYLE, CONTENT)
    np.testing.assert_array_equal(nothing, STYLE)
    for amount, most in ((1e-6, 1e-6), (0.5, 0.5)):
        color = Color(mode, amount)
        assert np.abs(seen_style(color, STYLE, CONTENT) - STYLE).max() <= most
        assert np.abs(seen_picture(color, CONTENT) - CONTENT).max() <= most
        finished = finish_picture(color, STYLE[:, :40], CONTENT[:44])
        assert np.abs(finished - STYLE[:, :40]).max() <= 2 * most
    half, whole = (seen_style(Color(mode, amount), STYLE, CONTENT) for amount in (0.5, 1.0))
    np.testing.assert_allclose(half, (STYLE + whole) / 2, atol=1e-6)


def test_a_run_that_keeps_colours_sees_none():
    color = Color("keep", 1.0)
    for seen in (seen_picture(color, CONTENT), seen_style(color, STYLE, CONTENT)):
        assert seen.shape[-1] == 3
        assert np.ptp(seen, axis=-1).max() == 0


@pytest.mark.parametrize("mode", ["keep", "match"])
def test_amount_zero_paints_the_picture_of_color_style_to_the_bit(mode):
    np.testing.assert_array_equal(painted(color=mode, color_amount=0).pixels, painted().pixels)


def test_colours_are_kept():
    """The luminance is that of a run over grey pictures, and the chroma is the content's."""
    result = painted(color="keep", scales=1)
    grey = seen_picture(Color("keep"), CONTENT), seen_style(Color("keep"), STYLE, CONTENT)
    raw = stylize(*grey, config=dataclasses.replace(CONFIG, scales=1))
    np.testing.assert_allclose(luminance(result.pixels), luminance(raw.pixels), atol=1e-5)
    np.testing.assert_allclose(with_chroma(result.pixels, CONTENT), result.pixels, atol=1e-6)
    chroma = result.pixels - luminance(result.pixels)
    inside = (result.pixels.min(-1) > 0.01) & (result.pixels.max(-1) < 0.99)
    assert inside.mean() > 0.3
    np.testing.assert_allclose(chroma[inside], (CONTENT - luminance(CONTENT))[inside], atol=1e-6)
    assert np.abs(result.pixels - painted().pixels).mean() > 0.02


def test_matched_colours_are_those_of_a_run_with_a_matched_style():
    matched = seen_style(Color("match", 0.7), STYLE, CONTENT)
    alone = stylize(CONTENT, matched, config=dataclasses.replace(CONFIG, scales=1))
    result = painted(color="match", color_amount=0.7, scales=1)
    np.testing.assert_array_equal(result.pixels, alone.pixels)


@pytest.mark.parametrize("amount", [1.0, 0.4])
def test_the_score_is_of_what_the_run_sees(amount):
    """Of a kept picture, its luminance; by the amount less of its chroma."""
    result = painted(color="keep", color_amount=amount, scales=1)
    color = Color("keep", amount)
    grey = seen_picture(color, CONTENT), seen_style(color, STYLE, CONTENT)
    raw = stylize(*grey, config=dataclasses.replace(CONFIG, scales=1))
    expected = raw.score(seen_picture(color, result.pixels)).total
    np.testing.assert_allclose(result.score(result.pixels).total, expected, rtol=1e-5)
    assert jax.eval_shape(result.score, result.pixels).total.shape == ()


def test_the_luminance_of_the_picture_scores_about_what_the_run_reached():
    result = painted(color="keep", steps=40)
    best = result.history["run"]["losses"]["total"]
    assert float(result.score(result.pixels).total) < 1.1 * best
    assert float(result.score(CONTENT).total) > 1.5 * best


def test_every_picture_that_leaves_a_run_has_its_colours():
    """Also those of callbacks, at every size, and of a run that is stopped."""
    seen = []

    def callback(progress, stop_at=99):
        seen.append((progress.size, progress.best_pixels()))
        return progress.step >= stop_at

    result = stylize(CONTENT, STYLE, config=KEEP, callback=callback)
    assert {size for size, _ in seen} == {24, 48}
    np.testing.assert_array_equal(seen[-1][1], result.pixels)
    stopped = stylize(CONTENT, STYLE, config=KEEP, callback=lambda x: callback(x, stop_at=1))
    assert stopped.message.startswith("stopped at 24 pixels")
    np.testing.assert_array_equal(seen[-1][1], stopped.pixels)
    colors = CONTENT - luminance(CONTENT)
    for size, pixels in seen:
        likeness = np.vdot(pixels - luminance(pixels), colors) / np.linalg.norm(colors) ** 2
        assert 0.5 < likeness < 1.05, size


@pytest.mark.parametrize(("amount", "stop_at"), [(1.0, 2), (0.6, 9)])
def test_a_run_that_keeps_colours_goes_on_bit_for_bit(amount, stop_at, tmp_path):
    """From the picture that was painted, not from the one that was saved."""
    config = dataclasses.replace(KEEP, color_amount=amount, save_every=1)
    options: Any = {"config": config, "checkpoint": Checkpoint(tmp_path / "run"), "resume": True}
    stopped = stylize(CONTENT, STYLE, callback=lambda x: x.step >= stop_at, **options)
    assert stopped.status is Status.STOPPED
    whole = stylize(CONTENT, STYLE, config=config)
    np.testing.assert_array_equal(stylize(CONTENT, STYLE, **options).pixels, whole.pixels)


GRID = Grid(color=("keep", "match"), color_amount=(0, 0.5, 1))


@pytest.mark.parametrize("batch", [1, None])
def test_a_sweep_over_colours_is_its_single_runs(batch):
    contents = [CONTENT, picture(48, 40, 3)]
    config = dataclasses.replace(CONFIG, scales=2 if batch else 1)
    result = sweep(contents, STYLE, grid=GRID, config=config, batch=batch)
    assert result.values[1] == {"content": 0, "color": "keep", "color_amount": 0.5}
    assert len(result.values) == 12
    for index in (0, 1, 5, 8, 10) if batch else (2, 4, 9):
        values = dict(result.values[index])
        alone = stylize(
            contents[values.pop("content")], STYLE, config=dataclasses.replace(config, **values)
        )
        np.testing.assert_allclose(result.pixels[index], alone.pixels, atol=0 if batch else 2e-3)
    assert len({row.tobytes() for row in result.pixels}) == 2 * 5  # amount 0 is the same for both


def test_a_sweep_over_colours_on_disk(tmp_path):
    """Tables and names have the values, and another value is one more item for each of the others."""
    config = dataclasses.replace(CONFIG, steps=2, scales=1)
    sweep(CONTENT, STYLE, grid=GRID, config=config, folder=tmp_path)
    header, *rows = (tmp_path / "results.csv").read_text().splitlines()
    assert header.startswith("item,key,color,color_amount,")
    assert re.match("5,[0-9a-f]{12},match,1.0,", rows[5])
    assert (tmp_path / "color=keep__color_amount=0.5.png").is_file()
    assert (tmp_path / "index.html").is_file()
    other = Grid(color=("keep", "match"), color_amount=(0, 0.5, 0.9))
    sweep(CONTENT, STYLE, grid=other, config=config, folder=tmp_path, resume=True)
    _, *extended = (tmp_path / "results.csv").read_text().splitlines()
    assert len(extended) == len(rows) + 2


def test_several_styles_are_matched_each():
    styles = [STYLE, picture(30, 30, 4)]
    config = dataclasses.replace(CONFIG, scales=1, color="match")
    matched = [seen_style(Color("match"), style, CONTENT) for style in styles]
    blended = stylize(CONTENT, styles, config=config, blend=(0.3, 0.7))
    alone = stylize(CONTENT, matched, config=dataclasses.replace(config, color="style"), blend=(0.3, 0.7))
    np.testing.assert_array_equal(blended.pixels, alone.pixels)


def test_regions_are_matched_too():
    """A region's own style, and the style of the others, in a sweep as alone."""
    own, left = picture(30, 30, 4), np.tri(48, 40, dtype=np.float32)
    config = dataclasses.replace(CONFIG, scales=1, mask=(Mask(left), Mask(1 - left, picture=own)))
    style, matched = (seen_style(Color("match"), x, CONTENT) for x in (STYLE, own))
    masks = Mask(left), Mask(1 - left, picture=matched)
    expected = stylize(CONTENT, style, config=dataclasses.replace(config, mask=masks))
    result = sweep(CONTENT, STYLE, grid=Grid(color=("match", "keep")), config=config, batch=1)
    np.testing.assert_array_equal(result.pixels[0], expected.pixels)
    kept = stylize(CONTENT, STYLE, config=dataclasses.replace(config, color="keep"))
    np.testing.assert_array_equal(result.pixels[1], kept.pixels)


@pytest.mark.parametrize("amount", [0.25, 0.5, 1.0])
def test_colours_kept_in_part_lose_no_saturation(amount):
    """A content that is its own style, and that nothing changes, keeps its colours."""
    pixels = np.tile(np.float32([0.8, 0.5, 0.3]), (4, 4, 1))
    color = Color("keep", amount)
    found = finish_picture(color, np.asarray(seen_picture(color, pixels)), pixels)
    np.testing.assert_allclose(found, pixels, atol=1e-5)
