"""The mean spin of states with spin-orbit coupling, with a basis of multiplets that fixes it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, Int

DEGENERATE = 1e-5
"""eV. Levels that follow one another more closely are one multiplet."""

_APART = 4.0
"""More than eigenvalues of sigma_z can differ by."""


class SpinTexture(NamedTuple):
    """Mean spins (units of hbar/2) of the states at one k-point.

    In a multiplet `coefficients` are those states in which sigma_z is diagonal, up first. Then
    <sigma_z> are the eigenvalues of P sigma_z P, P the projector on the multiplet, and as such
    belong to it alone; <sigma_x> and <sigma_y> do where these eigenvalues differ. `mean` is
    Tr(P sigma) over the number of states, whatever the basis. `multiplet` counts from 0.
    """

    coefficients: Complex[Array, "band 2 wave"]
    sigma: Float[Array, "band 3"]
    mean: Float[Array, "band 3"]
    multiplet: Int[Array, " band"]


@jax.jit
def spin_texture(
    energies: Float[Array, " band"], coefficients: Complex[Array, "band 2 wave"]
) -> SpinTexture:
    """<sigma_x>, <sigma_y>, <sigma_z> of states at one k-point.

    The last multiplet may lack states that were not solved for.

    Args:
        energies: in eV, ascending.
        coefficients: orthonormal, spin up and down.
    """
    multiplet = jnp.cumsum(jnp.diff(energies, prepend=energies[:1]) > DEGENERATE)
    together = multiplet[:, None] == multiplet[None, :]
    # Within multiplets; far apart from those of other ones, so that no state mixes with theirs.
    sigma_z = jnp.where(together, _elements(coefficients)[2], 0.0)
    places = jnp.diag(_APART * multiplet.astype(energies.dtype)).astype(sigma_z.dtype)
    mixing = jnp.linalg.eigh(places - sigma_z)[1]
    states = jnp.einsum("bsw,bm->msw", coefficients, mixing)
    sigma = jnp.einsum("abb->ba", _elements(states)).real
    weights = together.astype(energies.dtype)
    weights = weights / weights.sum(axis=1, keepdims=True)
    return SpinTexture(states, sigma, weights @ sigma, multiplet)


def _elements(states: Complex[Array, "band 2 wave"]) -> Complex[Array, "3 band band"]:
    """<m| sigma |n> for x, y and z."""
    overlaps = jnp.einsum("msw,ntw->stmn", states.conj(), states)
    up, down = overlaps[0, 0], overlaps[1, 1]
    flip = overlaps[0, 1]  # <m up|n down>
    back = overlaps[1, 0]
    return jnp.stack([flip + back, -1j * (flip - back), up - down])
