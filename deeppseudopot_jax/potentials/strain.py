"""The strain channel: local potentials that feel the volume of the cell."""

from jaxtyping import Array, Float


def strain_factor(
    a8: Float[Array, " species"], volume_ratio: Float[Array, ""]
) -> Float[Array, " species"]:
    """1 + a8 (Omega / Omega_0 - 1), the factor on a species' local potential."""
    return 1.0 + a8 * (volume_ratio - 1.0)
