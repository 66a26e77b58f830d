"""Locally optimal block preconditioned conjugate gradients: the lowest states from a good start.

A. V. Knyazev, SIAM J. Sci. Comput. 23, 517 (2001). Each step seeks the lowest states in the span of
the block X, its preconditioned residuals W and the last change P. Two things make it cheap: the
product of the operator with W is in single precision, and the preconditioner is nearly exact where
it matters, so that two or three steps follow a small change of the operator.

A guess may have no part of a state, and then no residual tells. So the first step after a product
in full precision tries, in place of corrections that are not needed, the states of the plane waves
of lowest kinetic energy.

Single precision is safe because W enters with small weights: what it puts into H X is bounded
(`drift`), and a bound that matters is removed by a product H X in full precision.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, Int

from deeppseudopot_jax.eigensolvers.interface import Accuracy, Operator, States
from deeppseudopot_jax.eigensolvers.preconditioner import Preconditioner
from deeppseudopot_jax.eigensolvers.rayleigh_ritz import lowest_combinations, ritz_combinations
from deeppseudopot_jax.eigensolvers.single_precision import single

_SETTLED, _SETTLED_AT_NO_HEIGHT = 0.3, 0.03
"""Residual of a spare vector, over its height above the window and at no height (Ha), up to which
it is taken to stay there."""

_TOLERATED_DRIFT = 1e-3
"""Of the tolerance on residuals: bound on the error of H X from single precision (Ha)."""


_STEPS_IN_SINGLE_PRECISION = 10
"""After so many the product H X is computed anew: at the floor of rounding, steps amplify it."""

_NOTHING_NEW = 1e-6
"""Part of a direction outside the block below which it is rounding."""


class _Iteration(NamedTuple):
    """Block X and last change P (zero at first), both times H, energies and residuals.

    `drift` (Ha) bounds what single precision has added to H X in the `recent` steps since it was
    computed in full precision.
    """

    X: Complex[Array, "row block"]
    HX: Complex[Array, "row block"]
    P: Complex[Array, "row block"]
    HP: Complex[Array, "row block"]
    energies: Float[Array, " block"]
    residuals: Float[Array, " block"]
    drift: Float[Array, ""]
    recent: Int[Array, ""]
    step: Int[Array, ""]
    tolerance: Float[Array, ""]


def lobpcg(
    operator: Operator,
    n: int,
    guess: Complex[Array, "row block"],
    preconditioner: Preconditioner,
    accuracy: Accuracy,
    max_steps: int | Int[Array, ""],
) -> States:
    """The `n` lowest states from a block of at least `n` start vectors.

    The vectors beyond `n` are spare: they speed convergence up and watch the states above the
    window. All block vectors are returned, so that they can start the next solve.

    Args:
        operator: Hermitian.
        n: number of states whose residuals must become small.
        guess: start vectors; dependent ones give NaN.
        preconditioner: from this operator or one like it.
        accuracy: when to stop.
        max_steps: when to give up; residuals tell whether the steps were enough.
    """
    light = single(operator)

    def unfinished(now: _Iteration) -> Array:
        accurate = jnp.all(now.residuals[:n] <= now.tolerance)
        settled = _spare_vectors_are_settled(now, n)
        possible = (now.step < max_steps) & jnp.isfinite(now.energies[0])
        return possible & ~(accurate & settled)

    def in_need_of_a_step(now: _Iteration) -> Array:
        # The very first one tells whether the guess had no part of a state.
        return ((now.step == 0) | unfinished(now)) & (now.recent < _STEPS_IN_SINGLE_PRECISION)

    def step(now: _Iteration) -> _Iteration:
        residuals = _residuals(now.X, now.HX, now.energies)
        W = preconditioner(residuals, now.energies, operator.kinetic_energies())
        probes = preconditioner.states(now.X.shape[1]).astype(now.X.dtype)
        probing = (now.recent == 0) & (now.residuals <= now.tolerance)
        return _step(light, jnp.where(probing[None, :], probes, W), now)

    def in_need_of_a_product(now: _Iteration) -> Array:
        return unfinished(now) | (now.drift > _TOLERATED_DRIFT * now.tolerance)

    def renewed(now: _Iteration) -> _Iteration:
        exact = _exact(operator, now.X)
        first = accuracy.fraction * jnp.max(exact.residuals[:n])
        aim = jnp.clip(first, accuracy.tightest, accuracy.accepted)
        aim = jnp.where(now.step == 0, aim, now.tolerance)
        exact = exact._replace(step=now.step, tolerance=aim)
        # What the product has confirmed is not moved again, else the loop might never end.
        return jax.lax.while_loop(in_need_of_a_step, step, exact)

    end = jax.lax.while_loop(in_need_of_a_product, renewed, _not_begun(guess))
    return States(end.energies, end.X, end.residuals, preconditioner)


def _spare_vectors_are_settled(now: _Iteration, n: int) -> Array:
    """Whether no spare vector may still be on its way down into the window.

    Accurate residuals alone would accept n exact states above one that the guess had no part of.
    A spare vector that hides such a state is far from an eigenvector.
    """
    height = now.energies[n:] - now.energies[n - 1]
    return jnp.all(now.residuals[n:] <= _SETTLED * height + _SETTLED_AT_NO_HEIGHT)


def _not_begun(guess: Array) -> _Iteration:
    nothing = jnp.zeros_like(guess)
    zeros = jnp.zeros(guess.shape[1], nothing.real.dtype)
    infinite, none = zeros + jnp.inf, jnp.asarray(0)
    return _Iteration(
        guess, nothing, nothing, nothing, zeros, infinite, infinite[0], none, none, zeros[0]
    )


def _exact(operator: Operator, vectors: Array) -> _Iteration:
    """An iteration from independent vectors, everything in full precision; NaN if they are not."""
    HX = operator.apply(vectors)
    energies, C = ritz_combinations(vectors.conj().T @ vectors, vectors.conj().T @ HX)
    X, HX = vectors @ C, HX @ C
    nothing = jnp.zeros_like(X)
    return _Iteration(
        X,
        HX,
        nothing,
        nothing,
        energies,
        _column_norms(_residuals(X, HX, energies)),
        jnp.zeros((), energies.dtype),
        jnp.asarray(0),
        jnp.asarray(0),
        jnp.zeros((), energies.dtype),
    )


def _step(light: Operator, W: Array, now: _Iteration) -> _Iteration:
    block = now.X.shape[1]
    before = _column_norms(W)
    W = W - now.X @ (now.X.conj().T @ W)
    after = _column_norms(W)
    new = after > _NOTHING_NEW * before
    W = W * jnp.where(new, 1.0 / jnp.where(new, after, 1.0), 0.0)[None, :].astype(W.dtype)
    with jax.default_matmul_precision("highest"):  # not the eleven bits that accelerators may take
        HW = light.apply(single(W))
    rounding = float(jnp.finfo(HW.dtype).eps)
    lost = rounding if HW.dtype != W.dtype else 0.0
    HW = HW.astype(W.dtype)

    Q, HQ = jnp.concatenate([now.P, W], axis=1), jnp.concatenate([now.HP, HW], axis=1)
    gram = _bordered(jnp.ones_like(now.energies), jnp.concatenate([now.X, Q], axis=1).conj().T @ Q)
    # H stands on the left, because H X is known better than H W.
    matrix = _bordered(now.energies, jnp.concatenate([now.HX, HQ], axis=1).conj().T @ Q)
    energies, C = lowest_combinations(
        gram, matrix, now.energies, jnp.asarray(rounding, now.energies.dtype)
    )

    P, HP = Q @ C[block:], HQ @ C[block:]
    X, HX = now.X @ C[:block] + P, now.HX @ C[:block] + HP
    return _Iteration(
        X,
        HX,
        P,
        HP,
        energies,
        _column_norms(_residuals(X, HX, energies)),
        now.drift + lost * jnp.max(_column_norms(HP)),
        now.recent + 1,
        now.step + 1,
        now.tolerance,
    )


def _bordered(diagonal: Array, columns: Array) -> Array:
    """The Hermitian matrix with this diagonal upper left block and these last columns."""
    block = diagonal.shape[0]
    above = columns[:block]
    top = jnp.concatenate([jnp.diag(diagonal).astype(columns.dtype), above], axis=1)
    return jnp.concatenate(
        [top, jnp.concatenate([above.conj().T, columns[block:]], axis=1)], axis=0
    )


def _residuals(X: Array, HX: Array, energies: Array) -> Array:
    return HX - X * energies[None, :].astype(X.dtype)


def _column_norms(vectors: Array) -> Array:
    return jnp.sqrt(jnp.sum(vectors.real**2 + vectors.imag**2, axis=0))
