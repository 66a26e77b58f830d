"""The Gaussian-screened Coulomb tail of polar materials."""

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
