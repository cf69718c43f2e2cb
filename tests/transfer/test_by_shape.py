"""Functions that are compiled once for arguments of each shape."""

import jax
import jax.numpy as jnp
import numpy as np
from conftest import count_compilations

from jax_nst.transfer import by_shape
from jax_nst.transfer.by_shape import ByShape, bytes_of


def test_a_program_has_the_name_of_its_function():
    """In profiles, and in what XLA dumps."""

    def smooth(x):
        return 2 * x

    assert "HloModule jit_smooth" in ByShape(smooth, {}).compile(jnp.ones(3))[0].as_text()


def test_of_many_shapes_the_programs_used_last_are_kept(monkeypatch):
    monkeypatch.setattr(by_shape, "MAX_PROGRAMS", 2)
    double = ByShape(lambda x: 2 * x, {})
    x = [np.ones(31 + i, np.float32) for i in range(3)]

    def compiles(i):
        count, y = count_compilations(lambda: double(x[i]))
        np.testing.assert_array_equal(y, 2 * np.asarray(x[i]))
        return count

    assert [compiles(i) for i in (0, 1, 0, 2)] == [1, 1, 0, 1]
    assert [compiles(i) for i in (0, 2, 1)] == [0, 0, 1]


def test_the_shape_of_a_result_is_known_without_compiling():
    double = ByShape(lambda x: 2 * x, {})
    count, shape = count_compilations(lambda: double.eval_shape(np.ones(41)))
    assert (count, shape.shape) == (0, (41,))


def test_bytes_of_arrays_and_of_shapes():
    tree = {"a": np.zeros((2, 3), np.float32), "b": jax.ShapeDtypeStruct((4,), jnp.bfloat16), "c": 1.0}
    assert bytes_of(tree) == 24 + 8 + 4
