"""Band energies of all systems, k-points in chunks, systems and k-points vectorised."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from deeppseudopot_jax.arguments import array, checked, is_traced, optional
from deeppseudopot_jax.batching import SystemGroup, chunks
from deeppseudopot_jax.eigensolvers.hellmann_feynman import lowest_states
from deeppseudopot_jax.eigensolvers.interface import Solver
from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.hamiltonian.assemble import AtK, hamiltonian_at
from deeppseudopot_jax.observables.arguments import (
    a_problem,
    a_system,
    deformation,
    fitting_parameters,
)
from deeppseudopot_jax.observables.choices import Index, for_system
from deeppseudopot_jax.observables.hamiltonians import (
    at_every_k,
    group_field,
    hamiltonians,
    on_every_device,
    over_group,
)
from deeppseudopot_jax.parallel import gathered
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.potentials.compose import v_of_q
from deeppseudopot_jax.problem import Problem, Target
from deeppseudopot_jax.units import HARTREE_IN_EV


@checked(problem=a_problem, params=fitting_parameters)
def energies(problem: Problem, params: Parameters) -> list[Float[Array, "_kpt _band"]]:
    """Band energies of every system, in eV, one array (n_k, n_bands) per system.

    Usable under jit, grad and vmap; derivatives are Hellmann-Feynman forces, finite at
    degeneracies. Without spin-orbit every level is listed twice. Columns follow
    kpoints_X_orderMatrix.par where it exists; smooth_reorder and eigvec_reorder act in costs alone.
    A failed solve gives NaN.

    Args:
        problem: from `build_problem`.
        params: from `initial_params`, or any of the same structure.

    Raises:
        InputError: if the parameters are not those of the problem's channels and species.
    """
    found = at_every_k(hamiltonians(problem, params), levels_at(problem.solver))
    return bands_of_levels(problem, on_every_device(problem.groups, found))


def bands_of_levels(
    problem: Problem, levels: tuple[Float[Array, "_system _kpt _level"], ...]
) -> list[Float[Array, "_kpt _band"]]:
    """Band energies (eV) of every system from the levels (Ha) of every group.

    Padding is cut off, levels are repeated for spin and put into the order of the bands.
    """
    pairs = zip(problem.targets, ascending_bands(problem, levels), strict=True)
    return [in_order(bands, target) for target, bands in pairs]


def ascending_bands(
    problem: Problem, levels: tuple[Float[Array, "_system _kpt _level"], ...]
) -> list[Float[Array, "_kpt _band"]]:
    """The same by energy, whatever the order of the bands."""
    result: dict[int, Array] = {}
    for group, found in zip(problem.groups, levels, strict=True):
        for position, member in enumerate(group.members):
            target = problem.targets[member]
            result[member] = system_bands(found[position], target, group.tables.n_spin)
    return [result[i] for i in range(len(problem.targets))]


def system_bands(
    levels: Float[Array, "padded_kpt level"], target: Target, n_spin: int
) -> Float[Array, "kpt band"]:
    """Band energies (eV) of one system by energy, from its levels (Ha) with all their padding."""
    return HARTREE_IN_EV * repeat_spin(levels[: target.n_k], n_spin)[:, : target.n_bands]


def in_order(bands: Float[Array, "kpt band"], target: Target) -> Float[Array, "kpt band"]:
    """Ascending bands in the order of kpoints_X_orderMatrix.par or of `followed`, if any."""
    if target.band_order is None:
        return bands
    return jnp.take_along_axis(bands, target.band_order, axis=1)


@checked(
    problem=a_problem,
    params=fitting_parameters,
    system_index=a_system,
    k_points=optional(array("kpt", 3)),
    strain=optional(deformation),
)
def energies_at(
    problem: Problem,
    params: Parameters,
    system_index: Index,
    k_points: Float[Array, "kpt 3"] | None = None,
    strain: Float[Array, "3 3"] | None = None,
) -> Float[Array, "kpt band"]:
    """Band energies (eV) of one system at other k-points or in a deformed crystal.

    Differentiable in `params`, `k_points` and `strain` alike. No band order is applied.

    Args:
        problem: from `build_problem`.
        params: potential parameters.
        system_index: of the system; a traced one compiles every system.
        k_points: fractional; the system's own where None.
        strain: every vector r of the crystal becomes (1 + strain) r; the plane waves keep their
            integers, so a pure rotation changes nothing.

    Raises:
        IndexError: if there is no such system.
        InputError: if `basis_sphere = kG` and `k_points` is given: those bases belong to k-points;
            if an argument is not of these shapes or not finite, or `strain` folds the crystal; if
            `system_index` is traced and systems differ in their number of bands or k-points.
    """
    if is_traced(system_index):
        _require_one_shape(problem, k_points is None)

    def of_system(index: int) -> Array:
        return _system_energies(problem, params, index, k_points, strain)

    return for_system(problem, system_index, of_system)


def _require_one_shape(problem: Problem, at_own_k_points: bool) -> None:
    shapes = {(t.n_k if at_own_k_points else None, t.n_bands) for t in problem.targets}
    if len(shapes) > 1:
        sizes = ", ".join(f"{t.n_k} x {t.n_bands}" for t in problem.targets)
        raise InputError(
            f"system_index: found a traced number, and systems of {sizes} (k-points x bands); "
            "legal: a static number (jit's static_argnames, or a closure)"
        )


def _system_energies(
    problem: Problem,
    params: Parameters,
    system_index: int,
    k_points: Float[Array, "kpt 3"] | None,
    strain: Float[Array, "3 3"] | None,
) -> Float[Array, "kpt band"]:
    group = alone(problem, system_index)
    target = problem.targets[system_index]
    if k_points is not None and group.tables.own_sets:
        raise InputError("with basis_sphere = kG the energies exist at the system's own k-points")
    n_k = target.n_k
    if k_points is not None:
        k_points = jnp.asarray(k_points, problem.dtype)
        n_k = len(k_points)
        shards = 1 if group.layout is None else group.layout.kpt_shards
        n_chunks, padded = chunks(n_k, group.tables.dimension**2, problem.dtype, shards)
        k_points = jnp.concatenate([k_points, jnp.repeat(k_points[-1:], padded - n_k, axis=0)])
        group = replace(group, k_points=k_points[None], n_chunks=n_chunks)
    if strain is not None:
        strain = jnp.asarray(strain, problem.dtype)
    levels = group_levels(problem, params, group, strain)
    return HARTREE_IN_EV * repeat_spin(levels[:n_k], group.tables.n_spin)[:, : target.n_bands]


def group_levels(
    problem: Problem,
    params: Parameters,
    group: SystemGroup,
    strain: Float[Array, "3 3"] | None = None,
) -> Float[Array, "padded_kpt level"]:
    """Levels (Ha) of a group of one system, solved and differentiable, in a deformed crystal."""
    field = group_field(group, problem.channels, params, strain)
    at_k = partial(levels_at(problem.solver), group)
    found = over_group(at_k, group, problem.channels.separable, field)
    (levels,) = gathered(group.layout, found)
    return levels


@checked(
    problem=a_problem,
    params=fitting_parameters,
    q=array("q", legal="numbers >= 0", good=lambda q: q >= 0),
)
def form_factors(
    problem: Problem, params: Parameters, q: Float[Array, " q"]
) -> Float[Array, "q species"]:
    """v_s(q) in Ha Bohr^3 for q in Bohr^-1, long-range tail included; species sorted by symbol.

    Raises:
        InputError: if `q` is no vector of finite numbers >= 0, or the parameters do not fit.
    """
    q = jnp.asarray(q, problem.dtype)
    return v_of_q(problem.local, params, q, problem.channels.long_range_gamma)


def alone(problem: Problem, system_index: int) -> SystemGroup:
    """The group of one system, k-points split as in the group it is in."""
    group = next((group for group in problem.groups if system_index in group.members), None)
    if group is None:
        raise IndexError(
            f"system {system_index}: the problem has systems 0 to {len(problem.targets) - 1}"
        )
    position = group.members.index(system_index)
    return replace(
        group,
        tables=jax.tree.map(lambda leaf: leaf[position : position + 1], group.tables),
        k_points=group.k_points[position : position + 1],
        members=(system_index,),
        layout=group.layout and replace(group.layout, system_axes=()),
    )


def levels_at(solver: Solver) -> Callable[[SystemGroup, AtK], Float[Array, " level"]]:
    """The levels (Ha) at one k-point as a differentiable function; NaN where the solver failed."""

    def at_k(group: SystemGroup, point: AtK) -> Array:
        return lowest_states(solver, group.n_levels, hamiltonian_at, point).energies

    return at_k


def repeat_spin(levels: Array, n_spin: int) -> Array:
    """Every level twice where the calculation has no spin."""
    return jnp.repeat(levels, 2 // n_spin, axis=-1)
