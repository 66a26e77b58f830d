"""A crystal structure and the standard path through its zone, read by ASE."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.primitive_cell import primitive_cell
from deeppseudopot_jax.toolkit.paths import path_of_ase
from deeppseudopot_jax.toolkit.primitive.files import TOLERANCE
from deeppseudopot_jax.toolkit.structures import check_crystal, crystal_of, read_atoms
from deeppseudopot_jax.types import Crystal
from deeppseudopot_jax.units import BOHR_IN_ANGSTROM


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
    atoms = read_atoms(path)
    crystal = crystal_of(atoms)
    try:
        check_crystal(crystal)
        band_path = path_of_ase(atoms.cell, n_points)
        scale = float(atoms.cell.get_bravais_lattice().a) / BOHR_IN_ANGSTROM
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return Structure(
        name=atoms.get_chemical_formula("metal", empirical=True),
        crystal=crystal,
        scale=scale,
        path=band_path.name,
        k_points=band_path.k_points,
        labels=band_path.labels,
        n_primitive=_primitive_cells(crystal),
    )


def _primitive_cells(crystal: Crystal) -> int:
    """How many primitive cells `deeppseudopot primitive` would find in the cell; 1 if none."""
    try:
        return primitive_cell(crystal, TOLERANCE).n_cells
    except InputError:
        return 1
