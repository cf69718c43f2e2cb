"""Measures at the sizes that a run used."""

import numpy as np
import pytest
from conftest import picture

from jax_nst import Config, measure_picture
from jax_nst.images import fit_size, resize
from jax_nst.runtime.platform import current_platform
from jax_nst.transfer import measured
from jax_nst.transfer.measured import measure_run, painted_layers
from jax_nst.transfer.network import load_network
from jax_nst.transfer.spec import resolve

WAVELETS = Config(features="wavelet", content_layers=("luma1",), style_layers=("scale1", "scale2"), size=32)


def test_what_was_painted_with_are_the_layers_of_style():
    extractor = load_network(WAVELETS).extractor
    (level,) = resolve(WAVELETS, extractor, (32, 32, 3), current_platform()).levels
    assert painted_layers(level) == ("scale1", "scale2")


def test_a_run_is_measured_as_its_pictures_are():
    """The content is enlarged to the picture, and the style to `style_scale` times it."""
    extractor = load_network(WAVELETS).extractor
    config = Config(**{**vars(WAVELETS), "style_scale": 1.5})
    content, style, other = picture(16, 16, 1), picture(20, 20, 2), picture(32, 32, 3)
    pixels = np.clip(resize(content, (32, 32)) + 0.1, 0, 1)
    found = measure_run(extractor, config, content, [style, other], (0.25, 0.75), pixels)
    sized = [resize(x, fit_size(x.shape, 48)) for x in (style, other)]
    expected = measure_picture(
        pixels, content, sized, blend=(1, 3), style_size=48, painted=("scale1", "scale2")
    )
    assert found == pytest.approx(expected, rel=1e-6, nan_ok=True)


def test_layers_that_were_painted_with_are_not_measured_on(monkeypatch):
    """Neither of the content's side, so that it shares the program of the picture."""
    seen = []
    monkeypatch.setattr(measured, "content_side", lambda pixels, painted: seen.append(painted))
    monkeypatch.setattr(measured, "style_side", lambda *sides: seen.append(sides[-1]))
    monkeypatch.setattr(measured, "measure", lambda *sides: {})
    config = Config(features="vgg19-lite", style_layers=("relu1_2", "relu2_1"))
    extractor = load_network(config).extractor
    measure_run(extractor, config, picture(32, 32), [picture(32, 32)], None, picture(32, 32))
    assert seen == [("relu1_2", "relu2_1")] * 2
