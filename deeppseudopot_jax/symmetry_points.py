"""Names of symmetry points of the Brillouin zone, found from the metric of the lattice.

Only angles and lengths of the lattice vectors count, not how the crystal lies in space.
"""

from collections.abc import Callable

import numpy as np
import spglib
from jaxtyping import Float, Int

from deeppseudopot_jax.symmetry_library import found_by

_RELATIVE_TOLERANCE = 1e-3  # lengths and cosines that count as equal
_SAME_POINT = 1e-4  # in fractions of the reciprocal vectors; files carry 4 decimals or more

Points = dict[str, tuple[float, float, float]]
_THIRD = 1.0 / 3.0
_CUBIC: Points = {"X": (0.0, 0.5, 0.0), "M": (0.5, 0.5, 0.0), "R": (0.5, 0.5, 0.5)}
_TETRAGONAL: Points = {
    "X": (0.0, 0.5, 0.0), "M": (0.5, 0.5, 0.0), "Z": (0.0, 0.0, 0.5), "R": (0.0, 0.5, 0.5),
    "A": (0.5, 0.5, 0.5),
}  # fmt: skip
_ORTHORHOMBIC: Points = {
    "X": (0.5, 0.0, 0.0), "Y": (0.0, 0.5, 0.0), "Z": (0.0, 0.0, 0.5), "S": (0.5, 0.5, 0.0),
    "T": (0.0, 0.5, 0.5), "U": (0.5, 0.0, 0.5), "R": (0.5, 0.5, 0.5),
}  # fmt: skip
_FACE_CENTRED: Points = {
    "X": (0.5, 0.0, 0.5), "L": (0.5, 0.5, 0.5), "W": (0.5, 0.25, 0.75),
    "K": (0.375, 0.375, 0.75), "U": (0.625, 0.25, 0.625),
}  # fmt: skip
_BODY_CENTRED: Points = {"H": (0.5, -0.5, 0.5), "N": (0.0, 0.0, 0.5), "P": (0.25, 0.25, 0.25)}
_HEXAGONAL_120: Points = {
    "M": (0.5, 0.0, 0.0), "K": (_THIRD, _THIRD, 0.0), "A": (0.0, 0.0, 0.5), "L": (0.5, 0.0, 0.5),
    "H": (_THIRD, _THIRD, 0.5),
}  # fmt: skip
_HEXAGONAL_60: Points = {
    **_HEXAGONAL_120, "K": (2 * _THIRD, _THIRD, 0.0), "H": (2 * _THIRD, _THIRD, 0.5),
}  # fmt: skip

# Cosines of the angles (bc, ca, ab) of the primitive lattice vectors, which of the lengths a, b, c
# are equal, and the points, in the usual setting (Setyawan and Curtarolo, Comput. Mater. Sci. 49,
# 299 (2010)).
_LATTICES: tuple[tuple[tuple[float, float, float], str, Points], ...] = (
    ((0.5, 0.5, 0.5), "abc", _FACE_CENTRED),
    ((-_THIRD, -_THIRD, -_THIRD), "abc", _BODY_CENTRED),
    ((0.0, 0.0, 0.0), "abc", _CUBIC),
    ((0.0, 0.0, -0.5), "ab", _HEXAGONAL_120),
    ((0, 0, 0.5), "ab", _HEXAGONAL_60),
    ((0, 0, 0), "ab", _TETRAGONAL),
    ((0, 0, 0), "", _ORTHORHOMBIC),
)


def point_group(lattice: Float[np.ndarray, "3 3"]) -> Int[np.ndarray, "operation 3 3"]:
    """The rotations of a bare lattice as matrices that act on fractional k from the right.

    Identity and inversion alone where spglib finds nothing.
    """
    tolerance = _RELATIVE_TOLERANCE * np.linalg.norm(lattice, axis=1).min()
    point = np.zeros((1, 3)), ("one",)
    found = found_by(spglib.get_symmetry_dataset, lattice, *point, tolerance)
    # These act on fractional positions from the left, and their inverses on k from the right; the
    # inverses are the same group.
    identity = np.eye(3, dtype=int)
    return np.stack([identity, -identity]) if found is None else found.rotations.astype(int)


def point_namer(lattice: Float[np.ndarray, "3 3"]) -> Callable[[np.ndarray], str]:
    """A function from fractional k to the name of that symmetry point, "" where it has none."""
    operations = point_group(lattice)
    stars = {name: np.array(point) @ operations for name, point in _points(lattice).items()}

    def name_of(k: np.ndarray) -> str:
        if _hits(k - np.round(k)):
            return "Γ"
        # First as written, because K and U of the fcc zone differ by a reciprocal vector only.
        for shift in (np.zeros_like, np.round):
            for name, star in stars.items():
                if _hits(k - star - shift(k - star)):
                    return name
        return ""

    return name_of


def equivalent(
    left: np.ndarray, right: np.ndarray, operations: Int[np.ndarray, "operation 3 3"]
) -> bool:
    """Whether two fractional k-points are images of each other."""
    differences = left @ operations - right
    return _hits(differences - np.round(differences))


def _points(lattice: np.ndarray) -> Points:
    lengths = np.linalg.norm(lattice, axis=1)
    gram = (lattice @ lattice.T) / np.outer(lengths, lengths)
    cosines = (gram[1, 2], gram[2, 0], gram[0, 1])
    for expected, equal, points in _LATTICES:
        same = [lengths["abc".index(axis)] for axis in equal] or [1.0]
        if (
            np.allclose(cosines, expected, atol=_RELATIVE_TOLERANCE)
            and max(same) - min(same) < _RELATIVE_TOLERANCE * lengths.max()
        ):
            return points
    return {}


def _hits(differences: np.ndarray) -> bool:
    """Whether one of the differences (last axis: components) vanishes."""
    return bool((np.abs(differences).max(axis=-1) < _SAME_POINT).any())
