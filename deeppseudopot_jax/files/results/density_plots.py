"""What the figures of a charge density show."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class PlaneCut:
    """A density (e/Bohr^3) on a plane.

    `places` are the points in the plane (Bohr), the first direction along x; atoms in it come with
    symbol and place.
    """

    values: Float[np.ndarray, "row column"]
    places: Float[np.ndarray, "row column 2"]
    atoms: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True, eq=False)
class LineCut:
    """A density (e/Bohr^3) along a line.

    `distance` is in Bohr; atoms on the line come with symbol and distance.
    """

    distance: Float[np.ndarray, " step"]
    values: Float[np.ndarray, " step"]
    atoms: tuple[tuple[str, float], ...] = ()
