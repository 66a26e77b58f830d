"""Whether the path lengths of expBandStruct_X.par are those of the k-points in kpoints_X.par.

Authors write distances along the path, in some unit, or |k|; or they number the k-points.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.crystal import reciprocal_lattice
from deeppseudopot_jax.k_path import k_steps
from deeppseudopot_jax.symmetry_points import point_namer

_ANGSTROM = 0.529177210903  # per Bohr
_TOLERANCE = 0.01
"""Of lengths, besides the rounding of the file; steps of other paths seldom agree so well."""

_CENTRED = ((0.5, 2.0**0.5), (-1.0 / 3.0, 2.0 / 3.0**0.5))
"""Of face- and body-centred cells: cosine between the vectors, edge of the cube over a vector."""


def misfit(
    path: Float[np.ndarray, " kpt"],
    k_points: Float[np.ndarray, "kpt 3"],
    lattice: Float[np.ndarray, "3 3"],
) -> int | None:
    """The first row whose path length is not that of its k-point; None where all of them may be.

    Lengths agree if they are distances along the path, jumps left out, or |k|, in Bohr^-1, 1/A or
    2 pi / a. Lengths that number the rows or do not change say nothing of k-points, and agree.

    Args:
        path: lengths in the file.
        k_points: in fractions of the reciprocal lattice.
        lattice: rows in Bohr.
    """
    steps = np.abs(np.diff(path))
    rounding = 1.5 * _last_digit(path)
    if np.ptp(steps) <= rounding and _is_a_number_of_rows(steps):
        return None
    found = k_steps(k_points, lattice)
    compared = np.ones(len(steps), bool)
    compared[found.jumps] = False
    distances = np.linalg.norm(k_points @ reciprocal_lattice(lattice), axis=1)
    worst = 0
    for unit in _units(lattice):
        along = ~_equal(steps, unit * found.lengths, rounding) & compared
        away = ~_equal(path, unit * distances, rounding)
        if not (along.any() and away.any()):
            return None
        worst = max(worst, int(np.argmax(along)) + 1, int(np.argmax(away)))
    return worst


def runs_backwards(
    path: Float[np.ndarray, " kpt"],
    k_points: Float[np.ndarray, "kpt 3"],
    lattice: Float[np.ndarray, "3 3"],
) -> int | None:
    """The first row from which the lengths run back while the k-points go straight on; else None.

    They may turn at corners, jumps and symmetry points (|k| does, at Gamma). Arguments are those of
    `misfit`.
    """
    turns = np.diff(path)[1:] * np.diff(path)[:-1] < 0.0
    inside = np.flatnonzero(turns & k_steps(k_points, lattice).straight)
    if not len(inside):
        return None
    name_of = point_namer(lattice)
    return next((int(i) + 2 for i in inside if not name_of(k_points[i + 1])), None)


def _units(lattice: np.ndarray) -> Iterator[float]:
    """What a length in Bohr^-1 is in the units that path lengths have."""
    yield from (1.0, 1.0 / _ANGSTROM, 0.5 / np.pi, 0.5 / np.pi / _ANGSTROM)
    lengths = np.linalg.norm(lattice, axis=1)
    cosines = (lattice @ lattice.T / np.outer(lengths, lengths))[np.triu_indices(3, 1)]
    edges = [edge for cosine, edge in _CENTRED if np.allclose(cosines, cosine, atol=1e-3)]
    for length in lengths:
        yield float(length) * (edges or [1.0])[0] / (2.0 * np.pi)


def _is_a_number_of_rows(steps: np.ndarray) -> bool:
    return not len(steps) or float(steps[0]) in (0.0, 1.0)


def _equal(found: np.ndarray, expected: np.ndarray, rounding: float) -> np.ndarray:
    equal: np.ndarray = np.abs(found - expected) <= _TOLERANCE * expected + rounding
    return equal


def _last_digit(values: np.ndarray) -> float:
    """The decimal place that numbers are given to, at most the ninth."""
    for digits in range(9):
        if np.allclose(values, np.round(values, digits), rtol=0.0, atol=1e-10):
            return float(10.0**-digits)
    return 1e-9
