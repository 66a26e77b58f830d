"""Deformation potentials as a term of a cost."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from deeppseudopot_jax.costs.interface import Evaluated, Needs, joined
from deeppseudopot_jax.observables.deformation import deformation_potentials, deformation_rows
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.records import record, static
from deeppseudopot_jax.types import Bundle, DeformationTarget, SystemInput


@record
class DeformationFit:
    """The deformation potentials of one system."""

    rows: tuple[DeformationTarget, ...] = static()
    system_index: int = static()


@record
class DeformationErrors:
    """sqrt(weight) (D - D_ref) over all rows, eV; no weight of k-points."""

    name: ClassVar[str] = "deformation_potentials"
    needs: ClassVar[Needs] = "states"
    fits: tuple[DeformationFit, ...]

    def residuals(
        self, problem: Problem, params: Parameters, evaluated: Evaluated
    ) -> Float[Array, " residual"]:
        """In eV; the bands of the undeformed crystals are known."""

        def errors(fit: DeformationFit) -> Array:
            index, rows = fit.system_index, fit.rows
            known = evaluated.ascending(problem, index)
            found = deformation_potentials(problem, params, index, rows, known)
            values = jnp.asarray([row.value for row in rows], problem.dtype)
            weights = jnp.asarray([row.weight**0.5 for row in rows], problem.dtype)
            return weights * (found - values)

        return joined([errors(fit) for fit in self.fits], problem.dtype)


def deformation_errors(
    bundle: Bundle, systems: Sequence[int], weight: float = 1.0
) -> DeformationErrors:
    """The term of expDefPot_X.par of those systems that have any; `weight` joins their own.

    Raises:
        InputError: if the two-line form meets an input_X.par that does not name the gap.
    """

    def weighted(system: SystemInput) -> tuple[DeformationTarget, ...]:
        rows = deformation_rows(system)
        return tuple(replace(row, weight=weight * row.weight) for row in rows)

    pairs = ((i, weighted(bundle.systems[i])) for i in systems)
    return DeformationErrors(tuple(DeformationFit(rows, i) for i, rows in pairs if rows))
