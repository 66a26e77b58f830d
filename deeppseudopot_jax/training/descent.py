"""One update of gradient descent: solve from the last vectors, differentiate, move.

The solver never sees a derivative: it finds vectors, states that it has not found are solved again
densely, and the cost is differentiated at fixed vectors (Hellmann-Feynman).
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import optax
from jaxtyping import Array, Float

from deeppseudopot_jax.costs.interface import Cost, Evaluated
from deeppseudopot_jax.eigensolvers.interface import FOR_GRADIENTS, States
from deeppseudopot_jax.observables.bands import bands_of_levels
from deeppseudopot_jax.observables.evaluation import (
    Carried,
    begun,
    carried,
    check_due,
    evaluate,
    renewed,
)
from deeppseudopot_jax.observables.hamiltonians import prepared
from deeppseudopot_jax.observables.states import levels_of
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.training.trainable import Split, merge

_UPDATES_BETWEEN_PRECONDITIONERS = 25


class TrainingState(NamedTuple):
    """What the next update needs; `carried` is None before the first."""

    trainable: dict
    optimizer_state: optax.OptState
    carried: Carried | None = None
    updates: int = 0


class StepInfo(NamedTuple):
    """What an update found: cost, what each of its terms adds, gradient at the parameters before.

    `dense_fallbacks` counts the k-points that the iterative solver gave up, `missed_levels` tells
    that a spot check found a level missing, after which everything was solved from scratch.
    """

    cost: Float[Array, ""]
    values: Float[Array, " term"]
    gradient_norms: dict[str, Float[Array, ""]]
    dense_fallbacks: int
    missed_levels: bool


@dataclass(frozen=True)
class Descent:
    """`step(problem, frozen, state) -> (state, info)` for one cost and one optimiser."""

    cost: Cost
    optimizer: optax.GradientTransformation

    def step(
        self, problem: Problem, frozen: Parameters, state: TrainingState
    ) -> tuple[TrainingState, StepInfo]:
        """One update; the energies of `info.cost` belong to the parameters of `state`."""
        everywhere = prepared(problem, merge(Split(state.trainable, frozen)))
        start, check = state.carried, None
        if start is None:
            start = begun(everywhere)
        else:  # the first update started from scratch and needs no check
            check = check_due(state.updates - 1, state.updates)
            if state.updates % _UPDATES_BETWEEN_PRECONDITIONERS == 0:
                start = renewed(everywhere, start)
        states, fallbacks, missed = evaluate(everywhere, start, FOR_GRADIENTS, check)
        # Terms of the cost that solve for themselves do so to the solver's full accuracy.
        trainable, optimizer_state, cost, values, norms = _differentiate_and_move(
            self.optimizer,
            self.cost,
            problem,
            frozen,
            state.trainable,
            state.optimizer_state,
            states,
        )
        info = StepInfo(cost, values, norms, fallbacks, missed)
        left = carried(states)
        return TrainingState(trainable, optimizer_state, left, state.updates + 1), info


@partial(jax.jit, static_argnums=0)
def _differentiate_and_move(
    optimizer: optax.GradientTransformation,
    cost: Cost,
    problem: Problem,
    frozen: Parameters,
    trainable: dict,
    optimizer_state: optax.OptState,
    states: tuple[States, ...],
) -> tuple[dict, optax.OptState, Array, Array, dict[str, Array]]:
    def total(trainable: dict) -> tuple[Array, Array]:
        params = merge(Split(trainable, frozen))
        evaluated = Evaluated(bands_of_levels(problem, levels_of(problem, params, states)))
        values = cost.values(problem, params, evaluated)
        return values.sum(), values

    (value, values), gradient = jax.value_and_grad(total, has_aux=True)(trainable)
    updates, optimizer_state = optimizer.update(gradient, optimizer_state, trainable)
    norms = {name: optax.tree.norm(part) for name, part in gradient.items()}
    return optax.apply_updates(trainable, updates), optimizer_state, value, values, norms
