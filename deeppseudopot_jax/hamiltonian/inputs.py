"""What H depends on linearly, and how energies follow it.

Form factors on shells and strengths of the separable channels: once dE of every level with respect
to them is known, no number of model parameters needs another product with H.
"""

from dataclasses import replace
from functools import reduce
from operator import add
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex

from deeppseudopot_jax.hamiltonian.assemble import AtK, hamiltonian_at
from deeppseudopot_jax.hamiltonian.local import Local


class Inputs(NamedTuple):
    """Form factors (Ha Bohr^3) and scaled strengths (Ha Bohr^-3) of one system.

    `form_factors` has axes (shell, species), every one of `strengths` starts with the atom;
    derivatives of levels have an axis of levels before these.
    """

    form_factors: Array
    strengths: tuple[Array, ...]

    def flat(self) -> Array:
        """All of them in one axis, the last, for derivatives of levels."""
        n_levels = self.form_factors.shape[0]
        parts = [self.form_factors, *self.strengths]
        return jnp.concatenate([part.reshape(n_levels, -1) for part in parts], axis=1)


def level_derivatives(point: AtK, vectors: Complex[Array, "row level"]) -> Inputs:
    """dE_n with respect to all inputs, by the Hellmann-Feynman theorem (Ha per unit of each).

    dE_n / dv_s(shell) = (1/Omega) sum over dG in the shell of Re[S_s(dG) conj(rho_n(dG))], with
    rho_n the Fourier transform of |psi_n(r)|^2. A change that keeps a degenerate multiplet together
    moves its levels by these numbers whatever its basis is.
    """
    tables, hamiltonian = point.tables, hamiltonian_at(point)
    local = hamiltonian.terms[0]
    assert isinstance(local, Local)
    psi = vectors.reshape(tables.n_spin, -1, vectors.shape[-1])
    density = local.density(psi, tables.difference_integers)
    n_shells = tables.shell_radii.shape[0]

    def of_species(structure_factor: Array) -> Array:
        parts = structure_factor.real * density.real + structure_factor.imag * density.imag
        return jax.ops.segment_sum(parts.T, tables.difference_shell, n_shells)

    shells = jax.vmap(of_species, out_axes=-1)(tables.structure_factors[:, None, :])
    form_factors = jnp.moveaxis(shells, 1, 0) / tables.volume

    def separable(strengths: tuple[Array, ...]) -> Array:
        field = replace(point.field, strengths=strengths)
        _, *terms = hamiltonian_at(point._replace(field=field)).terms
        return reduce(add, (term.expectation(psi) for term in terms))

    strengths = point.field.strengths
    return Inputs(form_factors, jax.jacfwd(separable)(strengths) if strengths else ())
