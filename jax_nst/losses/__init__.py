"""The losses: terms, recipes and the objective. One file for each loss; `recipes` registers them."""

from jax_nst.losses.content import CONTENT as CONTENT
from jax_nst.losses.cross_layer import CROSS_LAYER as CROSS_LAYER
from jax_nst.losses.gram import GRAM as GRAM
from jax_nst.losses.gram import gram_matrix as gram_matrix
from jax_nst.losses.moments import MOMENTS as MOMENTS
from jax_nst.losses.nearest import NEAREST as NEAREST
from jax_nst.losses.objective import Objective as Objective
from jax_nst.losses.objective import make_objective as make_objective
from jax_nst.losses.recipes import CONTENT_TERMS as CONTENT_TERMS
from jax_nst.losses.recipes import RECIPE_NAMES as RECIPE_NAMES
from jax_nst.losses.recipes import RECIPES as RECIPES
from jax_nst.losses.recipes import STYLE_TERMS as STYLE_TERMS
from jax_nst.losses.recipes import Recipe as Recipe
from jax_nst.losses.recipes import find_recipe as find_recipe
from jax_nst.losses.self_similarity import SELF_SIMILARITY as SELF_SIMILARITY
from jax_nst.losses.sliced import SLICED as SLICED
from jax_nst.losses.sliced import SORTED as SORTED
from jax_nst.losses.term import PIXELS as PIXELS
from jax_nst.losses.term import Losses as Losses
from jax_nst.losses.term import LossWeights as LossWeights
from jax_nst.losses.term import Target as Target
from jax_nst.losses.term import Targets as Targets
from jax_nst.losses.term import Term as Term
from jax_nst.losses.variation import ABSOLUTE_VARIATION as ABSOLUTE_VARIATION
from jax_nst.losses.variation import TOTAL_VARIATION as TOTAL_VARIATION
from jax_nst.losses.wasserstein import WASSERSTEIN as WASSERSTEIN
