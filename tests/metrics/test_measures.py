"""All measures together."""

import math

import numpy as np
import pytest
from conftest import picture

from jax_nst import METRICS, load_image, measure_picture, save_image
from jax_nst.images import cover
from jax_nst.metrics import measures as measures_module
from jax_nst.metrics.measures import vgg_layers, wavelet_layers

pytestmark = pytest.mark.usefixtures("optimized")  # VGG of 256 pixels a side runs for seconds otherwise

CONTENT, STYLE = picture(32, 32, 1), picture(32, 32, 2)  # one shape, one program


def test_all_metrics_are_measured_in_order():
    found = measure_picture(CONTENT, CONTENT, STYLE)
    assert list(found) == list(METRICS)
    assert all(type(value) is float and math.isfinite(value) for value in found.values())


def test_the_content_has_its_content_and_the_style_its_style():
    of_content, of_style = (measure_picture(x, CONTENT, x) for x in (CONTENT, STYLE))
    assert of_content["content_ssim"] == pytest.approx(1)
    assert of_content["content_edges"] == pytest.approx(1)
    for name in ("content_self_similarity", "color_distance_content"):
        assert of_content[name] < 1e-9 < of_style[name]
    for name in ("style_distance_vgg", "style_distance_wavelet", "color_distance_style"):
        assert of_style[name] < 1e-9
    assert of_style["variation_ratio"] == pytest.approx(1)
    assert of_style["content_ssim"] < 0.5


def test_a_picture_between_both_is_between_them():
    mixtures = [share * STYLE + (1 - share) * CONTENT for share in (0.0, 0.4, 0.8)]
    found = [measure_picture(x, CONTENT, STYLE) for x in mixtures]
    for name in ("content_ssim", "content_edges"):
        assert found[0][name] > found[1][name] > found[2][name]
    for name in ("content_self_similarity", "color_distance_content"):
        assert found[0][name] < found[1][name] < found[2][name]


def test_layers_that_were_painted_with_are_left_out():
    assert vgg_layers(("relu1_1", "relu2_1", "relu3_1")) == ("relu1_2", "relu2_2", "relu3_2")
    assert vgg_layers(("conv1_2", "relu2_2", "relu3_3")) == ("relu1_1", "relu2_1", "relu3_2")
    assert vgg_layers(("relu1_1", "relu1_2")) == ("relu2_2", "relu3_2")
    shape = (512, 512)
    assert wavelet_layers(shape, 512, ()) == tuple(f"scale{s}" for s in range(1, 6))
    assert wavelet_layers(shape, 512, ("scale1",)) == tuple(f"scale{s}" for s in range(2, 6))
    assert wavelet_layers(shape, 20, ()) == ("scale1", "scale2", "scale3")  # of a small style


def test_a_picture_of_the_wavelets_is_measured_by_vgg():
    scales = [f"scale{s}" for s in range(1, 9)]
    found = measure_picture(CONTENT, CONTENT, STYLE, painted=scales)
    assert math.isnan(found["style_distance_wavelet"])
    assert found["style_distance_vgg"] > 0


def test_a_blend_of_a_style_with_itself_is_that_style():
    one = measure_picture(CONTENT, CONTENT, STYLE)
    both = measure_picture(CONTENT, CONTENT, [STYLE, STYLE], blend=(3, 1))
    assert both == pytest.approx(one, rel=1e-3)
    other = measure_picture(CONTENT, CONTENT, [STYLE, CONTENT], blend=(0.1, 0.9))
    assert other["style_distance_vgg"] < one["style_distance_vgg"]
    assert other["color_distance_style"] < one["color_distance_style"]


def test_the_picture_decides_the_sizes(tmp_path, monkeypatch):
    """Files are taken as they are: the content is fitted, the style shrunk, unless its size is given."""
    save_image(tmp_path / "c.png", np.repeat(np.repeat(CONTENT, 2, axis=0), 3, axis=1))
    save_image(tmp_path / "s.png", picture(60, 48, 2))
    paths = tmp_path / "c.png", tmp_path / "s.png"
    seen = []
    monkeypatch.setattr(measures_module, "content_side", lambda content, painted: seen.append(content))
    monkeypatch.setattr(measures_module, "style_side", lambda styles, *rest: seen.append(styles[0]))
    monkeypatch.setattr(measures_module, "measure", lambda *sides: {})
    wide = np.repeat(CONTENT, 2, axis=1)
    measure_picture(wide, *paths)
    measure_picture(wide, *paths, style_size=40)
    assert [x.shape[:2] for x in seen] == [(32, 64), (60, 48), (32, 64), (40, 32)]
    np.testing.assert_array_equal(seen[0], cover(load_image(paths[0]), (32, 64)))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((CONTENT[:3], CONTENT, STYLE), {}, "4 pixels a side"),
        ((CONTENT, CONTENT, STYLE), {"blend": (1, 2)}, "blend must have a share"),
        ((CONTENT, CONTENT, [STYLE] * 2), {"blend": (-1, 2)}, "blend must have a share"),
        ((CONTENT, CONTENT, STYLE), {"style_size": 0}, "style_size must be 1 or more"),
        ((CONTENT + 1, CONTENT, STYLE), {}, "pixels must be finite and lie in"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        measure_picture(*arguments, **options)
