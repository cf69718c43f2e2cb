"""Programs of the device: the one place where jit, vmap, sharding and donation are applied.

All are cached by their parts, so that a second call compiles nothing.
"""

import collections
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jax_nst.losses import Losses, Targets, Term, make_objective
from jax_nst.models.extractor import Extractor, Params
from jax_nst.optim import Controls, State, Update, make_step
from jax_nst.optim.step import share_counts
from jax_nst.runtime.platform import Platform

MAX_CHUNK = 32
"""Upper bound on the steps of a chunk."""

MAX_PROGRAMS = 32
"""Of one function, for arguments of different shapes, that are kept."""

ITEMS = "items"
"""Name of the mesh axis over which the items of a batch are sharded."""

Advance = Callable[..., tuple[State, list[jax.Array]]]
"""`(state, params, targets, controls, count) -> (state, losses)`: `count` updates.

Losses are blocks `[steps, ..., names]`, of which the first `count` steps are meant; the names are those of
`Spec.loss_names`. The state given is donated."""


class Objects(NamedTuple):
    """The parts that the programs of a level are built from; hashable."""

    extractor: Extractor
    terms: tuple[Term, ...]
    optimizer: optax.GradientTransformation
    platform: Platform


class StepPrograms(NamedTuple):
    """The loop over steps, of one picture or of a batch over a mesh."""

    init: Callable[[Any], State]
    """`(pixels) -> state`."""
    compile_advance: Callable[..., tuple[Advance, int]]
    """`(state, params, targets, controls) ->` the loop, compiled once for arguments of these shapes
    (arrays, or `ShapeDtypeStruct`s), and the bytes that it takes of each device."""
    program: "ByShape"
    """What is compiled: the loop, which takes the number of steps too, or one step where the host loops."""
    shardings: tuple[Any, Any, Any, Any] | None
    """Of states, params, tables and controls; None for one picture."""


class Tables(NamedTuple):
    """The targets of a batch: a row for each distinct target, and the rows that each item uses."""

    content: Targets
    """Leaves `[rows, ...]`."""
    style: Targets
    """Leaves `[rows, ...]`."""
    content_row: jax.Array
    """`[items]`."""
    style_row: jax.Array
    """`[items]`."""


@functools.lru_cache(maxsize=8)
def step_programs(objects: Objects, remat: str, mesh: Mesh | None = None) -> StepPrograms:
    """The programs of the loop over steps.

    Args:
      objects: the parts.
      remat: one of `partition.REMATS`.
      mesh: None for one picture. Else of the one axis `ITEMS`: states, `Tables` and `Controls` have a
        leading axis, of items or of rows, as many on each device; a row is counted within its device. Each
        device works for itself: nothing is exchanged.
    """
    objective = make_objective(objects.extractor, objects.terms, remat=remat)
    init, update = make_step(objective, objects.optimizer)
    names = [term.name for term in objects.terms]
    if mesh is None:
        loop = _loop(objects.platform, update, names, lambda f, *_: f)
        return StepPrograms(ByShape(init, {}), *loop, None)
    axes = share_counts(state_shapes(init, (1, 1)))
    init, update = _batched(init, update, axes)
    states = jax.tree.map(
        lambda axis: P() if axis is None else P(ITEMS), axes, is_leaf=lambda axis: axis is None
    )
    specs = (states, P(), P(ITEMS), P(ITEMS))
    on_mesh = functools.partial(jax.shard_map, mesh=mesh, check_vma=False)

    def shard(function: Callable[..., Any], *more: P) -> Callable[..., Any]:
        return on_mesh(function, in_specs=(*specs, *more), out_specs=(states, P(None, ITEMS)))

    return StepPrograms(
        ByShape(on_mesh(init, in_specs=P(ITEMS), out_specs=states), {}),
        *_loop(objects.platform, update, names, shard),
        jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs),
    )


def state_shapes(init: Callable[[Any], State], shape: tuple[int, int], *batch: int) -> State:
    """The state of a picture of (height, width), or of a batch of so many, as shapes."""
    return jax.eval_shape(init, jax.ShapeDtypeStruct((*batch, *shape, 3), jnp.float32))


def mesh_of_items() -> Mesh:
    """All devices, with the one axis `ITEMS`."""
    return Mesh(np.asarray(jax.devices()), (ITEMS,), axis_types=(AxisType.Auto,))


def on_all_devices(params: Params, mesh: Mesh) -> Params:
    """Copies params to each device of a mesh that does not have them."""
    return jax.device_put(params, NamedSharding(mesh, P()))


def _batched(
    init: Callable[[jax.Array], State], update: Update, axes: Any
) -> tuple[Callable[[jax.Array], State], Any]:
    """The same for a batch: `init(pixels [items, H, W, 3])`, `update(states, params, tables, controls)`."""

    def one(state: State, params: Params, tables: Tables, rows: tuple[Any, Any], controls: Controls) -> Any:
        content = jax.tree.map(lambda table: table[rows[0]], tables.content)
        style = jax.tree.map(lambda table: table[rows[1]], tables.style)
        return update(state, params, {**content, **style}, *controls)

    mapped = jax.vmap(one, in_axes=(axes, None, None, 0, 0), out_axes=(axes, 0))

    def update_batch(states: State, params: Params, tables: Tables, *controls: Any) -> Any:
        rows = tables.content_row, tables.style_row
        return mapped(states, params, tables, rows, Controls(*controls))

    return jax.vmap(init, out_axes=axes), update_batch


@functools.lru_cache(maxsize=8)
def score_program(objects: Objects) -> Callable[..., Losses]:
    """`(pixels, params, targets, loss_weights) -> Losses` of any picture."""
    objective = make_objective(objects.extractor, objects.terms)
    plain = objects.extractor.plain
    return ByShape(lambda pixels, params, *rest: objective(pixels, plain(params), *rest)[1], {})


def _loop(
    platform: Platform, update: Update, names: list[str], shard: Callable[..., Any]
) -> tuple[Callable[..., tuple[Advance, int]], "ByShape"]:
    make = _on_device if platform.loop_on_device else _on_host
    return make(update, names, shard, dict(platform.compiler_options))


def _as_row(losses: Losses, names: list[str]) -> jax.Array:
    """`[..., names]`: the total, and each term in order."""
    return jnp.stack([losses.total, *(losses[name] for name in names)], axis=-1)


def _on_device(
    update: Update, names: list[str], shard: Callable[..., Any], options: dict[str, Any]
) -> tuple[Callable[..., tuple[Advance, int]], "ByShape"]:
    """The loop on the device, which never waits for the host."""

    def advance(
        state: State, params: Params, targets: Any, controls: Controls, count: jax.Array
    ) -> tuple[State, jax.Array]:
        def body(i: jax.Array, carry: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
            state, rows = carry
            state, info = update(state, params, targets, *controls)
            return state, rows.at[i].set(_as_row(info.losses, names))

        shape = MAX_CHUNK, *jnp.shape(controls.loss_weights.terms[names[0]]), 1 + len(names)
        rows = jnp.zeros(shape, jnp.float32)
        return jax.lax.fori_loop(0, count, body, (state, rows))

    program = ByShape(shard(advance, P()), options, donate=True)

    def compile_advance(*arguments: Any) -> tuple[Advance, int]:
        compiled, num_bytes = program.compile(*arguments, 0)

        def one_block(*arguments: Any) -> tuple[State, list[jax.Array]]:
            state, rows = compiled(*arguments)
            return state, [rows]

        return one_block, num_bytes

    return compile_advance, program


def _on_host(
    update: Update, names: list[str], shard: Callable[..., Any], options: dict[str, Any]
) -> tuple[Callable[..., tuple[Advance, int]], "ByShape"]:
    """The loop on the host, a program for each step."""

    def step(state: State, params: Params, targets: Any, controls: Controls) -> tuple[State, jax.Array]:
        state, info = update(state, params, targets, *controls)
        return state, _as_row(info.losses, names)[None]

    program = ByShape(shard(step), options, donate=True)

    def compile_advance(*arguments: Any) -> tuple[Advance, int]:
        compiled, num_bytes = program.compile(*arguments)

        def advance(state: State, *rest: Any) -> tuple[State, list[jax.Array]]:
            rows = []
            for _ in range(rest[-1]):
                state, row = compiled(state, *rest[:-1])
                rows.append(row)
            return state, rows

        return advance, num_bytes

    return compile_advance, program


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
