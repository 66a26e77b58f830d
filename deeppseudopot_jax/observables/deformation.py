"""Deformation potentials: how levels and gaps answer to an isotropic change of volume."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from deeppseudopot_jax.arguments import checked, optional
from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.observables.arguments import (
    a_problem,
    a_system,
    bands_of_system,
    deformation_targets,
    fitting_parameters,
)
from deeppseudopot_jax.observables.choices import Index, for_system
from deeppseudopot_jax.observables.points import listed_energies
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.types import DeformationTarget, GapDeformationTargets, SystemInput

_OLD_FORM_RATIO = 1.01
"""Lattice constant of the two-line expDefPot_X.par, relative to the undeformed crystal."""


def deformation_rows(system: SystemInput) -> tuple[DeformationTarget, ...]:
    """The rows of expDefPot_X.par; its old form is two states at the gap, 1 % expansion, weight 1.

    Raises:
        InputError: if the old form meets an input_X.par that does not name the gap.
    """
    targets = system.deformation_targets
    if not isinstance(targets, GapDeformationTargets):
        return targets
    k, bands = system.gap_k_point, (system.valence_band, system.conduction_band)
    if k is None or None in bands:
        raise InputError(
            f"input_{system.index}.par: the two-line form of expDefPot_{system.index}.par needs "
            "the keys idxVB, idxCB and idxGap"
        )
    return tuple(
        DeformationTarget((k, band), None, _OLD_FORM_RATIO, value, 1.0)
        for band, value in zip(bands, (targets.valence, targets.conduction), strict=True)
        if band is not None
    )


@checked(
    problem=a_problem,
    params=fitting_parameters,
    system_index=a_system,
    rows=deformation_targets,
    undeformed=optional(bands_of_system),
)
def deformation_potentials(
    problem: Problem,
    params: Parameters,
    system_index: Index,
    rows: Sequence[DeformationTarget],
    undeformed: Float[Array, "kpt band"] | None = None,
) -> Float[Array, " row"]:
    """Volume deformation potentials dE / d ln(Omega) in eV, one per row.

    D = (E(1) - E(s)) / 2 * (1 + s^3) / (1 - s^3), where E is the gap between two states or the
    energy of one state, and s the ratio of the lattice constants. All lengths are scaled by s and
    wave vectors by 1 / s; the plane waves keep their integers, the form factors their v(q), but for
    the strain channel where that is on. Bands are counted by energy, without a band order.

    Differentiable in `params`: band energies carry Hellmann-Feynman derivatives.

    Args:
        problem: from `build_problem`.
        params: potential parameters.
        system_index: of the system; a traced one compiles every system.
        rows: which states and ratios, static even under `jax.jit`; their values and weights are
            not looked at.
        undeformed: energies (eV) of the undeformed crystal at all k-points, in ascending order,
            where they are known already.

    Raises:
        IndexError: if there is no such system, or a row names a k-point or band that is not there.
        InputError: if a ratio is not positive or 1, or an argument is of another kind or shape.
    """

    def of_system(index: int) -> Array:
        return _potentials(problem, params, index, rows, undeformed)

    return for_system(problem, system_index, of_system)


def _potentials(
    problem: Problem,
    params: Parameters,
    system_index: int,
    rows: Sequence[DeformationTarget],
    undeformed: Float[Array, "kpt band"] | None,
) -> Float[Array, " row"]:
    if not rows:
        return jnp.zeros(0, problem.dtype)
    states = [state for row in rows for state in (row.valence, row.conduction) if state]
    places = {k: place for place, k in enumerate(sorted({k for k, _ in states}))}
    k_points = tuple(places)
    relaxed = (
        listed_energies(problem, params, system_index, k_points)
        if undeformed is None
        else undeformed[jnp.asarray(k_points)]
    )
    strained = {
        ratio: listed_energies(problem, params, system_index, k_points, _isotropic(ratio, problem))
        for ratio in sorted({row.ratio for row in rows})
    }

    def energy(bands: Array, row: DeformationTarget) -> Array:
        valence = bands[places[row.valence[0]], row.valence[1]]
        if row.conduction is None:
            return valence
        return bands[places[row.conduction[0]], row.conduction[1]] - valence

    def potential(row: DeformationTarget) -> Array:
        change = energy(relaxed, row) - energy(strained[row.ratio], row)
        volume = row.ratio**3
        return 0.5 * change * (1.0 + volume) / (1.0 - volume)

    return jnp.stack([potential(row) for row in rows])


def _isotropic(ratio: float, problem: Problem) -> Float[Array, "3 3"]:
    return (ratio - 1.0) * jnp.eye(3, dtype=problem.dtype)
