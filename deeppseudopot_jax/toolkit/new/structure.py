"""A crystal structure and the standard path through its zone, read by ASE."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.toolkit.extras import needed
from deeppseudopot_jax.types import Crystal
from deeppseudopot_jax.units import BOHR_IN_ANGSTROM

_SAME_CELL = 1e-3
"""Relative difference of two metrics: ASE idealises lattices within 2e-4."""
_SAME_POINT = 1e-6
_SAME_POSITION = 1e-3


@dataclass(frozen=True, eq=False)
class Structure:
    """A crystal, the lattice constant, and k-points along a path with the names of some.

    `k_points` are fractions of the reciprocal vectors of the crystal's own lattice; `scale` is in
    Bohr; `n_primitive` is how many primitive cells its cell holds.
    """

    name: str
    crystal: Crystal
    scale: float
    path: str
    k_points: Float[np.ndarray, "kpt 3"]
    labels: tuple[str, ...]
    n_primitive: int


def read_structure(path: Path, n_points: int) -> Structure:
    """The structure in a file that ASE knows, with about `n_points` k-points along its path.

    Raises:
        InputError: if the file cannot be read, or is no crystal.
        UnsupportedError: if ASE is not installed.
    """
    ase = needed("ase", "reading a structure", "ASE", "bundles")
    read = needed("ase.io", "reading a structure", "ASE", "bundles").read
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        atoms = read(path)
    except Exception as error:  # every format raises its own
        raise InputError(f"{path}: ASE cannot read it: {error or type(error).__name__}") from error
    if not isinstance(atoms, ase.Atoms) or len(atoms) == 0 or atoms.cell.rank < 3:
        raise InputError(f"{path}: a crystal needs atoms and three lattice vectors")
    lattice = np.array(atoms.cell) / BOHR_IN_ANGSTROM
    symbols = tuple(atoms.get_chemical_symbols())
    crystal = Crystal(lattice, atoms.get_scaled_positions(wrap=False), symbols)
    try:
        band_path = atoms.cell.bandpath(npoints=n_points)
        scale = float(atoms.cell.get_bravais_lattice().a) / BOHR_IN_ANGSTROM
    except Exception as error:
        raise InputError(f"{path}: ASE knows no path of its lattice: {error}") from error
    _check_cell(path, np.array(band_path.cell), np.array(atoms.cell))
    return Structure(
        name=atoms.get_chemical_formula("metal", empirical=True),
        crystal=crystal,
        scale=scale,
        path=str(band_path.path),
        k_points=np.array(band_path.kpts) + 0.0,
        labels=tuple(_label(k, band_path.special_points) for k in band_path.kpts),
        n_primitive=_primitive_cells(crystal),
    )


def _check_cell(path: Path, found: np.ndarray, given: np.ndarray) -> None:
    """Fractions of the path are those of the file's cell where both cells have the same metric.

    ASE may turn a cell in space, which leaves fractions as they are.
    """
    difference = np.abs(found @ found.T - given @ given.T).max()
    if difference > _SAME_CELL * np.abs(given @ given.T).max():
        raise InputError(f"{path}: ASE gives a path of another cell, choose a standard cell")


def _label(k: np.ndarray, special: dict[str, np.ndarray]) -> str:
    names = [name for name, point in special.items() if np.abs(k - point).max() < _SAME_POINT]
    return names[0] if names else ""


def _primitive_cells(crystal: Crystal) -> int:
    """How many primitive cells the cell holds: the translations that map it onto itself."""
    positions, symbols = crystal.fractional_positions, np.array(crystal.symbols)
    shifts = positions[symbols == symbols[0]] - positions[0]
    return sum(_maps(positions, symbols, shift) for shift in shifts)


def _maps(positions: np.ndarray, symbols: np.ndarray, shift: np.ndarray) -> bool:
    """Whether every atom has an atom of its kind at `shift` from it."""
    differences = positions[:, None] + shift - positions
    near = np.abs(differences - np.round(differences)).max(axis=2) < _SAME_POSITION
    return bool((near & (symbols[:, None] == symbols)).any(axis=1).all())
