"""A loss as a term: a statistic of the picture, a target, and a distance between the two.

Shapes: `H W` pixels, `h w` positions of a layer, `C` its channels. Everything is written for one picture
and one group of layers; `losses.objective` sums over groups and terms, and a batch is `jax.vmap`.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

PIXELS = "pixels"
"""The name of the layer that is the picture itself, `[H, W, 3]`, of any extractor."""

NORMALIZER_FLOOR = 1e-3
"""Floor of a normaliser, in units of a mean square of features or of Gram entries: dividing by a
near-empty channel's power, such as that of colour in a pencil drawing, would let it dominate the loss.
Paintings reach 1e-3."""

Combine = Literal["aligned", "additive", "global"]


class Target(NamedTuple):
    """The value that a statistic should have, and the factor of a difference from it."""

    value: Any
    """A tree of arrays; of an aligned term `[h, w, ...]` each."""
    coefficient: Any
    """A tree of arrays that do not depend on the position."""


@dataclasses.dataclass(frozen=True)
class Term:
    """One term of the objective, as plain functions of arrays.

    Attributes:
      name: the key of its loss in `Losses`, in tables and in histories.
      statistic: `(features [h, w, C], ...) -> tree`, of the layers of one group; what is compared.
      distance: `(statistic, Target) -> []`, zero where the statistic is the target.
      target: `(statistic of the reference, number of positions of the picture) -> Target`, computed once.
        The normalisation lives here. None for a term without a reference; its `distance` gets None.
      reference: the picture that the target is of, `content` or `style`; None if there is none. Statistics
        of several styles are averaged, unless `mix` says how to join them.
      combine: how positions combine, which decides how a picture can be computed in parts. `aligned`: the
        distance is a sum over positions, against a target at the same positions. `additive`: the statistic
        is a mean over positions. `global`: the statistic needs all positions at once.
      layers: the layers it compares; empty for the default ones of the extractor.
      layer_weights: one factor for each group of layers; None for the mean over groups.
      span: how many neighbouring layers make a group: 1, or 2 for a statistic of pairs of layers.
      degree: d if the statistic of k times the features is k to the power of d times as large, so that it
        can be taken of features in other units (`Extractor.unit`) and multiplied. With None, the features
        are multiplied first.
      takes_weights: whether the statistic takes a keyword `weights`, `[h, w]` with a mean of 1 at the
        positions of the last of its layers, and is then the weighted mean: what masks need. None, as
        where there is no mask, stands for ones.
      mix: `(statistics of the styles, shares [styles]) -> statistic` of several styles together, where it
        is not the mean weighted by the shares.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_nst import Target, Term
      >>> means = Term(
      ...     "means",
      ...     statistic=lambda features: jnp.mean(features, axis=(0, 1)),
      ...     distance=lambda statistic, target: jnp.sum(jnp.square(statistic - target.value)),
      ...     target=lambda statistic, num_positions: Target(statistic, 1.0),
      ...     reference="style",
      ...     combine="additive",
      ... )
      >>> float(means.distance(means.statistic(jnp.ones((4, 4, 3))), Target(jnp.zeros(3), 1.0)))
      3.0
    """

    name: str
    statistic: Callable[..., Any]
    distance: Callable[[Any, Any], jax.Array]
    target: Callable[[Any, ArrayLike], Target] | None = None
    reference: Literal["content", "style"] | None = None
    combine: Combine = "global"
    layers: tuple[str, ...] = ()
    layer_weights: tuple[float, ...] | None = None
    span: int = 1
    degree: int | None = None
    takes_weights: bool = False
    mix: Callable[[Sequence[Any], jax.Array], Any] | None = None

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The layers of each group, in order."""
        return tuple(self.layers[i : i + self.span] for i in range(len(self.layers) - self.span + 1))


Targets = dict[str, dict[str, Any]]
"""Name of a term -> key of a group (`group_key`) -> `Target`. Terms without a reference have none. Where
there are regions, style terms have a tuple of them, and `regions.REGIONS` says where the regions are."""


def group_key(group: tuple[str, ...]) -> str:
    """The name of a group of layers in `Targets`: `relu1_1`, or `relu1_1+relu2_1`."""
    return "+".join(group)


class LossWeights(NamedTuple):
    """The factors of the losses, arguments of the objective."""

    terms: dict[str, jax.Array]
    """Name of a term -> `[]`."""
    layers: dict[str, jax.Array]
    """Name of a term -> `[groups]`."""


@jax.tree_util.register_pytree_with_keys_class
@dataclasses.dataclass(frozen=True)
class Losses(Mapping[str, jax.Array]):
    """The scalar that is minimised, and the unweighted loss of each term. All `[]`.

    Example:
      >>> from jax_nst import Losses
      >>> losses = Losses(3.0, {"content": 1.0, "style": 0.002})
      >>> losses["content"], losses.total, list(losses)
      (1.0, 3.0, ['content', 'style'])
    """

    total: jax.Array
    terms: dict[str, jax.Array]

    def __getitem__(self, name: str) -> jax.Array:
        return self.terms[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.terms)

    def __len__(self) -> int:
        return len(self.terms)

    def as_dict(self) -> dict[str, jax.Array]:
        """`total` and every term."""
        return {"total": self.total, **self.terms}

    def tree_flatten_with_keys(self) -> tuple[Any, tuple[str, ...]]:
        """As a pytree; unlike a dict, one that keeps the order of its terms."""
        keys = [jax.tree_util.DictKey(name) for name in self.as_dict()]
        return tuple(zip(keys, self.as_dict().values(), strict=True)), tuple(self.terms)

    @classmethod
    def tree_unflatten(cls, names: tuple[str, ...], leaves: Any) -> "Losses":
        """Undoes `tree_flatten_with_keys`."""
        total, *terms = leaves
        return cls(total, dict(zip(names, terms, strict=True)))


def check_rank(name: str, x: jax.Array, letters: str) -> None:
    """Raises ValueError if an array does not have the axes that `letters` name, such as `h w C`."""
    if jnp.ndim(x) != len(letters.split()):
        axes, shape = ", ".join(letters.split()), list(jnp.shape(x))
        raise ValueError(f"{name} must have shape [{axes}], not {shape}; map a batch with jax.vmap")


def at_least_float32(x: jax.Array) -> jax.Array:
    """Casts bfloat16 and float16 up, so that sums are accurate; leaves float64 as it is."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def nearest_power_of_two(x: jax.Array) -> jax.Array:
    """A power of two near `|x|`, from 2^-100 to 2^100: multiplying by it, or dividing, is exact."""
    return jax.lax.reduce_precision(jnp.clip(jnp.abs(x), 2.0**-100, 2.0**100), 8, 0)


def relative_to_power(statistic: jax.Array, num_positions: ArrayLike) -> Target:
    """Target of mean((x - t)²) / mean(t²): a squared difference relative to the power of the target."""
    del num_positions
    power = jnp.maximum(jnp.mean(jnp.square(statistic)), NORMALIZER_FLOOR)
    return Target(statistic, 1.0 / (float(statistic.size) * power))


def mean(statistic: jax.Array, num_positions: ArrayLike) -> Target:
    """Target of mean((x - t)²)."""
    del num_positions
    return Target(statistic, jnp.asarray(1.0 / statistic.size))


def quarter_mean(statistic: jax.Array, num_positions: ArrayLike) -> Target:
    """Target of mean((x - t)²) / 4."""
    del num_positions
    return Target(statistic, jnp.asarray(1.0 / (4 * statistic.size)))


def squared_difference(statistic: jax.Array, target: Target) -> jax.Array:
    """sum(coefficient · (statistic - target)²); the coefficient is `[]` or one for each entry."""
    return jnp.sum(target.coefficient * jnp.square(statistic - target.value))
