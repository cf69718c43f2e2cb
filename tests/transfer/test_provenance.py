import importlib.metadata
import types

from conftest import picture

from jax_nst import Config, save_image
from jax_nst.transfer.network import load_network
from jax_nst.transfer.provenance import _version, device, identity_of, versions


def test_versions_are_those_installed():
    found = versions()
    assert found["jax"] == importlib.metadata.version("jax")
    assert {"python", "jax_nst", "optax", "numpy", "pillow"} <= set(found)
    assert _version("no_such_package_at_all") == "not installed"


def test_device_says_what_runs():
    assert device().startswith("cpu")


def test_several_devices_are_counted(monkeypatch):
    """A checkpoint of one does not go on on four without a word: they sum in another order."""
    gpu = types.SimpleNamespace(platform="gpu", device_kind="NVIDIA H100")
    found = []
    for count in (1, 4):
        monkeypatch.setattr("jax.devices", lambda count=count: [gpu] * count)
        monkeypatch.setattr("jax.device_count", lambda count=count: count)
        found.append(device())
    assert found == ["NVIDIA H100", "4 x NVIDIA H100"]


def test_folders_of_the_files_that_settings_name_do_not_count(tmp_path):
    """So that a run goes on where its command line named a file by another path."""
    save_image(tmp_path / "i.png", picture(8, 8))
    found = []
    for folder in ("", f"{tmp_path}/"):
        config = Config(
            init=str(tmp_path / "i.png"), mask=(f"{folder}m.png:{folder}n.png",), features="wavelet"
        )
        found.append(identity_of(load_network(config), config, {})["settings"])
    assert found[0] == found[1]
    assert found[0]["mask"] == ["m.png:n.png"]
