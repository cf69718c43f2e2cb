import pytest

from jax_nst import Config, Grid
from jax_nst.sweeps.job import is_report, make_job, sheet_name


def test_a_job_has_the_items_labels_and_files_of_its_grid():
    grid = Grid(style_weight=(10.0, 1000.0), tv_weight=(2.0,))
    job = make_job(["a/cat.png"], ["b/waves.jpg", "c/night.jpg"], grid, Config(steps=3))
    assert (job.contents, job.styles, job.grid) == (("a/cat.png",), ("b/waves.jpg", "c/night.jpg"), grid)
    assert len(job.items) == len(job.files) == len(set(job.files)) == 4
    assert job.axes == {
        "style": {0: "waves", 1: "night"},
        "style_weight": {10.0: "10", 1000.0: "1000"},
    }
    assert job.files[0] == "style=waves__style_weight=10.png"
    assert {item.config.tv_weight for item in job.items} == {2.0}


def test_a_job_of_one_picture():
    job = make_job(["cat.png"], ["waves.jpg"], Grid(), Config())
    assert (job.axes, job.files, [item.config for item in job.items]) == ({}, ["picture.png"], [Config()])


def test_a_job_without_a_style_is_refused():
    with pytest.raises(ValueError, match="a content and a style at least"):
        make_job(["cat.png"], [], Grid(), Config())


def test_a_picture_given_twice_is_painted_once():
    job = make_job(["cat.png", "cat.png"], ["waves.jpg", "waves.jpg"], Grid(), Config())
    assert (job.contents, job.styles, len(job.items)) == (("cat.png",), ("waves.jpg",), 1)
    paired = make_job(["cat.png"] * 2, ["waves.jpg", "night.jpg"], Grid(zip=True), Config())
    assert (len(paired.contents), len(paired.items)) == (2, 2)
    blended = make_job(["cat.png"], ["waves.jpg"] * 2, Grid(blend=(0.5, 0.5)), Config())
    assert (len(blended.styles), len(blended.items)) == (2, 1)


def test_pages_of_the_contact_sheet_are_reports():
    assert [sheet_name(number) for number in (1, 2, 12)] == [
        "contact_sheet.png", "contact_sheet_2.png", "contact_sheet_12.png",
    ]  # fmt: skip
    assert all(is_report(name) for name in ("index.html", "contact_sheet.png", "contact_sheet_12.png"))
    assert not any(is_report(name) for name in ("contact_sheet_x.png", "my_contact_sheet_2.png", "a.png"))
