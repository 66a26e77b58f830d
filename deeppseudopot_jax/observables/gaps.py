"""Band gaps."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.observables.bands import energies_at, in_order
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem


def gap(
    problem: Problem, params: Parameters, system_index: int = 0, k_point: int | None = None
) -> Float[Array, ""]:
    """Band gap of one system in eV, differentiable in the parameters.

    The fundamental gap over the system's k-points, or the direct gap at one of them. Bands are
    `idxVB` and `idxCB` of input_X.par.

    Args:
        problem: from `build_problem`.
        params: potential parameters.
        system_index: of the system.
        k_point: index of a k-point for the direct gap there.

    Raises:
        IndexError: if there is no such system or k-point.
        InputError: if input_X.par does not name the band edges.
    """
    if not 0 <= system_index < len(problem.targets):
        raise IndexError(f"system {system_index}: legal are 0 to {len(problem.targets) - 1}")
    target = problem.targets[system_index]
    if target.valence_band is None or target.conduction_band is None:
        raise InputError(f"input_{system_index}.par: a gap needs the keys idxVB and idxCB")
    if k_point is not None and not 0 <= k_point < target.n_k:
        raise IndexError(f"k_point {k_point}: system {system_index} has 0 to {target.n_k - 1}")
    bands = in_order(energies_at(problem, params, system_index), target)
    chosen = slice(None) if k_point is None else slice(k_point, k_point + 1)
    valence = bands[chosen, target.valence_band]
    conduction = bands[chosen, target.conduction_band]
    return jnp.min(conduction) - jnp.max(valence)
