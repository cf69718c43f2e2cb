import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import numpy as np
from jax_nst.allocator import keep_pages

if sys.argv[1] == "keep":
    keep_pages()
for _ in range(20):
    x = np.ones(10**8, np.uint8)
    del x
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc, whose malloc is set up")
def test_pages_are_not_asked_for_again(monkeypatch):
    """Counted by the system: 100 MB, twenty times."""
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)

    def faults(*arguments):
        command = [sys.executable, "-c", SCRIPT, *arguments]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    usual, kept = faults("usual"), faults("keep")
    if usual < 10**5:
        pytest.skip("pages are large here: there is little to save")
    assert kept < usual / 3
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "100000")
    assert faults("keep") > kept
