import numpy as np
import pytest
from conftest import picture

from jax_nst import Config, Grid, Status, load_image, save_image
from jax_nst.images import load_settings
from jax_nst.sweeps.job import make_job
from jax_nst.sweeps.report import write_report
from jax_nst.sweeps.tables import make_row
from jax_nst.transfer.outcome import Outcome, failed

NAMES = ("total", "content", "style", "tv")


@pytest.fixture
def job(tmp_path):
    save_image(tmp_path / "c.png", picture(40, 60, 1))
    save_image(tmp_path / "s.png", picture(20, 20, 2))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    styles = [str(tmp_path / name) for name in ("s.png", "bad.png")]
    return make_job([str(tmp_path / "c.png")], styles, Grid(seed=(1, 2)), Config(steps=2, size=30))


def test_a_report_shows_every_item_that_was_reached(job, tmp_path):
    folder = tmp_path / "sweep"
    folder.mkdir()
    history = np.full((4, 3, 4), np.nan, np.float32)
    rows = {}
    for index in (0, 1):
        history[index] = np.array([3.0, 2.0, 2.5])[:, None]
        save_image(folder / job.files[index], picture(20, 30, index))
        made = Outcome(index, Status.FINISHED, "ok", picture(20, 30), (), history[index], 1.5)
        rows[index] = make_row(job, made, NAMES)
    rows[2] = make_row(job, failed(2, "bad.png: is damaged", NAMES), NAMES)
    write_report(folder, job, "wavelet", rows, history, NAMES)
    assert load_settings(folder / "contact_sheet.png") == {"sweep": "4 pictures, 2 steps, wavelet"}
    assert load_image(folder / "contact_sheet.png").ndim == 3
    text = (folder / "index.html").read_text()
    assert "4 pictures, 2 steps, wavelet" in text
    assert all(file in text for file in job.files[:2])
    assert job.files[2] not in text
    assert "failed: bad.png: is damaged" in text


def test_inputs_are_saved_no_larger_than_the_pictures(job, tmp_path):
    """An input that cannot be read is left out."""
    folder = tmp_path / "sweep"
    folder.mkdir()
    write_report(folder, job, "wavelet", {}, np.zeros((4, 3, 4)), NAMES)
    inputs = folder / "inputs"
    assert sorted(path.name for path in inputs.iterdir()) == ["content_0_c.png", "style_0_s.png"]
    assert load_image(inputs / "content_0_c.png").shape == (20, 30, 3)
    assert load_image(inputs / "style_0_s.png").shape == (20, 20, 3)
