"""One update of gradient descent: solve from the last vectors, differentiate, move.

The solver never sees a derivative: it finds vectors, states that it has not found are solved again
densely, and the cost is differentiated at fixed vectors (Hellmann-Feynman).
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import optax
from jaxtyping import Array

from deeppseudopot_jax.costs.bands import held_out_cost
from deeppseudopot_jax.costs.interface import Cost, Evaluated
from deeppseudopot_jax.eigensolvers.interface import FOR_GRADIENTS, States
from deeppseudopot_jax.observables.band_order import followed
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
from deeppseudopot_jax.training.interface import StepInfo, TrainingState
from deeppseudopot_jax.training.trainable import Split, merge

_UPDATES_BETWEEN_PRECONDITIONERS = 25


class Found(NamedTuple):
    """What a look leaves for the move after it."""

    gradient: dict
    carried: Carried


@dataclass(frozen=True)
class Descent:
    """Moves along the gradient of one cost, as an optax optimiser has it."""

    cost: Cost
    optimizer: optax.GradientTransformation

    def begin(self, trainable: dict) -> optax.OptState:
        """The fresh optimiser state."""
        return self.optimizer.init(trainable)

    def look(
        self, problem: Problem, frozen: Parameters, state: TrainingState
    ) -> tuple[StepInfo, Found]:
        """Cost and gradient at the parameters of `state`, from the last vectors."""
        everywhere = prepared(problem, merge(Split(state.trainable, frozen)))
        start, check, updates = state.carried, None, state.updates
        if start is None:
            start = begun(everywhere)
        elif updates > 0:
            check = check_due(updates - 1, updates)
            if updates % _UPDATES_BETWEEN_PRECONDITIONERS == 0:
                start = renewed(everywhere, start)
        states, fallbacks, missed = evaluate(everywhere, start, FOR_GRADIENTS, check)
        # Terms of the cost that solve for themselves do so to the solver's full accuracy.
        parts = self.cost, problem, frozen, state.trainable, states
        cost, values, gradient, norms, held_out = differentiated(*parts)
        found = Found(gradient, carried(states))
        return StepInfo(cost, values, norms, fallbacks, missed, held_out, gradient), found

    def move(
        self, problem: Problem, frozen: Parameters, state: TrainingState, found: Found
    ) -> tuple[TrainingState, str]:
        """One update of the optimiser."""
        del problem, frozen
        trainable, optimizer_state = _moved(
            self.optimizer,
            found.gradient,
            state.optimizer_state,
            state.trainable,
            state.course.rate_factor,
        )
        moved = state._replace(
            trainable=trainable,
            optimizer_state=optimizer_state,
            carried=found.carried,
            updates=state.updates + 1,
        )
        return moved, ""

    def after_kick(self, optimizer_state: optax.OptState) -> optax.OptState:
        """The same: moments are averages over potentials in any case."""
        return optimizer_state

    def compile(
        self, problem: Problem, frozen: Parameters, trainable: dict, states: tuple[States, ...]
    ) -> None:
        """Compile the gradient before it is needed; `states` may be shapes alone."""
        differentiated.lower(self.cost, problem, frozen, trainable, states).compile()


@jax.jit
def differentiated(
    cost: Cost,
    problem: Problem,
    frozen: Parameters,
    trainable: dict,
    states: tuple[States, ...],
) -> tuple[Array, Array, dict, dict[str, Array], Array]:
    """Cost, what its terms add, gradient, its norm in every channel, and the held-out cost."""
    problem = followed(problem, states)

    def total(trainable: dict) -> tuple[Array, tuple[Array, Array]]:
        params = merge(Split(trainable, frozen))
        evaluated = Evaluated(bands_of_levels(problem, levels_of(problem, params, states)))
        values = cost.values(problem, params, evaluated)
        return values.sum(), (values, held_out_cost(problem, evaluated.bands))

    (value, aux), gradient = jax.value_and_grad(total, has_aux=True)(trainable)
    values, held_out = aux
    norms = {name: optax.tree.norm(g) for name, g in gradient.items()}
    return value, values, gradient, norms, held_out


@partial(jax.jit, static_argnums=0)
def _moved(
    optimizer: optax.GradientTransformation,
    gradient: dict,
    state: optax.OptState,
    trainable: dict,
    rate_factor: float,
) -> tuple[dict, optax.OptState]:
    updates, state = optimizer.update(gradient, state, trainable)
    updates = jax.tree.map(lambda update: rate_factor * update, updates)
    return optax.apply_updates(trainable, updates), state
