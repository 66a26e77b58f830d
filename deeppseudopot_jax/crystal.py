"""Lattice geometry: reciprocal lattice, cell volume, homogeneous deformation."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def reciprocal_lattice(lattice: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
    """Rows b_i (Bohr^-1) with a_i . b_j = 2 pi delta_ij, for lattice rows a_i (Bohr)."""
    return 2.0 * np.pi * np.linalg.inv(lattice).T


def cell_volume(lattice: Float[np.ndarray, "3 3"]) -> float:
    """Volume of the unit cell (Bohr^3), positive for left-handed rows too."""
    return float(abs(np.linalg.det(lattice)))


def deform(
    reciprocal: Float[Array, "3 3"], volume: Float[Array, ""], strain: Float[Array, "3 3"]
) -> tuple[Float[Array, "3 3"], Float[Array, ""]]:
    """Reciprocal rows and volume of the crystal whose every vector r became (1 + strain) r.

    Fractional coordinates, hence phases exp(i G . tau), do not change. An isotropic rescaling of
    lengths by s is `strain = (s - 1) * identity`.
    """
    deformation = jnp.eye(3, dtype=reciprocal.dtype) + strain
    # a_i -> F a_i keeps a_i . b_j = 2 pi delta_ij only if b_i -> F^-T b_i; rows: B F^-1.
    return reciprocal @ jnp.linalg.inv(deformation), volume * jnp.linalg.det(deformation)
