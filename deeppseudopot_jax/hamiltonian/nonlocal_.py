"""Nonlocal l = 1 part: two Gaussian channels as separable projectors."""

from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from deeppseudopot_jax.hamiltonian.local import spin_diagonal
from deeppseudopot_jax.hamiltonian.radial import (
    CUTOFF_IN_WIDTHS,
    RadialFunctions,
    radial_functions,
)
from deeppseudopot_jax.numerics import scaled
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.records import record

_WIDTH = 1.0
_CENTER = 1.5  # of the second channel


@record
class Nonlocal:
    """sum_p |beta_p> strength_p <beta_p| on each spin component."""

    symbol: ClassVar[str] = "V_NL"
    beta: Complex[Array, "projector wave"]
    strength: Float[Array, " projector"]

    def apply(self, psi: Complex[Array, "spin wave band"]) -> Complex[Array, "spin wave band"]:
        """V_NL psi."""
        overlaps = jnp.einsum("pi,sin->spn", self.beta.conj(), psi)
        return jnp.einsum("pi,spn->sin", self.beta, scaled(overlaps, self.strength[None, :, None]))

    def matrix(self, n_spin: int) -> Complex[Array, "row column"]:
        """V_NL as a matrix, block diagonal in spin."""
        return spin_diagonal(scaled(self.beta.T, self.strength[None, :]) @ self.beta.conj(), n_spin)

    def expectation(self, psi: Complex[Array, "spin wave band"]) -> Float[Array, " band"]:
        """<psi_n| V_NL |psi_n>."""
        overlaps = jnp.einsum("pi,sin->spn", self.beta.conj(), psi)
        return jnp.einsum("p,spn->n", self.strength, jnp.abs(overlaps) ** 2)

    def restricted(self, waves: Int[Array, " wave"]) -> "Nonlocal":
        """V_NL among some of the plane waves."""
        return Nonlocal(self.beta[..., waves], self.strength)


@record
class NonlocalChannel:
    """Builds V_NL at any k from the coefficients a6, a7; it holds the two radial parts."""

    n_coefficients: ClassVar[int] = 2
    radial: tuple[RadialFunctions, RadialFunctions]

    def strength(
        self, params: Parameters, atom_species: Int[Array, " atom"]
    ) -> Float[Array, "atom 2"]:
        """a6 and a7 of every atom."""
        return params.nonlocal_[atom_species]

    def term(
        self,
        wave_vectors: Float[Array, "wave 3"],
        phases: Complex[Array, "atom wave"],
        strength: Float[Array, "atom 2"],
    ) -> Nonlocal:
        """(K . K') / (|K||K'|) S(dG) sum_c strength_c I_c; strength = 12 pi (a6, a7) / Omega."""
        betas, strengths = [], []
        for index, functions in enumerate(self.radial):
            beta = scaled(phases[:, None, None, :], functions(wave_vectors)[None])
            betas.append(beta.reshape(-1, beta.shape[-1]))
            strengths.append(jnp.repeat(strength[:, index], beta.shape[1] * beta.shape[2]))
        return Nonlocal(jnp.concatenate(betas), jnp.concatenate(strengths))


def nonlocal_channel(largest_wave_vector: float, dtype: jnp.dtype) -> NonlocalChannel:
    """The channel for |K| up to `largest_wave_vector` (Bohr^-1).

    Weights exp(-r^2) and exp(-(r - 1.5)^2), r in Bohr.
    """
    cutoff = CUTOFF_IN_WIDTHS * _WIDTH
    first = radial_functions(
        lambda r: np.exp(-((r / _WIDTH) ** 2)), cutoff, largest_wave_vector, dtype
    )
    second = radial_functions(
        lambda r: np.exp(-(((r - _CENTER) / _WIDTH) ** 2)),
        cutoff + _CENTER,
        largest_wave_vector,
        dtype,
    )
    return NonlocalChannel((first, second))
