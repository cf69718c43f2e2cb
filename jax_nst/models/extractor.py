"""What an extractor is: a pure function from pixels to named features.

Pixels are RGB, float32 in [0, 1], `[H, W, 3]`, unbatched; a batch is `jax.vmap`.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

Params = Any
"""The weights of an extractor, a pytree; `{}` where it has none."""

Features = dict[str, jax.Array]
"""Layer name -> `[h, w, C]`."""

Stage = Callable[[Params, Any], tuple[Any, Features]]
"""A part of an extractor: `(params, what the stage before gives) -> (what the next one takes, features)`.
The first one takes pixels."""

PRECISIONS = ("float32", "tf32", "bfloat16")
"""Of the features; Gram matrices, losses and pixels are float32 in all of them."""

_BY_PLATFORM = {"cpu": "float32", "tpu": "bfloat16"}


def choose_precision(name: str) -> str:
    """One of `PRECISIONS`; `auto` is what the device is made for."""
    return _BY_PLATFORM.get(jax.default_backend(), "tf32") if name == "auto" else name


def dtype_of(precision: str, of: Any = None) -> Any:
    """The type of the features of arrays of type `of`: what they are, but for bfloat16."""
    return jnp.bfloat16 if precision == "bfloat16" else of


def products_of(precision: str) -> jax.lax.Precision:
    """How products of the extractor are computed; only devices with tensor cores make a difference."""
    return jax.lax.Precision.HIGHEST if precision == "float32" else jax.lax.Precision.DEFAULT


@dataclasses.dataclass(frozen=True)
class Extractor:
    """A feature extractor and the facts about it that other modules need.

    Attributes:
      name: what the user calls it, such as `vgg19`.
      layers: every layer name that `apply` accepts, shallowest first.
      content_layers: the layers that the content loss compares by default.
      style_layers: the layers whose Gram matrices are compared by default.
      layers_at: `((height, width) of a picture) -> (content layers, style layers)`, the
        defaults at that size, which see as much of the picture at each; None where
        they are the same at all sizes.
      stages: `(layers) ->` the parts that compute them, one after the other, each
        from what the last one gives; the deepest of `layers` is in the last.
      stride: `(layers) -> pixels` between neighbouring positions of the
        coarsest of `layers`.
      halo: `(layers) -> pixels` that a tile, aligned to the stride, must be
        extended by on each side for its features to be exact.
      reach: rows, an even number, that what a stage gives depends on, at most,
        beyond its own.
      smallest_side: `(layers) -> pixels`, the shortest side of an image for
        which every one of `layers` exists.
      whole: where this is a part of another extractor, the name of that one.
      tv_weight: factor of the total variation in recipe `normalized`.
      relative_to_entries: how recipe `normalized` makes a Gram difference
        relative. False: to the mean square of the style's Gram matrix. True:
        each entry ij to sqrt(A_ii A_jj) of the style, for channels of very
        different power.
      prepare: `(params) -> params`, with what follows from them alone and need
        not be computed in each step. `stages` take both.
      plain: `(params) -> params`, without what `prepare` adds, for programs that run
        once: they would take longer to compile than it saves.
      cpu_batch: how many pictures at once are fastest on a CPU. Small layers
        of many channels gain from more; large ones only leave the caches.
    """

    name: str
    layers: tuple[str, ...]
    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]
    stages: Callable[[Sequence[str]], Sequence[Stage]]
    stride: Callable[[Sequence[str]], int]
    halo: Callable[[Sequence[str]], int]
    reach: int
    smallest_side: Callable[[Sequence[str]], int]
    tv_weight: float
    layers_at: Callable[[tuple[int, int]], tuple[tuple[str, ...], tuple[str, ...]]] | None = None
    whole: str = ""
    relative_to_entries: bool = False
    prepare: Callable[[Params], Params] = lambda params: params
    plain: Callable[[Params], Params] = lambda params: params
    cpu_batch: int = 1

    def apply(self, params: Params, pixels: jax.Array, layers: Sequence[str]) -> Features:
        """The features of a picture, `[H, W, 3]`, computing no further than the deepest of `layers`."""
        carry, features = pixels, {}
        for stage in self.stages(tuple(layers)):
            carry, found = stage(params, carry)
            features |= found
        return {layer: features[layer] for layer in layers}

    def check_layers(self, layers: Sequence[str]) -> None:
        """Raises ValueError, listing the valid names, if one of `layers` is unknown."""
        unknown = [layer for layer in layers if layer not in self.layers]
        if unknown:
            more = (
                f"; for layers beyond take features {self.whole}, the whole network" if self.whole else ""
            )
            raise ValueError(
                f"unknown layer {unknown[0]!r} of {self.name}; the valid ones are "
                f"{', '.join(self.layers)}{more}"
            )
