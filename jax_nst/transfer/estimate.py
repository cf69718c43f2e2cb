"""What the steps of a level will take of the memory, before anything is compiled."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jax_nst.losses import LossWeights, Targets, Term, make_objective
from jax_nst.losses.grouped import network_layers
from jax_nst.losses.objective import objective_in_tiles
from jax_nst.models.extractor import Extractor, Params
from jax_nst.models.partition import REMATS, Partition, count_bands, num_rematerialised
from jax_nst.optim.step import make_move
from jax_nst.runtime.platform import CPU, Platform
from jax_nst.transfer.by_shape import bytes_of
from jax_nst.transfer.choices import Choice

# Pictures that the optimizer needs beside its state.
_PICTURES = 10.0


def estimate_of(
    extractor: Extractor,
    params: Params,
    terms: Sequence[Term],
    shape: tuple[int, int],
    targets: Targets,
    loss_weights: LossWeights,
    num_devices: int = 1,
    platform: Platform = CPU,
) -> Callable[[Choice], int]:
    """`(choice) -> bytes` of a device for the steps of one picture.

    The state and the arguments are counted. What the backward pass keeps of the forward pass is traced,
    which takes a fraction of a second; the rest is a model.

    Args:
      extractor: where the features come from.
      params: of the extractor, as arrays or `ShapeDtypeStruct`s.
      terms: of the objective.
      shape: (height, width) of the picture.
      targets: as `params`.
      loss_weights: as `params`.
      num_devices: which share the picture.
      platform: of the devices.
    """
    pixels = jax.ShapeDtypeStruct((*shape, 3), jnp.float32)

    @functools.cache
    def evaluation(partition: Partition) -> tuple[int, int]:
        """Bytes of its arguments, and of all else."""
        if partition.tile_size is None:
            objective = make_objective(extractor, terms, remat=partition.remat)
            given, kept = _kept(
                lambda x, *rest: objective(x, *rest)[0], pixels, params, targets, loss_weights
            )
            most_bands = platform.most_bands if num_devices == 1 else 1
            return given, kept + _temporaries(extractor, params, terms, shape, partition.remat, most_bands)
        parts = objective_in_tiles(extractor, terms, partition.tile_size)
        tiling = parts.tiling(pixels.shape)
        window = jax.ShapeDtypeStruct((*tiling.window, 3), jnp.float32)
        place = jax.ShapeDtypeStruct((6,), jnp.int32)
        given, kept = _kept(
            lambda x, params, targets, place: parts.sums(x, params, targets, tiling, place),
            window, params, targets, place,
        )  # fmt: skip
        # Beside the picture and its gradient.
        return given, int(extractor.kept_in_tiles * kept) + 2 * bytes_of(pixels)

    def estimate(choice: Choice) -> int:
        init, _ = make_move(choice.optimizer)
        state, (given, steps) = bytes_of(jax.eval_shape(init, pixels)), evaluation(choice.partition)
        pictures = int(_PICTURES * bytes_of(pixels))
        in_tiles = choice.partition.tile_size is not None
        shares = num_devices if platform.shares_tiles or not in_tiles else 1
        if in_tiles or shares == 1:
            return given + state // shares + max(steps, pictures)
        return given + (state + steps) // num_devices + pictures  # of which each device has its own

    return estimate


def _kept(function: Callable[..., Any], x: jax.ShapeDtypeStruct, *arguments: Any) -> tuple[int, int]:
    """What the gradient of a function needs: bytes of its arguments, but for x, and what it keeps beside.

    Of some kernels there is another form, of which only one is used, as the features are large or small.
    """
    kept = 0

    def traced(x: jax.Array, arguments: Any) -> Any:
        nonlocal kept
        value, pullback = jax.vjp(lambda x: function(x, *arguments), x)
        given = {id(leaf) for leaf in jax.tree.leaves((x, arguments))}
        leaves = {id(leaf): leaf for leaf in jax.tree.leaves(pullback)}
        kept = bytes_of([leaf for key, leaf in leaves.items() if key not in given])
        return pullback(jax.tree.map(jnp.ones_like, value))

    jaxpr = jax.make_jaxpr(traced)(x, arguments).jaxpr
    used = {id(variable) for equation in jaxpr.eqns for variable in equation.invars}
    given = [variable.aval for variable in jaxpr.invars[1:] if id(variable) in used]
    return bytes_of(given), kept


def _temporaries(
    extractor: Extractor,
    params: Params,
    terms: Sequence[Term],
    shape: tuple[int, int],
    remat: str,
    most_bands: int,
) -> int:
    """Bytes that XLA holds beside what the backward pass keeps, while it computes the worst of the stages.

    Those that are computed twice, if any are; a large one is split into bands. Below zero where XLA does
    not keep all that the backward pass is traced to.
    """
    layers = network_layers(terms)
    stages = extractor.stages(tuple(layers)) if layers else ()
    whole, in_bands = extractor.temporaries[REMATS.index(remat)]
    carry: Any = jax.ShapeDtypeStruct((*shape, 3), jnp.float32)
    found = [0]
    for stage in stages[: num_rematerialised(remat, stages) or None]:
        height, width = jax.tree.leaves(carry)[0].shape[:2]
        carry, features = jax.eval_shape(stage, extractor.plain(params), carry)
        widest = max((bytes_of(x) for x in features.values()), default=0)
        is_split = count_bands(height, width, most_bands) > 1
        found.append(int((in_bands if is_split else whole) * widest))
    return max(found, key=abs)
