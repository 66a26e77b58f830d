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

from deeppseudopot_jax.eigensolvers.interface import Operator, Solver, States


@runtime_checkable
class DifferentiableOperator(Operator, Protocol):
    """An operator that also gives expectation values, differentiable in its contents."""

    def expectation(self, vectors: Complex[Array, "row band"]) -> Float[Array, " band"]:
        """<n| H |n> for every column."""
        ...


Build = Callable[[Any], DifferentiableOperator]


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def lowest_states(solver: Solver, n: int, build: Build, contents: Any, guess: Any) -> States:
    """The `n` lowest states of `build(contents)`; only the energies carry derivatives.

    Args:
        solver: the eigensolver (static).
        n: number of states (static).
        build: pure function from a pytree to the operator (static).
        contents: what the operator depends on, differentiated with respect to its real arrays.
        guess: start vectors for an iterative solver, or None.

    Raises:
        NotImplementedError: when the energies are differentiated a second time.
    """
    return solver(build(contents), n, guess)


@lowest_states.defjvp
def _hellmann_feynman(solver, n, build, primals, tangents):
    contents, guess = primals
    states = _not_differentiable(solver, n, build, contents, guess)

    # Rebuilt in the backward pass from psi and the contents: nothing else is kept per k-point.
    @jax.checkpoint
    def energies(contents):
        return build(contents).expectation(states.vectors)

    _, change = jax.jvp(energies, (contents,), (tangents[0],))
    zeros = jax.tree.map(jnp.zeros_like, states)
    return states, States(change, zeros.vectors, zeros.residuals)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _not_differentiable(solver, n, build, contents, guess):
    return solver(build(contents), n, guess)


@_not_differentiable.defjvp
def _refuse(solver, n, build, primals, tangents):
    raise NotImplementedError(
        "second derivatives of band energies are not the derivative of Hellmann-Feynman forces; "
        "use perturbation theory (effective masses) or finite differences of first derivatives"
    )
