"""Radial functions of the separable spin-orbit and nonlocal parts.

Each integral int_0^R r^2 f(r) j1(K r) j1(K' r) dr is a sum over quadrature nodes of products, so a
low-rank kernel sum_p R_p(K) R_p(K'). The R_p are odd in K; R_p(K) / K is a smooth function of
K^2, stored as a Chebyshev expansion: no Bessel function and no division at K = 0 is left.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import spherical_jn

from deeppseudopot_jax.numerics import chebyshev_basis, fit_chebyshev, gauss_legendre
from deeppseudopot_jax.records import record, static

_KERNEL_TOLERANCE = 1e-13
_SINGULAR_VALUE_TOLERANCE = 1e-7  # the kernel is quadratic in them
_EXPANSION_TOLERANCE = 3e-14  # just above the rounding of the fit
_RANGE_SAMPLES = 400

CUTOFF_IN_WIDTHS = float(np.sqrt(16.0 * np.log(10.0)))
"""Gaussian weights end where they are 1e-16."""


@record
class RadialFunctions:
    """R_p(K) / K for |K|^2 up to `upper` (Bohr^-2), p = 1 .. rank."""

    coefficients: Float[Array, "term rank"]
    upper: float = static()

    def __call__(self, wave_vectors: Float[Array, "wave 3"]) -> Float[Array, "rank 3 wave"]:
        """R_p(|K|) K_m / |K| at the given K (Bohr^-1); NaN beyond `upper`."""
        squared = jnp.sum(wave_vectors**2, axis=-1)
        basis = chebyshev_basis(squared, self.upper, self.coefficients.shape[0])
        return jnp.einsum("ip,im->pmi", basis @ self.coefficients, wave_vectors)


def radial_functions(
    weight: Callable[[np.ndarray], np.ndarray],
    upper_radius: float,
    largest_wave_vector: float,
    dtype: jnp.dtype,
) -> RadialFunctions:
    """Low-rank form of int_0^R r^2 f(r) j1(K r) j1(K' r) dr, exact to rounding for |K| in range.

    Args:
        weight: f(r), for r in Bohr.
        upper_radius: R (Bohr).
        largest_wave_vector: the largest |K| (Bohr^-1) the functions must serve.
        dtype: real dtype of the stored coefficients.
    """
    samples = np.linspace(0.0, largest_wave_vector, _RANGE_SAMPLES)
    n_nodes, change, kernel = 32, np.inf, np.zeros((len(samples), len(samples)))
    while change > _KERNEL_TOLERANCE * np.max(np.abs(kernel)):
        n_nodes += 16
        nodes, weights = gauss_legendre(n_nodes, upper_radius)
        amplitudes = np.sqrt(weights * weight(nodes)) * nodes
        factors = amplitudes[:, None] * spherical_jn(1, np.outer(nodes, samples))
        previous, kernel = kernel, factors.T @ factors
        change = np.max(np.abs(kernel - previous))
    left, singular_values, _ = np.linalg.svd(factors, full_matrices=False)
    kept = left[:, singular_values > _SINGULAR_VALUE_TOLERANCE * singular_values[0]]

    def over_wave_number(squared: np.ndarray) -> np.ndarray:
        wave_numbers = np.sqrt(np.maximum(squared, 1e-16))
        bessel = spherical_jn(1, np.outer(wave_numbers, nodes)) / wave_numbers[:, None]
        return (bessel * amplitudes) @ kept

    upper = largest_wave_vector**2
    coefficients = fit_chebyshev(over_wave_number, upper, _EXPANSION_TOLERANCE)
    return RadialFunctions(jnp.asarray(coefficients, dtype), float(upper))
