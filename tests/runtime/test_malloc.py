import platform
import resource
import subprocess
import sys

import pytest

SCRIPT = """
import ctypes, resource, sys
from jax_nst.runtime.malloc import keep_pages

if sys.argv[1] == "keep":
    keep_pages()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
for _ in range(20):
    pointer = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(10**8)))
    libc.memset(pointer, 1, ctypes.c_size_t(10**8))
    libc.free(pointer)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


STEPS = """
import resource, sys
import numpy as np
from jax_nst import Config, stylize
from jax_nst.runtime.malloc import keep_pages

if sys.argv[1] == "keep":
    keep_pages()
seen = []

def count(progress):
    seen.append((progress.step, resource.getrusage(resource.RUSAGE_SELF).ru_minflt))

pixels = np.linspace(0, 1, 3 * 160**2, dtype=np.float32).reshape(160, 160, 3)
stylize(pixels, pixels, config=Config(features="wavelet", scales="1", steps=15), callback=count)
settled = [faults for step, faults in seen if step >= 6]
print(settled[-1] - settled[0])
"""


GIVEN_BACK = """
import ctypes
from jax_nst.runtime.malloc import give_back, keep_pages

def resident():
    return int(open("/proc/self/statm").read().split()[1])

keep_pages()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
pointers = [ctypes.c_void_p(libc.malloc(ctypes.c_size_t(10**8))) for _ in range(2)]
for pointer in pointers:
    libc.memset(pointer, 1, ctypes.c_size_t(10**8))
before = resident()
libc.free(pointers[0])  # not the last of the heap
kept = resident()
give_back()
print(before, kept, resident())
"""


def faults(script, *arguments):
    command = [sys.executable, "-c", script, *arguments]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_keep_pages_avoids_page_faults(monkeypatch):
    """Counts the faults of allocating, writing and freeing 100 MB twenty times."""
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    usual, kept = faults(SCRIPT, "usual"), faults(SCRIPT, "keep")
    assert kept < usual / 3
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "100000")
    assert faults(SCRIPT, "keep") > kept


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_keep_pages_avoids_page_faults_of_steps(monkeypatch):
    """In a thread of JAX, malloc would return part of the memory that each step needs."""
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert faults(STEPS, "keep") < faults(STEPS, "usual") / 10


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_give_back_returns_freed_memory():
    """Counts resident pages after one of two blocks of 100 MB has been freed."""
    command = [sys.executable, "-c", GIVEN_BACK]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    before, kept, after = (int(number) for number in printed.split())
    assert kept > 0.9 * before
    assert (before - after) * resource.getpagesize() > 9e7
