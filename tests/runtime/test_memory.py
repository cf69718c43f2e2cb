import jax
import psutil
import pytest

from jax_nst.runtime import memory
from jax_nst.runtime.memory import (
    OutOfMemoryError,
    _of_groups,
    first_that_fits,
    largest_that_fits,
    memory_limit,
)


@pytest.mark.parametrize("fixed", [0, 50, 500])
@pytest.mark.parametrize("limit", [100, 1000, 10**6])
@pytest.mark.parametrize("guess", [1, 30, 10**6])
def test_largest_that_fits_needs_few_compilations(fixed, limit, guess):
    tried = []

    def num_bytes(batch):
        tried.append(batch)
        return fixed + 10 * batch

    found = largest_that_fits(1000, limit, num_bytes, guess)
    most = max(1, min(1000, (limit - fixed) // 10))
    assert 0.8 * most - 1 <= found <= most
    assert found == 1 or fixed + 10 * found <= limit
    assert len(tried) <= 6
    assert len(set(tried)) == len(tried)


def test_largest_that_fits_tries_the_upper_bound_first_if_the_guess_exceeds_it():
    tried = []
    assert largest_that_fits(16, 10**9, lambda batch: tried.append(batch) or batch, 100) == 16
    assert tried == [16]


def test_limit_of_this_machine_is_plausible():
    assert 10**8 < memory_limit(jax.devices()[0]) < 10**14


def test_the_limit_of_the_user_counts_for_the_whole_process():
    used = psutil.Process().memory_info().rss
    limit = memory_limit(jax.devices()[0], used + 2**30)
    assert limit == pytest.approx(0.9 * 2**30, rel=0.05)
    assert memory_limit(jax.devices()[0], 1) == 0
    assert memory_limit(jax.devices()[0], 2**60) == pytest.approx(memory_limit(jax.devices()[0]), rel=0.2)


def test_the_limit_of_the_user_on_a_device():
    class Device:
        platform = "gpu"

        def memory_stats(self):
            return {"bytes_limit": 1000, "bytes_in_use": 100}

    assert [memory_limit(Device(), most) for most in (None, 500, 50, 5000)] == [810, 360, 0, 810]


def test_amounts():
    amounts = [memory.amount(x) for x in (9.8 * 2**30, 2**40, 2**26, 0)]
    assert amounts == ["9.8 GB", "1,024.0 GB", "64 MB", "0 MB"]


def test_what_seems_too_large_is_not_made_and_the_smallest_is_the_last_resort():
    need, tried = {"a": 100, "b": 30, "c": 10, "d": 20}, []

    def make(choice):
        tried.append(choice)
        return choice, need[choice]

    assert first_that_fits("abcd", make, 25, need.__getitem__) == "c"
    assert tried == ["c"]
    tried.clear()
    assert first_that_fits("abcd", make, 25, {**need, "b": 20}.__getitem__) == "c"
    assert tried == ["b", "c"]  # the guess of b was too low
    tried.clear()
    with pytest.raises(OutOfMemoryError):
        first_that_fits("abcd", make, 5, need.__getitem__)
    assert tried == ["c"]
    tried.clear()
    with pytest.raises(OutOfMemoryError):
        first_that_fits("ac", make, 5, lambda choice: 1)
    assert tried == ["a", "c"]  # each once


def write_group(folder, names, limit, used, cached):
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in zip(
        (*names, "memory.stat"), (limit, used, f"anon 7\ninactive_file {cached}"), strict=True
    ):
        (folder / name).write_text(f"{value}\n")


V2, V1 = ("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")


def test_cgroup_v2_limits_of_ancestors_apply(tmp_path):
    """The process is in `job`, a child of `user`; reclaimable file cache counts as free."""
    own = tmp_path / "cgroup"
    own.write_text("0::/user/job\n")
    assert list(_of_groups(tmp_path, own)) == []
    write_group(tmp_path / "user" / "job", V2, 1000, 300, 50)
    write_group(tmp_path / "user", V2, "max", 400, 60)
    assert list(_of_groups(tmp_path, own)) == [750]
    write_group(tmp_path / "user", V2, 900, 880, 60)
    write_group(tmp_path, V2, 100, 200, 0)
    assert list(_of_groups(tmp_path, own)) == [750, 80, 0]
    assert list(_of_groups(tmp_path, tmp_path / "none")) == []


def test_cgroup_v1_limit_applies(tmp_path):
    own = tmp_path / "cgroup"
    own.write_text("5:cpu,cpuacct:/docker/a\n4:memory:/docker/a\n1:name=systemd:/docker/a\n")
    write_group(tmp_path / "memory", V1, 1000, 300, 50)  # inside a container, its own folder is not mounted
    assert list(_of_groups(tmp_path, own)) == [750]
    with (tmp_path / "memory" / "memory.stat").open("a") as file:
        file.write("total_inactive_file 90\n")  # includes descendants
    assert list(_of_groups(tmp_path, own)) == [790]


def test_smallest_limit_applies_and_is_shared_by_devices(monkeypatch):
    monkeypatch.setattr(memory, "_of_groups", lambda: iter([10**12, 1000]))
    assert memory_limit(jax.devices()[0]) == 900
    monkeypatch.setattr(jax, "local_devices", lambda: [None, None])  # as after `use_cores`
    assert memory_limit(jax.devices()[0]) == 450


def test_limit_of_an_accelerator_comes_from_its_statistics():
    class Device:
        platform = "gpu"

        def memory_stats(self):
            return {"bytes_limit": 1000, "bytes_in_use": 100}

    assert memory_limit(Device()) == 810


@pytest.mark.parametrize(("limit", "expected"), [(100, "a"), (20, "b"), (19, "c"), (9, "c")])
def test_first_that_fits_falls_back_to_the_last(limit, expected):
    tried = []

    def make(choice):
        tried.append(choice)
        return f"made of {choice}", {"a": 100, "b": 20, "c": 10}[choice]

    assert first_that_fits("abc", make, limit) == f"made of {expected}"
    assert tried == list("abc"[: "abc".index(expected) + 1])


def test_what_cannot_fit_is_refused_with_the_figures():
    with pytest.raises(OutOfMemoryError, match=r"3\.0 GB .* needed, and 2\.0 GB are free") as caught:
        first_that_fits("ab", lambda choice: (choice, 3 * 2**30), int(0.9 * 2 * 2**30))
    assert caught.value.need == 3 * 2**30
    assert caught.value.free == pytest.approx(2 * 2**30, abs=2)


def test_what_takes_more_than_there_is_is_refused_before_it_is_made():
    memory.check_enough(2**29, int(0.9 * 2**30))
    with pytest.raises(OutOfMemoryError, match=r"3,072\.0 GB of memory are needed, and 1\.0 GB are free"):
        memory.check_enough(3 * 2**40, int(0.9 * 2**30))
