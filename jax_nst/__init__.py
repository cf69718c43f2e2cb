"""Neural style transfer in JAX and Flax: repaints a photograph in the style of a painting."""

from jax_nst.config import Config as Config
from jax_nst.grid import Grid as Grid
from jax_nst.images import load_image as load_image
from jax_nst.images import save_image as save_image
from jax_nst.stylize import Result as Result
from jax_nst.stylize import stylize as stylize
from jax_nst.sweep import SweepResult as SweepResult
from jax_nst.sweep import sweep as sweep
from jax_nst.vgg import extract_features as extract_features
from jax_nst.weights import load_params as load_params

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
