"""Lowest states whose energies are differentiable by the Hellmann-Feynman theorem.

dE_n = <psi_n| dH |psi_n> needs the wanted vectors only, contains no 1 / (E_m - E_n) and is finite
at degeneracies. A second differentiation through it would silently miss the change of psi, so it
is refused; second derivatives are observables of their own.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from deeppseudopot_jax.eigensolvers.first_derivative import first_derivative_only
from deeppseudopot_jax.eigensolvers.interface import FOR_RESULTS, Operator, Solver, States


@runtime_checkable
class DifferentiableOperator(Operator, Protocol):
    """An operator that also gives expectation values, differentiable in its contents."""

    def expectation(self, vectors: Complex[Array, "row band"]) -> Float[Array, " band"]:
        """<n| H |n> for every column."""
        ...


Build = Callable[[Any], DifferentiableOperator]


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def lowest_states(solver: Solver, n: int, build: Build, contents: Any) -> States:
    """The `n` lowest states of `build(contents)`; only the energies carry derivatives.

    Args:
        solver: the eigensolver (static).
        n: number of states (static).
        build: pure function from a pytree to the operator (static).
        contents: what the operator depends on, differentiated with respect to its real arrays.

    Raises:
        NotImplementedError: when the energies are differentiated a second time.
    """
    return _accepted(solver, n, build, contents)


@lowest_states.defjvp
def _hellmann_feynman(solver, n, build, primals, tangents):
    (contents,) = primals
    states = _accepted(solver, n, build, jax.tree.map(first_derivative_only, contents))
    change = _change(build, contents, tangents[0], states.vectors)
    zeros = jax.tree.map(jnp.zeros_like, states)
    return states, States(change, zeros.vectors, zeros.residuals)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def energies_of_states(
    build: Build,
    contents: Any,
    energies: Float[Array, " band"],
    vectors: Complex[Array, "row band"],
) -> Float[Array, " band"]:
    """`energies` of states found before, with their Hellmann-Feynman derivatives.

    Args:
        build: pure function from a pytree to the operator (static).
        contents: what the operator depends on, differentiated with respect to its real arrays.
        energies: eigenvalues of `build(contents)`.
        vectors: their eigenvectors, held fixed.
    """
    del build, contents, vectors
    return energies


@energies_of_states.defjvp
def _at_fixed_vectors(build, primals, tangents):
    contents, energies, vectors = primals
    return energies, _change(build, contents, tangents[0], vectors)


def _change(build: Build, contents: Any, tangents: Any, vectors: Array) -> Array:
    """<n| dH |n>, rebuilt in the backward pass: nothing but psi is kept per k-point."""

    @jax.checkpoint
    def energies(contents: Any) -> Array:
        return build(contents).expectation(vectors)

    return jax.jvp(energies, (contents,), (tangents,))[1]


def _accepted(solver: Solver, n: int, build: Build, contents: Any) -> States:
    """The wanted states alone; NaN energies where their residuals are not accepted."""
    states = solver(build(contents), n)
    energies = states.known_energies(n, FOR_RESULTS)
    return States(energies, states.vectors[:, :n], states.residuals[:n])
