"""The platform records, and the one of this machine."""

import dataclasses
import math
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from jax_nst.models.extractor import PRECISIONS
from jax_nst.runtime import platform as module
from jax_nst.runtime.platform import CPU, GPU, TPU, current_platform, gpu_precision, num_cores
from jax_nst.transfer.provenance import device


def test_current_platform_of_a_cpu_is_the_cpu_record_with_options_for_the_compiler():
    platform = current_platform()
    assert platform is current_platform()
    assert dataclasses.replace(platform, compiler_options=()) == CPU
    assert {name for name, _ in platform.compiler_options} <= {"xla_cpu_scheduler_type"}


def test_options_that_the_compiler_does_not_know_are_left_out():
    assert module._known(GPU.compiler_options) == GPU.compiler_options
    assert module._known((("xla_no_such_option", True),)) == ()


def test_the_compiler_takes_the_options_of_the_current_platform():
    options = dict(current_platform().compiler_options)
    assert float(jax.jit(jnp.negative, compiler_options=options)(2.0)) == -2


@pytest.mark.parametrize(
    ("platform", "name", "precision"),
    [(CPU, "cpu", "float32"), (GPU, "gpu", "bfloat16"), (TPU, "tpu", "bfloat16")],
)
def test_precision_is_the_one_that_the_device_is_fast_at(platform, name, precision):
    assert (platform.name, platform.precision) == (name, precision)
    assert precision in PRECISIONS
    assert all(option.startswith(f"xla_{name}_") for option, _ in platform.compiler_options)


@pytest.mark.parametrize(
    ("capability", "precision"),
    [
        *((capability, "bfloat16") for capability in ("8.0", "8.6", "8.9", "9.0", "10.0", "12.1")),
        ("7.5", "float16"),  # T4
        ("7.0", "float16"),  # V100
        ("6.1", "float32"),
        ("3.5", "float32"),
        *((capability, "tf32") for capability in (None, "", "gfx90a")),
    ],
)
def test_precision_of_a_gpu_is_the_one_of_its_tensor_cores(capability, precision, monkeypatch):
    assert gpu_precision(capability) == precision

    class Device:
        compute_capability = capability

    monkeypatch.setattr(module, "_default_backend", lambda: "gpu")
    for gpu, expected in ((Device(), precision), (object(), "tf32")):
        monkeypatch.setattr(jax, "devices", lambda gpu=gpu: [gpu])
        found = current_platform.__wrapped__()
        assert found == dataclasses.replace(GPU, precision=expected)


def test_only_accelerators_loop_on_the_device_and_fill_their_memory():
    assert [platform.loop_on_device for platform in (CPU, GPU, TPU)] == [False, True, True]
    assert [platform.fill_memory for platform in (CPU, GPU, TPU)] == [False, True, True]


def test_a_gpu_takes_no_bands_and_tiles_for_huge_pictures():
    assert [platform.most_bands for platform in (CPU, GPU, TPU)] == [3, 1, 3]
    assert [platform.most_pixels for platform in (CPU, GPU, TPU)] == [math.inf, 2**24, math.inf]


def test_only_a_cpu_convolves_by_winograd():
    """The libraries of accelerators do so themselves."""
    assert [platform.winograd for platform in (CPU, GPU, TPU)] == [True, False, False]


@pytest.mark.parametrize("named", ["cuda", "tpu", "soup"])
def test_a_device_that_is_not_there_gets_a_sentence(named):
    code = (
        "from jax_nst.runtime.platform import PlatformError, current_platform\n"
        "try: current_platform()\nexcept PlatformError as error: print(error)"
    )
    environment = {**os.environ, "JAX_PLATFORMS": named}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.startswith(f"JAX cannot use {named}, which JAX_PLATFORMS names (")
    assert done.stdout.endswith("; unset JAX_PLATFORMS, or install JAX for that device\n")
    assert done.stdout.count("\n") == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_the_cores_are_those_that_the_process_may_use():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert num_cores() == 1
        assert device() == f"cpu: cpu, 1 of {os.cpu_count()} cores"
    finally:
        os.sched_setaffinity(0, before)
    assert num_cores() == len(before)


def test_platforms_are_hashable_and_frozen():
    """Programs are cached by them."""
    assert len({CPU, GPU, TPU, current_platform()}) >= 3
    with pytest.raises(dataclasses.FrozenInstanceError):
        CPU.winograd = False
