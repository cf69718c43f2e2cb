"""Masks as users give them: text, files and arrays; and transfers with regions."""

import dataclasses

import numpy as np
import pytest
from conftest import picture
from PIL import Image

from jax_nst import Checkpoint, Config, Grid, Mask, load_image, save_image, stylize, sweep
from jax_nst.transfer.masks import (
    check_proportions,
    described_masks,
    files_of_masks,
    fit_mask,
    label_of,
    load_regions,
    parse_mask,
    with_full_paths,
)

SHAPE = (24, 32)
CONFIG = Config(
    features="wavelet", content_layers=("luma2",), style_layers=("scale1", "scale2"), steps=3, scales=1
)
CONTENT, STYLE, OTHER = picture(*SHAPE, 1), picture(28, 28, 2), picture(20, 30, 3)
LEFT = np.float32(np.arange(32) < 16) * np.ones((24, 1), np.float32)


def paint(*masks, style=STYLE, **settings):
    config = dataclasses.replace(CONFIG, mask=masks or None, **settings)
    return stylize(CONTENT, style, config=config)


def test_text_is_a_mask():
    assert parse_mask("a.png").content == "a.png"
    whole = parse_mask("a.png:b.png:picture=c.jpg:weight=0.5")
    assert (whole.content, whole.style, whole.picture, whole.weight) == ("a.png", "b.png", "c.jpg", 0.5)
    windows = parse_mask(r"C:\a.png:D:\b.png")
    assert (windows.content, windows.style) == (r"C:\a.png", r"D:\b.png")
    assert files_of_masks(("a.png:b.png", Mask(LEFT), "c.png")) == ("a.png", "b.png", "c.png")
    assert label_of(("x/sky.png:b.png", Mask(LEFT))) == "sky+mask"
    first, second = described_masks(("x/a.png:y/b.png:weight=2", Mask(LEFT, weight=0.5)))
    assert first == "a.png:b.png:weight=2"
    assert first == described_masks((with_full_paths("a.png:b.png:weight=2.0"),))[0]
    assert second.startswith("array ")
    assert second.endswith(":weight=0.5")
    assert second != described_masks((Mask(1 - LEFT, weight=0.5),))[0]


def test_full_paths_keep_what_a_mask_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = with_full_paths("a.png:b.png:weight=0.5, c.png:picture=d.png")
    first, second = (parse_mask(part) for part in text.split(","))
    assert (first.content, first.style, first.weight) == (
        str(tmp_path / "a.png"),
        str(tmp_path / "b.png"),
        0.5,
    )
    assert (second.content, second.picture) == (str(tmp_path / "c.png"), str(tmp_path / "d.png"))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ("a.png:b.png:c.png", "too many; give CONTENT.png:STYLE.png"),
        ("a.png::weight=1", "a part that is empty"),
        ("weight=1", "names no mask of the content"),
        ("a.png:weight=heavy", "is no number"),
        ("a.png:weight=-1", "must be zero or more"),
        ("a.png:weight=nan", "must be zero or more"),
        ("", "a part that is empty"),
    ],
)
def test_other_text_is_refused(mask, message):
    with pytest.raises(ValueError, match=message):
        Config(mask=(mask,))


def test_config_takes_one_mask_or_several():
    mask = Mask(LEFT)
    assert Config(mask=mask).mask == (mask,)
    assert Config(mask="a.png,b.png:c.png").mask == ("a.png", "b.png:c.png")
    for wrong in ((), 3, (3,)):
        with pytest.raises(ValueError, match="mask must be"):
            Config(mask=wrong)


def test_masks_of_another_size_or_of_nothing_are_refused(tmp_path):
    save_image(tmp_path / "black.png", np.zeros((24, 32, 3), np.float32))
    save_image(tmp_path / "square.png", np.ones((32, 32, 3), np.float32))
    save_image(tmp_path / "small.png", np.ones((12, 16, 3), np.float32))
    shape = (*SHAPE, 3)
    assert len(load_regions([str(tmp_path / "small.png")], None, shape)) == 1
    with pytest.raises(ValueError, match=r"black.png: is black, so it marks nothing"):
        load_regions([str(tmp_path / "black.png")], None, shape)
    with pytest.raises(ValueError, match=r"square.png: is 32 x 32 pixels, but its picture is 32 x 24"):
        load_regions([str(tmp_path / "square.png")], None, shape)
    with pytest.raises(ValueError, match="weight 0, so nothing would be painted"):
        load_regions([Mask(LEFT, weight=0)], None, shape)
    with pytest.raises(ValueError, match=r"nowhere\.png"):
        load_regions(["nowhere.png"], None, shape)
    with pytest.raises(ValueError, match=r"black\.png: is black"):
        load_regions(None, str(tmp_path / "black.png"), shape)
    with pytest.raises(ValueError, match=r"mask: is 32 x 24 pixels, but its picture is 28 x 28"):
        paint(Mask(LEFT, style=LEFT))


def test_proportions_may_be_those_of_a_picture_at_a_small_size():
    for own, shape in (((667, 1000), (85, 128)), ((1366, 2048), (342, 512)), ((85, 128), (667, 1000))):
        check_proportions("m.png", own, shape)
    for own, shape in (((667, 1000), (90, 128)), ((100, 100), (98, 100))):
        with pytest.raises(ValueError, match="same proportions"):
            check_proportions("m.png", own, shape)


def test_what_is_transparent_is_no_region(tmp_path):
    levels = np.full((*SHAPE, 4), 255, np.uint8)
    levels[:, 16:, 3] = 0
    Image.fromarray(levels).save(tmp_path / "m.png")
    (region,) = load_regions([str(tmp_path / "m.png")], None, (*SHAPE, 3))
    np.testing.assert_array_equal(region.mask, LEFT)


def test_labels_need_partners(tmp_path):
    red, blue = np.zeros((2, *SHAPE, 3), np.float32)
    red[:, :16, 0] = red[:, 16:, 2] = 1
    blue[:, :, 2] = 1
    regions = load_regions([Mask(red, style=red)], None, (*SHAPE, 3))
    assert len(regions) == 2
    np.testing.assert_array_equal(regions[0].mask + regions[1].mask, 1)
    for region in regions:
        np.testing.assert_array_equal(region.mask, region.style_mask)
    with pytest.raises(ValueError, match=r"has no region in the colour \(255, 0, 0\)"):
        load_regions([Mask(red, style=blue)], None, (*SHAPE, 3))
    del tmp_path


def test_masks_are_cropped_as_their_picture_is():
    mask = np.zeros((24, 48), np.float32)
    mask[:, 12:36] = 1
    np.testing.assert_array_equal(fit_mask(mask, (24, 24)), 1)
    assert fit_mask(mask, (12, 24)).mean() == pytest.approx(0.5, abs=0.01)


def test_a_mask_of_ones_paints_the_same_picture():
    plain, ones = paint(), paint(Mask(np.ones(SHAPE)))
    assert ones.history["steps"][0]["style"] == pytest.approx(plain.history["steps"][0]["style"], rel=1e-5)
    np.testing.assert_allclose(ones.pixels, plain.pixels, atol=0.02)


def test_regions_take_their_own_styles():
    """Each half moves more towards the colours of its own style than towards those of the other."""
    dark, light = np.full((2, 28, 28, 3), 0.1, np.float32) + np.float32([0, 0.8])[:, None, None, None]
    noise = np.random.default_rng(0).normal(0, 0.05, dark.shape).astype(np.float32)
    dark, light = (np.clip(x + noise, 0, 1) for x in (dark, light))
    painted = paint(Mask(LEFT), Mask(1 - LEFT, picture=light), style=dark, steps=10).pixels
    assert painted[:, :12].mean() < painted[:, 20:].mean() - 0.1
    # The same from one style picture with both, and its masks.
    both = np.concatenate([dark, light], axis=1)
    of_both = np.float32(np.arange(56) < 28) * np.ones((28, 1), np.float32)
    painted = paint(
        Mask(LEFT, style=of_both), Mask(1 - LEFT, style=1 - of_both), style=both, steps=10
    ).pixels
    assert painted[:, :12].mean() < painted[:, 20:].mean() - 0.1


def test_a_map_of_the_style_weight_is_a_mask_of_everything(tmp_path):
    save_image(tmp_path / "map.png", np.repeat(LEFT[..., None], 3, axis=-1))
    mapped = paint(style_weight=str(tmp_path / "map.png"))
    np.testing.assert_array_equal(mapped.pixels, paint(Mask(LEFT)).pixels)
    half = paint(Mask(np.ones(SHAPE)), style_weight=tmp_path / "map.png")
    np.testing.assert_allclose(
        half.history["steps"][0]["style"], mapped.history["steps"][0]["style"], rtol=1e-5
    )


def test_losses_that_are_no_means_take_no_masks():
    from jax_nst import CONTENT as CONTENT_TERM
    from jax_nst import GRAM, Recipe

    odd = dataclasses.replace(GRAM, takes_weights=False)
    with pytest.raises(ValueError, match="this style loss takes no masks"):
        paint(Mask(LEFT), recipe=Recipe("odd", ((1.0, CONTENT_TERM), (1.0, odd))))


def test_a_sweep_of_masks_equals_single_runs(tmp_path):
    save_image(tmp_path / "left.png", np.repeat(LEFT[..., None], 3, axis=-1))
    sets = ((str(tmp_path / "left.png"),), (Mask(LEFT), Mask(1 - LEFT, picture=OTHER)), (Mask(1 - LEFT),))
    result = sweep(CONTENT, STYLE, grid=Grid(mask=sets), config=CONFIG, batch=1)
    assert result.messages == ["ok"] * 3
    for pixels, masks in zip(result.pixels, sets, strict=True):
        np.testing.assert_array_equal(pixels, paint(*masks).pixels)
    batched = sweep(CONTENT, STYLE, grid=Grid(mask=sets), config=CONFIG)
    np.testing.assert_allclose(batched.losses["style"], result.losses["style"], rtol=0.05)
    np.testing.assert_allclose(batched.pixels[0], result.pixels[0], atol=0.05)
    assert np.abs(result.pixels[0] - result.pixels[2]).max() > 0.05


def test_a_sweep_of_masks_on_disk_has_labels_and_goes_on(tmp_path):
    for name, mask in (("left", LEFT), ("right", 1 - LEFT)):
        save_image(tmp_path / f"{name}.png", np.repeat(mask[..., None], 3, axis=-1))
    grid = Grid(mask=(str(tmp_path / "left.png"), str(tmp_path / "right.png"), (Mask(LEFT),)))
    options = {"grid": grid, "config": CONFIG, "folder": tmp_path / "out"}
    sweep(CONTENT, STYLE, **options)
    names = {path.name for path in (tmp_path / "out").glob("*.png")}
    assert {"mask=left.png", "mask=right.png", "mask=mask.png"} <= names
    table = (tmp_path / "out" / "results.csv").read_text().splitlines()
    assert [row.split(",")[1] for row in table[1:]] == ["left", "right", "mask"] or "left" in table[1]
    before = load_image(tmp_path / "out" / "mask=left.png")
    again = sweep(CONTENT, STYLE, **options, resume=True)
    np.testing.assert_array_equal(again.pixels[0], before)
    save_image(tmp_path / "left.png", np.ones((*SHAPE, 3), np.float32))
    with pytest.raises(ValueError, match=r"masks: the contents of left\.png differ"):
        sweep(CONTENT, STYLE, **options, resume=True)


def test_a_checkpoint_of_other_masks_is_not_gone_on_with(tmp_path):
    def run(mask, **options):
        config = dataclasses.replace(CONFIG, mask=(mask,))
        return stylize(
            CONTENT, STYLE, config=config, checkpoint=Checkpoint(tmp_path / "c", every=0), **options
        )

    stopped = run(Mask(LEFT), callback=lambda progress: progress.step >= 1)
    assert stopped.message.startswith("stopped")
    with pytest.raises(ValueError, match="mask"):
        run(Mask(1 - LEFT), resume=True)
    resumed = run(Mask(LEFT), resume=True)
    np.testing.assert_array_equal(resumed.pixels, paint(Mask(LEFT)).pixels)
