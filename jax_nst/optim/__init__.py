"""The optimizers and the step that drives the pixels."""

from jax_nst.optim.bounds import to_angles as to_angles
from jax_nst.optim.bounds import to_pixels as to_pixels
from jax_nst.optim.lbfgs import guarded_lbfgs as guarded_lbfgs
from jax_nst.optim.optimizers import NUM_PAIRS as NUM_PAIRS
from jax_nst.optim.optimizers import OPTIMIZERS as OPTIMIZERS
from jax_nst.optim.optimizers import PAIRS as PAIRS
from jax_nst.optim.optimizers import make_optimizer as make_optimizer
from jax_nst.optim.precondition import precondition as precondition
from jax_nst.optim.step import Controls as Controls
from jax_nst.optim.step import Info as Info
from jax_nst.optim.step import State as State
from jax_nst.optim.step import Update as Update
from jax_nst.optim.step import make_step as make_step
