"""Bands at parameters that a step would lead to: solved like all others, if they can be."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from deeppseudopot_jax.eigensolvers.interface import FOR_GRADIENTS
from deeppseudopot_jax.observables.evaluation import Carried, Evaluation, check_due, evaluate
from deeppseudopot_jax.observables.hamiltonians import Hamiltonians, prepared
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem


def tried(problem: Problem, params: Parameters, updates: int, start: Carried) -> Evaluation | None:
    """The states after a trial step, the update after `updates`; None where v(q) is not finite."""
    everywhere = prepared(problem, params)
    if not _finite(everywhere):
        return None
    return evaluate(everywhere, start, FOR_GRADIENTS, check_due(updates, updates + 1))


@jax.jit
def _finite(everywhere: Hamiltonians) -> Bool[Array, ""]:
    leaves = jax.tree.leaves(everywhere.fields)
    return jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]))
