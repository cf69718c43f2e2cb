"""What runs on the device: the one place where jit, vmap, sharding and donation are applied.

All are cached, so that a second call compiles nothing.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jax.typing import ArrayLike

from jax_nst.losses.objective import (
    REMATS,
    LossWeights,
    Target,
    Targets,
    content_targets,
    make_objective,
    mix_grams,
    style_grams,
    style_targets,
)
from jax_nst.losses.recipes import RECIPES
from jax_nst.losses.terms import Losses
from jax_nst.models.extractor import Extractor, Params
from jax_nst.optim.optimizers import make_optimizer
from jax_nst.optim.step import State, Update, make_step
from jax_nst.transfer.config import Config
from jax_nst.transfer.network import choose_layers

MAX_CHUNK = 32
"""The most steps that an accelerator does before the host looks at it."""

ITEMS = "items"
"""Name of the mesh axis over which the items of a batch are spread."""

Advance = Callable[..., tuple[State, list[jax.Array]]]
"""`(state, params, targets, loss_weights, count) -> (state, losses)`: `count` updates. Losses are blocks
`[steps, ..., 4]` of total, content, style, tv, of which the first `count` steps are meant. The state given
is consumed."""


class TargetPrograms(NamedTuple):
    """What is computed once, before the first step."""

    content: Callable[[Params, ArrayLike], dict[str, Target]]
    """`(params, content [H, W, 3])`."""
    grams: Callable[[Params, ArrayLike], dict[str, jax.Array]]
    """`(params, style [H', W', 3])`."""
    style: Callable[..., dict[str, Target]]
    """`(grams of each style, shares, weights, positions)`, see `mix_grams` and `style_targets`."""


class StepPrograms(NamedTuple):
    """What is computed every step of one picture."""

    init: Callable[[Any], State]
    compile_advance: Callable[..., tuple[Advance, int]]
    """`(state, params, targets, loss_weights) ->` the loop, compiled once for arguments of these shapes
    (arrays, or `ShapeDtypeStruct`s), and the bytes that it takes of each device."""


class BatchPrograms(NamedTuple):
    """What is computed every step of a batch, as `StepPrograms`, and where its arguments lie."""

    init: Callable[[Any], State]
    compile_advance: Callable[..., tuple[Advance, int]]
    shardings: tuple[Any, Any, Any, Any]
    """Of states, params, tables and loss weights."""


class Tables(NamedTuple):
    """The targets of a batch: those that items share are there once, and items name theirs by row."""

    targets: Targets
    """Leaves `[rows, ...]`."""
    content_row: jax.Array
    """`[items]`."""
    style_row: jax.Array
    """`[items]`."""


def target_programs(config: Config, extractor: Extractor) -> TargetPrograms:
    """The programs of the targets."""
    layers = choose_layers(config, extractor)
    return _target_programs(extractor, config.recipe, layers.content, layers.style)


@functools.lru_cache(maxsize=8)
def _target_programs(
    extractor: Extractor, recipe_name: str, content_layers: tuple[str, ...], style_layers: tuple[str, ...]
) -> TargetPrograms:
    recipe, plain = RECIPES[recipe_name], extractor.plain

    def style(grams: Any, shares: jax.Array, weights: jax.Array, positions: Any) -> dict[str, Target]:
        mixed = mix_grams(grams, shares)
        in_order = {layer: mixed[layer] for layer in style_layers}  # jit sorts keys
        return style_targets(extractor, recipe, in_order, list(weights), positions)

    jit = functools.partial(jax.jit, compiler_options=compiler_options())
    return TargetPrograms(
        jit(lambda params, x: content_targets(extractor, recipe, plain(params), x, content_layers)),
        jit(lambda params, style: style_grams(extractor, plain(params), style, style_layers)),
        jit(style),
    )


def remat_choices(config: Config) -> tuple[str, ...]:
    """What may be computed twice, the least first."""
    return REMATS if config.remat == "auto" else (config.remat,)


def step_programs(config: Config, extractor: Extractor) -> StepPrograms:
    """The programs of the loop of one picture."""
    return _step_programs(extractor, *_that_count(config))


def batch_programs(config: Config, extractor: Extractor, mesh: Mesh) -> BatchPrograms:
    """The programs of the loop of a batch, over the devices of a mesh with the one axis `ITEMS`.

    States, `Tables` and loss weights have a leading axis, of items or of rows, as many on each device; a
    row is counted within its device. Each device works for itself: nothing is exchanged.
    """
    return _batch_programs(extractor, *_that_count(config), mesh)


def on_all_devices(params: Params, mesh: Mesh) -> Params:
    """A copy on each device of a mesh; none of what is there already."""
    return jax.device_put(params, NamedSharding(mesh, P()))


def _that_count(config: Config) -> tuple[str, str, str, float | None]:
    return config.recipe, config.remat, config.optimizer, config.learning_rate


def _step_of(
    extractor: Extractor,
    recipe: str,
    remat: str,
    optimizer: str,
    learning_rate: float | None,
) -> tuple[Callable[[jax.Array], State], Update]:
    return make_step(
        make_objective(extractor, RECIPES[recipe].variation, remat=remat),
        make_optimizer(optimizer, learning_rate=learning_rate),
    )


@functools.lru_cache(maxsize=8)
def _step_programs(*settings: Any) -> StepPrograms:
    init, update = _step_of(*settings)
    return StepPrograms(jax.jit(init), _advance_for_device()(update, lambda function, *_: function))


@functools.lru_cache(maxsize=8)
def _batch_programs(*settings_and_mesh: Any) -> BatchPrograms:
    *settings, mesh = settings_and_mesh
    init, update = _step_of(*settings)
    axes = _state_axes(init)
    init, update = _batched(init, update, axes)
    states = jax.tree.map(
        lambda axis: P() if axis is None else P(ITEMS), axes, is_leaf=lambda axis: axis is None
    )
    specs = (states, P(), P(ITEMS), P(ITEMS))
    on_mesh = functools.partial(jax.shard_map, mesh=mesh, check_vma=False)

    def spread(function: Callable[..., Any], *more: P) -> Callable[..., Any]:
        return on_mesh(function, in_specs=(*specs, *more), out_specs=(states, P(None, ITEMS)))

    return BatchPrograms(
        jax.jit(on_mesh(init, in_specs=P(ITEMS), out_specs=states)),
        _advance_for_device()(update, spread),
        jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs),
    )


def _state_axes(init: Callable[[jax.Array], State]) -> Any:
    """A tree like a State: 0 for what each item has, None for the counts of steps, which all share."""
    state = jax.eval_shape(init, jax.ShapeDtypeStruct((1, 1, 3), jnp.float32))
    return jax.tree_util.tree_map_with_path(
        lambda path, _: None if getattr(path[-1], "name", "") == "count" else 0, state
    )


def _batched(
    init: Callable[[jax.Array], State], update: Update, axes: Any
) -> tuple[Callable[[jax.Array], State], Any]:
    """The same for a batch: `init(pixels [items, H, W, 3])`, `update(states, params, tables, weights)`."""

    def one(
        state: State, params: Params, targets: Targets, rows: tuple[Any, Any], weights: LossWeights
    ) -> Any:
        content = jax.tree.map(lambda table: table[rows[0]], targets.content)
        style = jax.tree.map(lambda table: table[rows[1]], targets.style)
        return update(state, params, Targets(content, style), weights)

    mapped = jax.vmap(one, in_axes=(axes, None, None, 0, 0), out_axes=(axes, 0))

    def update_batch(states: State, params: Params, tables: Tables, weights: LossWeights) -> Any:
        rows = (tables.content_row, tables.style_row)
        return mapped(states, params, tables.targets, rows, weights)

    return jax.vmap(init, out_axes=axes), update_batch


@functools.lru_cache(maxsize=8)
def score_program(extractor: Extractor, recipe: str) -> Callable[..., Losses]:
    """`(pixels, params, targets, loss_weights) -> Losses` of any picture."""
    objective = make_objective(extractor, RECIPES[recipe].variation)
    return jax.jit(lambda pixels, params, *rest: objective(pixels, extractor.plain(params), *rest)[1])


def _advance_for_device() -> Callable[..., Callable[..., tuple[Advance, int]]]:
    return _stepping if jax.default_backend() == "cpu" else _looping


def _looping(update: Update, spread: Callable[..., Any]) -> Callable[..., tuple[Advance, int]]:
    """The loop on the device, which is never held up by the host."""

    def advance(
        state: State, params: Params, targets: Any, loss_weights: LossWeights, count: jax.Array
    ) -> tuple[State, jax.Array]:
        def body(i: jax.Array, carry: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
            state, rows = carry
            state, info = update(state, params, targets, loss_weights)
            return state, rows.at[i].set(jnp.stack(info.losses, axis=-1))

        rows = jnp.zeros((MAX_CHUNK, *jnp.shape(loss_weights.tv), len(Losses._fields)))
        return jax.lax.fori_loop(0, count, body, (state, rows))

    compile_ = _compile_once(spread(advance, P()))

    def compile_advance(*arguments: Any) -> tuple[Advance, int]:
        compiled, num_bytes = compile_(*arguments, 0)

        def one_block(*arguments: Any) -> tuple[State, list[jax.Array]]:
            state, rows = compiled(*arguments)
            return state, [rows]

        return one_block, num_bytes

    return compile_advance


def _stepping(update: Update, spread: Callable[..., Any]) -> Callable[..., tuple[Advance, int]]:
    """The loop on the host: XLA's CPU runs convolutions inside a loop on one core, six times slower."""

    def step(
        state: State, params: Params, targets: Any, loss_weights: LossWeights
    ) -> tuple[State, jax.Array]:
        state, info = update(state, params, targets, loss_weights)
        return state, jnp.stack(info.losses, axis=-1)[None]

    compile_ = _compile_once(spread(step))

    def compile_advance(*arguments: Any) -> tuple[Advance, int]:
        compiled, num_bytes = compile_(*arguments)

        def advance(state: State, *rest: Any) -> tuple[State, list[jax.Array]]:
            rows = []
            for _ in range(rest[-1]):
                state, row = compiled(state, *rest[:-1])
                rows.append(row)
            return state, rows

        return advance, num_bytes

    return compile_advance


def _compile_once(function: Callable[..., Any]) -> Callable[..., tuple[Callable[..., Any], int]]:
    """`(*arguments) ->` the function compiled for arguments of their shapes, and the bytes it takes.

    The first argument is donated.
    """
    jitted, compiled = jax.jit(function, donate_argnums=0), {}

    def compile_(*arguments: Any) -> tuple[Callable[..., Any], int]:
        leaves, tree = jax.tree.flatten(arguments)
        key = tree, tuple((jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
        if key not in compiled:
            program = jitted.lower(*arguments).compile(compiler_options())
            compiled[key] = program, _num_bytes(program.memory_analysis())
        return compiled[key]

    return compile_


@functools.cache
def compiler_options() -> dict[str, Any]:
    """What XLA is told.

    By itself XLA's CPU orders a program for parts that run side by side. But each convolution uses all
    cores, and to order it for memory saves a third of that, and time too: fewer pages are new.
    """
    options: dict[str, Any] = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(jnp.negative).lower(0.0).compile(options)
    except jax.errors.JaxRuntimeError:
        return {}  # an older XLA does not know it
    return options


def _num_bytes(analysis: Any) -> int:
    """What XLA says that a program takes of a device: arguments, results, and what it needs meanwhile."""
    parts = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes")
    shared = np.maximum(0, getattr(analysis, "alias_size_in_bytes", 0))
    return int(sum(getattr(analysis, part, 0) for part in parts) - shared)
