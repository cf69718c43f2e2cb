"""Contents of the wheel and of the sdist."""

import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
from conftest import ROOT

from jax_nst.models.download import BUNDLED

SOURCES = ("jax_nst", "weights", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """Builds a wheel and an sdist from a copy, so that the project stays clean."""
    folder = tmp_path_factory.mktemp("build")
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    build = "from setuptools import build_meta as b; b.build_wheel('dist'); b.build_sdist('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=folder, check=True, capture_output=True)
    return folder / "dist"


@pytest.mark.slow
def test_wheel_has_the_bundled_network_and_its_licence(distributions, tmp_path):
    (path,) = distributions.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        assert f"jax_nst/bundled/{BUNDLED}" in names
        (licence,) = (name for name in names if name.endswith("licenses/weights/LICENSE"))
        assert "Attribution 4.0 International" in wheel.read(licence).decode()
        wheel.extractall(tmp_path)
    # Runs outside the project, so that only the contents of the wheel can be found.
    find = (
        "from jax_nst.models.download import bundled; from jax_nst import load_params;"
        "print(bundled(), *load_params(bundled()))"
    )
    found = subprocess.run(
        [sys.executable, "-P", "-c", find], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)},
        check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    assert found[0] == str(tmp_path / "jax_nst" / "bundled" / BUNDLED)
    assert found[-1] == "conv3_4"


@pytest.mark.slow
def test_sdist_has_the_bundled_network_and_its_licence(distributions):
    (path,) = distributions.glob("*.tar.gz")
    with tarfile.open(path) as sdist:
        names = {name.split("/", 1)[1] for name in sdist.getnames() if "/" in name}
    assert {
        f"weights/{BUNDLED}",
        "weights/LICENSE",
        "weights/README.md",
        "weights/make_bundled.py",
    } <= names
