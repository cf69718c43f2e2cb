import importlib.metadata

import jax_nst
from jax_nst.runtime import version


def test_the_installed_distribution_has_the_version_of_the_package():
    assert jax_nst.__version__ == version.__version__ == importlib.metadata.version("jax_nst")
