"""Band energies of all systems, k-points in chunks, systems and k-points vectorised."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from deeppseudopot_jax.batching import SystemGroup
from deeppseudopot_jax.eigensolvers.hellmann_feynman import lowest_states
from deeppseudopot_jax.eigensolvers.interface import Solver
from deeppseudopot_jax.hamiltonian.assemble import (
    Channels,
    Hamiltonian,
    build_field,
    hamiltonian_at,
)
from deeppseudopot_jax.hamiltonian.tables import SystemTables
from deeppseudopot_jax.potentials.compose import form_factors as _form_factors
from deeppseudopot_jax.problem import Problem, Target
from deeppseudopot_jax.units import HARTREE_IN_EV


def energies(problem: Problem, params: dict) -> list[Float[Array, "_kpt _band"]]:
    """Band energies of every system, in eV, one array (n_k, n_bands) per system.

    Usable under jit, grad and vmap; derivatives are Hellmann-Feynman forces, finite at
    degeneracies. Without spin-orbit every level is listed twice. Columns follow
    kpoints_X_orderMatrix.par where it exists. A failed solve gives NaN.

    Args:
        problem: from `build_problem`.
        params: from `initial_params`, or any pytree of the same structure.
    """
    result: dict[int, Array] = {}
    for group in problem.groups:
        levels = _group_levels(problem, group, params)
        for position, member in enumerate(group.members):
            n_spin = group.tables.n_spin
            result[member] = _as_bands(levels[position], problem.targets[member], n_spin)
    return [result[i] for i in range(len(problem.targets))]


def energies_at(
    problem: Problem,
    params: dict,
    system: int,
    k_points: Float[Array, "kpt 3"] | None = None,
    strain: Float[Array, "3 3"] | None = None,
) -> Float[Array, "kpt band"]:
    """Band energies (eV) of one system at other k-points or in a deformed crystal.

    Differentiable in `params`, `k_points` and `strain` alike. No band order is applied.

    Args:
        problem: from `build_problem`.
        params: potential parameters.
        system: index of the system.
        k_points: fractional; the system's own where None.
        strain: every vector r of the crystal becomes (1 + strain) r; the plane waves keep their
            integers, so a pure rotation changes nothing.

    Raises:
        IndexError: if there is no such system.
        ValueError: if `basis_sphere = kG` and `k_points` is given: those bases belong to k-points.
    """
    group, position = _locate(problem, system)
    tables = jax.tree.map(lambda leaf: leaf[position], group.tables)
    target = problem.targets[system]
    if k_points is None:
        k_points = group.k_points[position, : target.n_k]
        tables = tables.replace(  # without the sets of padded k-points
            wave_integers=tables.wave_integers[: target.n_k],
            wave_mask=tables.wave_mask[: target.n_k],
        )
    elif tables.wave_mask.shape[0] > 1:
        raise ValueError("with basis_sphere = kG the energies exist at the system's own k-points")
    levels = _system_levels(
        tables, problem.channels, params, k_points, problem.solver, group.n_levels, 1, strain
    )
    return _repeat_spin(levels, tables.n_spin)[:, : target.n_bands]


def form_factors(
    problem: Problem, params: dict, q: Float[Array, " q"]
) -> Float[Array, "q species"]:
    """v_s(q) in Ha Bohr^3 for q in Bohr^-1, long-range tail included; species sorted by symbol."""
    q = jnp.asarray(q, problem.dtype)
    return _form_factors(problem.local, params, q, problem.channels.long_range_gamma)


def _locate(problem: Problem, system: int) -> tuple[SystemGroup, int]:
    for group in problem.groups:
        if system in group.members:
            return group, group.members.index(system)
    raise IndexError(f"system {system}: the problem has systems 0 to {len(problem.targets) - 1}")


def _group_levels(
    problem: Problem, group: SystemGroup, params: dict
) -> Float[Array, "system kpt level"]:
    def one_system(tables: SystemTables, k_points: Array) -> Array:
        return _system_levels(
            tables,
            problem.channels,
            params,
            k_points,
            problem.solver,
            group.n_levels,
            group.n_chunks,
        )

    return jax.vmap(one_system)(group.tables, group.k_points)


def _system_levels(
    tables: SystemTables,
    channels: Channels,
    params: dict,
    k_points: Float[Array, "kpt 3"],
    solver: Solver,
    n_levels: int,
    n_chunks: int,
    strain: Float[Array, "3 3"] | None = None,
) -> Float[Array, "kpt level"]:
    """Levels (eV) of one system: chunks of k-points one after the other, each chunk vectorised."""
    field = build_field(tables, channels, params, strain)
    integers, mask = tables.wave_integers, tables.wave_mask

    def at_k(k_point: Array, integers: Array, mask: Array) -> Array:
        contents = (tables, channels, field, k_point, integers, mask)
        return lowest_states(solver, n_levels, _hamiltonian, contents, None).energies

    per_k: tuple[Array, ...] = (k_points, integers, mask)
    solve_chunk: Callable[..., Array] = jax.vmap(at_k)
    if mask.shape[0] == 1:  # one set of plane waves serves every k-point
        per_k = (k_points,)
        solve_chunk = jax.vmap(lambda k_point: at_k(k_point, integers[0], mask[0]))
    chunks = jax.tree.map(lambda leaf: leaf.reshape(n_chunks, -1, *leaf.shape[1:]), per_k)
    levels = jax.lax.map(lambda chunk: solve_chunk(*chunk), chunks)
    return HARTREE_IN_EV * levels.reshape(-1, n_levels)


def _hamiltonian(contents: tuple) -> Hamiltonian:
    return hamiltonian_at(*contents)


def _repeat_spin(levels: Array, n_spin: int) -> Array:
    """Every level twice where the calculation has no spin."""
    return jnp.repeat(levels, 2 // n_spin, axis=-1)


def _as_bands(
    levels: Float[Array, "padded_kpt level"], target: Target, n_spin: int
) -> Float[Array, "kpt band"]:
    """Levels without padding, spin-repeated, in the order of the bands."""
    bands = _repeat_spin(levels[: target.n_k], n_spin)[:, : target.n_bands]
    if target.band_order is None:
        return bands
    return jnp.take_along_axis(bands, target.band_order, axis=1)
