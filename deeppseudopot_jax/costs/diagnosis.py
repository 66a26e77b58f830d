"""Why a cost is not finite, in words that its user can act on; slow, for when it has happened."""

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from deeppseudopot_jax.costs.interface import Cost, Evaluated
from deeppseudopot_jax.observables.evaluation import evaluate_bands
from deeppseudopot_jax.parallel import on_host
from deeppseudopot_jax.parameters import BESIDE_LOCAL, Parameters
from deeppseudopot_jax.potentials.compose import v_of_q
from deeppseudopot_jax.problem import Problem

_SHOWN = 5


def diagnosis(problem: Problem, params: Parameters, cost: Cost) -> str:
    """What is not finite at these parameters, and where: potential, energies, a term or a slope."""
    for found in _failures(problem, params, cost):
        if found:
            return found
    return "the cost and all it is made of are finite here, but its gradient is not"


def potential_failure(problem: Problem, params: Parameters) -> str:
    """The first species whose potential or coefficients are not finite; empty where all are."""
    gamma = problem.channels.long_range_gamma
    for group in problem.groups:
        q = jnp.unique(jnp.asarray(on_host(group.tables.shell_radii)))
        bad = ~np.isfinite(np.asarray(v_of_q(problem.local, params, q, gamma)))
        if bad.any():
            place, species = np.argwhere(bad)[0]
            symbol = problem.species[species]
            return f"the potential of {symbol} is not finite at q = {float(q[place]):.4g} Bohr^-1"
    for name in BESIDE_LOCAL:
        bad = ~np.isfinite(np.asarray(params[name])).reshape(len(problem.species), -1).all(axis=1)
        if bad.any():
            symbols = ", ".join(np.array(problem.species)[bad])
            return f"the {name} coefficients of {symbols} are not finite"
    return ""


def k_points_not_found(problem: Problem, bands: list[np.ndarray]) -> str:
    """The k-points whose energies are not finite, system by system; empty where there is none."""
    failures = []
    for target, energies in zip(problem.targets, bands, strict=True):
        failed = np.flatnonzero(~np.isfinite(energies).all(axis=1)).tolist()
        if failed:
            more = ", ..." if len(failed) > _SHOWN else ""
            shown = ", ".join(map(str, failed[:_SHOWN])) + more
            failures.append(f"{target.name}: no energies at k-points {shown} (not converged)")
    return "; ".join(failures)


def _failures(problem: Problem, params: Parameters, cost: Cost) -> Iterator[str]:
    """What may be to blame, each looked at only where all before it is well."""
    yield potential_failure(problem, params)
    bands = on_host(evaluate_bands(problem, params, keep_vectors=False).bands)
    yield k_points_not_found(problem, bands)
    values = cost.values(problem, params, Evaluated([jnp.asarray(b) for b in bands]))
    for part, value in zip(cost.parts, values.tolist(), strict=True):
        explain = getattr(part, "explain", None)
        why = explain(problem, params) if explain else ""
        if not np.isfinite(value):
            yield f"the term {part.name} of the cost is {value:g}" + (f" ({why})" if why else "")
        elif why:
            yield f"the gradient of the term {part.name} is not finite ({why})"
