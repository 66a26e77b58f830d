"""Atoms that lie on top of each other, periodic images included: a slip in system_X.par."""

import itertools

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from deeppseudopot_jax.crystal import cell_volume, reciprocal_lattice

SMALLEST_DISTANCE = 0.5
"""Bohr; the shortest bond there is, of hydrogen, is 1.4 Bohr long."""

_MOST_SHIFTS = 1000


def too_crowded(lattice: Float[np.ndarray, "3 3"], n_atoms: int) -> bool:
    """Whether no arrangement in this cell keeps all atoms SMALLEST_DISTANCE apart.

    The densest packing of spheres of diameter d has one in d^3 / sqrt(2).
    """
    return cell_volume(lattice) < n_atoms * SMALLEST_DISTANCE**3 / 2.0**0.5


def too_thin(lattice: Float[np.ndarray, "3 3"]) -> bool:
    """Whether the images within reach are those of very many cells: its rows are nearly dependent.

    Other rows of the same lattice have fewer.
    """
    return bool(np.prod(2.0 * np.ceil(_margins(lattice)) + 1.0) > _MOST_SHIFTS)


def overlapping(
    lattice: Float[np.ndarray, "3 3"], positions: Float[np.ndarray, "atom 3"]
) -> dict[int, tuple[int, float]]:
    """Every atom that is too close to one before it or to its own image: which, and how far (Bohr).

    Args:
        lattice: rows in Bohr, of a cell that is neither `too_crowded` nor `too_thin`.
        positions: in fractions of them.
    """
    margins = _margins(lattice)
    reach = np.ceil(margins).astype(int)
    wrapped = positions - np.floor(positions)
    images, owners = [], []
    for shift in itertools.product(*(range(-n, n + 1) for n in reach.tolist())):
        moved = wrapped + np.array(shift)
        near = np.flatnonzero(np.all((moved >= -margins) & (moved <= 1.0 + margins), axis=1))
        images.append(moved[near])
        owners.append(near)
    owner = np.concatenate(owners)
    tree = cKDTree(np.concatenate(images) @ lattice)
    found: dict[int, tuple[int, float]] = {}
    for later, point in enumerate(wrapped @ lattice):
        for image in tree.query_ball_point(point, SMALLEST_DISTANCE):
            distance = float(np.linalg.norm(tree.data[image] - point))
            earlier = int(owner[image])
            itself = earlier == later and np.allclose(tree.data[image], point, rtol=0, atol=1e-12)
            if earlier > later or itself or distance >= SMALLEST_DISTANCE:
                continue
            if later not in found or distance < found[later][1]:
                found[later] = (earlier, distance)
    return found


def _margins(lattice: np.ndarray) -> np.ndarray:
    """SMALLEST_DISTANCE in units of the heights of the cell."""
    heights = 2.0 * np.pi / np.linalg.norm(reciprocal_lattice(lattice), axis=1)
    return SMALLEST_DISTANCE / heights
