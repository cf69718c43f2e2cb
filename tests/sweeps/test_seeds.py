import dataclasses

import numpy as np
import pytest
from conftest import picture

from jax_nst import load_image, save_image
from jax_nst.sweeps.card import Card
from jax_nst.sweeps.seeds import WHITE, deviation_of, group_seeds, make_deviation


def card(number, losses=None, measures=None, *, outside=False, file="x.png", **labels):
    return Card(number, labels, file, losses or {}, "ok", 1.0, [], [], measures or {}, outside=outside)


def test_groups_have_the_mean_and_the_sample_deviation_of_numpy():
    rng = np.random.default_rng(0)
    losses, ssim = rng.normal(10, 2, (2, 5)), rng.normal(0.5, 0.1, (2, 5))
    cards = [
        card(seed, {"total_loss": losses[weight, seed]}, {"content_ssim": ssim[weight, seed]},
             tv_weight=str(weight), seed=str(seed))
        for seed in range(5) for weight in range(2)
    ]  # fmt: skip
    groups = group_seeds(cards)
    assert [group.labels for group in groups] == [{"tv_weight": "0"}, {"tv_weight": "1"}]
    assert groups[1].members == [1, 3, 5, 7, 9]
    for weight, group in enumerate(groups):
        for name, values in (("total_loss", losses), ("content_ssim", ssim)):
            assert group.mean[name] == pytest.approx(np.mean(values[weight]), rel=1e-12)
            assert group.spread[name] == pytest.approx(np.std(values[weight], ddof=1), rel=1e-12)


def test_groups_are_of_items_with_a_picture_and_of_one_grid():
    cards = [
        card(0, {"total_loss": 1.0}, seed="0"),
        card(1, {"total_loss": 3.0}, {"clipped": 0.5}, seed="1"),
        card(2, {"total_loss": 9.0}, seed="2", file=""),
        card(3, {"total_loss": 7.0}, seed="3", outside=True),
    ]
    first, second = group_seeds(cards)
    assert (first.members, second.members) == ([0, 1], [3])
    assert first.mean == {"total_loss": 2.0, "clipped": 0.5}
    assert first.spread == {"total_loss": pytest.approx(2**0.5)}
    assert second.spread == {}


def test_without_several_seeds_there_are_no_groups():
    assert group_seeds([card(0, tv_weight="1"), card(1, tv_weight="2")]) == []
    assert group_seeds([card(0, tv_weight="1", seed="0"), card(1, tv_weight="2", seed="1")]) == []
    assert group_seeds([]) == []


def test_the_deviation_of_pixels_is_that_of_numpy():
    pictures = [picture(9, 7, seed).astype(np.float32) for seed in range(5)]
    expected = np.sqrt(np.var(np.array(pictures, np.float64), axis=0, ddof=1).mean(axis=-1))
    found = deviation_of(iter(pictures))
    assert found is not None
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    odd = np.zeros((3, 3, 3), np.float32)
    np.testing.assert_array_equal(deviation_of([*pictures, odd]), found)  # another shape is left out
    np.testing.assert_array_equal(deviation_of([pictures[0]] * 3), 0)
    assert deviation_of(pictures[:1]) is None
    assert deviation_of([]) is None


def test_the_map_is_white_where_pictures_differ_much(tmp_path):
    """Two pictures apart by d have the deviation d / sqrt(2)."""
    first, second = np.zeros((2, 8, 8, 3), np.float32)
    second[:, 4:] = 0.2
    second[:4, 4:] = 1
    for name, pixels in (("a.png", first), ("b.png", second)):
        save_image(tmp_path / name, pixels)
    (tmp_path / "bad.png").write_bytes(b"text")
    found = make_deviation(tmp_path, ["a.png", "missing.png", "bad.png", "b.png"], "map")
    assert found is not None
    assert found.map == ("thumbnails/map.png", 8, 8)
    shown = load_image(tmp_path / "thumbnails" / "map.png")
    assert shown[..., 0].max(axis=(0, 1)) == 1
    np.testing.assert_allclose(shown[:, :4], 0)
    np.testing.assert_allclose(shown[4:, 4:], 0.2 / 2**0.5 / WHITE, atol=0.004)
    assert found.rms == pytest.approx(np.sqrt((16 / 64) * 0.5 + (16 / 64) * 0.02), rel=1e-3)
    assert make_deviation(tmp_path, ["a.png"], "one") is None


def test_items_that_ended_early_are_not_in_the_mean():
    cards = [card(i, {"total_loss": 1.0 + i}, seed=str(i), style="a") for i in range(3)]
    cards[2] = dataclasses.replace(cards[2], status="halted at step 2, rank 3 of 3 by total")
    (group,) = group_seeds(cards)
    assert list(group.members) == [0, 1]
