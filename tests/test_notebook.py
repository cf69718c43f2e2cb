"""The notebook of the examples, run from top to bottom in a kernel of its own."""

import nbformat
import pytest
from conftest import EXAMPLES
from nbclient import NotebookClient


@pytest.mark.filterwarnings("ignore::DeprecationWarning:zmq", "ignore::DeprecationWarning:jupyter_client")
def test_the_notebook_runs_and_shows_a_grid(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    notebook = nbformat.read(EXAMPLES / "sweep.ipynb", as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(EXAMPLES)}})
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    texts = "".join(
        output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs
    )
    assert "(6, 85, 128, 3)" in texts
    assert texts.count("'ok'") == 6
    assert texts.count("loss ") >= 6
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
