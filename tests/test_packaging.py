"""What travels in the wheel and in the sdist."""

import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
from conftest import ROOT

from jax_nst.models.weights import BUNDLED

SOURCES = ("jax_nst", "weights", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """A wheel and an sdist, built from a copy so that nothing is left in the project."""
    folder = tmp_path_factory.mktemp("build")
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    build = "from setuptools import build_meta as b; b.build_wheel('dist'); b.build_sdist('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=folder, check=True, capture_output=True)
    return folder / "dist"


@pytest.mark.slow
def test_the_wheel_has_the_bundled_network_and_its_licence(distributions, tmp_path):
    (path,) = distributions.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        assert f"jax_nst/bundled/{BUNDLED}" in names
        (licence,) = (name for name in names if name.endswith("licenses/weights/LICENSE"))
        assert "Attribution 4.0 International" in wheel.read(licence).decode()
        wheel.extractall(tmp_path)
    # Without the project in sight: only what is in the wheel is found.
    find = "from jax_nst import weights as w, load_params; print(w.bundled(), *load_params(w.bundled()))"
    found = subprocess.run(
        [sys.executable, "-P", "-c", find], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)},
        check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    assert found[0] == str(tmp_path / "jax_nst" / "bundled" / BUNDLED)
    assert found[-1] == "conv3_4"


@pytest.mark.slow
def test_the_sdist_has_them_too(distributions):
    (path,) = distributions.glob("*.tar.gz")
    with tarfile.open(path) as sdist:
        names = {name.split("/", 1)[1] for name in sdist.getnames() if "/" in name}
    assert {
        f"weights/{BUNDLED}",
        "weights/LICENSE",
        "weights/README.md",
        "weights/make_bundled.py",
    } <= names
