"""Spin-orbit coupling as separable projectors."""

from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from deeppseudopot_jax.hamiltonian.radial import (
    CUTOFF_IN_WIDTHS,
    RadialFunctions,
    radial_functions,
)
from deeppseudopot_jax.numerics import scaled
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.records import record

_WIDTH = 0.7


def _spin_coupling() -> np.ndarray:
    """M with (-i) (K x K') . sigma / 2 = sum_mn K_m M[m, s, n, t] K'_n, shape (3, 2, 3, 2)."""
    levi_civita = np.zeros((3, 3, 3))
    for a, b, c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        levi_civita[a, b, c], levi_civita[a, c, b] = 1.0, -1.0
    pauli = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    return -0.5j * np.einsum("lmn,lst->msnt", levi_civita, pauli)


_COUPLING = _spin_coupling()


@record
class SpinOrbit:
    """sum_p strength_p |beta_pm s> M_(ms,nt) <beta_pn t|, m and n Cartesian, s and t spin."""

    symbol: ClassVar[str] = "V_SO"
    beta: Complex[Array, "projector 3 wave"]
    strength: Float[Array, " projector"]

    def _coupled(self, overlaps: Complex[Array, "projector 3 spin band"]) -> Array:
        coupling = jnp.asarray(_COUPLING, overlaps.dtype)
        mixed = jnp.einsum("msnt,pntb->pmsb", coupling, overlaps)
        return scaled(mixed, self.strength[:, None, None, None])

    def apply(self, psi: Complex[Array, "spin wave band"]) -> Complex[Array, "spin wave band"]:
        """V_SO psi."""
        overlaps = jnp.einsum("pmi,sib->pmsb", self.beta.conj(), psi)
        return jnp.einsum("pmi,pmsb->sib", self.beta, self._coupled(overlaps))

    def matrix(self, n_spin: int) -> Complex[Array, "row column"]:
        """V_SO as a matrix ordered [all up, all down]."""
        n_waves = self.beta.shape[-1]
        identity = jnp.eye(n_spin, dtype=self.beta.dtype)
        overlaps = jnp.einsum("pmi,st->pmsti", self.beta.conj(), identity)
        overlaps = overlaps.reshape(*overlaps.shape[:3], n_spin * n_waves)
        columns = jnp.einsum("pmi,pmsb->sib", self.beta, self._coupled(overlaps))
        return columns.reshape(n_spin * n_waves, n_spin * n_waves)

    def expectation(self, psi: Complex[Array, "spin wave band"]) -> Float[Array, " band"]:
        """<psi_n| V_SO |psi_n>."""
        overlaps = jnp.einsum("pmi,sib->pmsb", self.beta.conj(), psi)
        return jnp.einsum("pmsb,pmsb->b", overlaps.conj(), self._coupled(overlaps)).real

    def restricted(self, waves: Int[Array, " wave"]) -> "SpinOrbit":
        """V_SO among some of the plane waves."""
        return SpinOrbit(self.beta[..., waves], self.strength)


@record
class SpinOrbitChannel:
    """Builds V_SO at any k from the coefficients a5; it holds the radial functions."""

    n_coefficients: ClassVar[int] = 1
    radial: RadialFunctions

    def strength(
        self, params: Parameters, atom_species: Int[Array, " atom"]
    ) -> Float[Array, " atom"]:
        """a5 of every atom."""
        return params.spin_orbit[atom_species]

    def term(
        self,
        wave_vectors: Float[Array, "wave 3"],
        phases: Complex[Array, "atom wave"],
        strength: Float[Array, " atom"],
    ) -> SpinOrbit:
        """strength I_SO S(dG) (-i) (K x K') . sigma / (2 |K||K'|); strength = 12 pi a5 / Omega."""
        beta = scaled(phases[:, None, None, :], self.radial(wave_vectors)[None])
        return SpinOrbit(beta.reshape(-1, *beta.shape[2:]), jnp.repeat(strength, beta.shape[1]))


def spin_orbit_channel(largest_wave_vector: float, dtype: jnp.dtype) -> SpinOrbitChannel:
    """The channel for |K| up to `largest_wave_vector` (Bohr^-1); weight exp(-(r / 0.7)^2)."""
    radial = radial_functions(
        lambda r: np.exp(-((r / _WIDTH) ** 2)),
        CUTOFF_IN_WIDTHS * _WIDTH,
        largest_wave_vector,
        dtype,
    )
    return SpinOrbitChannel(radial)
