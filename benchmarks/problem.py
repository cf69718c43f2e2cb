"""The objective of one transfer at its full size, for scripts that evaluate it outside the engine."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jax_nst import Config, Losses, LossWeights
from jax_nst.losses import Targets
from jax_nst.models.extractor import Params
from jax_nst.runtime.platform import current_platform
from jax_nst.transfer.item import make_item
from jax_nst.transfer.network import Network
from jax_nst.transfer.pictures import Source
from jax_nst.transfer.plan import objects_of
from jax_nst.transfer.programs import Objects, score_program
from jax_nst.transfer.spec import resolve
from jax_nst.transfer.targets import Preparation


class Problem(NamedTuple):
    """An objective and the point where a run starts."""

    objects: Objects
    """Extractor and terms of the objective."""
    start: np.ndarray
    """`[H, W, 3]`."""
    arguments: tuple[Params, Targets, LossWeights]
    """Of the objective, after the pixels."""

    def score(self, pixels: np.ndarray) -> Losses:
        """Returns the losses of any picture of the shape of `start`."""
        return score_program(self.objects)(jnp.asarray(pixels, jnp.float32), *self.arguments)


def make_problem(network: Network, content: np.ndarray, style: np.ndarray, config: Config) -> Problem:
    """Resizes the pictures and computes the targets of the last level.

    The layers are the extractor's default ones at every size, so that sizes differ only in their pixels.
    """
    extractor = network.extractor
    config = dataclasses.replace(
        config, content_layers=extractor.content_layers, style_layers=extractor.style_layers
    )
    spec = resolve(config, extractor, content.shape, current_platform())
    level = spec.levels[-1]
    item = make_item(config, spec, 0, (0,), (1.0,))
    sources = [[Source(pixels.shape, lambda x=pixels: x)] for pixels in (content, style)]
    prepared = Preparation(network, level, spec.platform, *sources, fetch=lambda x: x).prepare(item)
    targets = {**prepared.content, **prepared.style}
    arguments = network.params, targets, prepared.controls.loss_weights
    return Problem(objects_of(spec, level), prepared.start, arguments)
