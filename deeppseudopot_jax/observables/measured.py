"""What files of a system define: deformation potentials and couplings, beside their references."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.observables.couplings import (
    EDGES,
    coupling_tables,
    couplings,
    given_couplings,
)
from deeppseudopot_jax.observables.deformation import deformation_potentials, deformation_rows
from deeppseudopot_jax.observables.observable import Observable, known, place, unknown, vector
from deeppseudopot_jax.parallel import on_host
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.types import DeformationTarget, GapDeformationTargets, SystemInput

_NOT_CONVERGED = "the states did not converge"


def deformation_observables(
    problem: Problem,
    params: Parameters,
    system_index: int,
    system: SystemInput,
    bands: Float[np.ndarray, "kpt band"],
) -> list[Observable]:
    """The rows of expDefPot_X.par; every process has to call this.

    Args:
        problem: from `build_problem`.
        params: potential parameters.
        system_index: of the system.
        system: the same.
        bands: its bands (eV), in any order.

    Returns:
        One observable without a value, and with the reason, where rows name states that there are
        not.
    """
    old_form = isinstance(system.deformation_targets, GapDeformationTargets)
    try:
        rows = deformation_rows(system)
        ascending = jnp.asarray(np.sort(bands, axis=1), problem.dtype)
        found = on_host(_potentials(problem, params, system_index, rows, ascending))
    except (InputError, IndexError) as error:
        return [unknown("deformation potentials", "all rows", "eV", str(error))]
    names = ["valence band", "conduction band"]
    if not old_form:
        kinds = ("level" if row.conduction is None else "transition" for row in rows)
        names = [f"row {number}: {kind}" for number, kind in enumerate(kinds, 1)]
    return [
        Observable(
            group="deformation potentials",
            name=name,
            unit="eV",
            value=known(value),
            where=_states(system, row),
            reference=row.value,
            note="" if np.isfinite(value) else _NOT_CONVERGED,
        )
        for name, row, value in zip(names, rows, found, strict=True)
    ]


def coupling_observables(
    problem: Problem, settings: Settings, params: Parameters, system: SystemInput
) -> list[Observable]:
    """The couplings of expCoupling_X.par, atom by atom; every process has to call this.

    Args:
        problem: from `build_problem`.
        settings: those of the bundle.
        params: potential parameters.
        system: with couplings, and the q-points that they belong to.

    Returns:
        One observable without a value, and with the reason, where the gap is not named.
    """
    q_points = system.q_points
    if q_points is None:
        note = f"there is no qpoints_{system.index}.par"
        return [unknown("couplings", "all couplings", "eV/Bohr", note)]
    try:
        tables = coupling_tables(problem, settings, system, q_points)
    except (InputError, IndexError) as error:
        return [unknown("couplings", "all couplings", "eV/Bohr", str(error))]
    found = on_host(_couplings(problem, params, tables))
    references, given = given_couplings(system)
    observables = []
    for q, edge, atom, axis in np.argwhere(given):
        value, symbol = float(found[q, edge, atom, axis]), system.crystal.symbols[atom]
        observables.append(
            Observable(
                group="couplings",
                name=f"{EDGES[edge]}-{EDGES[edge]} atom {atom} {symbol} {'xyz'[axis]} q-point {q}",
                unit="eV/Bohr",
                value=known(value),
                where=f"{place(system, system.gap_k_point or 0)}, q = {vector(q_points[q])}",
                reference=float(references[q, edge, atom, axis]),
                note="" if np.isfinite(value) else f"{_NOT_CONVERGED}, or too many are degenerate",
            )
        )
    return observables


def _states(system: SystemInput, row: DeformationTarget) -> str:
    states = [place(system, *state) for state in (row.valence, row.conduction) if state]
    return f"{' to '.join(states)}, lattice constant x {row.ratio:g}"


_potentials = partial(jax.jit, static_argnums=(2, 3))(deformation_potentials)
_couplings = jax.jit(couplings)
