import numpy as np
import pytest
from conftest import picture

from jax_nst import Config, Grid, load_image, save_image
from jax_nst.images import quantize
from jax_nst.sweeps.inputs import agreed_sources, largest, load_picture_of, own_sources
from jax_nst.sweeps.job import make_job

CONFIG = Config(features="wavelet", size=16)


@pytest.fixture
def job(tmp_path):
    """Contents: a file, one with alpha, one that is missing, and an array; styles: a file and an array."""
    save_image(tmp_path / "a.png", picture(24, 20))
    save_image(tmp_path / "b.png", picture(30, 40), alpha=np.linspace(0, 1, 1200).reshape(30, 40))
    contents = [
        str(tmp_path / "a.png"),
        str(tmp_path / "b.png"),
        "missing.png",
        quantize(picture(20, 30, 1)),
    ]
    return make_job(contents, [str(tmp_path / "a.png"), picture(12, 14)], Grid(), CONFIG)


@pytest.mark.parametrize("sources_of", [own_sources, agreed_sources])
def test_contents_know_their_shape_and_say_what_is_wrong(sources_of, job):
    sources = sources_of(job).contents
    for index in (0, 1, 3):
        assert sources[index].load().shape == sources[index].shape
        assert sources[index].error == ""
    assert sources[0].shape == (24, 20, 3)
    assert sources[3].shape == (20, 30, 3)
    assert sources[2].shape is None
    assert sources[2].error == "missing.png: no such image file"


def test_a_content_with_alpha_is_flat_in_python_and_resized_for_files(job):
    flat, kept = own_sources(job).contents[1], agreed_sources(job).contents[1]
    assert (flat.shape, kept.shape) == ((30, 40, 3), (12, 16, 3))
    np.testing.assert_array_equal(flat.load(), load_image(job.contents[1]))
    alpha = load_picture_of(job, job.contents[1], CONFIG).alpha
    assert alpha is not None
    assert alpha.shape == (12, 16)


def test_styles_are_read_when_their_turn_comes(job, tmp_path):
    of_file, of_array = own_sources(job).styles
    save_image(tmp_path / "a.png", picture(10, 11))
    assert of_file.load().shape == (10, 11, 3)
    np.testing.assert_array_equal(of_array.load(), picture(12, 14))


def test_of_files_the_last_two_are_kept(tmp_path):
    paths = [str(tmp_path / f"{index}.png") for index in range(3)]
    for index, path in enumerate(paths):
        save_image(path, picture(12, 12, index))
    job = make_job(paths, [paths[0]], Grid(), CONFIG)
    first = load_picture_of(job, paths[0], CONFIG)
    assert load_picture_of(job, paths[0], CONFIG) is first
    load_picture_of(job, paths[1], CONFIG)
    load_picture_of(job, paths[2], CONFIG)
    again = load_picture_of(job, paths[0], CONFIG)
    assert again is not first
    np.testing.assert_array_equal(again.pixels, first.pixels)


def test_files_that_changed_since_an_earlier_sweep_are_read_anew(tmp_path):
    path = str(tmp_path / "a.png")
    job = make_job([path], [path], Grid(), CONFIG)
    read = []
    for seed in (1, 2):
        save_image(path, picture(12, 12, seed))
        read.append(agreed_sources(job).contents[0].load())
    assert np.abs(read[0] - read[1]).max() > 0.1


def test_a_picture_is_read_once_for_each_size_that_it_depends_on(tmp_path, monkeypatch):
    """Items that differ in other settings share it, and index it."""
    path = str(tmp_path / "a.png")
    save_image(path, picture(24, 20), alpha=np.ones((24, 20), np.float32))
    grid = Grid(size=(8, 16), style_scale=(0.5, 1), tv_weight=(1, 2), steps=(3, 4))
    job = make_job([path], [path, picture(12, 14)], grid, Config(features="wavelet"))
    with_alpha = [(8, 7, 3), (16, 13, 3)]
    for found, shapes in ((own_sources(job), [(24, 20, 3)] * 2), (agreed_sources(job), with_alpha)):
        assert [source.shape for source in found.contents] == shapes
        assert [source.load().shape for source in found.contents] == shapes
        assert (len(found.styles), len(found.items)) == (8, 32)
        for before, item in zip(job.items, found.items, strict=True):
            assert item.content == (8, 16).index(before.config.size)
            assert item._replace(content=0, styles=()) == before._replace(content=0, styles=())
        assert len({(item.styles, item.config.size, item.config.style_scale) for item in found.items}) == 8


def test_the_report_has_inputs_of_the_largest_pictures():
    sizes = {(None, 64): None, (64, 16): 64, (8, 600): 600}
    for given, size in sizes.items():
        job = make_job(["a.png"], ["b.png"], Grid(size=given), Config())
        assert largest(job).size == size
