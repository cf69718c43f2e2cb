"""The way of the data: what may import what, and that importing does nothing."""

import ast
import inspect
import subprocess
import sys

import pytest
from conftest import ROOT

import jax_nst

PACKAGE = ROOT / "jax_nst"

# A module imports only modules above it.
ORDER = (
    "features",
    "colours",
    "images",
    "winograd",
    "vgg",
    "wavelet",
    "weights",
    "losses",
    "recipes",
    "objective",
    "optimizers",
    "step",
    "config",
    "network",
    "programs",
    "allocator",
    "loop",
    "problem",
    "schedule",
    "provenance",
    "memory",
    "stylize",
    "grid",
    "batch",
    "sweep",
    "distributed",
    "labels",
    "gallery",
    "compilation",
    "folder",
    "cli",
)


def imported(path):
    """Modules imported anywhere in a file, by full name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_every_module_has_its_place_and_its_tests():
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert modules == set(ORDER)
    tested = {path.stem.removeprefix("test_") for path in (ROOT / "tests").glob("test_*.py")}
    assert modules <= tested


@pytest.mark.parametrize("module", ORDER)
def test_a_module_imports_only_those_above_it(module):
    above = ORDER[: ORDER.index(module)]
    for name in imported(PACKAGE / f"{module}.py"):
        if name.startswith("jax_nst."):
            assert name.removeprefix("jax_nst.") in above, name


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        ("absl", {"cli"}),
        ("PIL", {"images", "gallery"}),
        ("h5py", {"weights"}),
        ("optax", {"optimizers", "step"}),
    ],
)
def test_a_library_stays_in_its_place(library, homes):
    users = {
        path.stem
        for path in PACKAGE.glob("*.py")
        if any(name.split(".")[0] == library for name in imported(path))
    }
    assert users == homes


def test_importing_prints_nothing_and_starts_no_device():
    code = (
        "import jax_nst, jax, threading;"
        "from jax._src import xla_bridge;"
        "assert not xla_bridge.backends_are_initialized();"
        "assert threading.active_count() == 1"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("name", jax_nst.__all__)
def test_public_names_are_documented(name):
    assert len(inspect.getdoc(getattr(jax_nst, name)) or "") > 40


def test_options_are_keywords():
    """Arrays are positional; what has a default is given by name, but for a path's size and layers."""
    for name in ("stylize", "save_image", "load_params"):
        parameters = inspect.signature(getattr(jax_nst, name)).parameters.values()
        optional = [p for p in parameters if p.default is not p.empty and p.name != "layers"]
        assert optional
        assert all(p.kind is p.KEYWORD_ONLY for p in optional), name
