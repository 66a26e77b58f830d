"""Electron-phonon couplings as a term of a cost."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from deeppseudopot_jax.costs.interface import Evaluated, Needs, joined
from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.observables.couplings import (
    CouplingTables,
    coupling_failures,
    coupling_tables,
    couplings,
    given_couplings,
)
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.records import record, static
from deeppseudopot_jax.types import Bundle, SystemInput

Weighting = Callable[[SystemInput, np.ndarray], float]
"""A factor on the squares of a system's couplings, from those that are given."""


@record
class CouplingFit:
    """The couplings (eV/Bohr) of one system; root of the weights, 0 where none is given."""

    tables: CouplingTables
    values: Float[Array, "q edge atom 3"]
    root_weights: Float[Array, "q edge atom 3"]
    given: Bool[Array, "q edge atom 3"]
    system_name: str = static()


@record
class CouplingErrors:
    """sqrt(weight) (|g| - |g_ref|) over all couplings that are given, eV/Bohr."""

    name: ClassVar[str] = "couplings"
    needs: ClassVar[Needs] = "states"
    fits: tuple[CouplingFit, ...]

    def residuals(
        self, problem: Problem, params: Parameters, evaluated: Evaluated
    ) -> Float[Array, " residual"]:
        """In eV/Bohr, from states that are solved for here, more accurately than bands need."""
        del evaluated

        def errors(fit: CouplingFit) -> Array:
            difference = couplings(problem, params, fit.tables) - fit.values
            return fit.root_weights * jnp.where(fit.given, difference, 0.0)

        return joined([errors(fit) for fit in self.fits], problem.dtype)

    def explain(self, problem: Problem, params: Parameters) -> str:
        """Why the term or its gradient is not finite; empty where nothing is found."""
        return "; ".join(
            f"{fit.system_name}, {failure}"
            for fit in self.fits
            for failure in coupling_failures(problem, params, fit.tables)
        )


def per_k_point(system: SystemInput, given: np.ndarray) -> float:
    """The weight of a training: the number of fitted k-points."""
    del given
    return float(system.is_fitted.sum())


def mean_of_system(system: SystemInput, given: np.ndarray) -> float:
    """The weight of a Monte Carlo cost: squares add up to the mean over the system's couplings."""
    del system
    return 1.0 / float(np.sum(given))


def coupling_errors(
    bundle: Bundle, problem: Problem, systems: Sequence[int], weighting: Weighting = per_k_point
) -> CouplingErrors:
    """The term of the expCoupling files of those systems that have any, with their tables.

    Raises:
        InputError: if the q-points are missing or the gap is not named.
    """
    chosen = [bundle.systems[i] for i in systems if bundle.systems[i].coupling_targets]
    return CouplingErrors(
        tuple(_coupling_fit(bundle, problem, system, weighting) for system in chosen)
    )


def _coupling_fit(
    bundle: Bundle, problem: Problem, system: SystemInput, weighting: Weighting
) -> CouplingFit:
    q_points, q_weights = system.q_points, system.q_weights
    if q_points is None or q_weights is None:
        raise InputError(f"expCoupling_{system.index}.par needs qpoints_{system.index}.par")
    values, given = given_couplings(system)
    weights = np.where(given, weighting(system, given) * q_weights[:, None, None, None], 0.0)
    return CouplingFit(
        coupling_tables(problem, bundle.settings, system, q_points),
        jnp.asarray(values, problem.dtype),
        jnp.asarray(np.sqrt(weights), problem.dtype),
        jnp.asarray(given),
        system.name,
    )
