import jax
import jax.numpy as jnp
import pytest

from jax_nst.models.extractor import PRECISIONS
from jax_nst.runtime.platform import CPU, GPU, TPU, current_platform


def test_the_current_platform_is_that_of_jax():
    found = current_platform()
    assert found.name == jax.default_backend() == "cpu"
    assert found.loop_on_device == CPU.loop_on_device
    assert (found.precision, found.winograd, found.fill_memory) == (CPU.precision, True, False)
    assert current_platform() is found


def test_xla_takes_the_compiler_options():
    options = dict(current_platform().compiler_options)
    assert float(jax.jit(jnp.negative).lower(1.0).compile(options)(1.0)) == -1


@pytest.mark.parametrize("platform", [CPU, GPU, TPU], ids=lambda platform: platform.name)
def test_a_platform_is_hashable_and_has_a_known_precision(platform):
    """Programs are cached by it."""
    assert hash(platform) == hash(platform)
    assert platform.precision in PRECISIONS


def test_accelerators_loop_on_the_device_and_fill_their_memory():
    assert {(p.loop_on_device, p.fill_memory, p.winograd) for p in (GPU, TPU)} == {(True, True, False)}
