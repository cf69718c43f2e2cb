"""Import order between packages, and the properties of importing them."""

import ast
import doctest
import inspect
import subprocess
import sys

import pytest
from conftest import ROOT

import jax_nst

SOURCES = ROOT / "jax_nst"

# A module imports only from its own package and from packages earlier in this list.
PACKAGES = ("runtime", "images", "models", "losses", "optim", "metrics", "transfer", "sweeps", "cli")

MODULES = [
    path.relative_to(SOURCES).with_suffix("")
    for path in sorted(SOURCES.glob("*/*.py"))
    if path.name != "__init__.py"
]


def imported(path):
    """Yields the full name of every module imported in a file, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_every_module_is_in_a_listed_package():
    assert {path.parent.name for path in SOURCES.rglob("*.py")} == {"jax_nst", *PACKAGES}
    assert sorted(path.name for path in SOURCES.glob("*.py")) == ["__init__.py", "__main__.py"]
    assert {str(module.parent) for module in MODULES} == set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_package_imports_only_itself_and_earlier_ones(package):
    allowed = {f"jax_nst.{name}" for name in PACKAGES[: PACKAGES.index(package) + 1]}
    for path in (SOURCES / package).glob("*.py"):
        for name in imported(path):
            own = name.split(".")[0] == "jax_nst"
            assert not own or ".".join(name.split(".")[:2]) in allowed, f"{path.name} imports {name}"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_has_a_test_file(module):
    assert (ROOT / "tests" / module.parent / f"test_{module.name}.py").is_file()


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        ("absl", {"cli"}),
        ("PIL", {"images", "sweeps"}),
        ("h5py", {"models"}),
        ("optax", {"optim", "transfer"}),
    ],
)
def test_library_is_used_only_in_its_packages(library, homes):
    users = {
        path.parent.name
        for path in SOURCES.rglob("*.py")
        if any(name.split(".")[0] == library for name in imported(path))
    }
    assert users <= homes


def test_import_prints_nothing_and_initializes_no_backend():
    code = (
        "import jax_nst, jax, threading;"
        "from jax._src import xla_bridge;"
        "assert not xla_bridge.backends_are_initialized();"
        "assert threading.active_count() == 1"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("name", jax_nst.__all__)
def test_public_name_is_documented(name):
    assert len(inspect.getdoc(getattr(jax_nst, name)) or "") > 40


FUNCTIONS = [name for name in jax_nst.__all__ if inspect.isroutine(getattr(jax_nst, name))]
POSITIONAL = {("load_image", "size"), ("load_params", "layers"), ("guarded_lbfgs", "learning_rate")}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_options_are_keyword_only(name):
    """Arrays are positional; options are not, except those that read naturally as the last argument."""
    for parameter in inspect.signature(getattr(jax_nst, name)).parameters.values():
        if parameter.default is not parameter.empty and (name, parameter.name) not in POSITIONAL:
            assert parameter.kind is parameter.KEYWORD_ONLY, parameter


@pytest.mark.parametrize("name", [*FUNCTIONS, "Config", "Grid", "Losses", "Range", "Recipe", "Term"])
def test_examples_of_public_names_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    public = getattr(jax_nst, name)
    tests = doctest.DocTestFinder(recurse=False).find(inspect.unwrap(public), name, globs={})
    assert any(test.examples for test in tests)
    for test in tests:
        assert doctest.DocTestRunner().run(test).failed == 0
