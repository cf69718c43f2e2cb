"""Masks of grey and of coloured images."""

import numpy as np
import pytest

from jax_nst.images import ImageError, load_image, masks_of, same_label, save_image

RED, BLUE, BLACK = (255, 0, 0), (0, 0, 255), (0, 0, 0)


def painted(*colours, height=12):
    """Vertical stripes of these 8-bit colours, 10 pixels wide each."""
    stripes = [np.tile(np.float32(colour) / 255, (height, 10, 1)) for colour in colours]
    return np.concatenate(stripes, axis=1)


def test_a_grey_image_is_one_mask_with_soft_edges():
    ramp = np.repeat(np.linspace(0, 1, 20, dtype=np.float32)[None], 5, axis=0)
    masks = masks_of(np.repeat(ramp[..., None], 3, axis=-1))
    assert list(masks) == [None]
    np.testing.assert_allclose(masks[None], ramp, atol=1e-6)


def test_colours_are_labels_and_black_is_none():
    masks = masks_of(painted(RED, BLACK, BLUE))
    assert set(masks) == {RED, BLUE}
    assert masks[RED].sum() == masks[BLUE].sum() == 120
    assert masks[RED][:, :10].all()
    assert masks[BLUE][:, 20:].all()


def test_jpeg_and_antialiased_edges_belong_to_the_nearest_label(tmp_path):
    save_image(tmp_path / "labels.jpg", painted(RED, BLUE, height=64))
    masks = masks_of(load_image(tmp_path / "labels.jpg"))
    assert len(masks) == 2
    assert sum(masks.values()).min() == 1
    for label, mask in masks.items():
        assert same_label(label, [BLUE, RED]) in (BLUE, RED)
        assert mask.mean() == pytest.approx(0.5, abs=0.05)


def test_labels_of_about_one_colour_are_the_same():
    assert same_label(RED, [BLUE, (250, 10, 3)]) == (250, 10, 3)
    assert same_label(None, [None]) is None
    for label, others in ((RED, [BLUE]), (RED, [None]), (None, [RED])):
        with pytest.raises(KeyError):
            same_label(label, others)


def test_photographs_are_refused(rng):
    with pytest.raises(ImageError, match="flat colours"):
        masks_of(rng.random((64, 64, 3), np.float32))
    steps = np.array([(r, g, b) for r in (0, 90, 180) for g in (0, 90, 180) for b in (60, 150)])
    with pytest.raises(ImageError, match="more than 16 colours"):
        masks_of(painted(*steps))
