"""How a picture may be computed, from what is fastest to what takes least memory."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import optax

from jax_nst.losses import Term
from jax_nst.losses.objective import check_tiles
from jax_nst.models.extractor import Extractor
from jax_nst.models.partition import REMATS, TILE_SIZES, Partition
from jax_nst.optim import NUM_PAIRS, OPTIMIZERS, PAIRS, make_optimizer
from jax_nst.runtime.platform import Platform
from jax_nst.transfer.config import Config

# Time of a step, beside one that keeps everything; of the wholes and of the tiles (benchmarks/README.md).
_TIME = {"none": 1.0, "block1": 1.15, "all": 1.4, 2048: 1.6, 1024: 1.8, 512: 2.3, 256: 3.5}
# Time to a loss, beside 50 pairs of the type that the device is fastest with: of numbers of pairs, of
# smaller types (a CPU converts bfloat16 slowly), and of Adam (benchmarks/README.md).
_STEPS = {50: 1.0, 20: 1.01, 10: 1.02, 5: 1.05, "smaller": 1.1, "adam": 2.0}


class Choice(NamedTuple):
    """One way to compute the steps of a level."""

    partition: Partition
    optimizer: optax.GradientTransformation
    name: str
    """Says both, in plans and in checkpoints; the optimizer only where it is not the most wanted."""
    time: float = 1.0
    """Of a step, beside that of the whole picture computed once; roughly."""


def choices_of(
    config: Config, extractor: Extractor, terms: Sequence[Term], platform: Platform
) -> tuple[Choice, ...]:
    """What the settings leave open, in the order of the time that a loss is expected to take.

    Args:
      config: `remat`, `tile_size`, `optimizer`, `num_pairs` and `lbfgs_pairs` count.
      extractor: where the features come from.
      terms: of the objective.
      platform: the device that it is computed on.

    Raises:
      ValueError: there are to be tiles, but a term cannot be computed in tiles.
    """
    partitions, optimizers = _partitions(config, extractor, terms), _optimizers(config, platform)

    def time_to_loss(pair: tuple[tuple[Partition, float], tuple[Any, str, float]]) -> float:
        return pair[0][1] * pair[1][2]

    pairs = sorted(itertools.product(partitions, optimizers), key=time_to_loss)
    return tuple(
        Choice(partition, optimizer, ", ".join(filter(None, (str(partition), name))), time)
        for (partition, time), (optimizer, name, _) in pairs
    )


def _partitions(
    config: Config, extractor: Extractor, terms: Sequence[Term]
) -> list[tuple[Partition, float]]:
    """The partitions, each with its time."""
    if isinstance(config.tile_size, int):
        check_tiles(extractor, terms)
        return [(Partition(tile_size=config.tile_size), _time_in_tiles(config.tile_size))]
    wholes = REMATS if config.remat == "auto" else (config.remat,)
    partitions = [(Partition(remat), _TIME[remat]) for remat in wholes]
    if config.remat != "auto" or config.tile_size == "none":
        return partitions
    try:
        check_tiles(extractor, terms)
    except ValueError:
        return partitions
    return [*partitions, *((Partition(tile_size=size), _TIME[size]) for size in TILE_SIZES)]


def _time_in_tiles(size: int) -> float:
    """That of the largest of the sizes tried that is no larger."""
    return _TIME[max((known for known in TILE_SIZES if known <= size), default=min(TILE_SIZES))]


def _optimizers(
    config: Config, platform: Platform
) -> list[tuple[optax.GradientTransformation, str, float]]:
    """The optimizers, each with its name, if it is not the most wanted, and its time to a loss."""
    if not isinstance(config.optimizer, str):
        return [(config.optimizer, "", 1.0)]
    if config.optimizer != "lbfgs":
        return [(make_optimizer(config.optimizer), "", 1.0)]
    numbers = NUM_PAIRS if config.num_pairs is None else (config.num_pairs,)
    is_open = config.lbfgs_pairs == "auto"
    dtypes = PAIRS[PAIRS.index(platform.lbfgs_pairs) :] if is_open else (config.lbfgs_pairs,)
    found = []
    for number, dtype in itertools.product(numbers, dtypes):
        optimizer = make_optimizer("lbfgs", memory_size=number, pairs_dtype=dtype)
        steps = _STEPS.get(number, 1.0) * (1.0 if dtype == dtypes[0] else _STEPS["smaller"])
        found.append((optimizer, f"{number} pairs in {dtype}" if found else "", steps))
    if config.num_pairs is None and is_open:
        # The learning rate of L-BFGS is a factor, and so is that of this Adam.
        adam = make_optimizer("adam", learning_rate=1.0, unit=OPTIMIZERS["adam"][1])
        found.append((adam, "Adam", _STEPS["adam"]))
    return found
