"""The local potential: k-independent, built once per step on the grid of differences dG."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex, Float, Int

from deeppseudopot_jax.hamiltonian.tables import SystemTables
from deeppseudopot_jax.numerics import scaled
from deeppseudopot_jax.records import record

_LARGEST_DENSE_EXPECTATION = 400
"""Plane waves up to which the derivative of <V> is faster by the matrix (docs/performance.md)."""


@record
class LocalPotential:
    """V(dG) on the FFT grid and V(r) (Hartree) on the same grid in real space."""

    fourier: Complex[Array, "n1 n2 n3"]
    real_space: Float[Array, "n1 n2 n3"]

    def matrix(
        self, integers: Int[Array, "wave 3"], mask: Bool[Array, " wave"]
    ) -> Complex[Array, "wave wave"]:
        """V_ij = V(G_i - G_j) for a set of plane waves."""
        n1, n2, n3 = self.fourier.shape
        strides = jnp.asarray((n2 * n3, n3, 1), integers.dtype)
        wrapped = [
            strides[axis] * ((integers[:, None, axis] - integers[None, :, axis]) % n)
            for axis, n in enumerate((n1, n2, n3))
        ]
        block = self.fourier.ravel()[wrapped[0] + wrapped[1] + wrapped[2]]
        return jnp.where(mask[:, None] & mask[None, :], block, 0.0)


def local_potential(
    tables: SystemTables, values: Float[Array, "difference species"], volume: Float[Array, ""]
) -> LocalPotential:
    """V(dG) = (1/Omega) sum_s v_s(|dG|) S_s(dG) from form factors (Ha Bohr^3) at every dG."""
    components = jnp.sum(scaled(tables.structure_factors, values.T / volume), axis=0)
    grid = jnp.zeros(tables.fft_shape, components.dtype)
    grid = grid.at[tuple(tables.difference_integers.T)].add(components)
    return LocalPotential(grid, jnp.fft.ifftn(grid).real * grid.size)


@record
class Local:
    """V_loc seen by the waves of one k-point; `dense` is its matrix where that is small enough."""

    symbol: ClassVar[str] = "V_loc"
    potential: LocalPotential
    integers: Int[Array, "wave 3"]
    mask: Bool[Array, " wave"]
    dense: Complex[Array, "wave wave"] | None = None

    def _to_grid(self, psi: Complex[Array, "spin wave band"]) -> Complex[Array, "..."]:
        """Wave functions in real space, axes (spin, band, n1, n2, n3), times 1 / n_points."""
        shape = self.potential.real_space.shape
        values = jnp.where(self.mask[:, None], psi, 0.0).transpose(0, 2, 1)
        grid = jnp.zeros((*values.shape[:2], *shape), psi.dtype)
        grid = grid.at[(..., *self.integers.T)].add(values)
        return jnp.fft.ifftn(grid, axes=(-3, -2, -1))

    def apply(self, psi: Complex[Array, "spin wave band"]) -> Complex[Array, "spin wave band"]:
        """V psi, by the matrix if there is one, else by FFT on a grid without aliasing."""
        if self.dense is not None:
            return jnp.einsum("ij,sjn->sin", self.dense, psi)
        product = scaled(self._to_grid(psi), self.potential.real_space[None, None])
        product = jnp.fft.fftn(product, axes=(-3, -2, -1))
        values = product[(..., *self.integers.T)].transpose(0, 2, 1)
        return jnp.where(self.mask[:, None], values, 0.0)

    def matrix(self, n_spin: int) -> Complex[Array, "row column"]:
        """V_ij = V(G_i - G_j), block diagonal in spin."""
        matrix = self.dense
        if matrix is None:
            matrix = self.potential.matrix(self.integers, self.mask)
        return spin_diagonal(matrix, n_spin)

    def expectation(self, psi: Complex[Array, "spin wave band"]) -> Float[Array, " band"]:
        """<psi_n| V |psi_n>, by the matrix if it is small, else from the densities |psi_n(r)|^2.

        Densities need no N x N cotangent and one FFT; among few waves a product is faster.
        """
        if self.dense is not None and self.dense.shape[0] <= _LARGEST_DENSE_EXPECTATION:
            product = jnp.einsum("ij,sjn->sin", self.dense, psi)
            return jnp.einsum("sin,sin->n", psi.conj(), product).real
        return jnp.einsum("nxyz,xyz->n", self._density_on_grid(psi), self.potential.real_space)

    def density(
        self, psi: Complex[Array, "spin wave band"], differences: Int[Array, "difference 3"]
    ) -> Complex[Array, "band difference"]:
        """The Fourier components of |psi_n(r)|^2 at integer wave vectors, 1 at zero."""
        components = jnp.fft.fftn(self._density_on_grid(psi), axes=(-3, -2, -1))
        return components[(..., *differences.T)]

    def _density_on_grid(self, psi: Complex[Array, "spin wave band"]) -> Float[Array, "..."]:
        """|psi_n(r)|^2 on the grid, axes (band, n1, n2, n3); it adds up to 1."""
        amplitudes = self._to_grid(psi)
        density = jnp.sum(amplitudes.real**2 + amplitudes.imag**2, axis=0)
        return self.potential.real_space.size * density

    def restricted(self, waves: Int[Array, " wave"]) -> "Local":
        """V among some of the plane waves."""
        dense = None if self.dense is None else self.dense[waves][:, waves]
        return Local(self.potential, self.integers[waves], self.mask[waves], dense)


def spin_diagonal(block: Array, n_spin: int) -> Array:
    """The matrix that acts with `block` on every spin component."""
    return jnp.kron(jnp.eye(n_spin, dtype=block.dtype), block)
