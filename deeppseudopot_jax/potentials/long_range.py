"""The Gaussian-screened Coulomb tail of polar materials."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from deeppseudopot_jax.numerics import safe_divide

_SMALLEST_Q = 1e-4
"""Bohr^-1: below it the tail is left out, a neutral cell has none at q = 0."""


def long_range_tail(
    q: Float[Array, " q"], a4: Float[Array, " species"], gamma: float
) -> Float[Array, "q species"]:
    """v_LR(q) = -a4 (4 pi / q^2) exp(-q^2 / (4 gamma^2)) in Ha Bohr^3, zero for q <= 1e-4."""
    shape = safe_divide(4.0 * jnp.pi * jnp.exp(-(q**2) / (4.0 * gamma**2)), q**2, q > _SMALLEST_Q)
    return -shape[:, None] * a4[None, :]


def long_range_potential(
    r: Float[Array, " r"], a4: Float[Array, " species"], gamma: float
) -> Float[Array, "r species"]:
    """v_LR(r) = -a4 erf(gamma r) / r in Ha, whose transform is the tail without its cut at q = 0.

    r is in Bohr; the limit at r = 0 is -2 a4 gamma / sqrt(pi).
    """
    limit = 2.0 * gamma / jnp.sqrt(jnp.pi)
    shape = jnp.where(r > 0.0, safe_divide(jax.scipy.special.erf(gamma * r), r, r > 0.0), limit)
    return -shape[:, None] * a4[None, :]
