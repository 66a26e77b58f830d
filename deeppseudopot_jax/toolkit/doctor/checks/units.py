"""Lengths in Angstrom, energies in Hartree or Rydberg: numbers that no solid has."""

import itertools
from collections.abc import Iterator

import numpy as np

from deeppseudopot_jax.toolkit.doctor.examined import Examined, counting_levels
from deeppseudopot_jax.toolkit.doctor.remarks import Remark
from deeppseudopot_jax.types import Crystal
from deeppseudopot_jax.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV

_LIGHTEST = {"H": 0.6, "He": 0.6}
_SECOND_ROW = frozenset({"Li", "Be", "B", "C", "N", "O", "F", "Ne"})
_THIRD_AND_FOURTH_ROW = frozenset(
    {"Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar", "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe"}
    | {"Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr"}
)
_FARTHEST = 12.0
"""Bohr: atoms of caesium are 10 Bohr apart."""

_OTHER_UNITS = {"Hartree": HARTREE_IN_EV, "Rydberg": HARTREE_IN_EV / 2.0}
_AS_WIDE = 1.3
"""Ratio of two widths of bands that count as the same."""
_NARROWEST, _FEWEST = 1.5, 8
"""eV, and bands: so many together are wider."""


def units_of_lengths(examined: Examined) -> Iterator[Remark]:
    """Atoms keep a distance of bonds: less is a scale in Angstrom, more a scale in other units."""
    for system in examined.bundle.systems:
        distance, pair = nearest_neighbours(system.crystal)
        shortest = sum(map(_smallest_radius, pair))
        if shortest <= distance <= _FARTHEST:
            continue
        text = (
            f"system_{system.index}.par: the nearest atoms, {pair[0]} and {pair[1]}, are "
            f"{distance:.3g} Bohr apart; "
        )
        if distance < shortest:
            text += f"as {distance:.3g} Angstrom they would be {distance / BOHR_IN_ANGSTROM:.3g}"
        else:
            text += f"no more than {_FARTHEST:g} are to be expected"
        yield Remark("unit of lengths", "warning", text, "give `scale` in Bohr")


def nearest_neighbours(crystal: Crystal) -> tuple[float, tuple[str, str]]:
    """The shortest distance in Bohr of two atoms, images included, and what they are.

    Images are looked for in the 26 cells around, which holds where the cell is not very flat.
    """
    shifts = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    positions = crystal.fractional_positions - np.floor(crystal.fractional_positions)
    nearest, pair = np.inf, (0, 0)
    for i, position in enumerate(positions):
        vectors = (positions[None, :] + shifts[:, None] - position) @ crystal.lattice
        distances = np.linalg.norm(vectors, axis=-1)
        distances[len(shifts) // 2, i] = np.inf
        if distances.min() < nearest:
            nearest = float(distances.min())
            pair = i, int(np.argmin(distances.min(axis=0)))
    return nearest, (crystal.symbols[pair[0]], crystal.symbols[pair[1]])


def _smallest_radius(symbol: str) -> float:
    """Half of the shortest bond (Bohr) that an element has with others like it."""
    if symbol in _SECOND_ROW:
        return 1.0
    return _LIGHTEST.get(symbol, 1.6 if symbol in _THIRD_AND_FOURTH_ROW else 2.0)


def units_of_energies(examined: Examined) -> Iterator[Remark]:
    """The reference is as wide as the bands of the start, or, not knowing them, not too narrow."""
    for i, system in enumerate(examined.bundle.systems):
        reference = system.reference_energies
        if reference is None:
            continue
        counts = counting_levels(system)
        if examined.start is None:
            if counts.sum() >= _FEWEST and np.ptp(reference[:, counts]) < _NARROWEST:
                yield _narrow(system.index, float(np.ptp(reference[:, counts])))
            continue
        start, n = examined.start[i], system.n_bands
        rows = list(start.points)
        if not counts.any():
            continue
        width = float(np.ptp(reference[rows][:, counts]))
        expected = float(np.ptp(start.bands[:, :n][:, counts]))
        for unit, in_ev in _OTHER_UNITS.items():
            if 1.0 / _AS_WIDE < width * in_ev / expected < _AS_WIDE:
                yield _narrow(system.index, width, f", in {unit} as wide as those of the start")


def _narrow(index: int, width: float, as_wide: str = "") -> Remark:
    return Remark(
        "unit of energies",
        "warning",
        f"expBandStruct_{index}.par: all bands lie within {width:.3g} eV{as_wide}",
        "give energies in eV (1 Ha = 27.2114 eV)",
    )
