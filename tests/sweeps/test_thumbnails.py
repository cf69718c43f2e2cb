import os

import pytest
from conftest import picture

from jax_nst import load_image, save_image
from jax_nst.sweeps.thumbnails import make_thumbnail


def test_a_thumbnail_is_made_once_and_again_when_its_picture_changes(tmp_path):
    save_image(tmp_path / "p.png", picture(300, 600))
    path = tmp_path / "thumbnails" / "key.jpg"
    assert make_thumbnail(tmp_path, "p.png", "key") == ("thumbnails/key.jpg", 256, 128)
    assert load_image(path).shape == (128, 256, 3)
    first = path.read_bytes()
    written = path.stat().st_ino  # a file that is written again is another one
    make_thumbnail(tmp_path, "p.png", "key")
    assert path.stat().st_ino == written
    save_image(tmp_path / "p.png", picture(300, 600, 1))
    os.utime(tmp_path / "p.png", ns=(1, 1))
    make_thumbnail(tmp_path, "p.png", "key")
    assert path.read_bytes() != first


def test_a_damaged_thumbnail_is_made_again(tmp_path):
    save_image(tmp_path / "p.png", picture(20, 30))
    make_thumbnail(tmp_path, "p.png", "p")
    path = tmp_path / "thumbnails" / "p.jpg"
    good, time = path.read_bytes(), path.stat().st_mtime_ns
    path.write_bytes(b"")  # as the power may leave it, with the time of its picture
    os.utime(path, ns=(time, time))
    assert make_thumbnail(tmp_path, "p.png", "p") == ("thumbnails/p.jpg", 30, 20)
    assert path.read_bytes() == good


def test_a_small_picture_is_not_enlarged(tmp_path):
    save_image(tmp_path / "p.png", picture(20, 30))
    assert make_thumbnail(tmp_path, "p.png", "p") == ("thumbnails/p.jpg", 30, 20)


@pytest.mark.parametrize("content", [None, b"text"])
def test_a_missing_or_damaged_picture_has_none(content, tmp_path):
    if content:
        (tmp_path / "p.png").write_bytes(content)
    assert make_thumbnail(tmp_path, "p.png", "p") is None
    assert not (tmp_path / "thumbnails").exists()
