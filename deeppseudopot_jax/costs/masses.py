"""Effective masses as a term of a cost."""

from collections.abc import Sequence
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from deeppseudopot_jax.costs.interface import Evaluated, Needs, joined
from deeppseudopot_jax.crystal import reciprocal_lattice
from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.observables.masses import neighbour_masses
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.records import record, static
from deeppseudopot_jax.types import Bundle, SystemInput


@record
class MassFit:
    """Masses of hole and electron of one system, by `neighbour_masses`."""

    masses: Float[Array, "2"]
    distance: Float[Array, ""]
    system_index: int = static()
    points: tuple[int, int] = static()
    bands: tuple[int, int] = static()

    def found(self, bands: Float[Array, "kpt band"]) -> Float[Array, "2"]:
        """The same masses from band energies (eV) of the system."""
        at_edge, at_neighbour = (bands[k, jnp.asarray(self.bands)] for k in self.points)
        return neighbour_masses(at_edge, at_neighbour, self.distance)


@record
class MassErrors:
    """m - m_ref of holes and electrons, electron masses."""

    name: ClassVar[str] = "masses"
    needs: ClassVar[Needs] = "bands"
    fits: tuple[MassFit, ...]

    def residuals(
        self, problem: Problem, params: Parameters, evaluated: Evaluated
    ) -> Float[Array, " residual"]:
        """From the bands."""
        del params
        errors = [fit.found(evaluated.bands[fit.system_index]) - fit.masses for fit in self.fits]
        return joined(errors, problem.dtype)


def mass_errors(bundle: Bundle, problem: Problem, systems: Sequence[int]) -> MassErrors:
    """The term of the masses that the reference bands of some systems have at `mass_points`.

    Raises:
        InputError: if a system has no reference bands, no neighbour of the gap, or flat bands.
    """
    return MassErrors(tuple(_mass_fit(bundle.systems[i], i, problem.dtype) for i in systems))


def _mass_fit(system: SystemInput, index: int, dtype: jnp.dtype) -> MassFit:
    points, valence, conduction = system.mass_points, system.valence_band, system.conduction_band
    if points is None or valence is None or conduction is None:
        raise InputError(f"input_{system.index}.par: masses need idxVB, idxCB and idxGap")
    if len(system.k_points) < 2:
        raise InputError(f"kpoints_{system.index}.par: masses need a neighbour of the gap")
    if system.reference_energies is None:
        raise InputError(f"expBandStruct_{system.index}.par is missing: there are no masses to fit")
    bands = valence, conduction
    at_edge, at_neighbour = system.reference_energies[list(points)][:, list(bands)]
    if not np.all(at_edge - at_neighbour):
        raise InputError(f"expBandStruct_{system.index}.par: the bands at the gap are flat")
    step = np.subtract(*system.k_points[list(points)]) @ reciprocal_lattice(system.crystal.lattice)
    distance = jnp.asarray(np.linalg.norm(step), dtype)
    masses = neighbour_masses(
        jnp.asarray(at_edge, dtype), jnp.asarray(at_neighbour, dtype), distance
    )
    return MassFit(masses, distance, index, points, bands)
