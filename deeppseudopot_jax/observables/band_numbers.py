"""Numbers that a physicist reads off bands: gaps, edges, the splitting of the valence top, masses.

Which states they are made of is read off the bands themselves; then they are functions of a few
band energies, whose derivatives give their error bars.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.crystal import reciprocal_lattice
from deeppseudopot_jax.observables.observable import Group, Observable, known, place
from deeppseudopot_jax.types import SystemInput
from deeppseudopot_jax.units import HARTREE_IN_EV

_ONE_MULTIPLET = 1e-3
"""eV: levels at the valence top that are closer belong together."""
_LARGEST_SPLITTING = 2.0
"""eV: levels that lie deeper are other bands."""

State = tuple[int, int]
"""k-point and band."""


@dataclass(frozen=True, eq=False, kw_only=True)
class BandNumber(Observable):
    """A number that follows from bands; `slopes` are its derivatives with respect to them (eV).

    Its reference is the same number from the reference bands.
    """

    slopes: Float[np.ndarray, "kpt band"]


def band_numbers(system: SystemInput, bands: Float[np.ndarray, "kpt band"]) -> list[BandNumber]:
    """What can be said of one system; nothing where input_X.par names no band edges.

    The fundamental gap, the smallest direct gap and that at `idxGap`; the band edges; the distance
    of the valence top from the next lower multiplet at the same k-point; and where `idxGap` is
    given, the masses of hole and electron as the cost has them (`masses.neighbour_masses`).

    Args:
        system: names the band edges.
        bands: of the system at its k-points (eV), in the order of the bands.
    """
    reference = system.reference_energies
    others = () if reference is None else tuple(_all(system, reference))
    compared = {found.name: found.value for found in others}
    if system.relative_band is not None:  # The zero of energy is another one at every k-point.
        compared = {found.name: found.value for found in others if found.group != "edges"}
    numbers = []
    for found in _all(system, bands):
        slopes = np.zeros(bands.shape)
        for state, derivative in found.derivatives.items():
            slopes[state] = derivative
        value = known(found.value)
        numbers.append(
            BandNumber(
                group=found.group,
                name=found.name,
                unit=found.unit,
                value=value,
                where=found.where,
                reference=known(compared.get(found.name, np.nan)),
                note="" if value is not None else "the band is flat",
                slopes=slopes,
            )
        )
    return numbers


def gaps(system: SystemInput, bands: Float[np.ndarray, "kpt band"]) -> list[BandNumber]:
    """The gaps that the log tells of every potential, out of `band_numbers`.

    Where `idxGap` is given the direct gap there, else the fundamental gap, and the smallest direct
    one where that is another.
    """
    found = [number for number in band_numbers(system, bands) if number.group == "gaps"]
    at_point = [number for number in found if number.name not in ("gap", "direct gap")]
    if at_point or len(found) < 2:
        return at_point or found
    smallest, direct = found
    return [smallest] if smallest.value == direct.value else found


class _Found(NamedTuple):
    """A number and its derivatives by (k-point, band)."""

    group: Group
    name: str
    unit: str
    where: str
    value: float
    derivatives: dict[State, float]


def _all(system: SystemInput, bands: np.ndarray) -> Iterator[_Found]:
    valence, conduction = system.valence_band, system.conduction_band
    if valence is None:
        return
    top = int(np.argmax(bands[:, valence]))
    if conduction is not None:
        yield from _gaps(system, bands, (valence, conduction), top)
    yield _edge("valence band maximum", system, bands, (top, valence))
    if conduction is not None:
        bottom = int(np.argmin(bands[:, conduction]))
        yield _edge("conduction band minimum", system, bands, (bottom, conduction))
    lower = np.flatnonzero(bands[top] < bands[top, valence] - _ONE_MULTIPLET)
    if len(lower):
        below = int(lower[np.argmax(bands[top, lower])])
        if bands[top, valence] - bands[top, below] < _LARGEST_SPLITTING:
            where = f"{place(system, top)}, bands {below} and {valence}"
            states = (top, valence), (top, below)
            yield _difference("splittings", "valence splitting", where, bands, *states)
    if conduction is not None:
        yield from _masses(system, bands, (valence, conduction))


def _gaps(
    system: SystemInput, bands: np.ndarray, edges: tuple[int, int], top: int
) -> Iterator[_Found]:
    valence, conduction = edges
    bottom = int(np.argmin(bands[:, conduction]))
    where = place(system, top)
    if bottom != top:
        where += f" to {place(system, bottom)}"
    yield _difference("gaps", "gap", where, bands, (bottom, conduction), (top, valence))
    points = {"direct gap": int(np.argmin(bands[:, conduction] - bands[:, valence]))}
    chosen = system.gap_k_point
    if chosen is not None and chosen < len(bands):
        points[f"gap at k-point {chosen}"] = chosen
    for name, k in points.items():
        yield _difference("gaps", name, place(system, k), bands, (k, conduction), (k, valence))


def _edge(name: str, system: SystemInput, bands: np.ndarray, state: State) -> _Found:
    return _Found("edges", name, "eV", place(system, *state), float(bands[state]), {state: 1.0})


def _difference(
    group: Group, name: str, where: str, bands: np.ndarray, upper: State, lower: State
) -> _Found:
    value = float(bands[upper] - bands[lower])
    return _Found(group, name, "eV", where, value, {upper: 1.0, lower: -1.0})


def _masses(system: SystemInput, bands: np.ndarray, edges: tuple[int, int]) -> Iterator[_Found]:
    points = system.mass_points
    # In an evaluation idxGap may count k-points of a fit that are not among these.
    if points is None or max(points) >= len(bands):
        return
    step = np.subtract(*system.k_points[list(points)]) @ reciprocal_lattice(system.crystal.lattice)
    factor = 0.5 * HARTREE_IN_EV * float(step @ step)
    where = f"{place(system, points[0])} to {place(system, points[1])}"
    for name, band, sign in zip(("hole mass", "electron mass"), edges, (-1.0, 1.0), strict=True):
        at_edge, nearby = ((point, band) for point in points)
        change = float(sign * (bands[nearby] - bands[at_edge]))
        if change == 0.0:
            yield _Found("masses", name, "m_e", where, np.inf, {})
            continue
        slope = -factor / change**2 * sign
        derivatives = {nearby: slope, at_edge: -slope}
        yield _Found("masses", name, "m_e", where, factor / change, derivatives)
