"""Standard paths through the Brillouin zone with labels, from ASE or seekpath."""

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.crystal import reciprocal_lattice
from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.toolkit.extras import needed
from deeppseudopot_jax.toolkit.structures import atoms_of
from deeppseudopot_jax.types import Crystal

PathSource = Literal["ase", "seekpath"]

_SAME_CELL = 1e-3
"""Relative difference of two metrics: ASE idealises lattices within 2e-4."""
_SAME_POINT = 1e-6


@dataclass(frozen=True, eq=False)
class StandardPath:
    """Points along a path in fractions of the reciprocal vectors, and the names of some.

    `name` spells the path, `labels` are "" between symmetry points.
    """

    name: str
    k_points: Float[np.ndarray, "kpt 3"]
    labels: tuple[str, ...]


def standard_path(
    crystal: Crystal, n_points: int, source: PathSource = "ase", tolerance: float = 1e-3
) -> StandardPath:
    """About `n_points` k-points along the standard path of a crystal.

    ASE looks at the lattice alone (W. Setyawan and S. Curtarolo, Comput. Mater. Sci. 49, 299
    (2010)), seekpath at the space group (Y. Hinuma et al., Comput. Mater. Sci. 128, 140 (2017)).

    Args:
        crystal: in any orientation.
        n_points: of the whole path.
        source: which package chooses the path.
        tolerance: of symmetry, Bohr; seekpath alone looks at it.

    Raises:
        InputError: if the package knows no path of this crystal.
        UnsupportedError: if it is not installed.
    """
    if source == "seekpath":
        return _path_of_seekpath(crystal, n_points, tolerance)
    return path_of_ase(atoms_of(crystal).cell, n_points)


def path_of_ase(cell: Any, n_points: int) -> StandardPath:
    """The path of an ase.cell.Cell, in fractions of this very cell.

    Raises:
        InputError: if ASE knows none.
    """
    try:
        path = cell.bandpath(npoints=n_points)
    except Exception as error:  # of no class in particular
        raise InputError(f"ASE knows no path of its lattice: {error}") from error
    _check_cell(np.array(path.cell), np.array(cell))
    labels = tuple(_label(k, path.special_points) for k in path.kpts)
    return StandardPath(str(path.path), np.array(path.kpts) + 0.0, labels)


def _check_cell(found: np.ndarray, given: np.ndarray) -> None:
    """Fractions of the path are those of the given cell where both cells have the same metric.

    ASE may turn a cell in space, which leaves fractions as they are.
    """
    difference = np.abs(found @ found.T - given @ given.T).max()
    if difference > _SAME_CELL * np.abs(given @ given.T).max():
        raise InputError("ASE gives a path of another cell, choose a standard cell")


def _label(k: np.ndarray, special: dict[str, np.ndarray]) -> str:
    names = [name for name, point in special.items() if np.abs(k - point).max() < _SAME_POINT]
    return names[0] if names else ""


def _path_of_seekpath(crystal: Crystal, n_points: int, tolerance: float) -> StandardPath:
    """The path of seekpath in fractions of the crystal's own cell, each piece in even steps."""
    seekpath = needed("seekpath", "a path of seekpath", "seekpath", "bundles")
    kinds = sorted(set(crystal.symbols))
    numbers = [kinds.index(symbol) + 1 for symbol in crystal.symbols]
    cell = (crystal.lattice.tolist(), crystal.fractional_positions.tolist(), numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of spglib, and of lattices between two kinds
        try:
            found = seekpath.get_path_orig_cell(cell, symprec=tolerance)
        except Exception as error:  # it has classes of its own, spglib others
            raise InputError(f"seekpath knows no path of this crystal: {error}") from error
    points = {name: np.round(k, 10) + 0.0 for name, k in found["point_coords"].items()}
    pieces: list[tuple[str, str]] = [tuple(piece) for piece in found["path"]]
    reciprocal = reciprocal_lattice(crystal.lattice)
    lengths = [float(np.linalg.norm((points[b] - points[a]) @ reciprocal)) for a, b in pieces]
    k_points, labels, name, end = [], [], "", ""
    for (first, last), length in zip(pieces, lengths, strict=True):
        if first != end:
            k_points.append(points[first])
            labels.append(first)
            name += f"{'|' if name else ''}{first}"
        n_steps = max(1, round(n_points * length / sum(lengths)))
        for step in range(1, n_steps + 1):
            k_points.append(points[first] + (points[last] - points[first]) * (step / n_steps))
        labels += [""] * (n_steps - 1) + [last]
        name, end = f"{name}-{last}", last
    return StandardPath(name, np.array(k_points), tuple(labels))
