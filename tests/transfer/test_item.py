"""What the items of a batch share."""

from jax_nst import Config
from jax_nst.runtime.platform import CPU
from jax_nst.transfer.item import Look, make_item
from jax_nst.transfer.network import load_network
from jax_nst.transfer.spec import resolve

CONFIG = {"features": "wavelet", "content_layers": ("luma2",), "style_layers": ("scale1", "scale2")}


def item(styles=(0,), shares=(1.0,), **settings):
    config = Config(**CONFIG, **settings)
    network = load_network(config, platform=CPU)
    return make_item(config, resolve(config, network.extractor, (24, 32, 3), CPU), 0, styles, shares)


def test_each_style_is_taken_at_its_size_by_each_angle():
    assert item().looks == [Look(0, None, 0.0)]
    found = item(styles=(3, 5), shares=(0.5, 0.5), style_sizes=(16, 32), style_angle=(0.0, 90.0))
    assert found.looks == [Look(3, 0.5, 0.0), Look(3, 0.5, 90.0), Look(5, 1.0, 0.0), Look(5, 1.0, 90.0)]


def test_what_changes_a_target_changes_its_key():
    plain = item()
    assert item(content_weight=3.0).content_key == plain.content_key
    assert item(content_weight=3.0).style_key == plain.style_key
    assert item(noise=0.1).content_key != plain.content_key
    assert item(noise=0.1).style_key == plain.style_key
    assert item(style_angle=(45.0,)).style_key != plain.style_key
    assert item(color="keep").content_key != plain.content_key
    assert item(color="match").content_key == plain.content_key
    assert item(color="match").style_key != plain.style_key
