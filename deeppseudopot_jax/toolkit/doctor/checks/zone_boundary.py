"""Band edges where the set of plane waves breaks off: at the zone boundary, or at the cutoff."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.basis import integers_in_sphere
from deeppseudopot_jax.crystal import reciprocal_lattice
from deeppseudopot_jax.toolkit.doctor.examined import Examined, counting_levels
from deeppseudopot_jax.toolkit.doctor.remarks import Remark
from deeppseudopot_jax.types import SystemInput

_EQUAL = 5e-4
"""Relative difference of two |k+G| that are as long: 1/3 may be written with four decimals."""
_NEAR = 5e-3
"""Of maxKE: a wave at an edge this near is in or out a hundredth of the zone away."""
_MANY = 0.05
"""Of the waves of an edge: a shell of them, where an even distribution has 0.015 that near."""


def edges_at_the_basis(examined: Examined) -> Iterator[Remark]:
    """Masses at a band edge need the same plane waves on all its sides.

    Spheres of |G| know nothing of the boundary of the zone, so that levels behind it are not those
    before it; in those of |k+G| a level jumps where a wave enters.
    """
    sphere = examined.bundle.settings.basis_sphere
    for system in examined.bundle.systems:
        for name, k in _edges(system):
            cutoff = system.max_kinetic_energy
            energies = _kinetic_energies(system, system.k_points[k])
            where = f"{system.name}: the {name} (k-point {k})"
            if sphere != "kG" and len(energies) > 1 and _are_equal(*energies[:2]):
                yield Remark(
                    "zone boundary",
                    "note",
                    f"{where} is on the boundary of the zone, behind which levels with "
                    f"basis_sphere = {sphere} are not those before it: masses there suffer",
                    "for a new fit basis_sphere = kG; an old potential belongs to its basis",
                )
            near = energies[np.abs(energies / cutoff - 1.0) < _NEAR]
            if sphere == "kG" and len(near) > _MANY * np.sum(energies < cutoff):
                yield Remark(
                    "waves at the cutoff",
                    "note",
                    f"{where} has {len(near)} plane waves of {near[0]:.5g} to {near[-1]:.5g} Ha, "
                    f"next to maxKE = {cutoff:g} Ha: levels jump where they enter, and masses of "
                    "close k-points with them",
                    "for a new fit another maxKE",
                )


def _edges(system: SystemInput) -> Iterator[tuple[str, int]]:
    """Valence maximum and conduction minimum of the reference, and the k-points they are at.

    None where levels of different k-points cannot be compared, or do not count.
    """
    reference, valence, conduction = (
        system.reference_energies, system.valence_band, system.conduction_band,
    )  # fmt: skip
    if reference is None or valence is None or conduction is None:
        return
    if system.relative_band is not None or not counting_levels(system)[[valence, conduction]].all():
        return
    yield "valence band maximum", int(reference[:, valence].argmax())
    yield "conduction band minimum", int(reference[:, conduction].argmin())


def _kinetic_energies(
    system: SystemInput, k_point: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, " wave"]:
    """|k+G|^2 / 2 (Ha) in ascending order, up to what is still next to maxKE."""
    reciprocal = reciprocal_lattice(system.crystal.lattice)
    center = (k_point - np.round(k_point)) @ reciprocal
    integers = integers_in_sphere(
        reciprocal, system.max_kinetic_energy * (1.0 + 2.0 * _NEAR), center
    )
    return np.sort(0.5 * np.sum((center + integers @ reciprocal) ** 2, axis=1))


def _are_equal(shortest: float, next_one: float) -> bool:
    return next_one - shortest < 2.0 * _EQUAL * next_one
