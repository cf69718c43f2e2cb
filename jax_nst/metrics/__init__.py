"""Measures of a picture against its content and its style, on features that were not optimised.

One file for each kind of measure; `measures` collects them. Only the features are computed by JAX; the rest
is NumPy in float64.
"""

from jax_nst.metrics.artifacts import clipped_share as clipped_share
from jax_nst.metrics.artifacts import variation as variation
from jax_nst.metrics.gaussians import style_distance as style_distance
from jax_nst.metrics.gaussians import wasserstein2 as wasserstein2
from jax_nst.metrics.luma import edge_agreement as edge_agreement
from jax_nst.metrics.luma import ssim as ssim
from jax_nst.metrics.measures import METRICS as METRICS
from jax_nst.metrics.measures import Metric as Metric
from jax_nst.metrics.measures import lines_of as lines_of
from jax_nst.metrics.measures import measure_picture as measure_picture
from jax_nst.metrics.oklab import color_distance as color_distance
from jax_nst.metrics.oklab import to_oklab as to_oklab
from jax_nst.metrics.similarity import self_similarity as self_similarity
from jax_nst.metrics.statistics import Gaussian as Gaussian
