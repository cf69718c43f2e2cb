"""The programs of a GPU and a TPU, by their own compilers, on a machine that has neither.

    pip install -e '.[tpu]' && pytest -m compilers

Each is compiled in a process of its own: JAX reads what these compilers need when it starts.
"""

import functools
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from filelock import FileLock

from jax_nst.runtime.memory import largest_that_fits

pytestmark = pytest.mark.compilers

COMPILERS = {"v5e": "libtpu", "H100": "jax_cuda13_plugin", "T4": "jax_cuda13_plugin"}
LITE = {"size": 64, "features": "vgg19-lite"}


@pytest.fixture(scope="session", autouse=True)
def _shared_folder(tmp_path_factory):
    """Where the workers leave what they found, so that each program is compiled once."""
    own = tmp_path_factory.getbasetemp()
    os.environ["JAX_NST_PROGRAMS"] = str(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)


@functools.cache
def _found(text):
    path = Path(os.environ["JAX_NST_PROGRAMS"]) / f"{hashlib.sha256(text.encode()).hexdigest()}.json"
    with FileLock(f"{path}.lock"):
        if not path.exists():
            script = ROOT / "benchmarks" / "accelerators.py"
            command = [sys.executable, str(script), "--case", text]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr[-2000:]
            path.write_text(done.stdout.splitlines()[-1])
    return json.loads(path.read_text())


def found(chip, **case):
    """What the compiler of a chip makes of a program; see `accelerators.describe`."""
    module = COMPILERS[chip]
    if not importlib.util.find_spec(module):
        extra = "tpu" if module == "libtpu" else "cuda13"
        pytest.skip(f"needs the compiler for {chip}: pip install -e '.[{extra}]'")
    return _found(json.dumps({"chip": chip, "precision": "bfloat16", **LITE, **case}, sort_keys=True))


LOOPS = [
    {"chip": "v5e"},
    {"chip": "v5e", "items": 4, "count": 4},
    {"chip": "H100"},
    {"chip": "H100", "precision": "tf32"},
    {"chip": "H100", "features": "wavelet"},
    {"chip": "H100", "optimizer": "adam"},
    {"chip": "H100", "pairs": "bfloat16"},
    {"chip": "T4", "precision": "float16"},
]


@pytest.mark.parametrize("case", LOOPS, ids=lambda case: " ".join(map(str, case.values())))
def test_a_step_never_waits_for_the_host_and_is_single_precision(case):
    facts = found(**case)
    assert facts["host_transfers"] == []
    assert facts["float64"] == []
    assert facts["inner_loops"] == 0
    assert facts["kernels"] > 10


@pytest.mark.parametrize("case", LOOPS, ids=lambda case: " ".join(map(str, case.values())))
def test_the_state_is_written_over_the_one_before(case):
    """All but the losses: a step needs no second copy of the pairs."""
    facts = found(**case)
    pairs = 2 * 50 * 3 * case.get("size", 64) ** 2 * (2 if "pairs" in case else 4)
    if case.get("optimizer") != "adam":
        assert facts["memory"]["donated"] > pairs
    assert facts["donated"] >= 7
    assert facts["memory"]["arguments"] >= facts["memory"]["donated"]


@pytest.mark.parametrize("chip", ["v5e", "H100"])
def test_convolutions_are_bfloat16_with_bias_and_relu(chip):
    """One to relu3_1: five convolutions forwards, five for the gradient."""
    kinds = found(chip)["convolutions"]
    assert kinds == {"bf16 forward, with bias and ReLU": 5, "bf16 backward": 5}


def test_nothing_of_the_cpu_is_in_the_program():
    """Winograd's algorithm would make matrix products of the convolutions, with a quarter of their sums.

    And where the host loops, a program has no loop to be described.
    """
    facts = found("H100")
    shapes = (64, 3, 64), (64, 64, 64), (32, 64, 128), (32, 128, 128), (16, 128, 256)
    products = sum(side**2 * 9 * given * made for side, given, made in shapes)
    assert sum(facts["convolutions"].values()) == 2 * len(shapes)
    assert facts["flops"]["bf16"] > 0.9 * 2 * 2 * products  # forwards and backwards; less for padding


def test_items_on_four_chips_exchange_nothing():
    assert found("v5e", items=4, count=4)["collectives"] == {}


@pytest.mark.parametrize("height", [64, 61])
def test_rows_on_four_chips_exchange_borders_sums_and_pictures_but_no_features(height):
    """In the whole loop, of L-BFGS: two permutations for each stage and direction, more for odd heights."""
    facts = found("v5e", program="rows", count=4, height=height)
    assert set(facts["collectives"]) <= {"collective-permute", "all-reduce", "all-gather"}
    assert 0 < facts["collectives"]["collective-permute"] <= 40
    assert facts["collectives"]["all-reduce"] <= 8
    assert facts["collectives"]["all-gather"] <= 4
    assert 0 < facts["gathered"] <= 3 * 64 * 64


def test_of_two_pictures_on_four_chips_two_share_the_rows_of_each():
    """They exchange the same as two chips with one picture."""
    facts = found("v5e", program="rows", items=2, count=4)
    assert set(facts["collectives"]) <= {"collective-permute", "all-reduce", "all-gather"}
    assert 0 < facts["collectives"]["collective-permute"] <= 40
    assert facts["collectives"]["all-reduce"] <= 8
    assert 0 < facts["gathered"] <= 3 * 64 * 64


@pytest.mark.parametrize("chip", ["v5e", "H100"])
def test_tiles_on_four_chips_exchange_sums_and_pictures_only(chip):
    """Each chip has a fourth of the tiles, and adds its gradient to those of the others."""
    facts = found(chip, program="rows", count=4, tile_size=32)
    assert set(facts["collectives"]) <= {"all-reduce", "all-gather"}
    assert 0 < facts["collectives"]["all-reduce"] <= 8
    assert facts["gathered"] <= 3 * 64 * 64


def test_memory_of_a_chip_falls_with_the_chips_that_share_the_rows():
    """To a quarter, but for the params, the content's features and pictures: as much as twelve of these."""
    one, four = (
        found("H100", size=512, program=program, count=count)["memory"]["total"]
        for program, count in (("loop", 1), ("rows", 4))
    )
    params = 4 * 9 * (3 * 64 + 64 * 64 + 64 * 128 + 128 * 128 + 128 * 256)
    assert four < one / 4 + params + 12 * 12 * 512**2


@pytest.mark.parametrize(("chip", "size"), [("v5e", 64), ("H100", 128)])
def test_memory_is_linear_in_the_items_of_a_batch(chip, size):
    """The planner of batches extrapolates from two sizes, by a secant; it is right within 5 %."""
    first, second, third = (found(chip, size=size, items=n)["memory"]["total"] for n in (4, 8, 16))
    assert second + 2 * (second - first) == pytest.approx(third, rel=0.05)


@pytest.mark.parametrize("chip", ["H100"])
def test_memory_is_linear_in_the_pixels(chip):
    totals = [found(chip, size=size)["memory"]["total"] for size in (256, 512, 1024)]
    assert totals[1] + 4 * (totals[1] - totals[0]) == pytest.approx(totals[2], rel=0.05)


@pytest.mark.parametrize(("chip", "size", "limit"), [("H100", 128, 0.5e9)])
def test_the_planner_fills_the_memory_with_few_compilations(chip, size, limit):
    """With the numbers of the real compiler, for a small memory; see `test_hlo.py` for other chips."""
    compiled = {}

    def num_bytes(items):
        compiled[items] = found(chip, size=size, items=items)["memory"]["total"]
        return compiled[items]

    batch = largest_that_fits(64, int(limit), num_bytes, guess=8)
    assert 0.9 * limit < compiled[batch] <= limit
    assert len(compiled) <= 3
