"""Band gaps."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from deeppseudopot_jax.arguments import checked, optional
from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.observables.arguments import (
    a_k_point,
    a_problem,
    a_system,
    fitting_parameters,
    systems_of_call,
)
from deeppseudopot_jax.observables.bands import energies_at, in_order
from deeppseudopot_jax.observables.choices import Index, for_system, is_one_of, known_where
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem


def _a_system_with_edges(name: str, index: Any, given: Mapping[str, Any]) -> None:
    a_system(name, index, given)
    for system, target in systems_of_call(given):
        if target.valence_band is None or target.conduction_band is None:
            raise InputError(f"input_{system}.par: a gap needs the keys idxVB and idxCB")


@checked(
    problem=a_problem,
    params=fitting_parameters,
    system_index=_a_system_with_edges,
    k_point=optional(a_k_point),
)
def gap(
    problem: Problem, params: Parameters, system_index: Index = 0, k_point: Index | None = None
) -> Float[Array, ""]:
    """Band gap of one system in eV, differentiable in the parameters.

    The fundamental gap over the system's k-points, or the direct gap at one of them. Bands are
    `idxVB` and `idxCB` of input_X.par.

    Args:
        problem: from `build_problem`.
        params: potential parameters.
        system_index: of the system; a traced one compiles every system.
        k_point: index of a k-point for the direct gap there.

    Returns:
        NaN where a traced index is out of range.

    Raises:
        IndexError: if there is no such system or k-point.
        InputError: if input_X.par does not name the band edges (of any system, where
            `system_index` is traced), or an argument is of another kind or shape.
    """

    def of_system(index: int) -> Array:
        target = problem.targets[index]
        bands = in_order(energies_at(problem, params, index), target)
        valence, conduction = bands[:, target.valence_band], bands[:, target.conduction_band]
        if k_point is None:
            return jnp.min(conduction) - jnp.max(valence)
        direct = conduction[k_point] - valence[k_point]
        return known_where(is_one_of(k_point, target.n_k), direct)

    return for_system(problem, system_index, of_system)
