"""Some of a system's k-points, with what H(k) needs there."""

from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from deeppseudopot_jax.arguments import is_traced
from deeppseudopot_jax.batching import SystemGroup, chunks
from deeppseudopot_jax.hamiltonian.assemble import AtK, Channels, Field, SeparableChannel
from deeppseudopot_jax.hamiltonian.tables import SystemTables
from deeppseudopot_jax.observables.bands import alone, group_levels, repeat_spin
from deeppseudopot_jax.observables.choices import Index
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.records import record
from deeppseudopot_jax.units import HARTREE_IN_EV


@record
class Points:
    """k-points (fractional) of one system; where they have sets of plane waves, one each."""

    tables: SystemTables
    k_points: Float[Array, "kpt 3"]


def listed_points(problem: Problem, system_index: int, indices: tuple[Index, ...]) -> Points:
    """The k-points `indices` of kpoints_X.par; some other one for a traced index out of range.

    Raises:
        IndexError: if there is no such system or k-point.
    """
    group = _chosen(problem, system_index, indices)
    return Points(jax.tree.map(lambda leaf: leaf[0], group.tables), group.k_points[0])


def point_at(points: Points, channels: Channels, field: Field, index: int | Int[Array, ""]) -> AtK:
    """What H at one of the points is made of."""
    return point_of(points, channels.separable, field, index)


def point_of(
    points: Points,
    separable: tuple[SeparableChannel, ...],
    field: Field,
    index: int | Int[Array, ""],
) -> AtK:
    """The same of the separable channels alone; a field has what the others give."""
    tables, own_set = points.tables, index if points.tables.own_sets else 0
    waves = tables.wave_integers[own_set], tables.wave_mask[own_set]
    return AtK(tables, separable, field, points.k_points[index], *waves)


def listed_energies(
    problem: Problem,
    params: Parameters,
    system_index: int,
    indices: tuple[int, ...],
    strain: Float[Array, "3 3"] | None = None,
) -> Float[Array, "kpt band"]:
    """Band energies (eV) at some of a system's k-points, as `energies_at` gives them for all.

    Raises:
        IndexError: if there is no such system or k-point.
    """
    whole = alone(problem, system_index)
    shards = 1 if whole.layout is None else whole.layout.kpt_shards
    n_chunks, padded = chunks(len(indices), whole.tables.dimension**2, problem.dtype, shards)
    group = _chosen(problem, system_index, indices + indices[-1:] * (padded - len(indices)))
    group = replace(group, n_chunks=n_chunks)
    levels = group_levels(problem, params, group, strain)
    bands = HARTREE_IN_EV * repeat_spin(levels[: len(indices)], group.tables.n_spin)
    return bands[:, : problem.targets[system_index].n_bands]


def _chosen(problem: Problem, system_index: int, indices: tuple[Index, ...]) -> SystemGroup:
    """The group of one system with some of its k-points only."""
    group = alone(problem, system_index)
    n_k = problem.targets[system_index].n_k
    if not all(is_traced(index) or 0 <= index < n_k for index in indices):
        raise IndexError(f"k-points {indices}: system {system_index} has 0 to {n_k - 1}")
    return chosen_points(group, indices)


def chosen_points(group: SystemGroup, indices: Sequence[Index]) -> SystemGroup:
    """The group of one system with some of its k-points only."""
    chosen, tables = jnp.asarray(indices), group.tables
    if tables.own_sets:
        tables = replace(
            tables,
            wave_integers=tables.wave_integers[:, chosen],
            wave_mask=tables.wave_mask[:, chosen],
        )
    return replace(group, tables=tables, k_points=group.k_points[:, chosen])
