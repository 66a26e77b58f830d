"""Preconditioned conjugate gradients for several right-hand sides at once."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, Int

Apply = Callable[[Array], Array]


class _Iteration(NamedTuple):
    """Solutions x, residuals r, preconditioned residuals z, directions p, and Re <r, z>."""

    x: Complex[Array, "row column"]
    r: Complex[Array, "row column"]
    p: Complex[Array, "row column"]
    product: Float[Array, " column"]
    step: Int[Array, ""]


def conjugate_gradients(
    apply: Apply,
    right: Complex[Array, "row column"],
    precondition: Apply,
    scale: Complex[Array, "row column"],
    max_steps: int,
) -> Complex[Array, "row column"]:
    """The solution x of `apply(x) = right`, every column a system of its own.

    The residual that is looked at is the one carried along from step to step. That of x itself,
    `right - apply(x)`, also has the rounding of all steps, about eps times the condition number.

    Args:
        apply: Hermitian, positive definite on the space of `right`; neither is checked.
        right: right-hand sides.
        precondition: Hermitian, positive definite on that space; stays inside it.
        scale: a column counts as solved when its residual is below eps^(3/4) of this one's norm
            (2e-12 in double precision, 6e-6 in single).
        max_steps: of all columns together, since solved ones wait for the others. Columns that are
            not solved by then, or are not finite, become NaN, and leave the others as they are.
    """
    epsilon = float(jnp.finfo(right.dtype).eps) ** 0.75
    goal = epsilon * _norms(scale)
    z = precondition(right)
    start = _Iteration(jnp.zeros_like(right), right, z, _products(right, z), jnp.asarray(0))

    def unfinished(now: _Iteration) -> Array:
        return (now.step < max_steps) & jnp.any(_norms(now.r) > goal)

    def ratios(where: Array, numerators: Array, denominators: Array) -> Array:
        found = jnp.where(where, numerators / jnp.where(where, denominators, 1.0), 0.0)
        return found[None, :].astype(right.dtype)

    def step(now: _Iteration) -> _Iteration:
        active = _norms(now.r) > goal
        change = apply(now.p)
        curvature = _products(now.p, change)
        length = ratios(active, now.product, curvature)
        r = now.r - length * change
        z = precondition(r)
        product = _products(r, z)
        turn = ratios(active, product, now.product)
        return _Iteration(now.x + length * now.p, r, z + turn * now.p, product, now.step + 1)

    end = jax.lax.while_loop(unfinished, step, start)
    return jnp.where(_norms(end.r) <= goal, end.x, jnp.nan)


def _products(left: Array, right: Array) -> Array:
    return jnp.sum(left.conj() * right, axis=0).real


def _norms(vectors: Array) -> Array:
    return jnp.sqrt(_products(vectors, vectors))
