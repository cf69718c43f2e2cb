"""What fits in memory, and what does not, before anything is compiled."""

import dataclasses

import pytest
from conftest import picture

from jax_nst import Config
from jax_nst.runtime.memory import OutOfMemoryError
from jax_nst.runtime.platform import CPU
from jax_nst.transfer.item import Item
from jax_nst.transfer.needs import check_state_fits, choices_at, estimates
from jax_nst.transfer.network import load_network
from jax_nst.transfer.pictures import Source, Start
from jax_nst.transfer.spec import resolve, resolve_level_weights

CONFIG = Config(features="wavelet", content_layers=("luma2",), style_layers=("scale1",), optimizer="adam")
NETWORK = load_network(CONFIG, platform=CPU)


@pytest.mark.parametrize(
    ("settings", "kinds"),
    [({}, {"tiles"}), ({"tile_size": "none"}, {"whole"}), ({"remat": "all"}, {"whole"})],
)
def test_a_picture_beyond_the_pixels_of_a_platform_is_computed_in_tiles_where_that_is_possible(
    settings, kinds
):
    platform = dataclasses.replace(CPU, most_pixels=600 * 800 - 1)
    config = dataclasses.replace(CONFIG, size=800, scales="2", **settings)
    spec = resolve(config, NETWORK.extractor, (600, 800, 3), platform)

    def of(level):
        return {"tiles" if x.partition.tile_size else "whole" for x in choices_at(spec, level)}

    small, large = spec.levels
    assert of(large) == kinds
    assert "whole" in of(small)


def test_a_state_larger_than_the_memory_is_refused_before_anything_is_traced():
    spec = resolve(dataclasses.replace(CONFIG, size=60_000), NETWORK.extractor, (24, 32, 3), CPU)

    with pytest.raises(OutOfMemoryError):
        check_state_fits(spec)


def test_the_choices_worth_their_time_end_with_the_first_that_fits(monkeypatch):
    shape = (768, 1024, 3)
    config = dataclasses.replace(CONFIG, size=1024, scales=1, optimizer="lbfgs")
    spec = resolve(config, NETWORK.extractor, shape, CPU)
    item = Item(0, (0,), (1.0,), resolve_level_weights(config, spec), Start("content", 0))
    sources = [Source(shape, lambda: picture(*shape[:2]))], [Source(shape, lambda: picture(*shape[:2]))]
    plenty = estimates(NETWORK, spec, *sources, item)
    assert [(x.choice.name, x.fits) for x in plenty] == [("none", True)]
    tight = estimates(NETWORK, dataclasses.replace(spec, memory=1), *sources, item)
    assert not any(x.fits for x in tight)
    sizes = [x.num_bytes for x in tight]
    assert sizes == sorted(sizes, reverse=True)
    assert tight[0].choice.name == "none"
    limit = sizes[len(sizes) // 2]
    monkeypatch.setattr("jax_nst.transfer.needs.limit_of", lambda spec: limit)
    some = estimates(NETWORK, spec, *sources, item)
    assert [x.fits for x in some] == [False] * (len(some) - 1) + [True]
