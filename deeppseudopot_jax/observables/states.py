"""The lowest states at every k-point, and their energies as functions of the parameters.

Solving and differentiating are apart: `solve` finds states, from earlier ones if there are any;
`levels_of` gives their energies with the derivatives at fixed vectors, which are the
Hellmann-Feynman forces. Training keeps the states from step to step.
"""

from typing import Any

import jax
from jaxtyping import Array, Float

from deeppseudopot_jax.batching import SystemGroup
from deeppseudopot_jax.eigensolvers.hellmann_feynman import energies_of_states
from deeppseudopot_jax.eigensolvers.interface import FOR_RESULTS, Accuracy, States
from deeppseudopot_jax.hamiltonian.assemble import AtK, hamiltonian_at
from deeppseudopot_jax.observables.hamiltonians import (
    Hamiltonians,
    at_every_k,
    hamiltonians,
    on_every_device,
)
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem

Guesses = tuple[States | None, ...]
"""What every group's solves begin with, stacked over (system, kpt); None for dense solvers."""

Levels = tuple[Float[Array, "_system _kpt _level"], ...]
"""Energies (Ha) of every group."""


def first_guesses(everywhere: Hamiltonians) -> Guesses:
    """Where solves from scratch begin; also the preconditioners of this potential."""

    def at_k(group: SystemGroup, point: AtK) -> States | None:
        return everywhere.solver.first_guess(hamiltonian_at(point), group.n_levels)

    return at_every_k(everywhere, at_k)


def solve(
    everywhere: Hamiltonians, guesses: Guesses | None = None, accuracy: Accuracy = FOR_RESULTS
) -> tuple[States, ...]:
    """The lowest states of every group, stacked over its systems and k-points; energies in Ha.

    Nothing here is differentiable. A state whose residual is above what `accuracy` accepts, or NaN,
    has not been found: the caller must look (`States.found`).

    Args:
        everywhere: the Hamiltonians.
        guesses: from `first_guesses` or an earlier solve; without them, `first_guesses`.
        accuracy: what to reach.
    """

    def at_k(group: SystemGroup, point: AtK, guess: States | None, *accuracy: Any) -> States:
        wanted = Accuracy(*accuracy)
        return everywhere.solver(hamiltonian_at(point), group.n_levels, guess, wanted)

    nothing = (None,) * len(everywhere.groups)
    return at_every_k(everywhere, at_k, guesses or nothing, shared=accuracy)


def solve_levels(everywhere: Hamiltonians) -> tuple[States, ...]:
    """`solve` with empty vectors: those of many k-points would fill the memory."""

    def at_k(group: SystemGroup, point: AtK) -> States:
        found = everywhere.solver(hamiltonian_at(point), group.n_levels)
        return States(found.energies, found.vectors[:0, :0], found.residuals)

    return at_every_k(everywhere, at_k)


def found_levels(
    groups: tuple[SystemGroup, ...], states: tuple[States, ...], accuracy: Accuracy = FOR_RESULTS
) -> Levels:
    """The wanted energies (Ha), NaN where they have not been found, whole on every device."""

    def of_group(group: SystemGroup, states: States) -> Array:
        return states.known_energies(group.n_levels, accuracy)

    return on_every_device(groups, tuple(map(of_group, groups, states)))


def energies_of(groups: tuple[SystemGroup, ...], states: tuple[States, ...]) -> Levels:
    """The wanted energies (Ha) as they are, found or not, whole on every device."""
    pairs = zip(groups, states, strict=True)
    wanted = tuple(of_group.energies[..., : group.n_levels] for group, of_group in pairs)
    return on_every_device(groups, wanted)


def levels_of(problem: Problem, params: Parameters, states: tuple[States, ...]) -> Levels:
    """The wanted energies (Ha) of solved states of every group, differentiable in the parameters.

    Args:
        problem: from `build_problem`.
        params: the parameters that the states belong to.
        states: from `solve`.
    """

    def at_k(group: SystemGroup, point: AtK, states: States) -> Array:
        wanted = states.energies[: group.n_levels], states.vectors[:, : group.n_levels]
        return energies_of_states(hamiltonian_at, point, *wanted)

    everywhere = hamiltonians(problem, params)
    levels = at_every_k(everywhere, at_k, jax.lax.stop_gradient(states))
    return on_every_device(problem.groups, levels)
