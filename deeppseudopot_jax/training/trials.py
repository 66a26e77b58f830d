"""Bands where a training stands, and where a step would lead to: for optimisers that try steps."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from deeppseudopot_jax.eigensolvers.interface import FOR_GRADIENTS
from deeppseudopot_jax.observables.evaluation import (
    Carried,
    Evaluation,
    begun,
    check_due,
    evaluate,
)
from deeppseudopot_jax.observables.hamiltonians import Hamiltonians, prepared
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.training.interface import TrainingState
from deeppseudopot_jax.training.trainable import Split, merge


def evaluation_of(problem: Problem, frozen: Parameters, state: TrainingState) -> Evaluation:
    """The states at the parameters of `state`: those that it knows, else solved."""
    if state.evaluation is not None:
        return state.evaluation
    everywhere = prepared(problem, merge(Split(state.trainable, frozen)))
    start = begun(everywhere) if state.carried is None else state.carried
    return evaluate(everywhere, start, FOR_GRADIENTS)


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
