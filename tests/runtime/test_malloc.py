"""In processes of their own, since malloc is set up once in a process; by glibc's account of itself."""

import functools
import json
import os
import platform
import subprocess
import sys

import pytest
from conftest import ROOT

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="needs glibc, whose malloc is set up"
)

PRELUDE = """
import ctypes, json, sys, tempfile, threading
import jax
from jax_nst.runtime.malloc import give_back, keep_pages

SIZE = 10**8
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p


def block():
    pointer = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(SIZE)))
    libc.memset(pointer, 1, ctypes.c_size_t(SIZE))
    return pointer


def report():
    # The XML that malloc writes: how many heaps there are, and how many bytes it has of the system.
    with tempfile.NamedTemporaryFile() as file:
        stream = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
        libc.malloc_info(0, stream)
        libc.fclose(stream)
        text = file.read().decode()
    mapped = text.rpartition('<total type="mmap" count="')[2].partition('"')[0]
    held = text.rpartition('<system type="current" size="')[2].partition('"')[0]
    return {"heaps": text.count("<heap "), "mapped": int(mapped), "held": int(held)}


def resident():
    return int(open("/proc/self/statm").read().split()[1]) * __import__("resource").getpagesize()

"""

KEPT = """
keep = sys.argv[1]
if keep != "usual":
    keep_pages(threads=keep == "threads")
before = report()
pointer = block()
in_use = report()
libc.free(pointer)
freed = report()
is_async = jax.config.values["jax_cpu_enable_async_dispatch"]
print(json.dumps([in_use["mapped"] - before["mapped"], freed["held"] > SIZE, is_async]))
"""

THREADS = """
keep_pages(threads=sys.argv[1] == "threads")
threads = [threading.Thread(target=lambda: libc.free(block())) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(report()["heaps"]))
"""

GIVEN_BACK = """
keep_pages()
pointers = [block() for _ in range(2)]
before = resident()
libc.free(pointers[0])  # not the last of the heap
kept = resident()
give_back()
print(json.dumps([before, kept, resident()]))
"""


@functools.cache
def said_by(script, *arguments, **environment):
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MALLOC_") and name != "GLIBC_TUNABLES"
    }
    command = [sys.executable, "-c", PRELUDE + script, *arguments]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=ROOT, env={**clean, **environment}
    )
    return json.loads(done.stdout)


def test_freed_memory_is_kept():
    """By default malloc maps a large block, and unmaps it when it is freed; then, it does neither."""
    assert said_by(KEPT, "usual") == [1, False, True]
    assert said_by(KEPT, "keep") == [0, True, False]


def test_programs_run_in_the_calling_thread_unless_there_are_several_devices():
    """Malloc would give back a part of the memory of a thread of JAX after each step."""
    assert [said_by(KEPT, how)[2] for how in ("keep", "threads")] == [False, True]


def test_threads_share_one_heap():
    assert said_by(THREADS, "threads") == 1
    assert said_by(THREADS, "one") > 1


@pytest.mark.parametrize(
    "environment",
    [{"MALLOC_TRIM_THRESHOLD_": "100000"}, {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=100000"}],
)
def test_malloc_is_left_as_the_user_has_set_it_up(environment):
    mapped, is_kept, _ = said_by(KEPT, "keep", **environment)
    assert (mapped, is_kept) == (1, False)


def test_freed_memory_is_given_back_on_request():
    """Resident bytes: of 200 MB, half of them freed."""
    before, kept, after = said_by(GIVEN_BACK)
    assert kept > 0.9 * before
    assert before - after > 9e7
