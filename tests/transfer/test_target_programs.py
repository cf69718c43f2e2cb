"""Memory that the statistics of a style take."""

import contextlib

import pytest
from conftest import count_compilations

from jax_nst import Config
from jax_nst.runtime.platform import CPU
from jax_nst.transfer import target_programs
from jax_nst.transfer.network import load_network
from jax_nst.transfer.spec import resolve

CONFIG = Config(features="wavelet", content_layers=("luma2",), style_layers=("scale1", "scale2"))
NETWORK = load_network(CONFIG, platform=CPU)
(LEVEL,) = resolve(CONFIG, NETWORK.extractor, (24, 32, 3), CPU).levels
TOO_LARGE = r"the style image at \d+ x \d+ pixels takes .* GB or more of memory, but .*; give a smaller"


@pytest.mark.parametrize(
    ("shape", "limit", "compiles", "fits"),
    [
        ((28, 28), 10**9, False, True),
        ((512, 512), 260_000_000, True, True),
        ((512, 512), 27_000_000, True, False),
        ((65536, 46811), 10**11, False, False),
    ],
)
def test_a_style_that_takes_too_much_memory_is_refused(shape, limit, compiles, fits, monkeypatch):
    """What surely fits, and what surely does not, is not compiled for."""
    monkeypatch.setattr(target_programs, "memory_limit", lambda device: limit)
    target_programs.target_programs.cache_clear()

    def check():
        with contextlib.nullcontext() if fits else pytest.raises(ValueError, match=TOO_LARGE):
            target_programs.check_style_fits(NETWORK, LEVEL, CPU, shape)

    assert bool(count_compilations(check)[0]) == compiles
