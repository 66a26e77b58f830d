"""Whether levels are counted once or twice: told from the levels, against what a file says."""

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.crystal import reciprocal_lattice
from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.toolkit.convert.source import SourceBands

_SAME_LEVEL = 1e-6
"""eV: copies of one level differ by nothing."""
_KRAMERS_PAIR = 0.005
"""eV: pairs of spinor levels that two programs and their rounding leave together."""
_SAME_POINT = 2e-5
"""Of fractions; Cartesian k of five decimals, for one, are no better."""
_INSIDE = 0.45
"""Of the shortest reciprocal vector; the nearest face of the zone is at half of it."""


def check_spin(source: SourceBands) -> None:
    """Levels that come twice are spinors or copies, and spinors are pairs where k equals -k.

    Raises:
        InputError: if levels that should stand for two states are written twice, or levels that
            should be those of spinors are no pairs.
    """
    if not source.is_spinor and _some_inside(source) and _all_paired(source.energies, _SAME_LEVEL):
        raise InputError(
            "every level is there twice at every k-point, but the calculation is said to be "
            "one without spinors: a table that is doubled for spin already must say so"
        )
    invariant = _time_reversal_invariant(source.k_points)
    if (
        source.is_spinor
        and source.first_band % 2 == 0
        and source.energies.shape[1] > 1
        and invariant.any()
        and not _all_paired(source.energies[invariant], _KRAMERS_PAIR)
    ):
        row = int(np.flatnonzero(invariant)[0])
        raise InputError(
            f"the levels at k-point {row} (from 0) are no pairs, as those of spinors are where k "
            "and -k are equivalent: the calculation is magnetic, or one without spinors"
        )


def cannot_be_spinors(
    energies: Float[np.ndarray, "kpt level"], k_points: Float[np.ndarray, "kpt 3"], first_band: int
) -> bool:
    """Whether levels are no Kramers pairs somewhere where those of spinors have to be.

    That is at k-points that differ from -k by a reciprocal vector, without magnetism. The reverse
    tells nothing: without spin-orbit coupling, too, levels may be pairs there by symmetry.

    Args:
        energies: of the mean field, eV.
        k_points: in fractions of the reciprocal vectors.
        first_band: number of the first level, from 0; an odd one parts a pair.
    """
    invariant = _time_reversal_invariant(k_points)
    whole = energies.shape[1] // 2 * 2
    if first_band % 2 or whole == 0 or not invariant.any():
        return False
    return not _all_paired(energies[invariant], _KRAMERS_PAIR)


def _all_paired(energies: Float[np.ndarray, "kpt level"], tolerance: float) -> bool:
    """Whether levels 0 and 1, 2 and 3, ... are equal at every k-point; an odd last one is alone."""
    n_pairs = energies.shape[1] // 2
    pairs = energies[:, : 2 * n_pairs].reshape(len(energies), n_pairs, 2)
    return n_pairs > 0 and bool((np.abs(np.diff(pairs, axis=2)) < tolerance).all())


def _some_inside(source: SourceBands) -> bool:
    """Whether a k-point lies inside the zone; on its faces screw axes can pair all levels."""
    reciprocal = reciprocal_lattice(source.crystal.lattice)
    neighbours = np.indices((3, 3, 3)).reshape(3, -1).T - 1
    lengths = np.linalg.norm(neighbours @ reciprocal, axis=1)
    distances = np.linalg.norm((source.k_points - np.round(source.k_points)) @ reciprocal, axis=1)
    return bool((distances < _INSIDE * lengths[lengths > 0.0].min()).any())


def _time_reversal_invariant(k_points: Float[np.ndarray, "kpt 3"]) -> np.ndarray:
    """Which points differ from their negative by a reciprocal vector."""
    invariant: np.ndarray = (
        np.abs(2 * k_points - np.round(2 * k_points)).max(axis=1) < 2 * _SAME_POINT
    )
    return invariant
