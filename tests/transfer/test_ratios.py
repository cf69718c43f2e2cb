import pytest

from jax_nst import Config
from jax_nst.transfer.ratios import parse_ratios


def test_proportions_are_width_over_height():
    assert parse_ratios(("4:3", "3:4", "1.5:1")) == (4 / 3, 3 / 4, 1.5)
    assert parse_ratios(()) == ()


@pytest.mark.parametrize("crop", ["4/3", "0:1", "1:0", "nan:1", "1:101", "", ("4:3", "wide")])
def test_crop_must_be_proportions(crop):
    with pytest.raises(ValueError, match=r"crop must be proportions such as 4:3,3:4, not"):
        Config(crop=crop)
