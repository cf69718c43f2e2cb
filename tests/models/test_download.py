"""Locating and downloading weight files, from a server in this process."""

import hashlib
import socket
import threading

import pytest
from conftest import ROOT

from jax_nst.models import download
from jax_nst.models.weights import WeightsError
from jax_nst.runtime.files import sha256


def test_find_prefers_flag_then_variable_then_project_then_cache(tmp_path, monkeypatch):
    folders = {name: tmp_path / name for name in ("flag", "variable", "project")}
    for folder in folders.values():
        folder.mkdir()
        (folder / "vgg19_any.h5").touch()
    cached = download.cache_folder() / download.PUBLISHED["vgg19"].name
    monkeypatch.setattr(download, "PROJECT_FOLDER", folders["project"])
    monkeypatch.setenv(download.ENVIRONMENT, str(folders["variable"] / "vgg19_any.h5"))
    assert download.find("vgg19", str(folders["flag"] / "vgg19_any.h5")) == folders["flag"] / "vgg19_any.h5"
    assert download.find("vgg19") == folders["variable"] / "vgg19_any.h5"
    monkeypatch.delenv(download.ENVIRONMENT)
    assert download.find("vgg19") == folders["project"] / "vgg19_any.h5"
    (folders["project"] / "vgg19_any.h5").unlink()
    assert download.find("vgg19") is None
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert download.find("vgg19") == cached
    assert download.find("vgg16") is None


def test_missing_given_file_is_an_error(monkeypatch):
    with pytest.raises(WeightsError, match="given by --weights"):
        download.find("vgg19", "nowhere.h5")
    monkeypatch.setenv(download.ENVIRONMENT, "nowhere.h5")
    with pytest.raises(WeightsError, match=r"given by \$JAX_NST_WEIGHTS"):
        download.find("vgg19")


def test_published_urls_and_checksums_are_those_of_keras():
    import inspect

    from keras.src.applications import vgg16, vgg19

    for network, module in (("vgg19", vgg19), ("vgg16", vgg16)):
        published = download.PUBLISHED[network]
        assert published.url == module.WEIGHTS_PATH_NO_TOP
        assert f'file_hash="{published.md5}"' in inspect.getsource(module)


def published_at(url, content):
    return download.Published("w.h5", f"{url}/w.h5", hashlib.md5(content).hexdigest())


def test_download_is_recorded_and_verified_in_later_runs(server, tmp_path, monkeypatch, capfd):
    url, answers = server
    content = bytes(range(256)) * 4000
    answers["/w.h5"] = content
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(download, "PROJECT_FOLDER", tmp_path / "none")
    monkeypatch.setitem(download.PUBLISHED, "vgg19", published_at(url, content))
    path = download.find_or_download("vgg19")
    assert path.read_bytes() == content
    assert "100%" in capfd.readouterr().err
    answers.clear()
    assert download.find_or_download("vgg19") == path
    path.write_bytes(content[:-1])
    with pytest.raises(WeightsError, match="has changed since it was downloaded"):
        download.find_or_download("vgg19")


def test_damaged_or_missing_download_leaves_no_file(server, tmp_path, monkeypatch):
    url, answers = server
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path)
    answers["/w.h5"] = b"not what it should be"
    with pytest.raises(download.DownloadError, match="the downloaded file is damaged, its MD5 is not"):
        download._download(published_at(url, b"something else"), quiet=True)
    answers.clear()
    with pytest.raises(download.DownloadError, match=r"cannot be downloaded \(HTTPError\)"):
        download._download(published_at(url, b""), quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_server_that_does_not_answer_is_an_error(server, tmp_path, monkeypatch):
    url, answers = server
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(download, "_FIRST_ANSWER", 0.3)
    answers["/w.h5"] = 2.0
    with pytest.raises(
        download.DownloadError, match=r"did not answer within 0.3 s|cannot be downloaded \(ReadTimeout"
    ):
        download._download(published_at(url, b""), quiet=True)


@pytest.mark.usefixtures("server")
def test_name_lookup_that_hangs_is_an_error(monkeypatch):
    """The timeouts of `requests` do not cover it."""
    over = threading.Event()

    def hang(*args):
        over.wait(10)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(download, "_FIRST_ANSWER", 0.2)
    with pytest.raises(download.DownloadError, match=r"did not answer within 0.2 s; download it elsewhere"):
        download._download(published_at("http://example.org", b""), quiet=True)
    over.set()


def test_timeouts_are_below_ten_seconds():
    assert download._FIRST_ANSWER <= 9
    assert download._NEXT_ANSWER <= 9


def test_bundled_file_has_the_digest_in_its_readme():
    assert download.bundled() == ROOT / "weights" / download.BUNDLED
    assert sha256(download.bundled()) in (ROOT / "weights" / "README.md").read_text()


def test_missing_bundled_file_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(download, "_BUNDLED_FOLDERS", (tmp_path,))
    with pytest.raises(WeightsError, match="reinstall jax_nst"):
        download.find("vgg19-lite")
