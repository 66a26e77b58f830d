"""Small numerical tools: complex products, quadrature, Chebyshev expansions, safe divisions."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float
from numpy.polynomial import chebyshev

from deeppseudopot_jax.errors import InputError


def safe_divide(
    numerator: Float[Array, "*shape"], denominator: Float[Array, "*shape"], where: Array
) -> Float[Array, "*shape"]:
    """numerator / denominator where `where` holds, else 0, with finite derivatives everywhere.

    The guard sits on the denominator: a `jnp.where` around the quotient alone would still
    propagate the NaN of the branch not taken into the gradient.
    """
    return jnp.where(where, numerator / jnp.where(where, denominator, 1.0), 0.0)


def safe_norm(vectors: Float[Array, "*batch 3"]) -> Float[Array, "*batch"]:
    """Euclidean length over the last axis, with derivative 0 (not NaN) at the zero vector."""
    squared = jnp.sum(vectors**2, axis=-1)
    nonzero = squared > 0
    return jnp.where(nonzero, jnp.sqrt(jnp.where(nonzero, squared, 1.0)), 0.0)


def scaled(values: Array, factors: Float[Array, "..."]) -> Array:
    """Values, real or complex, times real factors of as many axes: two products for a complex one.

    A cast of the factors would make it four.
    """
    if jnp.iscomplexobj(values):
        return jax.lax.complex(values.real * factors, values.imag * factors)
    return values * factors


def exp_i(angles: Float[Array, "*shape"]) -> Complex[Array, "*shape"]:
    """exp(i angle)."""
    return jax.lax.complex(jnp.cos(angles), jnp.sin(angles))


def gauss_legendre(n: int, upper: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the n-point Gauss-Legendre rule on [0, upper]."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return 0.5 * upper * (nodes + 1.0), 0.5 * upper * weights


def fit_chebyshev(
    function: Callable[[np.ndarray], np.ndarray], upper: float, tolerance: float
) -> np.ndarray:
    """Chebyshev coefficients (degree + 1, n) of a smooth function [0, upper] -> R^n.

    The degree is doubled until the last quarter of the coefficients is below `tolerance` times
    the largest one; `chebyshev_basis(t, upper, degree) @ coefficients` evaluates the expansion.

    Raises:
        InputError: if 1024 terms do not suffice, so the function is not smooth on that scale.
    """

    def scaled(x: np.ndarray) -> Any:
        return function(0.5 * upper * (x + 1.0))

    degree = 32
    while degree <= 1024:
        coefficients: np.ndarray = chebyshev.chebinterpolate(scaled, degree)
        size = np.abs(coefficients).max(axis=-1)
        significant = np.flatnonzero(size > tolerance * size.max())[-1] + 1
        if significant <= 0.75 * degree:
            return coefficients[:significant]
        degree *= 2
    raise InputError(
        f"no Chebyshev expansion of 1024 terms reaches {tolerance} on [0, {upper}] (Bohr^-2): "
        "maxKE is too large"
    )


def chebyshev_basis(
    t: Float[Array, " point"], upper: float, n_terms: int
) -> Float[Array, "point term"]:
    """Chebyshev polynomials T_0 .. T_(n_terms - 1) on [0, upper]; NaN outside.

    Outside its interval an expansion is meaningless, and a NaN cannot be taken for an answer.
    """
    x = jnp.where((t >= 0) & (t <= upper), 2.0 * t / upper - 1.0, jnp.nan)
    terms = [jnp.ones_like(x), x]
    for _ in range(n_terms - 2):
        terms.append(2.0 * x * terms[-1] - terms[-2])
    return jnp.stack(terms[:n_terms], axis=-1)


def host_array(values: Any, dtype: Any) -> Any:
    """A NumPy array for a record that is not on a device yet; its annotations name JAX's arrays."""
    return np.asarray(values, dtype)


def pad_rows(rows: np.ndarray, size: int) -> np.ndarray:
    """`rows` with zero rows appended up to `size`."""
    return np.concatenate([rows, np.zeros((size - len(rows), *rows.shape[1:]), rows.dtype)])


def repeat_last(rows: np.ndarray, size: int) -> np.ndarray:
    """`rows` continued with copies of its last row up to `size`."""
    return np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])
