"""Multiplets of degenerate states, and how they answer to a perturbation.

First-order perturbation theory needs (H - E)^-1 on everything outside a multiplet. The states of
the window that was solved are inverted one by one, the rest by conjugate gradients: above the
window H - E is positive definite (S. Baroni et al., Rev. Mod. Phys. 73, 515 (2001), section II.C).
No sum over all states, no derivative of an eigenvector inside a multiplet.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from deeppseudopot_jax.eigensolvers.conjugate_gradients import conjugate_gradients
from deeppseudopot_jax.eigensolvers.first_derivative import first_derivative_only
from deeppseudopot_jax.eigensolvers.interface import (
    FOR_RESULTS,
    Operator,
    Solver,
    States,
    accurate_to,
)

DEGENERATE = 1e-5
"""Ha: levels closer than this are one multiplet, as in the reference code."""

REACH = 5
"""Levels on either side of a level that are looked at: multiplets of up to six are complete."""

_FOR_ELEMENTS = accurate_to(1e-8, fraction=1.0)
"""Matrix elements are wrong to first order in the residuals, energies to second."""

_MAX_STEPS = 300


class Multiplet(NamedTuple):
    """The states degenerate with one level.

    Columns of `vectors` are the levels around it; those that are not `members` (0 or 1)
    are zero vectors, so that sums over columns are sums over the multiplet. What is computed from
    them must not depend on the choice of basis inside the multiplet.
    """

    energy: Float[Array, ""]
    vectors: Complex[Array, "row column"]
    members: Float[Array, " column"]


class Resolved(NamedTuple):
    """Multiplets of one operator stacked, and all states of the window, which has no derivative."""

    multiplets: Multiplet
    window: States


def window_size(levels: tuple[int, ...], n: int, dimension: int) -> int:
    """States to solve for: `n`, and enough to see that the multiplets of `levels` are complete."""
    return min(max(n, max(levels) + REACH + 2, 2 * REACH + 2), dimension)


def first_columns(levels: tuple[int, ...], size: int) -> Int[np.ndarray, " level"]:
    """The level that is column 0 of each multiplet, in a window of `size` states."""
    return np.clip(np.array(levels) - REACH, 0, max(size - 2 * REACH - 1, 0))


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2, 3, 4))
def resolve(
    solver: Solver,
    n: int,
    levels: tuple[int, ...],
    tolerance: float,
    build: Callable[[Any], Operator],
    contents: Any,
) -> Resolved:
    """The multiplets of some levels of `build(contents)`, differentiable once.

    The derivative of a multiplet's vectors is its first-order response orthogonal to the multiplet,
    exact for whatever is invariant under rotations inside it, as long as the change of the
    operator does not split it.

    Args:
        solver: the eigensolver (static), asked for tighter residuals than for energies.
        n: number of states to solve for, from `window_size` (static).
        levels: indices of the levels (static).
        tolerance: energies that differ by less (Ha) belong to one multiplet (static).
        build: pure function from a pytree to the operator (static).
        contents: what the operator depends on, differentiated with respect to its real arrays.

    Returns:
        NaN where the solver failed or a multiplet has more members than fit.

    Raises:
        NotImplementedError: when the result is differentiated a second time.
    """
    return _resolve(solver, n, levels, tolerance, build(contents))


@resolve.defjvp
def _response(solver, n, levels, tolerance, build, primals, tangents):
    (contents,) = primals
    operator = build(jax.tree.map(first_derivative_only, contents))
    found = _resolve(solver, n, levels, tolerance, operator)

    def change_of(multiplet: Multiplet) -> Multiplet:
        def product(contents: Any) -> Array:
            return build(contents).apply(multiplet.vectors)

        _, change = jax.jvp(product, primals, tangents)
        overlaps = multiplet.vectors.conj().T @ change
        energy = jnp.trace(overlaps).real / jnp.sum(multiplet.members)
        vectors = respond(operator, multiplet, found.window, change)
        return Multiplet(energy, vectors, jnp.zeros_like(multiplet.members))

    changes = jax.lax.map(change_of, found.multiplets)
    return found, Resolved(changes, jax.tree.map(jnp.zeros_like, found.window))


def respond(
    operator: Operator,
    multiplet: Multiplet,
    window: States,
    perturbed: Complex[Array, "row column"],
) -> Complex[Array, "row column"]:
    """First-order change of a multiplet's states: -(H - E)^-1 Q V psi, Q projects the rest out.

    Differentiable in the operator, the multiplet and `perturbed`.

    Args:
        operator: H.
        multiplet: its states psi.
        window: the lowest states of H, more than the multiplet.
        perturbed: V psi, the perturbation times the states.
    """
    window = jax.lax.stop_gradient(window)
    energy, psi = multiplet.energy, multiplet.vectors

    def outside(x: Array) -> Array:
        return x - psi @ (psi.conj().T @ x)

    def shifted(x: Array) -> Array:
        y = outside(x)
        return outside(operator.apply(y) - energy.astype(y.dtype) * y) + x - y

    def solve(_: Any, b: Array) -> Array:
        return _solve_shifted(operator, multiplet, window, b)

    def solve_transposed(_: Any, b: Array) -> Array:  # the transpose of a Hermitian operator
        return _solve_shifted(operator, multiplet, window, b.conj()).conj()

    # A column that is no member has nothing to respond with.
    b = jnp.where(multiplet.members > 0, outside(perturbed), 0.0)
    return -jax.lax.custom_linear_solve(shifted, b, solve, solve_transposed)


def _solve_shifted(operator: Operator, multiplet: Multiplet, window: States, b: Array) -> Array:
    """(Q (H - E) Q + P)^-1 b, with P the projector on the multiplet and Q = 1 - P."""
    operator, multiplet = jax.lax.stop_gradient((operator, multiplet))
    energy, psi = multiplet.energy, multiplet.vectors
    in_multiplet = psi @ (psi.conj().T @ b)
    b = b - in_multiplet
    V = window.vectors
    membership = jnp.sum(jnp.abs(psi.conj().T @ V) ** 2, axis=0)
    other = membership < 0.5
    inverse = jnp.where(other, 1.0 / jnp.where(other, window.energies - energy, 1.0), 0.0)

    def above(x: Array) -> Array:
        return x - V @ (V.conj().T @ x)

    def shifted(x: Array) -> Array:
        return above(operator.apply(x) - energy.astype(x.dtype) * x)

    kinetic_of_row = operator.kinetic_energies()
    count = jnp.maximum(jnp.sum(multiplet.members), 1.0)
    kinetic = jnp.sum(jnp.abs(psi) ** 2 * kinetic_of_row[:, None]) / count
    damping = (1.0 / (kinetic_of_row + jnp.maximum(kinetic, 0.1)))[:, None].astype(b.dtype)
    rest = conjugate_gradients(shifted, above(b), lambda x: above(damping * x), b, _MAX_STEPS)
    return in_multiplet + V @ (inverse[:, None].astype(b.dtype) * (V.conj().T @ b)) + rest


def _resolve(
    solver: Solver, n: int, levels: tuple[int, ...], tolerance: float, operator: Operator
) -> Resolved:
    kinetic = operator.kinetic_energies()
    dimension = kinetic.shape[0]
    accuracy = _FOR_ELEMENTS if kinetic.dtype == jnp.float64 else FOR_RESULTS
    states = States(*(leaf[..., :n] for leaf in solver(operator, n, None, accuracy)[:3]))
    window = states._replace(energies=states.known_energies(n, accuracy))

    def multiplet(level: Array, start: Array) -> Multiplet:
        return _multiplet(window, level, start, tolerance, dimension)

    first = jnp.asarray(first_columns(levels, n))
    return Resolved(jax.vmap(multiplet)(jnp.asarray(levels), first), window)


def _multiplet(
    window: States, level: Array, start: Array, tolerance: float, dimension: int
) -> Multiplet:
    width = min(2 * REACH + 1, window.energies.shape[0])
    energies = jax.lax.dynamic_slice_in_dim(window.energies, start, width)
    vectors = jax.lax.dynamic_slice_in_dim(window.vectors, start, width, axis=1)
    members = (jnp.abs(energies - window.energies[level]) <= tolerance).astype(energies.dtype)
    cut_off = ((members[0] > 0) & (start > 0)) | ((members[-1] > 0) & (start + width < dimension))
    energy = jnp.sum(jnp.where(members > 0, energies, 0.0)) / jnp.sum(members)
    bad = cut_off | jnp.isnan(energy)
    vectors = jnp.where(members > 0, vectors, 0.0)
    return Multiplet(jnp.where(bad, jnp.nan, energy), jnp.where(bad, jnp.nan, vectors), members)
