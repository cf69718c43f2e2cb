import jax
import pytest

from jax_nst.memory import first_that_fits, largest_that_fits, memory_limit


@pytest.mark.parametrize("fixed", [0, 50, 500])
@pytest.mark.parametrize("limit", [100, 1000, 10**6])
@pytest.mark.parametrize("guess", [1, 30, 10**6])
def test_the_largest_batch_that_fits_is_found_in_few_compilations(fixed, limit, guess):
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


def test_all_that_are_wanted_fit_at_the_first_try():
    tried = []
    assert largest_that_fits(16, 10**9, lambda batch: tried.append(batch) or batch, 100) == 16
    assert tried == [16]


def test_memory_of_this_machine():
    assert 10**8 < memory_limit(jax.devices()[0]) < 10**14


def test_memory_of_an_accelerator_is_what_it_says():
    class Device:
        platform = "gpu"

        def memory_stats(self):
            return {"bytes_limit": 1000, "bytes_in_use": 100}

    assert memory_limit(Device()) == 810


@pytest.mark.parametrize(("limit", "expected"), [(100, "a"), (20, "b"), (19, "c"), (1, "c")])
def test_the_first_choice_that_fits_else_the_last(limit, expected):
    tried = []

    def make(choice):
        tried.append(choice)
        return f"made of {choice}", {"a": 100, "b": 20, "c": 10}[choice]

    assert first_that_fits("abc", make, limit) == f"made of {expected}"
    assert tried == list("abc"[: "abc".index(expected) + 1])
