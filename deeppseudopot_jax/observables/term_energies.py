"""What every term of H adds to the energy of a band, and the terms as matrices.

E_n = sum over terms of <n| term |n>. Every term has the symmetry of the crystal by itself, so that
its expectation value is the same in every state of a level that symmetry makes degenerate
(Schur's lemma). Where levels meet by accident it depends on which states of theirs are taken.

This runs on the host, between compiled programs, one k-point of one system at a time.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from deeppseudopot_jax.arguments import checked
from deeppseudopot_jax.eigensolvers.dense import dense
from deeppseudopot_jax.eigensolvers.interface import FOR_RESULTS, Solver, States
from deeppseudopot_jax.errors import InputError, NumericalError
from deeppseudopot_jax.hamiltonian.assemble import Hamiltonian, hamiltonian_at
from deeppseudopot_jax.hamiltonian.local import Local
from deeppseudopot_jax.observables.arguments import (
    a_k_point,
    a_problem,
    a_system,
    fitting_parameters,
)
from deeppseudopot_jax.observables.bands import alone, repeat_spin
from deeppseudopot_jax.observables.hamiltonians import group_field
from deeppseudopot_jax.observables.points import listed_points, point_at
from deeppseudopot_jax.parallel import on_host
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.units import HARTREE_IN_EV

SUM = "sum"
"""What tables and figures call the sum of all terms, which is H."""


class TermEnergies(NamedTuple):
    """Energies of the bands at one k-point and what every term adds to them, by its symbol (eV)."""

    energies: Float[np.ndarray, " band"]
    terms: dict[str, Float[np.ndarray, " band"]]


_with_checks = checked(
    problem=a_problem, params=fitting_parameters, system_index=a_system, k_point=a_k_point
)


@_with_checks
def term_energies(
    problem: Problem, params: Parameters, system_index: int, k_point: int
) -> TermEnergies:
    """Expectation values of T, V_loc and, with spin-orbit, V_SO and V_NL in every band (eV).

    Bands ascend in energy and are listed twice without spin-orbit. V_loc is all that is local: the
    short-range potential and its long-range tail; the crystal is not deformed, so strain has no
    part in it.

    Args:
        problem: from `build_problem`.
        params: potential parameters.
        system_index: of the system.
        k_point: index of one of its k-points.

    Raises:
        InputError: if an argument is not legal.
        NumericalError: if the states cannot be found.
    """
    target, group = problem.targets[system_index], alone(problem, system_index)
    hamiltonian = _hamiltonian(problem, params, jnp.asarray(k_point), system_index=system_index)
    states = _solved(problem.solver, group.n_levels, hamiltonian)
    if not np.all(on_host(states.found(group.n_levels, FOR_RESULTS))):
        states = _solved(dense, group.n_levels, hamiltonian)
    wanted = states.energies[: group.n_levels], states.vectors[:, : group.n_levels]
    levels, terms = on_host((wanted[0], _expectations(hamiltonian, wanted[1])))
    if not np.isfinite(levels).all():
        raise NumericalError(f"{target.name}: no states were found at k-point {k_point}")

    def bands(of_levels: np.ndarray) -> np.ndarray:
        found = repeat_spin(jnp.asarray(of_levels, jnp.float64), group.tables.n_spin)
        return HARTREE_IN_EV * np.asarray(found)[: target.n_bands]

    symbols = (term.symbol for term in hamiltonian.all_terms)
    by_symbol = {symbol: bands(of_term) for symbol, of_term in zip(symbols, terms, strict=True)}
    return TermEnergies(bands(levels), by_symbol)


@_with_checks
def term_matrices(
    problem: Problem,
    params: Parameters,
    system_index: int,
    k_point: int,
    waves: Int[np.ndarray, " wave"] | None = None,
) -> dict[str, Complex[np.ndarray, "row row"]]:
    """Every term of H at one k-point as a matrix (Ha), by its symbol.

    Rows are ordered [all up, all down] with spin-orbit.

    Args:
        problem: from `build_problem`.
        params: potential parameters.
        system_index: of the system.
        k_point: index of one of its k-points.
        waves: the plane waves that are wanted, as basisStates_X.dat counts them from 0 (with
            basis_sphere = kG, those of this k-point in the same order); all of them where None.

    Raises:
        InputError: if an argument is not legal.
    """
    hamiltonian = _hamiltonian(problem, params, jnp.asarray(k_point), system_index=system_index)
    local = hamiltonian.terms[0]
    assert isinstance(local, Local)
    real = np.flatnonzero(on_host(local.mask))  # the others are padding
    chosen = np.arange(len(real)) if waves is None else np.asarray(waves)
    legal = np.isin(chosen, np.arange(len(real)))
    if not legal.all() or not len(chosen) or len(np.unique(chosen)) < len(chosen):
        found = " ".join(map(str, chosen[~legal])) or "none, or one of them twice"
        raise InputError(f"waves: found {found}; legal: different ones of 0 to {len(real) - 1}")
    matrices = on_host(_matrices(hamiltonian, jnp.asarray(real[chosen])))
    symbols = (term.symbol for term in hamiltonian.all_terms)
    return dict(zip(symbols, map(np.asarray, matrices), strict=True))


@partial(jax.jit, static_argnames="system_index")
def _hamiltonian(
    problem: Problem, params: Parameters, k_point: Int[Array, ""], system_index: int
) -> Hamiltonian:
    group = alone(problem, system_index)
    fields: Any = group_field(group, problem.channels, params)
    field = jax.tree.map(lambda leaf: leaf[0], fields)
    points = listed_points(problem, system_index, (k_point,))
    return hamiltonian_at(point_at(points, problem.channels, field, 0))


@partial(jax.jit, static_argnums=(0, 1))
def _solved(solver: Solver, n: int, hamiltonian: Hamiltonian) -> States:
    return solver(hamiltonian, n)


@jax.jit
def _expectations(hamiltonian: Hamiltonian, vectors: Array) -> list[Float[Array, " level"]]:
    psi = vectors.reshape(hamiltonian.n_spin, -1, vectors.shape[-1])
    return [term.expectation(psi) for term in hamiltonian.all_terms]


@jax.jit
def _matrices(hamiltonian: Hamiltonian, waves: Int[Array, " wave"]) -> list[Array]:
    terms = [term.restricted(waves) for term in hamiltonian.all_terms]
    return [term.matrix(hamiltonian.n_spin) for term in terms]
