"""Neural style transfer in JAX and Flax: repaints a photograph in the style of a painting."""

from jax_nst.images import load_image as load_image
from jax_nst.images import save_image as save_image
from jax_nst.models.vgg import extract_features as extract_features
from jax_nst.models.weights import load_params as load_params
from jax_nst.sweeps.grid import Grid as Grid
from jax_nst.sweeps.sweeping import SweepResult as SweepResult
from jax_nst.sweeps.sweeping import sweep as sweep
from jax_nst.transfer.config import Config as Config
from jax_nst.transfer.transfer import Result as Result
from jax_nst.transfer.transfer import stylize as stylize

__all__ = [
    "Config",
    "Grid",
    "Result",
    "SweepResult",
    "extract_features",
    "load_image",
    "load_params",
    "save_image",
    "stylize",
    "sweep",
]
