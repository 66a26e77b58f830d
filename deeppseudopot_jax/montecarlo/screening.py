"""A cheap cost for delayed acceptance: Rayleigh-Ritz among the states of the current point.

The lowest eigenvalues of V^H H(params) V, with V the solver's block at the current point, spare
vectors included. Their error is of second order in what leaves the span of V; first-order
perturbation theory, the diagonal of the same matrix, also misses the mixing within it. One product
of H with a block, in single precision, replaces a solve.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from deeppseudopot_jax.batching import SystemGroup
from deeppseudopot_jax.costs.interface import Cost, Evaluated
from deeppseudopot_jax.eigensolvers.interface import States
from deeppseudopot_jax.eigensolvers.rayleigh_ritz import hermitian_eigh
from deeppseudopot_jax.eigensolvers.single_precision import single
from deeppseudopot_jax.hamiltonian.assemble import AtK, hamiltonian_at
from deeppseudopot_jax.montecarlo.evaluation import Left
from deeppseudopot_jax.observables.band_order import followed
from deeppseudopot_jax.observables.bands import bands_of_levels
from deeppseudopot_jax.observables.evaluation import Vectors
from deeppseudopot_jax.observables.hamiltonians import at_every_k, hamiltonians
from deeppseudopot_jax.observables.states import energies_of
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
        states = ritz_states(self.problem, params, aux.vectors)
        problem = followed(self.problem, states)
        evaluated = Evaluated(bands_of_levels(problem, energies_of(problem.groups, states)))
        return self.cost(problem, params, evaluated)


@jax.jit
def ritz_states(problem: Problem, params: Parameters, vectors: Vectors) -> tuple[States, ...]:
    """Ritz values (Ha) of every group in the span of orthonormal vectors, upper bounds of levels.

    In single precision, so to some 1e-5 eV: a screen only has to be a function of its arguments.
    Ritz vectors are formed where the order of the bands needs them, and empty elsewhere; residuals
    are not known.

    Args:
        problem: from `build_problem`.
        params: potential parameters, not those that the vectors belong to.
        vectors: of every group, (system, kpt, row, block) with at least as many as levels.
    """

    def at_k(group: SystemGroup, point: AtK, vectors: Array) -> States:
        light = single(vectors)
        with jax.default_matmul_precision("highest"):
            product = single(hamiltonian_at(point)).apply(light)
            matrix = light.conj().T @ product
        energies, mixing = hermitian_eigh(matrix)
        wanted = energies[: group.n_levels].astype(vectors.real.dtype)
        kept = light @ mixing[:, : group.n_levels] if problem.follows_vectors else light[:0, :0]
        return States(wanted, kept, jnp.full_like(wanted, jnp.nan))

    return at_every_k(hamiltonians(problem, params), at_k, vectors)
