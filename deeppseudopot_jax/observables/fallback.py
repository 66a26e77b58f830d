"""Dense solves where an iterative solver has given up, and spot checks where it has not."""

from functools import partial

import jax
import numpy as np
from jaxtyping import Array, Bool

from deeppseudopot_jax.batching import SystemGroup
from deeppseudopot_jax.eigensolvers.dense import dense
from deeppseudopot_jax.eigensolvers.interface import FOR_RESULTS, Accuracy, States
from deeppseudopot_jax.hamiltonian.assemble import AtK, Field, SeparableChannel, hamiltonian_at
from deeppseudopot_jax.hamiltonian.tables import SystemTables
from deeppseudopot_jax.observables.hamiltonians import Hamiltonians, on_devices
from deeppseudopot_jax.parallel import on_host


def with_dense_fallback(
    everywhere: Hamiltonians, states: tuple[States, ...], accuracy: Accuracy = FOR_RESULTS
) -> tuple[tuple[States, ...], int]:
    """The same states, those that were not found solved densely, and how many k-points.

    Looks at the residuals on the host, so it is not for use under jit.
    """
    repaired, count = list(states), 0
    residuals = on_host(tuple(found.residuals for found in states))
    for index, (group, field) in enumerate(zip(everywhere.groups, everywhere.fields, strict=True)):
        found = states[index]._replace(residuals=residuals[index]).found(group.n_levels, accuracy)
        failed = ~np.asarray(found).all(axis=-1)
        if failed.any():
            count += int(failed.sum())
            repaired[index] = _solved_densely(
                group, field, everywhere.separable, failed, states[index]
            )
    return tuple(repaired), count


def largest_deviation(everywhere: Hamiltonians, states: tuple[States, ...], turn: int) -> float:
    """Largest error (Ha) of the wanted energies at one k-point, against a dense solve.

    Residuals cannot tell that a level was missed altogether; this can. The k-points of all systems
    take turns.
    """
    places = [
        (index, position, k)
        for index, group in enumerate(everywhere.groups)
        for position, n_k in enumerate(group.n_k)
        for k in range(n_k)
    ]
    index, position, k = places[turn % len(places)]
    group = everywhere.groups[index]
    chosen = np.zeros(group.k_points.shape[:2], bool)
    chosen[position, k] = True
    levels = states[index]._replace(vectors=states[index].vectors[..., :0, :0])
    reference = _solved_densely(
        group, everywhere.fields[index], everywhere.separable, chosen, levels
    )
    found, exact = on_host((levels.energies, reference.energies))
    return float(np.abs(found - exact)[position, k, : group.n_levels].max())


@jax.jit
def _solved_densely(
    group: SystemGroup,
    field: Field,
    separable: tuple[SeparableChannel, ...],
    chosen: Bool[Array, "system kpt"],
    states: States,
) -> States:
    """The states of a group, those at the chosen k-points replaced, one after the other.

    Every device solves its own.
    """

    def share(
        tables: SystemTables,
        k_points: Array,
        field: Field,
        separable: tuple[SeparableChannel, ...],
        chosen: Array,
        states: States,
    ) -> States:
        def of_system(share: tuple) -> States:
            tables, field, *per_k = share
            sets = (tables.wave_integers, tables.wave_mask)

            def at_k(share: tuple) -> States:
                k_point, chosen, states, *own_set = share
                waves = own_set or [leaf[0] for leaf in sets]
                solved = partial(_dense_like, AtK(tables, separable, field, k_point, *waves))
                return jax.lax.cond(chosen, solved, lambda states: states, states)

            return jax.lax.map(at_k, (*per_k, *(sets if tables.own_sets else ())))

        return jax.lax.map(of_system, (tables, field, k_points, chosen, states))

    return on_devices(share, group, field, separable, chosen, states)


def _dense_like(point: AtK, states: States) -> States:
    """As many states as there are, and as much of their vectors."""
    found = dense(hamiltonian_at(point), states.energies.shape[-1])
    rows, columns = states.vectors.shape
    return states._replace(
        energies=found.energies,
        vectors=found.vectors[:rows, :columns],
        residuals=found.residuals,
    )
