"""Numbers that a physicist reads off bands: gaps, the splitting of the valence top, masses.

Which states they are made of is read off the bands themselves; then they are functions of a few
band energies, whose derivatives give their error bars.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.crystal import reciprocal_lattice
from deeppseudopot_jax.types import SystemInput
from deeppseudopot_jax.units import HARTREE_IN_EV

_ONE_MULTIPLET = 1e-3
"""eV: levels at the valence top that are closer belong together."""
_LARGEST_SPLITTING = 2.0
"""eV: levels that lie deeper are other bands."""


@dataclass(frozen=True, eq=False)
class BandNumber:
    """One number of one system; `slopes` are its derivatives with respect to the bands (eV).

    `reference` is the same number from the reference bands, None without any.
    """

    system: str
    name: str
    unit: str
    value: float
    reference: float | None
    slopes: Float[np.ndarray, "kpt band"]


_Found = tuple[str, str, float, dict[tuple[int, int], float]]
"""Name, unit, value, and derivative by (k-point, band)."""


def band_numbers(system: SystemInput, bands: Float[np.ndarray, "kpt band"]) -> list[BandNumber]:
    """What can be said of one system; nothing where input_X.par names no band edges.

    The fundamental gap and the direct gap at the valence maximum, the distance of the valence top
    from the next lower multiplet at the same k-point, and where `idxGap` is given, the masses of
    hole and electron as the cost has them (`observables.masses.neighbour_masses`).

    Args:
        system: names the band edges.
        bands: of the system at its k-points (eV), in the order of the bands.
    """
    reference = system.reference_energies
    read = () if reference is None else _all(system, reference)
    known = {name: value for name, _, value, _ in read}
    numbers = []
    for name, unit, value, derivatives in _all(system, bands):
        slopes = np.zeros(bands.shape)
        for place, derivative in derivatives.items():
            slopes[place] = derivative
        numbers.append(BandNumber(system.name, name, unit, value, known.get(name), slopes))
    return numbers


def gaps(system: SystemInput, bands: Float[np.ndarray, "kpt band"]) -> dict[str, float]:
    """The gap of a system in eV, by what it is; nothing where input_X.par names no band edges.

    Where `idxGap` is given the direct gap there, else the fundamental gap, and the smallest direct
    one where that is another.
    """
    valence, conduction, k_point = system.valence_band, system.conduction_band, system.gap_k_point
    if valence is None or conduction is None:
        return {}
    direct = bands[:, conduction] - bands[:, valence]
    if k_point is not None:
        return {f"gap at k-point {k_point}": float(direct[k_point])}
    found = {"gap": float(bands[:, conduction].min() - bands[:, valence].max())}
    smallest = float(direct.min())
    return found if smallest == found["gap"] else found | {"direct gap": smallest}


def _all(system: SystemInput, bands: np.ndarray) -> Iterator[_Found]:
    valence, conduction = system.valence_band, system.conduction_band
    if valence is None:
        return
    top = int(np.argmax(bands[:, valence]))
    if conduction is not None:
        bottom = int(np.argmin(bands[:, conduction]))
        yield _difference("gap", bands, (bottom, conduction), (top, valence))
        yield _difference("direct gap", bands, (top, conduction), (top, valence))
    lower = np.flatnonzero(bands[top] < bands[top, valence] - _ONE_MULTIPLET)
    if len(lower):
        below = int(lower[np.argmax(bands[top, lower])])
        if bands[top, valence] - bands[top, below] < _LARGEST_SPLITTING:
            yield _difference("valence splitting", bands, (top, valence), (top, below))
    points = system.mass_points
    if points is not None and conduction is not None and len(bands) > 1:
        yield from _masses(system, bands, points, (valence, conduction))


def _difference(
    name: str, bands: np.ndarray, upper: tuple[int, int], lower: tuple[int, int]
) -> _Found:
    return name, "eV", float(bands[upper] - bands[lower]), {upper: 1.0, lower: -1.0}


def _masses(
    system: SystemInput, bands: np.ndarray, points: tuple[int, int], edges: tuple[int, int]
) -> Iterator[_Found]:
    step = np.subtract(*system.k_points[list(points)]) @ reciprocal_lattice(system.crystal.lattice)
    factor = 0.5 * HARTREE_IN_EV * float(step @ step)
    for name, band, sign in zip(("hole mass", "electron mass"), edges, (-1.0, 1.0), strict=True):
        at_edge, nearby = ((point, band) for point in points)
        change = sign * (bands[nearby] - bands[at_edge])
        if change != 0.0:
            slope = -factor / change**2 * sign
            yield name, "m_e", float(factor / change), {nearby: slope, at_edge: -slope}
