"""Kinetic energy |k+G|^2 / 2."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex, Float

from deeppseudopot_jax.records import record

_PADDED_WAVE_ENERGY = 1e4
"""Ha: keeps padded waves above every state that is asked for."""


@record
class Kinetic:
    """Diagonal term; `energies` in Hartree, one per plane wave."""

    energies: Float[Array, " wave"]

    def apply(self, psi: Complex[Array, "spin wave band"]) -> Complex[Array, "spin wave band"]:
        """T psi."""
        return self.energies[:, None] * psi

    def matrix(self, n_spin: int) -> Array:
        """T as a matrix of dimension n_spin * n_waves."""
        return jnp.diag(jnp.tile(self.energies, n_spin))

    def expectation(self, psi: Complex[Array, "spin wave band"]) -> Float[Array, " band"]:
        """<psi_n| T |psi_n>."""
        return jnp.einsum("i,sin->n", self.energies, jnp.abs(psi) ** 2)


def kinetic(wave_vectors: Float[Array, "wave 3"], mask: Bool[Array, " wave"]) -> Kinetic:
    """The kinetic term for wave vectors k + G (Bohr^-1)."""
    return Kinetic(jnp.where(mask, 0.5 * jnp.sum(wave_vectors**2, axis=-1), _PADDED_WAVE_ENERGY))
