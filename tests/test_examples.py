"""The examples: the first command of the README, and the notebooks, run in kernels of their own."""

import base64
import io
import os
import shutil
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from conftest import EXAMPLES, ROOT
from nbclient import NotebookClient
from PIL import Image

from jax_nst import Config, read_sweep, stylize
from jax_nst.images import load_image, load_settings

NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
QUICK = "size, steps = 64, 4"

COLAB_FILES = '''
def upload():
    """The first upload is cancelled."""
    uploads.append(None)
    return {} if len(uploads) == 1 else {"uploaded.jpg": b""}


def download(path):
    print("downloads", path)


uploads = []
'''

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:zmq"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client"),
]


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A copy of the examples; kernels started here import this jax_nst and have no network."""
    for suffix in ("*.jpg", "*.ipynb"):
        for path in EXAMPLES.glob(suffix):
            shutil.copy(path, tmp_path)
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # refuses at once
    return tmp_path


def run(path, parameters=""):
    """Runs a notebook in its folder, with `parameters` after its cell of that tag; returns its outputs."""
    notebook = nbformat.read(path, as_version=4)
    tagged = [i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])]
    for index in tagged:
        notebook.cells.insert(index + 1, nbformat.v4.new_code_cell(parameters))
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(path.parent)}}).execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def text_of(outputs):
    return "".join(
        output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs
    )


def pictures_of(outputs):
    """What `show_progress` displays, JPEG alone, and what others do, with PNG."""
    found = {"image/jpeg": [], "image/png": []}
    for data in (output.get("data", {}) for output in outputs):
        form = next((form for form in ("image/png", "image/jpeg") if form in data), None)
        if form:
            found[form].append(Image.open(io.BytesIO(base64.b64decode(data[form]))).size)
    return found["image/jpeg"], found["image/png"]


@pytest.mark.slow
def test_the_first_picture_is_painted_without_a_download(folder):
    outputs = run(folder / "first_picture.ipynb", QUICK)
    text = text_of(outputs)
    assert "ok, painted with vgg19-lite" in text
    assert f"{folder / 'painted.jpg'}\n" in text
    assert "step 4 of 4 at 64 px, loss " in text
    assert text.count("style_weight ") == 3
    assert load_image(folder / "painted.jpg").shape == (42, 64, 3)
    assert load_settings(folder / "painted.jpg")["style"] == "cypresses.jpg"
    painting, others = pictures_of(outputs)
    assert painting[0] == (64, 42)
    assert [height for _, height in painting] == [42, 42]
    assert others == [(3 * 64, 42)]


@pytest.mark.slow
def test_pictures_are_uploaded_and_downloaded_in_colab(folder, monkeypatch):
    (folder / "modules" / "google" / "colab").mkdir(parents=True)
    (folder / "modules" / "google" / "colab" / "files.py").write_text(COLAB_FILES)
    monkeypatch.setenv("PYTHONPATH", str(folder / "modules"), prepend=os.pathsep)
    shutil.copy(folder / "waves.jpg", folder / "uploaded.jpg")
    text = text_of(run(folder / "first_picture.ipynb", f"{QUICK}; features = 'wavelet'"))
    assert "cancel to use cypresses.jpg" in text
    assert "downloads painted.jpg" in text
    settings = load_settings(folder / "painted.jpg")
    assert (settings["content"], settings["style"]) == ("cat.jpg", "uploaded.jpg")


@pytest.mark.slow
def test_the_sweep_shows_a_grid(folder):
    path = folder / "sweep.ipynb"
    source = path.read_text()
    assert source.count("size=128, steps=60") == 1
    path.write_text(source.replace("size=128, steps=60", "size=64, steps=20"))
    outputs = run(path)
    text = text_of(outputs)
    assert "(6, 42, 64, 3)" in text
    assert text.count("'ok'") == 6
    assert text.count("finished, loss ") == 6
    assert text.count(", style ") == 6
    assert "of 6 pictures done; step 20 of 20 at 64 px, loss " in text
    painting, others = pictures_of(outputs)
    assert len(painting) == 1
    assert painting[0] == (4 * 64, 42)  # the first four beside each other
    assert len(others) == 4
    assert others[0] == (384, 255)
    assert others[1] == (3 * 64, 2 * 42)
    assert others[3] == (3 * 64, 42)


STUDY = """\
size, steps, losses = 32, 3, ["wasserstein", "gram"]
grid = Grid(style_loss=losses, style_weight=(100, 10000), seed=(0, 1))
"""


@pytest.mark.slow
def test_the_conclusion_of_the_study_follows_from_its_pictures(folder):
    """The shares of the fronts are computed anew here, point by point."""
    text = text_of(run(folder / "study.ipynb", STUDY))
    fronts = {loss: np.zeros(2) for loss in ("wasserstein", "gram")}
    columns = ["style", "seed", "style_loss_setting", "style_distance_vgg", "content_ssim"]
    points = list(read_sweep(folder / "study").items[columns].itertuples(index=False, name=None))
    assert len(points) == 3 * 2 * 2 * 2
    for style, seed, loss, near, kept in points:
        others = [(x, y) for a, b, _, x, y in points if (a, b) == (style, seed) and (x, y) != (near, kept)]
        fronts[loss][seed] += not any(x <= near and y >= kept for x, y in others)
    shares = {loss: counts / sum(fronts.values()) for loss, counts in fronts.items()}
    best = max(shares, key=lambda loss: shares[loss].mean())
    percents = sorted({round(100 * share) for share in shares[best]})
    assert f"{best} is on the front most often: its share is " in text
    assert f"{' to '.join(map(str, percents))} %, by the seed." in text
    (other,) = set(shares) - {best}
    ahead = "With every seed it is ahead of" if (shares[best] > shares[other]).all() else "Whether it is"
    assert ahead in text
    assert text.count("In style_distance_vgg, losses differ ") == 1


def test_the_stored_study_is_a_whole_run():
    """It is shown as it stands; its outputs are those of one run, from the first cell to the last."""
    cells = [
        cell
        for cell in nbformat.read(EXAMPLES / "study.ipynb", as_version=4).cells
        if cell.cell_type == "code"
    ]
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    outputs = [output for cell in cells for output in cell.outputs]
    assert not any(output.output_type == "error" for output in outputs)
    assert "is on the front most often: its share is " in text_of(outputs)
    assert len(pictures_of(outputs)[1]) == 4  # the plot, and a row for each style
    assert str(ROOT.parent) not in text_of(outputs)


@pytest.mark.parametrize(
    "path", [path for path in NOTEBOOKS if path.name != "study.ipynb"], ids=lambda path: path.name
)
def test_no_outputs_are_stored(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert cells
    assert not any(cell.outputs or cell.execution_count for cell in cells)


def test_the_notebooks_install_in_the_same_way():
    cells = [cell.source for path in NOTEBOOKS for cell in nbformat.read(path, as_version=4).cells]
    installs = [source for source in cells if "%pip install --quiet .." in source]
    assert len(installs) == len(NOTEBOOKS)
    assert len(set(installs)) == 1


@pytest.mark.slow
def test_a_search_asks_paints_and_tells_in_batches(tmp_path):
    command = [
        sys.executable,
        EXAMPLES / "optuna_search.py",
        "--trials=8",
        "--batch=4",
        "--size=64",
        "--steps=5",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command += [f"--output={tmp_path / 'best'}"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert [line.split(",")[0] for line in lines[:2]] == ["4 of 8 trials", "8 of 8 trials"]
    best = lines[2:]
    assert lines[1].endswith(f", {len(best)} on the front")
    assert all(line.startswith("style_distance_wavelet ") and "style_weight" in line for line in best)
    assert len(list((tmp_path / "best").glob("*.png"))) == len(best) + 1  # and the contact sheet


@pytest.mark.slow
def test_the_first_command_of_the_readme_reaches_its_loss():
    """With the bundled network, as on a machine without network access; 6.67 when this was written."""
    pair = (EXAMPLES / name for name in ("cat.jpg", "cypresses.jpg"))
    result = stylize(*pair, config=Config(features="vgg19-lite"))
    assert result.message == "ok"
    assert result.pixels.shape == (255, 384, 3)
    assert 6.3 < float(result.score(result.pixels).total) < 7
