"""The exact cost of a Monte Carlo step, and what it is made of for the analytic coefficients."""

from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from deeppseudopot_jax.cost_terms import Bands, CostOfBands
from deeppseudopot_jax.eigensolvers.interface import States
from deeppseudopot_jax.losses import band_errors, band_loss
from deeppseudopot_jax.observables.bands import bands_of_levels
from deeppseudopot_jax.observables.fallback import with_dense_fallback
from deeppseudopot_jax.observables.states import first_guesses, on_every_device, solve
from deeppseudopot_jax.problem import Problem, Target
from deeppseudopot_jax.records import record, static

_LARGEST_FREE_SPIN_ORBIT = 8.0
_SPIN_ORBIT_SLOPE = 10.0

Vectors = tuple[Complex[Array, "_system _kpt _row _block"], ...]
"""The states that an evaluation leaves for the next one, of every group of systems."""


class Start(NamedTuple):
    """Vectors of some point, and preconditioners of its potential, which many points can share."""

    vectors: Vectors
    preconditioners: tuple[Any, ...]


@record
class BandEvaluation:
    """`evaluate` of a problem: solve from the last vectors, which are the `aux`.

    A state that the solver has not found makes the cost NaN, so the move is rejected. Terms that
    solve for themselves do so to the solver's full accuracy: couplings need it.
    """

    problem: Problem
    cost: CostOfBands
    preconditioners: tuple[Any, ...]

    def __call__(self, params: dict, aux: Vectors) -> tuple[Float[Array, ""], Vectors]:
        """Cost and vectors."""
        problem, states = self.problem, self.states(params, aux)
        accepted = problem.solver.for_energies().accepted
        levels = on_every_device(
            problem,
            tuple(
                jnp.where(
                    found.residuals[..., : group.n_levels] <= accepted,
                    found.energies[..., : group.n_levels],
                    jnp.nan,
                )
                for group, found in zip(problem.groups, states, strict=True)
            ),
        )
        cost = self.cost(problem, params, bands_of_levels(problem, levels))
        return cost, tuple(found.vectors for found in states)

    def states(self, params: dict, aux: Vectors) -> tuple[States, ...]:
        """The states at `params`, from the vectors of a point nearby; found or not."""
        problem = replace(self.problem, solver=self.problem.solver.for_energies())
        return _states_from(problem, params, aux, self.preconditioners)


def start_of(problem: Problem, params: dict) -> Start:
    """What a chain starts from, with dense solves where the solver alone has not converged."""
    problem = replace(problem, solver=problem.solver.for_energies())
    guesses = jax.jit(first_guesses)(problem, params)
    vectors = tuple(None if guess is None else guess.vectors for guess in guesses)
    preconditioners = tuple(None if guess is None else guess.preconditioner for guess in guesses)
    states = _states_from(problem, params, vectors, preconditioners)
    states, _ = with_dense_fallback(problem, params, states)
    return Start(tuple(found.vectors for found in states), preconditioners)


# Compiled once for all that happens outside the compiled chunks of a run.
@jax.jit
def _states_from(
    problem: Problem,
    params: dict,
    vectors: tuple[Array | None, ...],
    preconditioners: tuple[Any, ...],
) -> tuple[States, ...]:
    pairs = zip(vectors, preconditioners, strict=True)
    return solve(problem, params, tuple(_guess(*pair) for pair in pairs))


def _guess(vectors: Array | None, preconditioner: Any) -> States | None:
    """States to start a solve from; a dense solver has no preconditioner and needs none."""
    if vectors is None or preconditioner is None:
        return None
    unknown = jnp.full((*vectors.shape[:2], vectors.shape[-1]), jnp.inf, vectors.real.dtype)
    return States(unknown, vectors, unknown, preconditioner)


@record
class MeanErrors:
    """`measure` of every system's bands, in eV^2: what the coefficients are fitted to."""

    measure: Callable[[Array, Target], Array] = static()

    def __call__(self, problem: Problem, params: dict, bands: Bands) -> Float[Array, ""]:
        """The sum over systems from band energies (eV)."""
        del params
        return reduce(add, map(self.measure, bands, problem.targets))


def mean_band_error(bands: Float[Array, "kpt band"], target: Target) -> Float[Array, ""]:
    """Mean over k and bands of w_k b_n (E_nk - E_nk^ref)^2 in eV^2."""
    return band_loss(bands, target) / bands.size


def mean_gap_error(bands: Float[Array, "kpt band"], target: Target) -> Float[Array, ""]:
    """The same mean for the gaps E_(n+1)k - E_nk, weighted with the mean of their two weights.

    Raises:
        ValueError: if there is one band only.
    """
    if target.n_bands < 2:
        raise ValueError(f"{target.name}: optGaps needs two bands at least")
    weights = 0.5 * (target.weights[:, 1:] + target.weights[:, :-1])
    return jnp.mean(weights * jnp.diff(band_errors(bands, target), axis=1) ** 2)


def spin_orbit_penalty(problem: Problem, params: dict, bands: Bands) -> Float[Array, ""]:
    """sum over species of 10 (a5 - 8) where a5 > 8."""
    del problem, bands
    excess = params["spin_orbit"] - _LARGEST_FREE_SPIN_ORBIT
    return _SPIN_ORBIT_SLOPE * jnp.sum(jnp.maximum(excess, 0.0))
