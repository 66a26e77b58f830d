"""What the readers of other programs' files find: bands with all that a bundle needs to know."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.types import Crystal


@dataclass(frozen=True, eq=False)
class SourceBands:
    """Bands along a path or at listed k-points, as a program has written them.

    Attributes:
        program: name and version, for the comments of the bundle.
        crystal: in Bohr.
        k_points: fractions of the reciprocal vectors of `crystal.lattice`.
        labels: of the k-points, "" where a point has none.
        energies: eV, ascending at every k-point; a level of a spinor calculation stands for one
            state, any other level for two (spin up and down).
        is_spinor: whether levels are those of spinors.
        has_spin_orbit: whether spin-orbit coupling is in the energies, as in those of spinors that
            are not told to lack it.
        n_electrons: of the calculation per cell, semicore ones included; twice those of the chosen
            spin where the calculation is spin-polarised; None where the files do not say.
        first_band: number of the first column counted from 0, as programs that treat only some
            bands leave out the lowest ones.
        mesh_weights: of k-points that sample the zone, on any scale; None along a path.
        file: name of what was read.
        remarks: what the reader wants the user to know.
    """

    program: str
    crystal: Crystal
    k_points: Float[np.ndarray, "kpt 3"]
    labels: tuple[str, ...]
    energies: Float[np.ndarray, "kpt level"]
    is_spinor: bool
    has_spin_orbit: bool
    n_electrons: float | None = None
    first_band: int = 0
    mesh_weights: Float[np.ndarray, " kpt"] | None = None
    file: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def states_per_level(self) -> int:
        """How many columns of a bundle a level fills, as bundles count states with their spin."""
        return 1 if self.is_spinor else 2
