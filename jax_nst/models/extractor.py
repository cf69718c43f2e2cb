"""What an extractor is: a pure function from pixels to named features.

Pixels are RGB, float32 in [0, 1], `[H, W, 3]`, unbatched; a batch is `jax.vmap`.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

Params = Any
"""The network weights of an extractor, a pytree; `{}` where it has none."""

Features = dict[str, jax.Array]
"""Layer name -> `[h, w, C]`."""

Stage = Callable[[Params, Any], tuple[Any, Features]]
"""A section of an extractor: `(params, carry) -> (carry of the next stage, features)`.

The carry of the first stage is the pixels; later ones are trees of `[h, w, C]`."""

PRECISIONS = ("float32", "tf32", "bfloat16", "float16")
"""Of the features; statistics, losses and pixels are float32 in all of them."""


def dtype_of(precision: str, default: Any = None) -> Any:
    """The dtype of features: that of the precision if it has one of its own, else `default`."""
    return {"bfloat16": jnp.bfloat16, "float16": jnp.float16}.get(precision, default)


def products_of(precision: str) -> jax.lax.Precision:
    """The precision of the extractor's products; it matters only on devices with tensor cores."""
    return jax.lax.Precision.HIGHEST if precision == "float32" else jax.lax.Precision.DEFAULT


def _unchanged(params: Params) -> Params:
    return params


@dataclasses.dataclass(frozen=True)
class Extractor:
    """A feature extractor: a chain of stages, and what other modules need to know of it.

    Attributes:
      name: what the user calls it, such as `vgg19`.
      layers: every layer name, shallowest first.
      content_layers: the layers that content terms compare by default.
      style_layers: the layers that style terms compare by default.
      stages: `(layers) -> stages` that compute these layers; the deepest layer is in the last stage.
      radius: upper bound, in input rows, on a stage's receptive-field radius; even, so that it stays
        aligned with pooling.
      reach: `(layers) -> pixels`, how far beyond its own square of pixels a position of any of these
        layers can see; None if that is not known, and then a picture cannot be computed in tiles. Each
        stage must halve the resolution of the one before.
      smallest_side: `(layers) -> pixels`, the shortest side of a picture that they may be computed for.
      layers_at: `((height, width)) -> (content layers, style layers)`, the defaults for a picture of that
        size; None where they are the same at all sizes.
      coarsest_size: longer side, in pixels, of the picture that a coarse-to-fine schedule begins with, or
        as near as halving comes. Smaller makes larger shapes; a network that sees less of the picture at
        once needs a smaller one.
      temporaries: for each of `partition.REMATS`, of a stage computed whole and in bands: how many arrays
        as large as its widest features XLA holds beside what the backward pass is traced to keep. Fitted
        with the default loss by benchmarks/memory.py; for plans of the memory.
      kept_in_tiles: the share of what the backward pass of a tile is traced to keep that XLA does keep.
      whole: the name of the network that this one is the beginning of, if any.
      prepare: `(params) -> params` with what can be computed once, before the first step.
      plain: undoes `prepare`, for programs that run once: prepared params take longer to compile.
      cpu_pixels: how many pixels, of all pictures of a batch together, a CPU device works at fastest.
      precision: of the features, one of `PRECISIONS`.
      unit: features are given divided by this power of two, so that float16 can hold them.
    """

    name: str
    layers: tuple[str, ...]
    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]
    stages: Callable[[Sequence[str]], Sequence[Stage]]
    radius: int
    smallest_side: Callable[[Sequence[str]], int]
    reach: Callable[[Sequence[str]], int] | None = None
    layers_at: Callable[[tuple[int, int]], tuple[tuple[str, ...], tuple[str, ...]]] | None = None
    coarsest_size: int = 256
    temporaries: tuple[tuple[float, float], ...] = ((3.2, 3.2), (3.5, 1.5), (4.8, 1.5))
    kept_in_tiles: float = 0.6
    whole: str = ""
    prepare: Callable[[Params], Params] = _unchanged
    plain: Callable[[Params], Params] = _unchanged
    cpu_pixels: int = 2**17
    precision: str = "float32"
    unit: float = 1.0

    def apply(self, params: Params, pixels: jax.Array, layers: Sequence[str]) -> Features:
        """The features of one picture, `[H, W, 3]`, computed no further than the deepest of `layers`."""
        carry, features = pixels, {}
        for stage in self.stages(tuple(layers)):
            carry, found = stage(params, carry)
            features |= found
        return {layer: features[layer] for layer in layers}

    def feature_shapes(self, params: Params, shape: Sequence[int], layers: Sequence[str]) -> Features:
        """The shapes and types of the features of a picture of `shape` (height, width, ...)."""

        def features(params: Params, pixels: jax.Array) -> Features:
            return self.apply(self.plain(params), pixels, layers)

        pixels = jax.ShapeDtypeStruct((*shape[:2], 3), jnp.float32)
        return jax.eval_shape(features, params, pixels) if layers else {}

    def check_layers(self, layers: Sequence[str]) -> None:
        """Raises ValueError, listing the valid names, if one of `layers` is unknown."""
        unknown = [layer for layer in layers if layer not in self.layers]
        if unknown:
            more = f"; for more take features {self.whole}, the whole network" if self.whole else ""
            raise ValueError(
                f"unknown layer {unknown[0]!r} of {self.name}; the valid ones are "
                f"{', '.join(self.layers)}{more}"
            )
