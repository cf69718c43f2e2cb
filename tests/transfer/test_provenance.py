import importlib.metadata

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
