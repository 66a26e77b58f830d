"""k-points are fractions of the reciprocal vectors, and their weights are used as they are."""

from collections.abc import Iterator

import numpy as np

from deeppseudopot_jax.crystal import cell_volume
from deeppseudopot_jax.files.bundle.path_lengths import misfit
from deeppseudopot_jax.toolkit.doctor.examined import Examined, counting_levels
from deeppseudopot_jax.toolkit.doctor.remarks import Remark
from deeppseudopot_jax.types import SystemInput
from deeppseudopot_jax.units import BOHR_IN_ANGSTROM

_DIGITS = 4
_EQUAL = 0.05
"""eV"""
_UNEVEN = 3.0
_SMALL, _LARGE = 0.1, 10.0


def equivalent_k_points(examined: Examined) -> Iterator[Remark]:
    """k-points that differ by a reciprocal vector, or in sign, have the same energies."""
    for system in examined.bundle.systems:
        reference = system.reference_energies
        if reference is None:
            continue
        counts = counting_levels(system)
        first: dict[bytes, int] = {}
        for i, k in enumerate(system.k_points):
            j = first.setdefault(_name(k), i)
            apart = np.abs(reference[i] - reference[j])[counts].max(initial=0.0)
            if apart > _EQUAL:
                yield Remark(
                    "equivalent k-points",
                    "warning",
                    f"kpoints_{system.index}.par: k-points {j} and {i} are the same up to a "
                    f"reciprocal vector or sign, but their reference energies differ by "
                    f"{apart:.3g} eV",
                    "write k-points in fractions of the reciprocal vectors, not in Cartesian "
                    "components, and one row of energies per k-point",
                )
                break


def _name(k: np.ndarray) -> bytes:
    """The same for k, -k, and all of their images in other cells."""
    both = [np.round(sign * k, _DIGITS) for sign in (1.0, -1.0)]
    inside = [np.round(each - np.floor(each), _DIGITS) % 1.0 + 0.0 for each in both]
    return min(tuple(each.tolist()) for each in inside).__repr__().encode()


def cartesian_k_points(examined: Examined) -> Iterator[Remark]:
    """Path lengths that fit k-points only if these are taken as Cartesian give them away."""
    for system in examined.bundle.systems:
        path, lattice = system.path_length, system.crystal.lattice
        if path is None or misfit(path, system.k_points, lattice) is None:
            continue
        cartesian = system.k_points @ lattice.T / (2.0 * np.pi)
        if any(misfit(path, unit * cartesian, lattice) is None for unit in _units(lattice)):
            yield Remark(
                "Cartesian k-points",
                "warning",
                f"kpoints_{system.index}.par: the path lengths of expBandStruct_{system.index}.par "
                "are those of these k-points if they are Cartesian",
                "write k-points in fractions of the reciprocal vectors: k_i = k . a_i / (2 pi)",
            )


def _units(lattice: np.ndarray) -> Iterator[float]:
    """What Cartesian components may be in, as Bohr^-1: these, 1/Angstrom, 2 pi / a."""
    yield from (1.0, BOHR_IN_ANGSTROM)
    edges = [(n * cell_volume(lattice)) ** (1.0 / 3.0) for n in (1, 2, 4)]  # of cubic lattices
    yield from (2.0 * np.pi / np.array([*edges, *np.linalg.norm(lattice, axis=1)])).tolist()


def sizes_of_k_weights(examined: Examined) -> Iterator[Remark]:
    """Weights are never normalised, and all that is compared with errors of bands presumes 1."""
    if not examined.fits:
        return
    for system in examined.bundle.systems:
        mean = float(np.mean(system.k_weights[system.is_fitted])) if _is_fitted(system) else 1.0
        if _SMALL < mean < _LARGE or mean == 0.0:
            continue
        total = float(system.k_weights.sum())
        yield Remark(
            "k weights",
            "warning",
            f"kpoints_{system.index}.par: weights are {mean:.3g} on average (their sum is "
            f"{total:.4g}), and they are used as they are",
            "scale them to about 1 per k-point: penalties, priors, the other terms of a cost and "
            "mc_beta presume that",
        )


def weights_of_systems(examined: Examined) -> Iterator[Remark]:
    """What a system weighs is the sum over its k-points and bands."""
    systems = [system for system in examined.bundle.systems if _is_fitted(system)]
    totals = [float(system.level_weights.sum()) for system in systems]
    if not examined.fits or len(totals) < 2 or max(totals) <= _UNEVEN * min(totals):
        return
    spelled = ", ".join(
        f"{system.name} {total:.4g}" for system, total in zip(systems, totals, strict=True)
    )
    yield Remark(
        "weights of systems",
        "warning",
        f"systems count differently in the cost (sum of k weights times band weights: {spelled})",
        "scale the weights of kpoints_X.par, unless one system is meant to count more",
    )


def _is_fitted(system: SystemInput) -> bool:
    return bool(system.level_weights.any())
