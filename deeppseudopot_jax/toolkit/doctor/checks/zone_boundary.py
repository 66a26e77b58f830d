"""Band edges where the set of plane waves breaks off: at the zone boundary, or at the cutoff."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.crystal import reciprocal_lattice
from deeppseudopot_jax.toolkit.doctor.examined import Examined
from deeppseudopot_jax.toolkit.doctor.remarks import Remark
from deeppseudopot_jax.types import SystemInput

_EQUAL = 1e-4
"""Relative difference of two |k+G| that are as long, for the decimals of files."""
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
            energies = _kinetic_energies(system, system.k_points[k])
            where = f"{system.name}: the {name} (k-point {k})"
            if sphere != "kG" and _are_equal(*energies[:2]):
                yield Remark(
                    "zone boundary",
                    "note",
                    f"{where} is on the boundary of the zone, behind which levels with "
                    f"basis_sphere = {sphere} are not those before it: masses there suffer",
                    "for a new fit basis_sphere = kG; an old potential belongs to its basis",
                )
            cutoff = system.max_kinetic_energy
            near = energies[np.abs(energies / cutoff - 1.0) < _NEAR]
            if sphere == "kG" and len(near) > _MANY * np.sum(energies < cutoff):
                yield Remark(
                    "waves at the cutoff",
                    "note",
                    f"{where} has {len(near)} plane waves of {near.mean():.4g} Ha, next to maxKE = "
                    f"{cutoff:g} Ha: levels jump where they enter, and masses of close k-points "
                    "with them",
                    "for a new fit another maxKE",
                )


def _edges(system: SystemInput) -> Iterator[tuple[str, int]]:
    """Valence maximum and conduction minimum of the reference, and the k-points they are at."""
    reference = system.reference_energies
    if reference is None or system.valence_band is None or system.conduction_band is None:
        return
    yield "valence band maximum", int(reference[:, system.valence_band].argmax())
    yield "conduction band minimum", int(reference[:, system.conduction_band].argmin())


def _kinetic_energies(
    system: SystemInput, k_point: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, " wave"]:
    """|k+G|^2 / 2 (Ha) in ascending order, of all waves up to maxKE and beyond."""
    lattice = system.crystal.lattice
    inside = k_point - np.round(k_point)
    longest = np.sqrt(2.0 * system.max_kinetic_energy) * (1.0 + _NEAR)
    most = np.ceil(longest * np.linalg.norm(lattice, axis=1) / (2.0 * np.pi)).astype(int) + 1
    integers = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in most)), axis=-1).reshape(-1, 3)
    vectors = (inside + integers) @ reciprocal_lattice(lattice)
    return np.sort(0.5 * np.sum(vectors**2, axis=1))


def _are_equal(shortest: float, next_one: float) -> bool:
    return next_one - shortest < 2.0 * _EQUAL * next_one
