"""Terms of a cost beyond the bands: deformation potentials, couplings and effective masses.

Targets are records built once from a bundle; costs are pure functions of the parameters (or of
band energies that are known already), summed over the systems that have targets.
"""

from collections.abc import Sequence
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from deeppseudopot_jax.crystal import reciprocal_lattice
from deeppseudopot_jax.observables.couplings import (
    EDGES,
    CouplingTables,
    coupling_tables,
    couplings,
)
from deeppseudopot_jax.observables.deformation import deformation_potentials, deformation_rows
from deeppseudopot_jax.observables.masses import neighbour_masses
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.records import record, static
from deeppseudopot_jax.types import Bundle, DeformationTarget, SystemInput

_AXES = "xyz"


@record
class DeformationFit:
    """The deformation potentials of one system."""

    rows: tuple[DeformationTarget, ...] = static()
    system: int = static()


@record
class CouplingFit:
    """The couplings (eV/Bohr) of one system; `weights` of q-points, 0 where none is given."""

    tables: CouplingTables
    values: Float[Array, "q edge atom 3"]
    weights: Float[Array, "q edge atom 3"]
    given: Bool[Array, "q edge atom 3"]
    n_k: int = static()


@record
class MassFit:
    """Masses of hole and electron of one system, by `neighbour_masses`."""

    masses: Float[Array, "2"]
    distance: Float[Array, ""]
    weight: float = static()
    system: int = static()
    points: tuple[int, int] = static()
    bands: tuple[int, int] = static()

    def found(self, bands: Float[Array, "kpt band"]) -> Float[Array, "2"]:
        """The same masses from band energies (eV) of the system."""
        at_edge, at_neighbour = (bands[k, jnp.asarray(self.bands)] for k in self.points)
        return neighbour_masses(at_edge, at_neighbour, self.distance)


def deformation_fits(
    bundle: Bundle, systems: Sequence[int], weight: float = 1.0
) -> tuple[DeformationFit, ...]:
    """The targets of expDefPot_X.par of those systems that have any; `weight` joins their own.

    Raises:
        ValueError: if the two-line form meets an input_X.par that does not name the gap.
    """

    def weighted(system: SystemInput) -> tuple[DeformationTarget, ...]:
        rows = deformation_rows(system)
        return tuple(replace(row, weight=weight * row.weight) for row in rows)

    pairs = ((i, weighted(bundle.systems[i])) for i in systems)
    return tuple(DeformationFit(rows, i) for i, rows in pairs if rows)


def coupling_fits(
    bundle: Bundle, problem: Problem, systems: Sequence[int]
) -> tuple[CouplingFit, ...]:
    """The targets of the expCoupling files of those systems that have any, with their tables.

    Raises:
        ValueError: if the q-points are missing or the gap is not named.
    """
    chosen = (bundle.systems[i] for i in systems)
    return tuple(_coupling_fit(bundle, problem, s) for s in chosen if s.coupling_targets)


def mass_fits(
    bundle: Bundle, problem: Problem, systems: Sequence[int], weight: float = 1.0
) -> tuple[MassFit, ...]:
    """The masses that the reference bands of some systems have.

    The neighbour is the k-point before the gap, as in the reference code; after it, where the gap
    comes first.

    Args:
        bundle: what `read_bundle` returned.
        problem: from `build_problem`.
        systems: indices of the systems.
        weight: of every system's term.

    Raises:
        ValueError: if a system has no reference bands, no neighbour of the gap, or flat bands.
    """
    return tuple(_mass_fit(bundle.systems[i], i, weight, problem.dtype) for i in systems)


def deformation_cost(
    problem: Problem, params: dict, fits: tuple[DeformationFit, ...]
) -> Float[Array, ""]:
    """sum of weight (D - D_ref)^2 over all rows, eV^2; no weight of k-points."""
    total = jnp.zeros((), problem.dtype)
    for fit in fits:
        found = deformation_potentials(problem, params, fit.system, fit.rows)
        values = jnp.asarray([row.value for row in fit.rows], problem.dtype)
        weights = jnp.asarray([row.weight for row in fit.rows], problem.dtype)
        total = total + jnp.sum(weights * (found - values) ** 2)
    return total


def coupling_cost(
    problem: Problem, params: dict, fits: tuple[CouplingFit, ...]
) -> Float[Array, ""]:
    """n_k * sum of w_q (|g| - |g_ref|)^2 over all couplings that are given, (eV/Bohr)^2."""
    return _sum_over_couplings(problem, params, fits, [fit.n_k for fit in fits])


def mean_coupling_cost(
    problem: Problem, params: dict, fits: tuple[CouplingFit, ...]
) -> Float[Array, ""]:
    """The mean of w_q (|g| - |g_ref|)^2 over a system's couplings, as in a Monte Carlo cost."""
    scales = [1.0 / jnp.sum(fit.given) for fit in fits]
    return _sum_over_couplings(problem, params, fits, scales)


def mass_cost(
    bands: list[Float[Array, "_kpt _band"]], fits: tuple[MassFit, ...]
) -> Float[Array, ""]:
    """sum of weight (m - m_ref)^2 over holes and electrons, from the band energies (eV)."""
    total = jnp.zeros((), bands[0].dtype)
    for fit in fits:
        total = total + fit.weight * jnp.sum((fit.found(bands[fit.system]) - fit.masses) ** 2)
    return total


def _sum_over_couplings(
    problem: Problem, params: dict, fits: tuple[CouplingFit, ...], scales: list
) -> Float[Array, ""]:
    total = jnp.zeros((), problem.dtype)
    for fit, scale in zip(fits, scales, strict=True):
        errors = couplings(problem, params, fit.tables) - fit.values
        total = total + scale * jnp.sum(fit.weights * jnp.where(fit.given, errors, 0.0) ** 2)
    return total


def _coupling_fit(bundle: Bundle, problem: Problem, system: SystemInput) -> CouplingFit:
    q_points, q_weights = system.q_points, system.q_weights
    if q_points is None or q_weights is None:
        raise ValueError(f"expCoupling_{system.index}.par needs qpoints_{system.index}.par")
    shape = (len(q_points), len(EDGES), len(system.crystal.symbols), 3)
    values, given = np.zeros(shape), np.zeros(shape, bool)
    for target in system.coupling_targets:
        place = EDGES.index(target.band), target.atom, _AXES.index(target.axis)
        values[:, *place], given[:, *place] = np.abs(target.values), True
    weights = np.where(given, q_weights[:, None, None, None], 0.0)
    return CouplingFit(
        coupling_tables(problem, bundle.settings, system, q_points),
        jnp.asarray(values, problem.dtype),
        jnp.asarray(weights, problem.dtype),
        jnp.asarray(given),
        len(system.k_points),
    )


def _mass_fit(system: SystemInput, index: int, weight: float, dtype: jnp.dtype) -> MassFit:
    gap, valence, conduction = system.gap_k_point, system.valence_band, system.conduction_band
    if gap is None or valence is None or conduction is None:
        raise ValueError(f"input_{system.index}.par: masses need idxVB, idxCB and idxGap")
    if len(system.k_points) < 2:
        raise ValueError(f"kpoints_{system.index}.par: masses need a neighbour of the gap")
    if system.reference_energies is None:
        raise ValueError(f"expBandStruct_{system.index}.par is missing: there are no masses to fit")
    points, bands = (gap, gap - 1 if gap > 0 else gap + 1), (valence, conduction)
    at_edge, at_neighbour = system.reference_energies[list(points)][:, list(bands)]
    if not np.all(at_edge - at_neighbour):
        raise ValueError(f"expBandStruct_{system.index}.par: the bands at the gap are flat")
    step = np.subtract(*system.k_points[list(points)]) @ reciprocal_lattice(system.crystal.lattice)
    distance = jnp.asarray(np.linalg.norm(step), dtype)
    masses = neighbour_masses(
        jnp.asarray(at_edge, dtype), jnp.asarray(at_neighbour, dtype), distance
    )
    return MassFit(masses, distance, weight, index, points, bands)
