"""The errors of band energies as a term of a cost, and the cost of a problem by itself."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from deeppseudopot_jax.arguments import checked
from deeppseudopot_jax.costs.interface import Bands, Cost, Evaluated, Needs, joined
from deeppseudopot_jax.costs.penalties import penalties_of
from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.observables.arguments import a_problem, fitting_parameters
from deeppseudopot_jax.observables.band_order import followed
from deeppseudopot_jax.observables.bands import energies
from deeppseudopot_jax.observables.hamiltonians import hamiltonians
from deeppseudopot_jax.observables.states import solve
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem, Target
from deeppseudopot_jax.records import record, static

Measure = Callable[[Array, Target], Array]
"""measure(bands, target) -> residuals of one system."""


@record
class BandErrors:
    """The residuals of every system's bands by one measure."""

    name: ClassVar[str] = "bands"
    needs: ClassVar[Needs] = "bands"
    measure: Measure = static()

    def residuals(
        self, problem: Problem, params: Parameters, evaluated: Evaluated
    ) -> Float[Array, " residual"]:
        """In eV."""
        del params
        pairs = zip(evaluated.bands, problem.targets, strict=True)
        return joined([self.measure(*pair) for pair in pairs], problem.dtype)


def _with_references(name: str, problem: Any, given: Mapping[str, Any]) -> None:
    a_problem(name, problem, given)
    for target in problem.targets:
        _reference(target)


@checked(problem=_with_references, params=fitting_parameters)
def cost(problem: Problem, params: Parameters) -> Float[Array, ""]:
    """Cost of the bands of every system (eV^2) plus the penalties that are switched on.

    Raises:
        InputError: if a system has no reference energies, or the parameters do not fit.
    """
    if problem.follows:  # the order has no derivative, and needs states of its own
        fixed = jax.lax.stop_gradient(hamiltonians(problem, params))
        problem = followed(problem, solve(fixed))
    return cost_of_bands(problem)(problem, params, Evaluated(energies(problem, params)))


def cost_of_bands(problem: Problem) -> Cost:
    """The band errors of every system and the penalties that are switched on."""
    return Cost((BandErrors(band_residuals),), penalties_of(problem))


def held_out_cost(problem: Problem, bands: Bands) -> Float[Array, ""]:
    """What the held-out levels would add to the band errors of a training, eV^2.

    The measure is that of `band_residuals`; 0 where nothing is held out. No cost contains it.

    Args:
        problem: from `build_problem`.
        bands: of every system, eV.
    """
    total = jnp.zeros((), problem.dtype)
    for found, target in zip(bands, problem.targets, strict=True):
        if target.held_out_weights is not None:
            total += jnp.sum(target.held_out_weights * band_errors(found, target) ** 2)
    return total


def band_residuals(bands: Float[Array, "kpt band"], target: Target) -> Float[Array, "kpt band"]:
    """sqrt(w_k b_n) (E_nk - E_nk^ref) in eV, weights as given."""
    return jnp.sqrt(target.weights) * band_errors(bands, target)


def mean_band_residuals(
    bands: Float[Array, "kpt band"], target: Target
) -> Float[Array, "kpt band"]:
    """The same over the root of their number, so that squares add up to the mean.

    Held-out levels do not count; they are 0 here.
    """
    return band_residuals(bands, target) / _n_levels(target, target.n_bands) ** 0.5


def mean_gap_residuals(bands: Float[Array, "kpt band"], target: Target) -> Float[Array, "kpt gap"]:
    """The same for the gaps E_(n+1)k - E_nk, weighted with the mean of their two weights.

    Raises:
        InputError: if there is one band only.
    """
    if target.n_bands < 2:
        raise InputError(f"{target.name}: optGaps needs two bands at least")
    weights = 0.5 * (target.weights[:, 1:] + target.weights[:, :-1])
    errors = jnp.diff(band_errors(bands, target), axis=1)
    return jnp.sqrt(weights) * errors / _n_levels(target, target.n_bands - 1) ** 0.5


def band_errors(bands: Float[Array, "kpt band"], target: Target) -> Float[Array, "kpt band"]:
    """E_nk - E_nk^ref in eV.

    With a `relative_band` both sets of energies are first taken relative to that band at each k.

    Raises:
        InputError: if there are no reference energies.
    """
    reference = _reference(target)
    if target.relative_band is not None:
        bands = bands - bands[:, target.relative_band, None]
        reference = reference - reference[:, target.relative_band, None]
    return bands - reference


def _reference(target: Target) -> Float[Array, "kpt band"]:
    if target.reference is None:
        raise InputError(f"{target.name}: no reference energies, so there is nothing to fit")
    return target.reference


def _n_levels(target: Target, per_k_point: int) -> int:
    """How many of the fitted k-points a mean is over; 1 in a system that is held out as a whole."""
    return max(target.n_fitted, 1) * per_k_point
