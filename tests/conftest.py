"""The strict world that the tests run in, and what several of them need."""

import atexit
import dataclasses
import functools
import gc
import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_PLATFORMS"] = "cpu"
# What one test compiles, another need not, be it in another worker, in a program that a test starts, or
# in the next call of pytest, where its caller names a folder. Small programs count: there are thousands.
OWN_CACHE = "JAX_COMPILATION_CACHE_DIR" not in os.environ  # a worker is given that of its parent
if OWN_CACHE:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="jax_nst_tests_")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

from pathlib import Path

import h5py
import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import pytest

from jax_nst.models import vgg

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"

jax.config.update("jax_numpy_rank_promotion", "raise")
# Tracing makes many objects that live: looking through them so often took a tenth of the time.
gc.set_threshold(50_000, 20, 100)
if OWN_CACHE:
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)


def pytest_collection_modifyitems(items):
    """Slow tests start with the last folders, which have the longest: no worker ends with one alone."""
    slow = [item for item in items if item.get_closest_marker("slow")]
    items[:] = slow[::-1] + [item for item in items if not item.get_closest_marker("slow")]


def pytest_runtest_setup(item):
    """Most tests compile for seconds what runs for milliseconds; the slow ones compile as users do."""
    in_full = any(item.get_closest_marker(name) for name in ("slow", "compilers"))
    jax.config.update("jax_disable_most_optimizations", not in_full)
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "0" if in_full else "1"  # for programs started by tests


@pytest.fixture
def optimized():
    """Compiles as users do, where running takes longer than compiling: convolutions in loops."""
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(autouse=True)
def _no_weights_of_this_machine(monkeypatch, tmp_path):
    """Keeps tests from finding or downloading the user's weights."""
    from jax_nst.models import download

    def refuse(published, *, quiet):
        del quiet
        raise download.DownloadError(f"{published.url}: not in a test")

    monkeypatch.delenv(download.ENVIRONMENT, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "PROJECT_FOLDER", tmp_path / "no_weights")
    monkeypatch.setattr(download, "FOLDER", str(tmp_path / "no_weights"))
    monkeypatch.setattr(download, "_download", refuse)


@pytest.fixture(scope="module")
def browser():
    """Chromium, which opens the page of a sweep."""
    sync_api = pytest.importorskip("playwright.sync_api")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    with sync_api.sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=found, args=arguments)
        except sync_api.Error:
            pytest.skip("needs Chromium: install it, or run `playwright install chromium`")
        yield started
        started.close()


@pytest.fixture
def server(monkeypatch):
    """A server on this machine: path -> bytes, or a number of seconds to say nothing."""
    answers = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            answer = answers.get(self.path)
            if isinstance(answer, float):
                time.sleep(answer)
            self.send_response(200 if isinstance(answer, bytes) else 404)
            self.send_header("Content-Length", str(len(answer) if isinstance(answer, bytes) else 0))
            self.end_headers()

        def do_GET(self):
            self.do_HEAD()
            self.wfile.write(answers[self.path])

        def log_message(self, *args):
            del args

    monkeypatch.undo()  # this test downloads
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}", answers
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """A content and a style in the working folder, as flags of the command line."""
    from jax_nst import save_image

    monkeypatch.chdir(tmp_path)
    save_image("c.png", picture(24, 32, 1))
    save_image("s.png", picture(28, 20, 2))
    return "--content=c.png", "--style=s.png"


@pytest.fixture(scope="session")
def shared():
    """The folder with real weights and pictures; not part of the project."""
    folder = ROOT.parent / "shared"
    if not (folder / "weights" / "vgg19_blocks1-3.h5").is_file():
        pytest.skip("needs real VGG weights and paintings, which are not part of the project")
    return folder


def count_compilations(function):
    """Returns how many programs the backend compiles during `function()`, and what that returns."""
    heard = []

    def hear(name, duration, **rest):
        del duration, rest
        heard.append(name)

    jax.monitoring.register_event_duration_secs_listener(hear)
    try:
        result = function()
    finally:
        jax.monitoring.unregister_event_duration_listener(hear)
    return sum("backend_compile" in name for name in heard), result


ON_FOUR = """
import sys
sys.path[:0] = sys.argv[1:4]
import jax
jax.config.update("jax_num_cpu_devices", 4)
import conftest
__import__(sys.argv[4]).__dict__[sys.argv[5]]()
print(jax.device_count(), "devices")
"""


def on_four_devices(check):
    """Calls a function of a module of tests, without arguments, in a process that has four CPU devices."""
    module = sys.modules[check.__module__]
    paths = [str(ROOT), str(ROOT / "tests"), str(Path(module.__file__).parent)]
    command = [sys.executable, "-c", ON_FOUR, *paths, check.__module__, check.__name__]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.endswith("4 devices\n"), done.stderr[-3000:]


def vgg_params(network: str, layers: tuple[str, ...], dtype=np.float32):
    """Seeded kernels that keep the size of activations, and small biases."""
    rng = np.random.default_rng(1)
    params = {}
    for conv in vgg.needed_convs(network, layers):
        shape = vgg.kernel_shape(conv)
        scale = np.sqrt(2 / (9 * shape[2]))
        params[conv] = {
            "kernel": (scale * rng.standard_normal(shape, np.float32)).astype(dtype),
            "bias": (0.1 * rng.standard_normal(shape[-1:], np.float32)).astype(dtype),
        }
    return params


def keras_name(conv: str) -> str:
    """Converts `conv1_1` to the layer name in Keras, `block1_conv1`."""
    return conv.replace("conv", "block").replace("_", "_conv")


def write_keras3(path: Path, params) -> None:
    """Writes the layout of Keras 3 weights, with groups in reverse order."""
    with h5py.File(path, "w") as file:
        for index, (conv, arrays) in enumerate(reversed(params.items())):
            group = file.create_group(f"layers/conv2d_{index}/vars")
            group.attrs["name"] = keras_name(conv)
            group["0"], group["1"] = arrays["kernel"], arrays["bias"]


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth random picture, `[H, W, 3]` in [0, 1]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 16
    waves = [np.sin(a * x + b * y + c) for a, b, c in rng.uniform(-3, 3, (12, 3))]
    mixed = np.einsum("nhw,nc->hwc", np.stack(waves), rng.uniform(-0.2, 0.2, (12, 3)))
    return np.clip(0.5 + mixed + rng.normal(0, 0.03, mixed.shape), 0, 1).astype(np.float32)


def terms_on(recipe, content_layers, style_layers):
    """The terms of a recipe, compared on these layers."""
    layers = {"content": content_layers, "style": style_layers}
    return tuple(
        dataclasses.replace(term, layers=layers.get(term.reference, term.layers), layer_weights=None)
        for _, term in recipe.terms
    )


def make_targets(extractor, terms, params, content, style):
    """The targets of `terms`, from one content and one style."""
    return _targets_program(extractor, tuple(terms))(params, jnp.asarray(content), jnp.asarray(style))


@functools.cache
def _targets_program(extractor, terms):
    """One program: compiled operation by operation, it takes several times as long."""
    from jax_nst.losses import references

    def measure(params, content, style):
        layers = [layer for term in terms for layer in term.layers]
        positions = references.count_positions(extractor, params, content.shape, layers)
        targets = {}
        for reference, pixels in (("content", content), ("style", style)):
            own = [term for term in terms if term.reference == reference]
            statistics = references.measure_statistics(extractor, own, params, pixels)
            targets |= references.make_targets(own, statistics, positions)
        return targets

    return jax.jit(measure)


def make_loss_weights(terms, *values, dtype=np.float32):
    """Loss weights, one value for each term; the groups of layers of a term count the same."""
    from jax_nst.losses import LossWeights

    return LossWeights(
        {term.name: np.asarray(value, dtype) for term, value in zip(terms, values, strict=True)},
        {term.name: np.full(len(term.groups), 1 / len(term.groups), dtype) for term in terms},
    )


def minimize(function, x, optimizer, steps):
    """Minimises a function: the values of all evaluations, the last point and its state."""
    state, values = optimizer.init(x), []
    update = jax.jit(optimizer.update)
    evaluate = jax.jit(jax.value_and_grad(function))
    for _ in range(steps):
        value, grads = evaluate(x)
        updates, state = update(grads, state, x, value=value)
        values.append(float(value))
        x = x + updates
    return np.array(values), x, state
