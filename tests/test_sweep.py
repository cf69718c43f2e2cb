"""Row i of a sweep is the single run i."""

import dataclasses

import numpy as np
import pytest
from conftest import picture, vgg_params

from jax_nst import Config, Grid, stylize, sweep

WAVELET = Config(features="wavelet", content_layers=("luma2",), style_layers=("scale1", "scale2"), steps=20)
VGG = Config(content_layers=("relu2_1",), style_layers=("relu1_1", "relu2_1"), steps=20)

CONTENTS = [picture(24, 32, 1), picture(32, 24, 2)]
STYLES = [picture(28, 20, 3), picture(20, 36, 4), picture(33, 33, 5)]


def single(result, index, params):
    values = result.values[index]
    settings = {name: value for name, value in values.items() if name not in ("content", "style", "blend")}
    styles = STYLES if "blend" in values else STYLES[values.get("style", 0)]
    return settings, stylize(
        CONTENTS[values.get("content", 0)],
        styles,
        params=params,
        blend=values.get("blend"),
        config=dataclasses.replace(result.config, **settings),
    )


def single_runs(result, config, params, indices, contents=CONTENTS, styles=STYLES):
    """(index, what stylize makes of item `index`)."""
    for index in indices:
        values = result.values[index]
        of_config = {k: v for k, v in values.items() if k not in ("content", "style", "blend")}
        style = styles if "blend" in values else styles[values.get("style", 0)]
        yield (
            index,
            stylize(
                contents[values.get("content", 0)],
                style,
                config=dataclasses.replace(config, **of_config),
                blend=values.get("blend"),
                params=params,
            ),
        )


def assert_same(result, index, alone):
    for name in ("total", "content", "style", "tv"):
        curve = [step[name] for step in alone.history["steps"]]
        np.testing.assert_allclose(getattr(result.history, name)[index], curve, rtol=5e-3, atol=1e-6)
    assert float(np.abs(result.pixels[index] - alone.pixels).max()) < 0.02


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("base", [WAVELET, VGG], ids=["wavelet", "vgg"])
def test_every_row_is_the_single_run(optimizer, base):
    params = None if base is WAVELET else vgg_params("vgg19", ("relu2_1",))
    config = dataclasses.replace(base, optimizer=optimizer, init="noise")
    result = sweep(
        CONTENTS[0], STYLES[:2], config=config, params=params, batch=3, grid=Grid(style_weight=(10, 1e3), seed=(1, 2))
    )  # fmt: skip
    assert result.pixels.shape == (8, 24, 32, 3)
    assert result.status == ["ok"] * 8
    for index, alone in single_runs(result, config, params, range(8)):
        assert_same(result, index, alone)
        assert float(result.losses.total[index]) == result.history.total[index].min()
