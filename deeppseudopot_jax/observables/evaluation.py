"""One evaluation of all bands, whoever asks: solve, look at what was found, repair, spot-check.

This runs on the host, between compiled programs that training, Monte Carlo and the stages of a run
share; for use inside a compiled loop there are its parts, `solve` and `found_levels`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from deeppseudopot_jax.eigensolvers.interface import FOR_RESULTS, Accuracy, States
from deeppseudopot_jax.observables.band_order import followed
from deeppseudopot_jax.observables.bands import bands_of_levels
from deeppseudopot_jax.observables.fallback import largest_deviation, with_dense_fallback
from deeppseudopot_jax.observables.hamiltonians import Hamiltonians, prepared
from deeppseudopot_jax.observables.states import (
    Guesses,
    first_guesses,
    found_levels,
    solve,
    solve_levels,
)
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem

_FIRST_CHECKS = (25, 50, 100, 200)
_STEPS_BETWEEN_LATER_CHECKS = 400
_TOLERATED_DEVIATION = 4e-7  # Ha, 1e-5 eV: far above the error of an accepted state

Vectors = tuple[Complex[Array, "_system _kpt _row _block"] | None, ...]
"""States of every group of systems, None where a dense solver needs none."""


class Carried(NamedTuple):
    """What an evaluation leaves for the next one: vectors, and preconditioners of some potential.

    The vectors follow the parameters; the preconditioners may be old and shared by many points.
    """

    vectors: Vectors
    preconditioners: tuple[Any, ...]


class Evaluation(NamedTuple):
    """States at some parameters, those that the solver gave up solved densely.

    `dense_fallbacks` counts their k-points; `missed_levels` tells that a spot check found a level
    missing, after which everything was solved from scratch. What is not finite even so is NaN, and
    `diagnosis` says why.
    """

    states: tuple[States, ...]
    dense_fallbacks: int
    missed_levels: bool


def begun(everywhere: Hamiltonians) -> Carried:
    """What solves from scratch begin with."""
    return carried(compiled_guesses(everywhere))


def carried(states: Guesses) -> Carried:
    """The part of solved states that a next evaluation needs."""
    known = [(None, None) if s is None else (s.vectors, s.preconditioner) for s in states]
    vectors, preconditioners = zip(*known, strict=True)
    return Carried(vectors, preconditioners)


def solve_from(everywhere: Hamiltonians, start: Carried, accuracy: Accuracy) -> tuple[States, ...]:
    """`solve` from the vectors of a potential nearby."""
    return solve(everywhere, tuple(map(_guess, *start)), accuracy)


def renewed(everywhere: Hamiltonians, old: Carried) -> Carried:
    """The same vectors with preconditioners of the present potential."""
    return Carried(old.vectors, begun(everywhere).preconditioners)


def evaluate(
    everywhere: Hamiltonians, start: Carried, accuracy: Accuracy, check: int | None = None
) -> Evaluation:
    """The states of all k-points, from those of a potential nearby.

    Args:
        everywhere: from `prepared`.
        start: vectors to start from.
        accuracy: what to reach.
        check: the number of the spot check to make, see `check_due`.
    """
    states, missed = compiled_solve(everywhere, start, accuracy), False
    if check is not None and misses_levels(everywhere, states, check):
        states, missed = compiled_solve(everywhere, begun(everywhere), accuracy), True
    states, fallbacks = with_dense_fallback(everywhere, states, accuracy)
    return Evaluation(states, fallbacks, missed)


def shapes_of_states(everywhere: Hamiltonians, accuracy: Accuracy) -> tuple[States, ...]:
    """What `evaluate` will find, as shapes alone: to compile ahead what comes after it."""
    start = carried(compiled_guesses.eval_shape(everywhere))
    states: tuple[States, ...] = compiled_solve.eval_shape(everywhere, start, accuracy)
    return states


class EvaluatedBands(NamedTuple):
    """Bands (eV) of every system in the order in which a cost compares them; NaN if not finite.

    `dense_fallbacks` counts the k-points that the solver gave up; `carried` is for solves nearby,
    None where the vectors were not kept.
    """

    bands: list[Float[Array, "_kpt _band"]]
    dense_fallbacks: int
    carried: Carried | None


def evaluate_bands(
    problem: Problem, params: Parameters, keep_vectors: bool, near: Carried | None = None
) -> EvaluatedBands:
    """Bands as accurate as results need to be.

    Args:
        problem: from `build_problem`.
        params: potential parameters.
        keep_vectors: whether the states of all k-points fit into the memory, as they must in a
            training: then its compiled programs serve here too. They are kept in any case where
            the order of the bands follows from them.
        near: of a potential nearby; without it, from scratch.
    """
    everywhere = prepared(problem, params)
    if not (keep_vectors or problem.follows_vectors):
        states, fallbacks = with_dense_fallback(everywhere, compiled_levels(everywhere))
        return EvaluatedBands(_bands(problem, _without_vectors(states)), fallbacks, None)
    start = begun(everywhere) if near is None else near
    states, fallbacks, _ = evaluate(everywhere, start, FOR_RESULTS)
    needed = states if problem.follows_vectors else _without_vectors(states)
    bands = _bands(problem, needed)
    return EvaluatedBands(bands, fallbacks, carried(states))


def check_due(before: int, after: int) -> int | None:
    """The number of the spot check between two counts of steps; None where none is due."""
    number = _checks_until(after)
    return None if number == _checks_until(before) else number


def misses_levels(everywhere: Hamiltonians, states: tuple[States, ...], check: int) -> bool:
    """Whether a dense solve of one k-point finds a level that the states lack; they take turns."""
    return largest_deviation(everywhere, states, check) > _TOLERATED_DEVIATION


def _checks_until(step: int) -> int:
    later = step // _STEPS_BETWEEN_LATER_CHECKS
    return sum(check <= step for check in _FIRST_CHECKS) + later


def _guess(vectors: Array | None, preconditioner: Any) -> States | None:
    if vectors is None or preconditioner is None:
        return None
    unknown = jnp.full((*vectors.shape[:2], vectors.shape[-1]), jnp.inf, vectors.real.dtype)
    return States(unknown, vectors, unknown, preconditioner)


def _without_vectors(states: tuple[States, ...]) -> tuple[States, ...]:
    return tuple(s._replace(vectors=s.energies, preconditioner=None) for s in states)


@jax.jit
def _bands(problem: Problem, states: tuple[States, ...]) -> list[Array]:
    problem = followed(problem, states)
    return bands_of_levels(problem, found_levels(problem.groups, states))


compiled_guesses = jax.jit(first_guesses)
compiled_solve = jax.jit(solve_from)
compiled_levels = jax.jit(solve_levels)
