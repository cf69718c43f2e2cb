"""What settings leave open, in order."""

import dataclasses

import optax
import pytest

from jax_nst import Config, vgg, wavelet
from jax_nst.models.partition import REMATS, TILE_SIZES, Partition
from jax_nst.optim import NUM_PAIRS, make_optimizer
from jax_nst.runtime.platform import CPU, GPU
from jax_nst.transfer.choices import choices_of
from jax_nst.transfer.terms import resolve_terms

EVERYTHING = len(REMATS) + len(TILE_SIZES)


def choices(platform=CPU, **settings):
    config = Config(features="wavelet", **settings)
    terms = [term for _, term in resolve_terms(config, wavelet(), (64, 64))]
    return choices_of(config, wavelet(), terms, platform)


def test_the_fastest_comes_first_and_the_smallest_is_among_the_last():
    found = choices()
    assert len(found) == EVERYTHING * (2 * len(NUM_PAIRS) + 1)
    assert found[0][:3] == (
        Partition("none"),
        make_optimizer("lbfgs", memory_size=50, pairs_dtype="float32"),
        "none",
    )
    assert found[-1].name == "tiles of 256, Adam"
    assert len({choice.name for choice in found}) == len(found)
    assert found[0].time == 1
    times = {size: choices(tile_size=size)[0].time for size in (256, 300, 4096)}
    assert times == {256: 3.5, 300: 3.5, 4096: 1.6}
    names = [choice.name for choice in found]
    for better, worse in (
        ("none, 50 pairs in bfloat16", "all"),
        ("block1", "tiles of 1024"),
        ("tiles of 2048", "tiles of 512"),
        ("all, 10 pairs in bfloat16", "tiles of 512, 10 pairs in bfloat16"),
        ("none, 5 pairs in bfloat16", "none, Adam"),
    ):
        assert names.index(better) < names.index(worse), (better, worse)


def test_pairs_larger_than_those_that_the_device_is_fastest_with_are_not_open():
    names = [choice.name for choice in choices(GPU)]
    assert not any("float32" in name for name in names)
    assert names[0] == "none"
    assert "none, 20 pairs in bfloat16" in names
    assert choices(GPU)[0].optimizer is choices(GPU, lbfgs_pairs="bfloat16", num_pairs=50)[0].optimizer
    kept = choices(GPU, lbfgs_pairs="float32")
    assert kept[0].optimizer is choices(CPU)[0].optimizer


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"optimizer": "adam", "remat": "all"}, ["all"]),
        ({"optimizer": "adam", "tile_size": 100}, ["tiles of 100"]),
        ({"optimizer": "adam", "tile_size": "none"}, ["none", "block1", "all"]),
        ({"num_pairs": 7, "lbfgs_pairs": "bfloat16", "remat": "block1"}, ["block1"]),
        ({"num_pairs": 7, "remat": "none"}, ["none", "none, 7 pairs in bfloat16"]),
        ({"optimizer": optax.sgd(0.1), "remat": "none"}, ["none"]),
    ],
)
def test_what_is_given_is_not_open(settings, expected):
    assert [choice.name for choice in choices(**settings)] == expected


def test_a_loss_that_needs_all_positions_at_once_has_no_tiles():
    names = [choice.name for choice in choices(style_loss=("nnfm",), optimizer="adam")]
    assert names == ["none", "block1", "all"]
    with pytest.raises(ValueError, match="needs all positions of the picture at once"):
        choices(style_loss=("nnfm",), tile_size=64)


def test_an_extractor_that_does_not_say_how_far_it_sees_has_no_tiles():
    extractor = dataclasses.replace(vgg("vgg19"), reach=None)
    config = Config(optimizer="adam")
    terms = [term for _, term in resolve_terms(config, extractor, (64, 64))]
    assert [choice.name for choice in choices_of(config, extractor, terms, CPU)] == [
        "none",
        "block1",
        "all",
    ]
