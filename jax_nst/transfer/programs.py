"""Programs of the device: the one place where jit, vmap, sharding and donation are applied.

All are cached by their parts, so that a second call compiles nothing.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.core
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jax_nst.losses import Losses, Targets, Term, make_objective
from jax_nst.losses.objective import objective_in_tiles
from jax_nst.models.extractor import Extractor, Params
from jax_nst.models.partition import Partition
from jax_nst.models.shards import ROWS
from jax_nst.optim import Controls, State, Update, make_step
from jax_nst.optim.step import make_move, share_counts
from jax_nst.runtime.platform import Platform
from jax_nst.transfer.by_shape import ByShape
from jax_nst.transfer.rows import ITEMS, Rows
from jax_nst.transfer.tile_programs import (
    TilePrograms,
    compile_step,
    is_large,
    score_in_tiles,
    tile_programs,
    tile_size_of_once,
)

MAX_CHUNK = 32
"""Upper bound on the steps of a chunk."""

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
    shardings: tuple[Any, Any, Any, Any] | None = None
    """Of states, params, tables and controls; None for one picture."""
    rows: Rows | None = None
    """Where the arrays of a state are, if several devices share the rows of a picture."""


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


@functools.lru_cache(maxsize=64)
def step_programs(
    objects: Objects, partition: Partition = Partition(), mesh: Mesh | None = None
) -> StepPrograms:
    """The programs of the loop over steps.

    Args:
      objects: the parts.
      partition: how a picture is computed.
      mesh: None for one picture on one device. Of the one axis `ROWS`: one picture, whose rows the devices
        share. Of the one axis `ITEMS`: states, `Tables` and `Controls` have a leading axis, of items or of
        rows, as many on each device; a row is counted within its device. Each device works for itself:
        nothing is exchanged. Of the axes `ITEMS` and `ROWS`: the same, with groups of devices, each of
        which shares the rows of its pictures.
    """
    names = [term.name for term in objects.terms]
    remat, tile_size = partition
    if mesh is None and tile_size is not None and _is_looped_on_host(objects):
        return _in_tiles_on_host(objects, tile_size)
    axes = mesh.axis_names if mesh is not None else ()
    objective = make_objective(
        objects.extractor,
        objects.terms,
        remat=remat,
        tile_size=tile_size,
        mesh=mesh if ROWS in axes else None,
        most_bands=objects.platform.most_bands,
    )
    init, update = make_step(objective, objects.optimizer)
    if mesh is None:
        return StepPrograms(ByShape(init, {}), *_loop(objects.platform, update, names, lambda f, *_: f))
    if ITEMS in axes:
        return _over_items(objects.platform, init, update, names, mesh)
    rows = Rows(mesh, init)
    init, update = rows.storing(init), rows.holding(update)
    loop = _loop(objects.platform, update, names, lambda function, *_: rows.around(function))
    return StepPrograms(ByShape(init, {}), *loop, rows=rows)


def _over_items(
    platform: Platform, init: Callable[[Any], State], update: Update, names: list[str], mesh: Mesh
) -> StepPrograms:
    """The programs of a batch, of as many items for each device, or for each group that shares rows."""
    counts = share_counts(state_shapes(init, (1, 1)))
    init, update = _batched(init, update, counts)
    rows = Rows(mesh, init) if ROWS in mesh.axis_names else None
    if rows:
        init, update = rows.storing(init), rows.holding(update)
    states = jax.tree.map(
        lambda axis: P() if axis is None else P(ITEMS), counts, is_leaf=lambda axis: axis is None
    )
    specs = (states, P(), P(ITEMS), P(ITEMS))
    on_mesh = functools.partial(jax.shard_map, mesh=mesh, axis_names={ITEMS}, check_vma=False)

    def shard(function: Callable[..., Any], *more: P) -> Callable[..., Any]:
        around = rows.around(function) if rows else function
        return on_mesh(around, in_specs=(*specs, *more), out_specs=(states, P(None, ITEMS)))

    return StepPrograms(
        ByShape(on_mesh(init, in_specs=P(ITEMS), out_specs=states), {}),
        *_loop(platform, update, names, shard),
        jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs),
        rows,
    )


def state_shapes(init: Callable[[Any], State], shape: tuple[int, int], *batch: int) -> State:
    """The state of a picture of (height, width), or of a batch of so many, as shapes."""
    return jax.eval_shape(init, jax.ShapeDtypeStruct((*batch, *shape, 3), jnp.float32))


def of_batch(init: Callable[[Any], State]) -> Callable[[Any], State]:
    """`init` of the pictures of a batch, `[items, H, W, 3]`; counts of steps are the same for all."""
    return jax.vmap(init, out_axes=share_counts(state_shapes(init, (1, 1))))


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

    return of_batch(init), update_batch


@functools.lru_cache(maxsize=8)
def score_program(objects: Objects) -> Callable[..., Losses]:
    """`(pixels, params, targets, loss_weights) -> Losses` of any picture; of a large one in tiles."""
    objective = make_objective(objects.extractor, objects.terms)
    plain = objects.extractor.plain
    options = dict(objects.platform.compiler_options)
    whole = ByShape(lambda pixels, params, *rest: objective(pixels, plain(params), *rest)[1], options)
    tile_size = tile_size_of_once(objects.extractor, objects.terms)

    def score(pixels: jax.Array, *arguments: Any) -> Losses:
        traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((pixels, arguments)))
        if traced or tile_size is None or not is_large(pixels.shape):
            return whole(pixels, *arguments)
        return score_in_tiles(_tile_programs(objects, tile_size), pixels, *arguments)

    return score


def _loop(
    platform: Platform, update: Update, names: list[str], shard: Callable[..., Any]
) -> tuple[Callable[..., tuple[Advance, int]], "ByShape"]:
    make = _on_device if platform.loop_on_device else _on_host
    return make(update, names, shard, dict(platform.compiler_options))


def _is_looped_on_host(objects: Objects) -> bool:
    # The gradient of float16 is scaled around the whole objective.
    return not objects.platform.loop_on_device and objects.extractor.precision != "float16"


def _in_tiles_on_host(objects: Objects, tile_size: int) -> StepPrograms:
    """The programs of one picture in tiles, over which the host loops."""
    init, _ = make_move(objects.optimizer)
    programs = _tile_programs(objects, tile_size)

    def compile_advance(*arguments: Any) -> tuple[Advance, int]:
        step, num_bytes = compile_step(programs, *arguments)
        return _repeated(step), num_bytes

    return StepPrograms(ByShape(init, {}), compile_advance, programs.pull)


@functools.lru_cache(maxsize=8)
def _tile_programs(objects: Objects, tile_size: int) -> TilePrograms:
    names = [term.name for term in objects.terms]
    parts = objective_in_tiles(objects.extractor, objects.terms, tile_size)
    _, move = make_move(objects.optimizer)
    options = dict(objects.platform.compiler_options)
    return tile_programs(parts, move, lambda losses: _as_row(losses, names), options)


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
        return _repeated(compiled), num_bytes

    return compile_advance, program


def _repeated(step: Callable[..., tuple[State, jax.Array]]) -> Advance:
    """`step`, as often as the last argument says."""

    def advance(state: State, *rest: Any) -> tuple[State, list[jax.Array]]:
        rows = []
        for _ in range(rest[-1]):
            state, row = step(state, *rest[:-1])
            rows.append(jax.block_until_ready(row))  # one in a queue has its memory already
        return state, rows

    return advance
