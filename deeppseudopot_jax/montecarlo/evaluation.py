"""The exact cost of a Monte Carlo step, from the wave functions of the step before."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from deeppseudopot_jax.costs.interface import Cost, Evaluated
from deeppseudopot_jax.eigensolvers.interface import FOR_ENERGIES, States
from deeppseudopot_jax.observables.band_order import followed
from deeppseudopot_jax.observables.bands import bands_of_levels
from deeppseudopot_jax.observables.evaluation import (
    Carried,
    Vectors,
    begun,
    compiled_solve,
    evaluate,
)
from deeppseudopot_jax.observables.hamiltonians import prepared
from deeppseudopot_jax.observables.states import found_levels
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.records import record


class Left(NamedTuple):
    """What an evaluation leaves: vectors for the next one, and what every term of the cost adds."""

    vectors: Vectors
    values: Float[Array, " term"]


@record
class BandEvaluation:
    """`evaluate` of a problem: solve from the last vectors; the `aux` is what it leaves.

    A state that the solver has not found makes the cost NaN, so the move is rejected. Terms that
    solve for themselves do so to the solver's full accuracy: couplings need it.
    """

    problem: Problem
    cost: Cost
    preconditioners: tuple[Any, ...]

    def __call__(self, params: Parameters, aux: Left) -> tuple[Float[Array, ""], Left]:
        """Cost and what the evaluation leaves."""
        states = self.states(params, aux.vectors)
        values = _values(self.cost, self.problem, params, states)
        return jnp.sum(values), Left(tuple(found.vectors for found in states), values)

    def states(self, params: Parameters, vectors: Vectors) -> tuple[States, ...]:
        """The states at `params`, from the vectors of a point nearby; found or not."""
        # Compiled apart, these serve outside of compiled chunks too.
        start = Carried(vectors, self.preconditioners)
        return compiled_solve(prepared(self.problem, params), start, FOR_ENERGIES)

    def begin(self, vectors: Vectors) -> Left:
        """The `aux` to evaluate a first point with."""
        return Left(vectors, jnp.zeros(len(self.cost.names), self.problem.dtype))


@jax.jit
def _values(
    cost: Cost, problem: Problem, params: Parameters, states: tuple[States, ...]
) -> Float[Array, " term"]:
    problem = followed(problem, states)
    levels = found_levels(problem.groups, states, FOR_ENERGIES)
    return cost.values(problem, params, Evaluated(bands_of_levels(problem, levels)))


def start_of(problem: Problem, params: Parameters, near: Carried | None = None) -> Carried:
    """What a chain starts from, with dense solves where the solver alone has not converged.

    `near` are wave functions of a potential nearby, or of this one.
    """
    everywhere = prepared(problem, params)
    start = near or begun(everywhere)
    found = evaluate(everywhere, start, FOR_ENERGIES)
    return Carried(tuple(states.vectors for states in found.states), start.preconditioners)
