"""A cheap cost for delayed acceptance: Rayleigh-Ritz among the states of the current point.

The lowest eigenvalues of V^H H(params) V, with V the solver's block at the current point, spare
vectors included. Their error is of second order in what leaves the span of V; first-order
perturbation theory, the diagonal of the same matrix, also misses the mixing within it. One product
of H with a block replaces a solve.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from deeppseudopot_jax.hamiltonian.assemble import build_field
from deeppseudopot_jax.hamiltonian.tables import SystemTables
from deeppseudopot_jax.montecarlo.cost import CostOfBands
from deeppseudopot_jax.observables.bands import bands_of_levels
from deeppseudopot_jax.observables.states import Vectors, build_hamiltonian, over_k
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.records import record


@record
class RitzScreen:
    """`screen` of a problem: its cost from Ritz values; never below what the levels would give."""

    problem: Problem
    cost: CostOfBands

    def __call__(self, params: dict, aux: Vectors) -> Float[Array, ""]:
        """The cost at `params` as the span of `aux` sees it."""
        levels = ritz_levels(self.problem, params, aux)
        return self.cost(self.problem, params, bands_of_levels(self.problem, levels))


def ritz_levels(
    problem: Problem, params: dict, vectors: Vectors
) -> tuple[Float[Array, "system kpt level"], ...]:
    """Ritz values (Ha) of every group in the span of orthonormal vectors, upper bounds of levels.

    Args:
        problem: from `build_problem`.
        params: potential parameters, not those that the vectors belong to.
        vectors: of every group, (system, kpt, row, block) with at least as many as levels.
    """
    found = []
    for group, block in zip(problem.groups, vectors, strict=True):

        def one_system(
            tables: SystemTables, k_points: Array, block: Array, group: Any = group
        ) -> Array:
            def at_k(contents: tuple, V: Array) -> Array:
                projected = V.conj().T @ build_hamiltonian(contents).apply(V)
                return jnp.linalg.eigvalsh(projected)[: group.n_levels]

            field = build_field(tables, problem.channels, params)
            channels, n_chunks = problem.channels, group.n_chunks
            return over_k(at_k, tables, channels, field, k_points, n_chunks, block)

        found.append(jax.vmap(one_system)(group.tables, group.k_points, block))
    return tuple(found)
