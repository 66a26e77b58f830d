"""Band energies of all systems, k-points in chunks, systems and k-points vectorised."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from deeppseudopot_jax.batching import SystemGroup, chunks
from deeppseudopot_jax.eigensolvers.hellmann_feynman import lowest_states
from deeppseudopot_jax.observables.states import (
    at_every_k,
    build_hamiltonian,
    on_every_device,
    over_group,
)
from deeppseudopot_jax.parallel import gathered
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

    def at_k(group: SystemGroup, contents: tuple) -> Array:
        return levels_at_k(problem, group, contents)

    levels = on_every_device(problem, at_every_k(problem, params, at_k))
    return bands_of_levels(problem, levels)


def bands_of_levels(
    problem: Problem, levels: tuple[Float[Array, "_system _kpt _level"], ...]
) -> list[Float[Array, "_kpt _band"]]:
    """Band energies (eV) of every system from the levels (Ha) of every group.

    Padding is cut off, levels are repeated for spin and put into the order of the bands.
    """
    result: dict[int, Array] = {}
    for group, found in zip(problem.groups, levels, strict=True):
        for position, member in enumerate(group.members):
            target = problem.targets[member]
            bands = _as_bands(HARTREE_IN_EV * found[position], target, group.tables.n_spin)
            result[member] = bands
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
    group = alone(problem, system)
    target = problem.targets[system]
    if k_points is not None and group.tables.own_sets:
        raise ValueError("with basis_sphere = kG the energies exist at the system's own k-points")
    n_k = target.n_k
    if k_points is not None:
        n_k = len(k_points)
        shards = 1 if group.layout is None else group.layout.kpt_shards
        n_chunks, padded = chunks(n_k, group.tables.dimension**2, problem.dtype, shards)
        k_points = jnp.concatenate([k_points, jnp.repeat(k_points[-1:], padded - n_k, axis=0)])
        group = replace(group, k_points=k_points[None], n_chunks=n_chunks)
    at_k = partial(levels_at_k, problem, group)
    found = over_group(at_k, group, problem.channels, params, strain=strain)
    (levels,) = gathered(group.layout, found)
    return HARTREE_IN_EV * repeat_spin(levels[:n_k], group.tables.n_spin)[:, : target.n_bands]


def form_factors(
    problem: Problem, params: dict, q: Float[Array, " q"]
) -> Float[Array, "q species"]:
    """v_s(q) in Ha Bohr^3 for q in Bohr^-1, long-range tail included; species sorted by symbol."""
    q = jnp.asarray(q, problem.dtype)
    return _form_factors(problem.local, params, q, problem.channels.long_range_gamma)


def alone(problem: Problem, system: int) -> SystemGroup:
    """The group of one system, k-points split as in the group it is in."""
    group = next((group for group in problem.groups if system in group.members), None)
    if group is None:
        raise IndexError(
            f"system {system}: the problem has systems 0 to {len(problem.targets) - 1}"
        )
    position = group.members.index(system)
    return replace(
        group,
        tables=jax.tree.map(lambda leaf: leaf[position : position + 1], group.tables),
        k_points=group.k_points[position : position + 1],
        members=(system,),
        layout=group.layout and replace(group.layout, system_axes=()),
    )


def levels_at_k(problem: Problem, group: SystemGroup, contents: tuple) -> Float[Array, " level"]:
    """Levels (Ha) at one k-point, solved and differentiable; NaN where the solver has failed."""
    return lowest_states(problem.solver, group.n_levels, build_hamiltonian, contents).energies


def repeat_spin(levels: Array, n_spin: int) -> Array:
    """Every level twice where the calculation has no spin."""
    return jnp.repeat(levels, 2 // n_spin, axis=-1)


def _as_bands(
    levels: Float[Array, "padded_kpt level"], target: Target, n_spin: int
) -> Float[Array, "kpt band"]:
    """Levels without padding, spin-repeated, in the order of the bands."""
    bands = repeat_spin(levels[: target.n_k], n_spin)[:, : target.n_bands]
    if target.band_order is None:
        return bands
    return jnp.take_along_axis(bands, target.band_order, axis=1)
