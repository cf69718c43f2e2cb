"""Contents of the wheel and of the sdist."""

import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
from conftest import ROOT

from jax_nst.models.download import BUNDLED


def sources():
    """The files of the project; none where this is no clone."""
    if not shutil.which("git"):
        return []
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    return listed.stdout.split("\0")[:-1]


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """Builds a wheel and an sdist from a copy, so that the project stays clean."""
    folder = tmp_path_factory.mktemp("build")
    if not sources():
        pytest.skip("needs a clone")
    for name in sources():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "weights" / "vgg19_own.h5").touch()  # a user's own file, which is not ours to distribute
    build = "from setuptools import build_meta as b; b.build_wheel('dist'); b.build_sdist('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=folder, check=True, capture_output=True)
    return folder / "dist"


@pytest.mark.slow
def test_wheel_has_the_bundled_network_and_its_licence(distributions, tmp_path):
    (path,) = distributions.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        assert "jax_nst_command.py" in names
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
def test_sdist_has_the_whole_project_and_its_tests_run(distributions, tmp_path):
    (path,) = distributions.glob("*.tar.gz")
    with tarfile.open(path) as sdist:
        names = {name.split("/", 1)[1] for name in sdist.getnames() if "/" in name}
        sdist.extractall(tmp_path, filter="data")
    assert set(sources()) - {".gitignore"} <= names
    assert "weights/vgg19_own.h5" not in names
    (folder,) = tmp_path.iterdir()

    def pytest_in(folder, *arguments):
        command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True)

    here, there = (pytest_in(place, "--collect-only") for place in (ROOT, folder))
    assert (there.returncode, there.stderr) == (0, "")
    assert there.stdout.splitlines()[:-1] == here.stdout.splitlines()[:-1]
    done = pytest_in(
        folder, "tests/test_structure.py", "tests/models/test_download.py", "-k", "not examples"
    )
    assert done.returncode == 0, done.stdout
