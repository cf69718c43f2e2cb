import importlib.metadata

from jax_nst.transfer.provenance import _version, device, versions


def test_versions_are_those_installed():
    found = versions()
    assert found["jax"] == importlib.metadata.version("jax")
    assert {"python", "jax_nst", "optax", "numpy", "pillow"} <= set(found)
    assert _version("no_such_package_at_all") == "not installed"


def test_device_says_what_runs():
    assert device().startswith("cpu")
