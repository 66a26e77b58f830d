"""Locally optimal block preconditioned conjugate gradients: the lowest states from a good start.

A. V. Knyazev, SIAM J. Sci. Comput. 23, 517 (2001), with the basis [X, W, P] orthonormalised
through its Gram matrix as in Duersch et al., SIAM J. Sci. Comput. 40, C655 (2018), and the
preconditioner of Teter, Payne and Allan, Phys. Rev. B 40, 12255 (1989). One product of the
operator with a block of vectors per step; everything else is a matrix product.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, Int

from deeppseudopot_jax.eigensolvers.interface import Operator, States

_DEPENDENT = 1e-12
"""Gram eigenvalues below this fraction of the largest one are linear dependence, not directions."""

_SETTLED, _SETTLED_AT_NO_HEIGHT = 0.3, 0.03
"""Residual of a spare vector, over its height above the window and at no height (Ha), up to which
it is taken to stay there."""

_OUT_OF_REACH = 1e6
"""Ha: where dropped directions are put in the small eigenproblem."""


class _Iteration(NamedTuple):
    """Block X with H X, search directions P with H P, energies and residual norms."""

    X: Complex[Array, "row block"]
    HX: Complex[Array, "row block"]
    P: Complex[Array, "row block"]
    HP: Complex[Array, "row block"]
    energies: Float[Array, " block"]
    residuals: Float[Array, " block"]
    step: Int[Array, ""]


def lobpcg(
    operator: Operator,
    n: int,
    guess: Complex[Array, "row block"],
    tolerance: float,
    max_steps: int,
) -> States:
    """The `n` lowest states from a block of at least `n` start vectors.

    The vectors beyond `n` are spare: they speed convergence up and watch the states above the
    window. All block vectors are returned, so that they can start the next solve.

    Args:
        operator: Hermitian.
        n: number of states whose residuals must fall below `tolerance`.
        guess: linearly independent columns.
        tolerance: on the residual norm |H psi - E psi| (Ha).
        max_steps: upper bound on the steps; residuals tell whether it was enough.
    """
    diagonal = operator.diagonal()
    X, HX, energies = _rotated(*_independent(operator, guess))
    start = _Iteration(
        X,
        HX,
        jnp.zeros_like(X),
        jnp.zeros_like(X),
        energies,
        _column_norms(HX - X * energies),
        jnp.asarray(0),
    )

    def unfinished(now: _Iteration) -> Array:
        accurate = jnp.all(now.residuals[:n] <= tolerance)
        return (now.step < max_steps) & ~(accurate & _spare_vectors_are_settled(now, n))

    def step(now: _Iteration) -> _Iteration:
        return _step(operator, diagonal, now)

    end = jax.lax.while_loop(unfinished, step, start)
    return States(end.energies, end.X, end.residuals)


def _spare_vectors_are_settled(now: _Iteration, n: int) -> Array:
    """Whether no spare vector may still be on its way down into the window.

    Accurate residuals alone would accept n exact states above one that the guess had no part of.
    A spare vector that hides such a state is far from an eigenvector.
    """
    height = now.energies[n:] - now.energies[n - 1]
    return jnp.all(now.residuals[n:] <= _SETTLED * height + _SETTLED_AT_NO_HEIGHT)


def _step(operator: Operator, diagonal: Array, now: _Iteration) -> _Iteration:
    block = now.X.shape[1]
    W = _precondition(now.HX - now.X * now.energies, now.X, diagonal)
    W = W - now.X @ (now.X.conj().T @ W)
    W = W / jnp.maximum(_column_norms(W), jnp.finfo(diagonal.dtype).tiny)
    Q = jnp.concatenate([W, now.P], axis=1)
    HQ = jnp.concatenate([operator.apply(W), now.HP], axis=1)
    Q, transform, kept = _orthonormalised(Q)
    HQ = HQ @ transform
    basis = jnp.concatenate([now.X, Q], axis=1)
    products = jnp.concatenate([now.HX, HQ], axis=1)
    kept = jnp.concatenate([jnp.ones(block, bool), kept])
    energies, C = _small_eigh(basis, products, kept)
    energies, C = energies[:block], C[:, :block]
    X, HX = basis @ C, products @ C
    P, HP = Q @ C[block:], HQ @ C[block:]
    overlap = X.conj().T @ P
    P, HP = P - X @ overlap, HP - HX @ overlap
    norms = _column_norms(P)
    scale = jnp.where(norms > 0, 1.0 / jnp.where(norms > 0, norms, 1.0), 0.0)
    return _Iteration(
        X, HX, P * scale, HP * scale, energies, _column_norms(HX - X * energies), now.step + 1
    )


def _precondition(residuals: Array, X: Array, diagonal: Array) -> Array:
    """Damps components of kinetic energy far above that of the state itself."""
    kinetic = jnp.sum(jnp.abs(X) ** 2 * diagonal[:, None], axis=0)
    x = diagonal[:, None] / (1.5 * jnp.maximum(kinetic, 1e-3))
    smooth = 27.0 + x * (18.0 + x * (12.0 + x * 8.0))
    return residuals * (smooth / (smooth + 16.0 * x**4))


def _column_norms(vectors: Array) -> Array:
    return jnp.sqrt(jnp.sum(vectors.real**2 + vectors.imag**2, axis=0))


def _orthonormalised(vectors: Array) -> tuple[Array, Array, Array]:
    """Orthonormal combinations `vectors @ transform`; dependent ones become zero, not `kept`."""
    gram = vectors.conj().T @ vectors
    weights, rotation = _eigh(gram)
    kept = weights > _DEPENDENT * weights[-1]
    transform = rotation * jnp.where(kept, jax.lax.rsqrt(jnp.where(kept, weights, 1.0)), 0.0)
    return vectors @ transform, transform, kept


def _independent(operator: Operator, guess: Array) -> tuple[Array, Array]:
    """An orthonormal block that spans the guess, and its product with the operator.

    Dependent columns of the guess make room for random ones: a zero vector has no residual and
    would pass for a state.
    """
    X, _, kept = _orthonormalised(guess)
    noise = jax.random.normal(jax.random.key(1), X.shape, X.dtype)
    X, _, _ = _orthonormalised(jnp.where(kept, X, noise - X @ (X.conj().T @ noise)))
    return X, operator.apply(X)


def _small_eigh(basis: Array, products: Array, kept: Array) -> tuple[Array, Array]:
    """Rayleigh-Ritz in an orthonormal basis; directions not kept come last."""
    matrix = basis.conj().T @ products + jnp.diag(jnp.where(kept, 0.0, _OUT_OF_REACH))
    return _eigh(matrix)


def _rotated(X: Array, HX: Array) -> tuple[Array, Array, Array]:
    energies, C = _small_eigh(X, HX, jnp.ones(X.shape[1], bool))
    return X @ C, HX @ C, energies


def _eigh(matrix: Array) -> tuple[Array, Array]:
    hermitian = 0.5 * (matrix + matrix.conj().T)
    vectors, values = jax.lax.linalg.eigh(hermitian, lower=False, symmetrize_input=False)
    return values, vectors
