"""How well data determine what was fitted to them: the covariance at a minimum, and what follows.

If the errors of the data are independent and normal, with variances sigma^2 / weight, the
parameters scatter with C = sigma^2 (J^T J + priors)^-1, and anything that follows from them with
j^T C j (P. R. Bevington, Data Reduction and Error Analysis for the Physical Sciences).
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.training.least_squares.linearised import Linearised

_SAME_LEVEL = 1e-5
"""eV: reference levels at a k-point that are closer are one datum, given as often as degenerate."""


class Uncertainty(NamedTuple):
    """The covariance C = half half^T of the coordinates of a fit, and what it is worth.

    `sigma` is the standard deviation of a datum of weight 1 (eV), from the residuals;
    `determined` is how many of the coordinates the data determine, the trace of the matrix that
    takes data to fitted data. The others follow from priors, and from the assumption that a number
    was known beforehand to within its own size.
    """

    half: Float[Array, "coordinate coordinate"]
    sigma: Float[Array, ""]
    determined: Float[Array, ""]
    n_data: int
    n_coordinates: int


def uncertainty(
    near: Linearised, squares: Float[Array, ""], known: Float[Array, " coordinate"], n_data: int
) -> Uncertainty:
    """The covariance at a minimum.

    Args:
        near: the cost around it.
        squares: what the residuals of data add to the cost, without priors (eV^2).
        known: how far each coordinate is known beforehand, one standard deviation.
        n_data: the number of independent data.
    """
    rows = near.rows
    whole = near.normal if rows is None else rows.T @ rows
    assert whole is not None
    of_data = whole - near.priors.T @ near.priors
    # In units in which the assumption of what is known beforehand is the identity.
    ridge = squares / n_data

    def scaled(matrix: Array) -> Array:
        return matrix * known[:, None] * known[None, :]

    lower = jnp.linalg.cholesky(scaled(whole) + ridge * jnp.eye(len(known)))
    inverse = solve_triangular(lower, jnp.eye(len(known)), lower=True)
    determined = jnp.sum((inverse @ scaled(of_data)) * inverse)
    sigma = jnp.sqrt(squares / jnp.maximum(n_data - determined, 1.0))
    half = sigma * known[:, None] * inverse.T
    return Uncertainty(half, sigma, determined, n_data, len(known))


def independent_data(problem: Problem) -> int:
    """The number of fitted levels, those that are degenerate in the reference counted once."""
    count = 0
    for target in problem.targets:
        if target.reference is None:
            continue
        fitted = np.asarray(target.weights) > 0.0
        if target.relative_band is not None:
            fitted[:, target.relative_band] = False
        for levels, chosen in zip(np.asarray(target.reference), fitted, strict=True):
            known = np.sort(levels[chosen])
            count += int(len(known) > 0) + int(np.sum(np.diff(known) > _SAME_LEVEL))
    return count
