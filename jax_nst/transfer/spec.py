"""Config -> Spec: every setting resolved once, into records that are hashable and look nothing up.

Compiled programs are keyed by parts of a `Spec`, and a sweep groups its items by it. What may differ
between the items of one program, such as loss weights and learning rates, is an argument and not part of
the `Spec`.
"""

import dataclasses
import math

import optax

from jax_nst.images import crop_shape, fit_size
from jax_nst.losses import PIXELS, LossWeights, Term
from jax_nst.models.extractor import Extractor
from jax_nst.optim import OPTIMIZERS
from jax_nst.runtime.platform import Platform
from jax_nst.transfer.choices import Choice, choices_of
from jax_nst.transfer.config import DEFAULT_SIZE, Config
from jax_nst.transfer.conversion import bytes_in
from jax_nst.transfer.masks import Regions, load_regions
from jax_nst.transfer.ratios import parse_ratios
from jax_nst.transfer.terms import resolve_terms, resolve_weights

_FACTOR = 2  # from one level to the next
_SHARE, _MOST = 0.3, 30  # of the steps, and steps, at each level but the last


@dataclasses.dataclass(frozen=True)
class Level:
    """One size of the coarse-to-fine schedule.

    Attributes:
      shape: (height, width) of the picture.
      steps: updates.
      terms: of the objective, with their layers.
      style_size: longer side of the styles in pixels; None for the picture's, or as `style_scale` says.
      style_scale: longer side of the styles relative to the picture's; None if `style_size` says it.
    """

    shape: tuple[int, int]
    steps: int
    terms: tuple[Term, ...]
    style_size: int | None
    style_scale: float | None

    @property
    def size(self) -> int:
        """Longer side of the picture in pixels."""
        return max(self.shape)


@dataclasses.dataclass(frozen=True)
class Spec:
    """All that decides the programs of a transfer.

    Attributes:
      extractor: where the features come from.
      levels: coarse to fine; the last one paints the picture itself.
      choices: how levels may be computed, the most wanted first; the first that fits is taken. A named
        optimizer gets the learning rate as an argument.
      memory: bytes that the process may take; None: what the machine has left.
      tolerance: stop when `config.PATIENCE` steps have lowered the loss by no more than this share, if > 0.
      save_every: chunks of steps end at multiples of this; 0: anywhere.
      platform: what the device wants.
      num_regions: how many regions masks make; 0 without masks.
    """

    extractor: Extractor
    levels: tuple[Level, ...]
    choices: tuple[Choice, ...]
    tolerance: float
    save_every: int
    platform: Platform
    num_regions: int = 0
    memory: int | None = None

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """Of the angles of the pixels; the most wanted."""
        return self.choices[0].optimizer

    @property
    def loss_names(self) -> tuple[str, ...]:
        """Columns of histories and tables: `total`, and the name of each term."""
        return "total", *(term.name for term in self.levels[-1].terms)

    @property
    def num_steps(self) -> int:
        """Updates of all levels; each level after the first begins with one evaluation more."""
        return sum(level.steps + 1 for level in self.levels) - 1

    def work(self, level: Level, evaluations: int) -> float:
        """The share of the work done after so many evaluations of a level, each counted by its pixels."""
        before = self.levels[: self.levels.index(level)]
        done = sum(math.prod(level.shape) * (level.steps + 1) for level in before)
        whole = sum(math.prod(level.shape) * (level.steps + 1) for level in self.levels)
        return (done + math.prod(level.shape) * evaluations) / whole


def resolve(
    config: Config, extractor: Extractor, shape: tuple[int, ...], platform: Platform, num_regions: int = 0
) -> Spec:
    """The settings of one transfer, resolved.

    Args:
      config: what the user asked for.
      extractor: the network, as `load_network` chose it.
      shape: [H, W, 3] of the content.
      platform: see `runtime.platform`.
      num_regions: see `Spec`.

    Raises:
      ValueError: a setting does not fit, a term takes no masks or cannot be computed in tiles, or the
        picture is too small for the network at one of its levels.
    """
    levels = _levels(config, extractor, shape)
    return Spec(
        extractor=extractor,
        levels=levels,
        choices=choices_of(config, extractor, levels[-1].terms, platform),
        tolerance=config.tolerance,
        save_every=config.save_every,
        platform=platform,
        num_regions=num_regions,
        memory=bytes_in(config.memory),
    )


def regions_of(config: Config, shape: tuple[int, ...]) -> Regions:
    """The regions that the masks of the config make of a content of `shape` [H, W, 3].

    Raises:
      ValueError: as `load_regions`.
    """
    # A content that is cropped may have been cropped before; its masks are cropped alike.
    return load_regions(config.mask, config.style_map, None if config.crop else shape)


def resolve_level_weights(config: Config, spec: Spec) -> dict[Level, LossWeights]:
    """The loss weights at each level, whose layers may differ; see `resolve_weights`."""
    return {level: resolve_weights(config, spec.extractor, level.terms) for level in spec.levels}


def learning_rate_of(config: Config) -> float | None:
    """That of a named optimizer; None for one that brings its own."""
    if not isinstance(config.optimizer, str):
        return None
    return OPTIMIZERS[config.optimizer][1] if config.learning_rate is None else config.learning_rate


def picture_size(config: Config, shape: tuple[int, ...]) -> int:
    """Longer side of the picture, in pixels, of a content of `shape` [H, W, 3]."""
    ratio = crop_ratio(config, shape)
    own = shape if ratio is None else crop_shape(shape, ratio)
    return config.size or min(DEFAULT_SIZE, max(own[:2]))


def picture_shape(config: Config, shape: tuple[int, ...]) -> tuple[int, int]:
    """(height, width) of the picture, of a content of `shape` [H, W, 3]."""
    return fit_size(_proportions(config, shape), picture_size(config, shape))


def crop_ratio(config: Config, shape: tuple[int, ...]) -> float | None:
    """Width over height to which a content of `shape` [H, W, 3] is cropped; None if it is not."""
    ratios = parse_ratios(config.crop or ())
    return min(ratios, key=lambda ratio: abs(math.log(ratio * shape[0] / shape[1])), default=None)


def _proportions(config: Config, shape: tuple[int, ...]) -> tuple[float, ...]:
    """Those of the picture; exactly as `crop` says, so that contents of many sizes have one shape."""
    ratio = crop_ratio(config, shape)
    return shape if ratio is None else (1.0, ratio)


def _levels(config: Config, extractor: Extractor, shape: tuple[int, ...]) -> tuple[Level, ...]:
    """Coarse to fine. The last level has all the steps, the others a few: more make no difference to it.

    The coarsest level settles the large shapes, so `auto` begins at about the same size for every picture,
    `Extractor.coarsest_size`.
    """
    size, proportions = picture_size(config, shape), _proportions(config, shape)
    if config.scales == "auto":
        count = 1 + max(0, round(math.log(size / extractor.coarsest_size, _FACTOR)))
    else:
        count = int(config.scales)
    sizes = [max(1, round(size * _FACTOR**-power)) for power in reversed(range(1, count))]
    coarse = [_coarse_level(config, extractor, fit_size(proportions, smaller), size) for smaller in sizes]
    if config.scales == "auto":
        coarse = [level for level in coarse if min(level.shape) >= least_side(extractor, level)]
    last_shape = fit_size(proportions, size)
    terms = tuple(term for _, term in resolve_terms(config, extractor, last_shape))
    last = Level(last_shape, config.steps, terms, config.style_size, config.style_scale)
    check_side("the content image", last, extractor, last.shape, "give a larger size, or another image")
    remedy = f"give fewer scales than {count}, or a larger size"
    for level in coarse:
        check_side("the picture at one of its smaller sizes", level, extractor, level.shape, remedy)
    return *coarse, last


def _coarse_level(config: Config, extractor: Extractor, shape: tuple[int, int], full: int) -> Level:
    """A level of that shape, of a picture of `full` pixels; a given size of the style shrinks along."""
    style_scale = config.style_size / full if config.style_size else config.style_scale
    steps = max(1, min(_MOST, round(_SHARE * config.steps)))
    terms = tuple(term for _, term in resolve_terms(config, extractor, shape))
    return Level(shape, steps, terms, None, style_scale)


def least_side(extractor: Extractor, level: Level) -> int:
    """Pixels that the shorter side of a picture must have at least."""
    layers = [layer for term in level.terms for layer in term.layers if layer != PIXELS]
    return extractor.smallest_side(tuple(layers)) if layers else 1


def check_side(what: str, level: Level, extractor: Extractor, shape: tuple[int, int], remedy: str) -> None:
    """Raises ValueError if `what`, of `shape` (height, width), is too small; it ends with the remedy."""
    least = least_side(extractor, level)
    height, width = shape
    if min(height, width) < least:
        raise ValueError(
            f"{what} is {width} x {height} pixels, but {extractor.name} needs {least} on the shorter side; "
            f"{remedy}"
        )
