"""What a level needs of the memory, before anything is compiled."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax

from jax_nst.losses import Targets
from jax_nst.losses.grouped import network_layers
from jax_nst.models.partition import Partition
from jax_nst.optim.step import make_move
from jax_nst.runtime.memory import OutOfMemoryError, check_enough, memory_limit
from jax_nst.transfer.by_shape import bytes_of
from jax_nst.transfer.choices import Choice
from jax_nst.transfer.estimate import estimate_of
from jax_nst.transfer.item import Item
from jax_nst.transfer.meshes import mesh_of_picture
from jax_nst.transfer.network import Network
from jax_nst.transfer.pictures import Source
from jax_nst.transfer.programs import of_batch, state_shapes
from jax_nst.transfer.spec import Level, Spec
from jax_nst.transfer.targets import Preparation

_TIGHT = 0.2
"""Share of the memory from which a level is compiled before the run, to be sure that it fits."""


class Estimate(NamedTuple):
    """A choice, and what it is expected to take of a device."""

    choice: Choice
    num_bytes: int
    limit: int
    """Bytes that it may take."""

    @property
    def fits(self) -> bool:
        """Whether it is expected to."""
        return self.num_bytes <= self.limit


def estimates(
    network: Network, spec: Spec, contents: Sequence[Source], styles: Sequence[Source], item: Item
) -> list[Estimate]:
    """The choices of the last level of one picture that are worth their time, the fastest first.

    Those that take less memory than every faster one, and of those that fit only the fastest.
    """
    level, limit = spec.levels[-1], limit_of(spec)
    preparation = Preparation(network, level, spec.platform, contents, styles)
    content, style = preparation.abstract(spec.num_regions)
    mesh = mesh_of_picture(network, spec, level)
    num_devices = mesh.size if mesh else 1
    bytes_at = _estimate(network, spec, level, {**content, **style}, item, num_devices)
    found: list[Estimate] = []
    for choice in choices_at(spec, level, num_devices):
        num_bytes = bytes_at(choice)
        if not found or num_bytes < found[-1].num_bytes:
            found.append(Estimate(choice, num_bytes, limit))
        if found[-1].fits:
            break
    return found


def limit_of(spec: Spec, device: Any = None) -> int:
    """Bytes that a program may allocate on a device, the first one by default."""
    return memory_limit(jax.local_devices()[0] if device is None else device, spec.memory)


def choices_at(spec: Spec, level: Level, num_devices: int = 1) -> list[Choice]:
    """Those of a level: a picture that is no larger than a tile is computed whole, a huge one in tiles.

    Args:
      spec: of the picture.
      level: of the spec.
      num_devices: which share the picture.
    """
    choices = [x for x in spec.choices if (x.partition.tile_size or 0) < max(level.shape)]
    if math.prod(level.shape) > num_devices * spec.platform.most_pixels:
        choices = [x for x in choices if x.partition.tile_size] or choices
    wholes = [x._replace(partition=Partition()) for x in spec.choices]  # of a level smaller than the tiles
    return choices or wholes


def check_state_fits(spec: Spec) -> None:
    """Raises OutOfMemoryError if not even the state of one item has room, before anything is traced."""
    last = spec.levels[-1]
    least = min(bytes_of(state_of(spec, last, choice)) for choice in choices_at(spec, last))
    if spec.platform.shares_rows:
        least //= jax.device_count()
    with size_that_fits(last):
        check_enough(least, limit_of(spec))


def is_tight(network: Network, spec: Spec, level: Level, limit: int | None = None) -> bool:
    """Whether one picture of a level may not fit in memory, by a rough estimate that costs nothing."""
    needed = bytes_of_one(network, spec, level)
    return needed > _TIGHT * (limit_of(spec) if limit is None else limit)


def state_of(spec: Spec, level: Level, choice: Choice, *batch: int) -> Any:
    """The state of one picture of a level, or of a batch of so many, as shapes."""
    init, _ = make_move(choice.optimizer)
    return state_shapes(of_batch(init) if batch else init, level.shape, *batch)


def bytes_of_one(network: Network, spec: Spec, level: Level) -> int:
    """Bytes of one item, roughly: its state, and four times the features that are compared."""
    layers = network_layers(level.terms)
    features = network.extractor.feature_shapes(network.params, level.shape, layers)
    return bytes_of(state_of(spec, level, spec.choices[0])) + 4 * bytes_of(features)


@contextlib.contextmanager
def size_that_fits(level: Level) -> Iterator[None]:
    """Adds to an OutOfMemoryError the size that would fit, by the number of pixels."""
    try:
        yield
    except OutOfMemoryError as error:
        size = int(0.95 * max(level.shape) * math.sqrt(error.free / max(1, error.need)))
        raise OutOfMemoryError(error.need, error.free, size) from error


def guess_of(
    network: Network,
    spec: Spec,
    level: Level,
    targets: Targets,
    item: Item,
    limit: int,
    num_devices: int = 1,
) -> Callable[[Choice], int]:
    """`(choice) -> bytes`; where the memory is plenty nothing is estimated, and all are 0."""
    if not is_tight(network, spec, level, limit):
        return lambda choice: 0
    return _estimate(network, spec, level, targets, item, num_devices)


def _estimate(
    network: Network, spec: Spec, level: Level, targets: Targets, item: Item, num_devices: int = 1
) -> Callable[[Choice], int]:
    weights = item.loss_weights[level]
    return estimate_of(
        network.extractor,
        network.params,
        level.terms,
        level.shape,
        targets,
        weights,
        num_devices,
        spec.platform,
    )
