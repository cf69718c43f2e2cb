"""Functions that are compiled once for arguments of each shape."""

import collections
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

MAX_PROGRAMS = 32
"""Of one function, for arguments of different shapes, that are kept."""


class ByShape:
    """A function that is compiled once for arguments of each shape.

    Of many shapes, such as those of a folder of photographs, the programs used last are kept.
    """

    def __init__(
        self, function: Callable[..., Any], options: Mapping[str, Any], *, donate: bool = False
    ) -> None:
        """`donate`: whether the results may be written over the first argument."""
        self._function, self._options = function, dict(options)
        self._jit = functools.partial(jax.jit, donate_argnums=0 if donate else ())
        self._compiled: collections.OrderedDict[Any, tuple[Callable[..., Any], int]] = (
            collections.OrderedDict()
        )

    def compile(self, *arguments: Any) -> tuple[Callable[..., Any], int]:
        """The program for arguments of these shapes (arrays, or `ShapeDtypeStruct`s), and its bytes."""
        if getattr(jax.config, "jax_disable_jit", False):  # for debugging; there is no program
            return self._jit(self._function), 0
        leaves, tree = jax.tree.flatten(arguments)
        key = tree, tuple((jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
        if key not in self._compiled:
            # JAX keeps what it has compiled as long as the function lives; this one lives with its program.
            program = self.lower(*arguments).compile(self._options)
            self._compiled[key] = program, num_bytes(program)
            if len(self._compiled) > MAX_PROGRAMS:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(key)
        return self._compiled[key]

    def lower(self, *arguments: Any) -> Any:
        """The program for arguments of these shapes, not yet compiled and not kept."""
        return self._jit(self._copy()).lower(*arguments)

    def __call__(self, *arguments: Any) -> Any:
        """The result; within a transformation of JAX, that of the function itself."""
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(arguments)):
            return self._function(*arguments)
        return self.compile(*arguments)[0](*arguments)

    @property
    def num_bytes(self) -> int:
        """What the program used last takes of a device, by XLA's analysis; 0 if none is compiled."""
        return next(reversed(self._compiled.values()))[1] if self._compiled else 0

    def eval_shape(self, *arguments: Any) -> Any:
        """The shape of the result; compiles nothing."""
        return jax.eval_shape(self._function, *arguments)

    def _copy(self) -> Callable[..., Any]:
        function = self._function
        return functools.wraps(function)(lambda *arguments: function(*arguments))  # its name is in profiles


def num_bytes(program: Any) -> int:
    """What XLA says that a compiled program takes of a device: arguments, results, and temporaries."""
    analysis = program.memory_analysis()
    parts = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes")
    shared = np.maximum(0, getattr(analysis, "alias_size_in_bytes", 0))
    return int(sum(getattr(analysis, part, 0) for part in parts) - shared)


def bytes_of(tree: Any) -> int:
    """Those of the arrays of a tree, or of the `ShapeDtypeStruct`s."""
    return sum(math.prod(np.shape(leaf)) * jnp.result_type(leaf).itemsize for leaf in jax.tree.leaves(tree))
