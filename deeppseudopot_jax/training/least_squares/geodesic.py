"""Steps that follow the bend of the model: damped Gauss-Newton with geodesic acceleration.

To the step v half of that a is added which solves (J^T J + damping D^2) a = -J^T r_vv, with r_vv
the second derivative of the residuals along v (M. K. Transtrum and J. P. Sethna, arXiv:1201.5885).
Here levels follow the inputs of H linearly, and these the parameters as they do: form factors bend
far more than levels, and this part of r_vv costs no further solve.
"""

import jax
import jax.numpy as jnp

from deeppseudopot_jax.costs.interface import Cost
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.training.least_squares.coordinates import Coordinates
from deeppseudopot_jax.training.least_squares.damped import Damping, Step, damped_step
from deeppseudopot_jax.training.least_squares.linearised import Linearised
from deeppseudopot_jax.training.least_squares.steps import bent, inputs_bent, params_after

_LARGEST_BEND = 0.75
"""Of 2 |a| / |v|, in units of the scales: beyond it a second-order step is not to be trusted."""


@jax.jit
def geodesic_step(
    cost: Cost,
    problem: Problem,
    frozen: Parameters,
    trainable: dict,
    coordinates: Coordinates,
    near: Linearised,
    damping: Damping,
) -> Step:
    """The step to try; without acceleration where it is too large, or not known (see `Linearised`).

    What it promises, and its length, are those of its first-order part.
    """
    step = damped_step(near, damping)
    if not near.bending:
        return step

    params_at = params_after(coordinates, trainable, frozen)
    direction = step.change.astype(problem.dtype)
    inputs = inputs_bent(problem, params_at, direction)
    priors = bent(lambda change: cost.of_parameters(problem, params_at(change)), direction)
    pull = near.priors.T @ priors.astype(jnp.float64)
    for by_inputs, of_group in zip(near.bending, inputs, strict=True):
        pull += jnp.einsum("spu,su->p", by_inputs, of_group.astype(jnp.float64))
    found = damped_step(near._replace(gradient=pull), damping)
    followed = 2.0 * found.length <= _LARGEST_BEND * step.length
    change = step.change + jnp.where(followed, 0.5 * found.change, 0.0)
    return step._replace(change=change)
