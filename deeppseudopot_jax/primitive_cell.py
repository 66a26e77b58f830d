"""The primitive cell of a crystal, in the same orientation, and k-points that follow it there."""

from dataclasses import dataclass

import numpy as np
import spglib
from jaxtyping import Float, Int

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.symmetry_library import found_by
from deeppseudopot_jax.types import Crystal

_AT_THE_END = 1e-9
"""Fractions this little below 1 are 0."""


@dataclass(frozen=True, eq=False)
class PrimitiveCell:
    """The primitive cell of a crystal, whose own lattice is `multiples @ crystal.lattice`."""

    crystal: Crystal
    multiples: Int[np.ndarray, "3 3"]

    @property
    def n_cells(self) -> int:
        """How many primitive cells the cell holds that it was found in."""
        return round(abs(np.linalg.det(self.multiples)))

    def k_points(self, k_points: Float[np.ndarray, "kpt 3"]) -> Float[np.ndarray, "kpt 3"]:
        """The same Cartesian k in fractions of the primitive reciprocal vectors.

        k = f B = f' B' with lattice rows A = N A' and so B = N^-T B' gives f' = f N^-T.
        """
        return k_points @ np.linalg.inv(self.multiples).T


def primitive_cell(crystal: Crystal, tolerance: float) -> PrimitiveCell:
    """The primitive cell of a crystal, which is not turned or made more symmetric.

    Its lattice vectors are spglib's standard ones in the orientation of the crystal, and its atoms
    the means of their images, in the order in which they come first. A crystal that is primitive
    already keeps its own vectors.

    Args:
        crystal: any cell.
        tolerance: how far (Bohr) atoms may be from where translations put them.

    Raises:
        InputError: if spglib finds no symmetry, or the atoms are not periodic within `tolerance`.
    """
    multiples = _multiples(crystal, tolerance)
    n_cells = round(abs(np.linalg.det(multiples)))
    if n_cells == 1:
        return PrimitiveCell(crystal, np.eye(3, dtype=int))
    lattice = np.linalg.solve(multiples, crystal.lattice)
    found: list[tuple[str, np.ndarray, list[np.ndarray]]] = []
    for symbol, position in zip(
        crystal.symbols, crystal.fractional_positions @ multiples, strict=True
    ):
        for other, first, images in found:
            difference = position - first
            difference -= np.round(difference)
            if other == symbol and np.linalg.norm(difference @ lattice) < 2.0 * tolerance:
                images.append(difference)
                break
        else:
            found.append((symbol, position, [np.zeros(3)]))
    if any(len(images) != n_cells for *_, images in found):
        raise InputError(
            f"the atoms are not those of {n_cells} primitive cells within {tolerance:g} Bohr"
        )
    positions = np.array([first + np.mean(images, axis=0) for _, first, images in found])
    wrapped = positions - np.floor(positions + _AT_THE_END)
    return PrimitiveCell(Crystal(lattice, wrapped, tuple(s for s, *_ in found)), multiples)


def _multiples(crystal: Crystal, tolerance: float) -> Int[np.ndarray, "3 3"]:
    """The lattice in units of spglib's primitive vectors, with a positive determinant."""
    atoms = crystal.lattice, crystal.fractional_positions, crystal.symbols
    found = found_by(
        spglib.standardize_cell, *atoms, tolerance, to_primitive=True, no_idealize=True
    )
    if found is None:
        raise InputError(
            f"spglib finds no symmetry within {tolerance:g} Bohr: atoms may lie in each other, or "
            "the tolerance may be too large"
        )
    ratios = crystal.lattice @ np.linalg.inv(found[0])
    multiples = np.round(ratios).astype(int)
    misfit = np.linalg.norm((ratios - multiples) @ found[0], axis=1).max()
    if misfit > tolerance or round(abs(np.linalg.det(multiples))) < 1:
        raise InputError(f"spglib's cell does not fit into this one: {misfit:.2g} Bohr are left")
    return multiples * round(np.sign(np.linalg.det(multiples)))
