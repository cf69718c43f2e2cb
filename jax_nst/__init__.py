"""Neural style transfer in JAX and Flax: repaints a photograph in the style of a painting."""

from jax_nst.cli.notebook import show_progress as show_progress
from jax_nst.images import load_image as load_image
from jax_nst.images import save_image as save_image
from jax_nst.losses import ABSOLUTE_VARIATION as ABSOLUTE_VARIATION
from jax_nst.losses import CONTENT as CONTENT
from jax_nst.losses import CROSS_LAYER as CROSS_LAYER
from jax_nst.losses import GRAM as GRAM
from jax_nst.losses import MOMENTS as MOMENTS
from jax_nst.losses import NEAREST as NEAREST
from jax_nst.losses import RECIPES as RECIPES
from jax_nst.losses import SELF_SIMILARITY as SELF_SIMILARITY
from jax_nst.losses import SLICED as SLICED
from jax_nst.losses import SORTED as SORTED
from jax_nst.losses import TOTAL_VARIATION as TOTAL_VARIATION
from jax_nst.losses import WASSERSTEIN as WASSERSTEIN
from jax_nst.losses import Losses as Losses
from jax_nst.losses import LossWeights as LossWeights
from jax_nst.losses import Recipe as Recipe
from jax_nst.losses import Target as Target
from jax_nst.losses import Term as Term
from jax_nst.losses import gram_matrix as gram_matrix
from jax_nst.losses import make_objective as make_objective
from jax_nst.metrics import METRICS as METRICS
from jax_nst.metrics import measure_picture as measure_picture
from jax_nst.models.extractor import Extractor as Extractor
from jax_nst.models.features import extract_features as extract_features
from jax_nst.models.vgg import vgg as vgg
from jax_nst.models.wavelet import wavelet as wavelet
from jax_nst.models.weights import load_params as load_params
from jax_nst.optim import guarded_lbfgs as guarded_lbfgs
from jax_nst.optim import make_step as make_step
from jax_nst.optim import precondition as precondition
from jax_nst.runtime.version import __version__ as __version__
from jax_nst.sweeps.frames import read_sweep as read_sweep
from jax_nst.sweeps.grid import Grid as Grid
from jax_nst.sweeps.halving import Halving as Halving
from jax_nst.sweeps.merging import merge_sweeps as merge_sweeps
from jax_nst.sweeps.ranges import Range as Range
from jax_nst.sweeps.results import SweepItem as SweepItem
from jax_nst.sweeps.results import SweepResult as SweepResult
from jax_nst.sweeps.sweep import iterate_sweep as iterate_sweep
from jax_nst.sweeps.sweep import sweep as sweep
from jax_nst.transfer.checkpoint import Checkpoint as Checkpoint
from jax_nst.transfer.config import Config as Config
from jax_nst.transfer.masks import Mask as Mask
from jax_nst.transfer.outcome import Progress as Progress
from jax_nst.transfer.outcome import Status as Status
from jax_nst.transfer.transfer import Result as Result
from jax_nst.transfer.transfer import stylize as stylize

__all__ = [
    "ABSOLUTE_VARIATION",
    "CONTENT",
    "CROSS_LAYER",
    "GRAM",
    "METRICS",
    "MOMENTS",
    "NEAREST",
    "RECIPES",
    "SELF_SIMILARITY",
    "SLICED",
    "SORTED",
    "TOTAL_VARIATION",
    "WASSERSTEIN",
    "Checkpoint",
    "Config",
    "Extractor",
    "Grid",
    "Halving",
    "LossWeights",
    "Losses",
    "Mask",
    "Progress",
    "Range",
    "Recipe",
    "Result",
    "Status",
    "SweepItem",
    "SweepResult",
    "Target",
    "Term",
    "extract_features",
    "gram_matrix",
    "guarded_lbfgs",
    "iterate_sweep",
    "load_image",
    "load_params",
    "make_objective",
    "make_step",
    "measure_picture",
    "merge_sweeps",
    "precondition",
    "read_sweep",
    "save_image",
    "show_progress",
    "stylize",
    "sweep",
    "vgg",
    "wavelet",
]
