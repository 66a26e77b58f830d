"""Dense solves where an iterative solver has given up, and spot checks where it has not."""

from functools import partial

import jax
import numpy as np
from jaxtyping import Array

from deeppseudopot_jax.eigensolvers.dense import dense
from deeppseudopot_jax.eigensolvers.interface import States
from deeppseudopot_jax.hamiltonian.assemble import build_field
from deeppseudopot_jax.observables.states import build_hamiltonian
from deeppseudopot_jax.problem import Problem


def with_dense_fallback(
    problem: Problem, params: dict, states: tuple[States, ...]
) -> tuple[tuple[States, ...], int]:
    """The same states, those with unaccepted residuals solved densely, and how many k-points.

    Looks at the residuals on the host, so it is not for use under jit.
    """
    repaired, count = list(states), 0
    for index, group in enumerate(problem.groups):
        wanted = np.asarray(states[index].residuals[..., : group.n_levels])
        failed = np.argwhere(~(wanted <= problem.solver.accepted).all(axis=-1))
        count += len(failed)
        for position, k in failed:
            block = repaired[index].energies.shape[-1]
            found = _dense_states(problem, params, index, int(position), int(k), block)
            rows, columns = repaired[index].vectors.shape[-2:]  # none where they are not kept
            found = found._replace(
                vectors=found.vectors[:rows, :columns],
                preconditioner=jax.tree.map(
                    lambda leaf, at=(position, k): leaf[at], repaired[index].preconditioner
                ),
            )
            repaired[index] = jax.tree.map(
                lambda leaf, new, at=(position, k): leaf.at[at].set(new), repaired[index], found
            )
    return tuple(repaired), count


def largest_deviation(
    problem: Problem, params: dict, states: tuple[States, ...], turn: int
) -> float:
    """Largest error (Ha) of the wanted energies at one k-point, against a dense solve.

    Residuals cannot tell that a level was missed altogether; this can. The k-points of all systems
    take turns.
    """
    places = [
        (index, position, k)
        for index, group in enumerate(problem.groups)
        for position, member in enumerate(group.members)
        for k in range(problem.targets[member].n_k)
    ]
    index, position, k = places[turn % len(places)]
    n = problem.groups[index].n_levels
    reference = _dense_states(problem, params, index, position, k, n)
    return float(np.max(np.abs(states[index].energies[position, k, :n] - reference.energies)))


@partial(jax.jit, static_argnums=(2, 5))
def _dense_states(
    problem: Problem, params: dict, index: int, position: Array, k: Array, block: int
) -> States:
    group = problem.groups[index]
    tables = jax.tree.map(lambda leaf: leaf[position], group.tables)
    field = build_field(tables, problem.channels, params)
    own_set = k if tables.own_sets else 0
    waves = tables.wave_integers[own_set], tables.wave_mask[own_set]
    k_point = group.k_points[position, k]
    hamiltonian = build_hamiltonian((tables, problem.channels, field, k_point, *waves))
    return dense(hamiltonian, block)
