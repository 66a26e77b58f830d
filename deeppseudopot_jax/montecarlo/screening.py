"""A cheap cost for delayed acceptance: Rayleigh-Ritz among the states of the current point.

The lowest eigenvalues of V^H H(params) V, with V the solver's block at the current point, spare
vectors included. Their error is of second order in what leaves the span of V; first-order
perturbation theory, the diagonal of the same matrix, also misses the mixing within it. One product
of H with a block, in single precision, replaces a solve.
"""

import jax
from jaxtyping import Array, Float

from deeppseudopot_jax.batching import SystemGroup
from deeppseudopot_jax.costs.interface import Cost, Evaluated
from deeppseudopot_jax.eigensolvers.rayleigh_ritz import hermitian_eigh
from deeppseudopot_jax.eigensolvers.single_precision import single
from deeppseudopot_jax.hamiltonian.assemble import AtK, hamiltonian_at
from deeppseudopot_jax.montecarlo.evaluation import Left
from deeppseudopot_jax.observables.bands import bands_of_levels
from deeppseudopot_jax.observables.evaluation import Vectors
from deeppseudopot_jax.observables.hamiltonians import at_every_k, hamiltonians, on_every_device
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.records import record


@record
class RitzScreen:
    """`screen` of a problem: its cost from Ritz values; never below what the levels would give."""

    problem: Problem
    cost: Cost

    def __call__(self, params: Parameters, aux: Left) -> Float[Array, ""]:
        """The cost at `params` as the span of `aux` sees it."""
        levels = ritz_levels(self.problem, params, aux.vectors)
        evaluated = Evaluated(bands_of_levels(self.problem, levels))
        return self.cost(self.problem, params, evaluated)


@jax.jit
def ritz_levels(
    problem: Problem, params: Parameters, vectors: Vectors
) -> tuple[Float[Array, "system kpt level"], ...]:
    """Ritz values (Ha) of every group in the span of orthonormal vectors, upper bounds of levels.

    In single precision, so to some 1e-5 eV: a screen only has to be a function of its arguments.

    Args:
        problem: from `build_problem`.
        params: potential parameters, not those that the vectors belong to.
        vectors: of every group, (system, kpt, row, block) with at least as many as levels.
    """

    def at_k(group: SystemGroup, point: AtK, vectors: Array) -> Array:
        light = single(vectors)
        with jax.default_matmul_precision("highest"):
            product = single(hamiltonian_at(point)).apply(light)
            matrix = light.conj().T @ product
        energies, _ = hermitian_eigh(matrix)
        return energies[: group.n_levels].astype(vectors.real.dtype)

    found = at_every_k(hamiltonians(problem, params), at_k, vectors)
    return on_every_device(problem.groups, found)
