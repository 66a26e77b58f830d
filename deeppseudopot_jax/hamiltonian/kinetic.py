"""Kinetic energy |k+G|^2 / 2."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex, Float, Int

from deeppseudopot_jax.numerics import scaled
from deeppseudopot_jax.records import record

_FAR_ABOVE = 4.0
"""Padded waves lie so many times above the highest real one: clear of every state that is asked
for, and not so high that single precision would lose the others."""


@record
class Kinetic:
    """Diagonal term; `energies` in Hartree, one per plane wave."""

    symbol: ClassVar[str] = "T"
    energies: Float[Array, " wave"]

    def apply(self, psi: Complex[Array, "spin wave band"]) -> Complex[Array, "spin wave band"]:
        """T psi."""
        return scaled(psi, self.energies[None, :, None])

    def matrix(self, n_spin: int) -> Array:
        """T as a matrix of dimension n_spin * n_waves."""
        diagonal = jnp.tile(self.energies, n_spin)
        return jnp.diag(jax.lax.complex(diagonal, jnp.zeros_like(diagonal)))

    def expectation(self, psi: Complex[Array, "spin wave band"]) -> Float[Array, " band"]:
        """<psi_n| T |psi_n>."""
        return jnp.einsum("i,sin->n", self.energies, jnp.abs(psi) ** 2)

    def restricted(self, waves: Int[Array, " wave"]) -> "Kinetic":
        """T among some of the plane waves."""
        return Kinetic(self.energies[waves])


def kinetic(wave_vectors: Float[Array, "wave 3"], mask: Bool[Array, " wave"]) -> Kinetic:
    """The kinetic term for wave vectors k + G (Bohr^-1)."""
    energies = jnp.where(mask, 0.5 * jnp.sum(wave_vectors**2, axis=-1), 0.0)
    return Kinetic(jnp.where(mask, energies, _FAR_ABOVE * (1.0 + jnp.max(energies))))
