"""Zunger's analytic form factor (Wang and Zunger, Phys. Rev. B 51, 17398 (1995))."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_LARGEST_EXPONENT = 80.0
"""exp() of it is finite in float32 too, and a factor exp(-80) is below rounding anyway."""


def zunger_form(
    q: Float[Array, " q"], coefficients: Float[Array, "species 4"]
) -> Float[Array, "q species"]:
    """v(q) = a0 (q^2 - a1) / (a2 exp(a3 q^2) - 1) in Ha Bohr^3, for q in Bohr^-1.

    Numerator and denominator carry a factor exp(-a3 q^2), so large q neither overflow nor give
    NaN derivatives.
    """
    a0, a1, a2, a3 = coefficients.T[:, None, :]
    q_squared = (q**2)[:, None]
    decay = jnp.exp(jnp.clip(-a3 * q_squared, -_LARGEST_EXPONENT, _LARGEST_EXPONENT / 2))
    return a0 * (q_squared - a1) * decay / (a2 - decay)


@dataclass(frozen=True)
class ZungerModel:
    """The local potential whose parameters are the coefficients a0..a3 of every species."""

    n_species: int

    def apply(
        self, coefficients: Float[Array, "species 4"], q: Float[Array, " q"]
    ) -> Float[Array, "q species"]:
        """Form factors (Ha Bohr^3) at q (Bohr^-1)."""
        return zunger_form(q, coefficients)

    def parameter_shapes(self) -> jax.ShapeDtypeStruct:
        """A row a0..a3 of every species."""
        return jax.ShapeDtypeStruct((self.n_species, 4), jnp.float64)
