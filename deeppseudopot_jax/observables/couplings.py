"""Electron-phonon couplings: matrix elements of dV/dtau between states at k and at k + q."""

from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from deeppseudopot_jax.arguments import (
    array,
    checked,
    is_traced,
    kind,
    positive,
    refuse,
)
from deeppseudopot_jax.basis import plane_waves
from deeppseudopot_jax.eigensolvers.response import (
    DEGENERATE,
    REACH,
    Multiplet,
    resolve,
    window_size,
)
from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.hamiltonian.assemble import build_field, hamiltonian_at
from deeppseudopot_jax.hamiltonian.tables import UnpaddedTables
from deeppseudopot_jax.numerics import pad_rows
from deeppseudopot_jax.observables.arguments import a_problem, fitting_parameters
from deeppseudopot_jax.observables.coupling_elements import Pair, derivative_elements
from deeppseudopot_jax.observables.points import Points, point_at
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.records import record, static
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.types import SystemInput
from deeppseudopot_jax.units import HARTREE_IN_EV

Edge = Literal["vb", "cb"]
EDGES: tuple[Edge, Edge] = ("vb", "cb")


@record
class CouplingTables:
    """What the couplings of one system need besides parameters, built once.

    Point 0 is the gap, point 1 + j what q-point j leads to. `differences` are the distinct
    G_i - G_j between the waves of both points, padded where `difference_mask` is False.
    """

    points: Points
    differences: Int[Array, "q difference 3"]
    difference_mask: Bool[Array, "q difference"]
    levels: tuple[int, int] = static()
    n_levels: int = static()

    def pair(self, q_index: int | Int[Array, ""]) -> Pair:
        """The gap and the point that a q-point leads to."""
        tables, k_points, end = self.points.tables, self.points.k_points, 1 + q_index
        own_set = end if tables.own_sets else 0
        return Pair(
            tables,
            (k_points[0], k_points[end]),
            (tables.wave_integers[0], tables.wave_integers[own_set]),
            (tables.wave_mask[0], tables.wave_mask[own_set]),
            self.differences[q_index],
            self.difference_mask[q_index],
        )


def _settings_of_problem(name: str, settings: Any, given: Mapping[str, Any]) -> None:
    kind(Settings)(name, settings, given)
    problem: Problem = given["problem"]
    tables = problem.groups[0].tables
    asked = settings.spin_orbit, settings.basis_sphere == "kG"
    if asked != (tables.n_spin == 2, tables.own_sets):
        found = f"SObool = {settings.spin_orbit:d}, basis_sphere = {settings.basis_sphere}"
        raise refuse(name, found, "the settings that the problem was built with")


def _system_of_species(name: str, system: Any, given: Mapping[str, Any]) -> None:
    kind(SystemInput)(name, system, given)
    species = given["problem"].species
    others = sorted(set(system.crystal.symbols) - set(species))
    if others:
        legal = f"those of the problem, {' '.join(species)}"
        raise refuse(name, f"atoms {' '.join(others)}", legal)


def _static_vectors(name: str, points: Any, given: Mapping[str, Any]) -> None:
    if is_traced(points):
        raise refuse(name, "a traced array", "an array outside of traced functions")
    array("q", 3)(name, points, given)


def _tables_of_problem(name: str, tables: Any, given: Mapping[str, Any]) -> None:
    kind(CouplingTables)(name, tables, given)
    n_spin = tables.points.tables.n_spin
    if n_spin != given["problem"].groups[0].tables.n_spin:
        found = "tables with spin" if n_spin == 2 else "tables without spin"
        raise refuse(name, found, "those that `coupling_tables` made for this problem")


@checked(
    problem=a_problem,
    settings=_settings_of_problem,
    system=_system_of_species,
    q_points=_static_vectors,
)
def coupling_tables(
    problem: Problem,
    settings: Settings,
    system: SystemInput,
    q_points: Float[np.ndarray, "q 3"] | Float[Array, "q 3"],
) -> CouplingTables:
    """Tables for the couplings at the gap of a system.

    Where k + q is one of the system's k-points plus a reciprocal lattice vector, the states are
    those of that k-point, else those at k + q itself.

    Args:
        problem: from `build_problem`.
        settings: those of the bundle.
        system: the system.
        q_points: fractional.

    Raises:
        InputError: if input_X.par does not name the band edges and the gap k-point, `q_points`
            are no vectors, or settings and system are not the problem's.
    """
    q_points = np.asarray(q_points, float)
    gap, bands = system.gap_k_point, (system.valence_band, system.conduction_band)
    if gap is None or bands[0] is None or bands[1] is None:
        raise InputError(f"input_{system.index}.par: couplings need idxVB, idxCB and idxGap")
    k_points = [system.k_points[gap], *(_scattered(system, gap, q) for q in q_points)]
    waves = plane_waves(
        system.crystal, system.max_kinetic_energy, settings.basis_sphere, np.array(k_points)
    )
    n_spin = 2 if settings.spin_orbit else 1
    unpadded = UnpaddedTables(system.crystal, np.array(k_points), waves, problem.species, n_spin)
    sets = [g[mask] for g, mask in zip(waves.integers, waves.mask, strict=True)]
    ends = sets[1:] if waves.own_sets else sets * len(q_points)
    found = [_differences(sets[0], end) for end in ends]
    size = max(map(len, found))
    valence, conduction = (band * n_spin // 2 for band in bands if band is not None)
    return CouplingTables(
        Points(
            jax.tree.map(
                jnp.asarray, unpadded.padded(unpadded.sizes, len(k_points), problem.dtype)
            ),
            jnp.asarray(k_points, problem.dtype),
        ),
        jnp.asarray(np.stack([pad_rows(rows, size) for rows in found]), jnp.int32),
        jnp.asarray(np.stack([np.arange(size) < len(rows) for rows in found])),
        (valence, conduction),
        -(-system.n_bands * n_spin // 2),
    )


@checked(
    problem=a_problem, params=fitting_parameters, tables=_tables_of_problem, tolerance=positive
)
def couplings(
    problem: Problem, params: Parameters, tables: CouplingTables, tolerance: float = DEGENERATE
) -> Float[Array, "q edge atom 3"]:
    """|<n k| dV/dtau |n k+q>| in eV/Bohr; the edges are the valence and the conduction band.

    dV_ij / dtau_a is i (K_i - K'_j) times atom a's part of V_ij, local, spin-orbit and nonlocal,
    with K = k + G_i, K' = k + q + G_j. Over a multiplet of degenerate states the squares are
    averaged, sqrt(sum |element|^2 / (n n')), which no choice of basis can change.

    Differentiable once in `params`, the states' first-order response included; where a multiplet
    is degenerate by symmetry, the derivative is that of a change which keeps the symmetry.

    Args:
        problem: from `build_problem`.
        params: potential parameters.
        tables: from `coupling_tables`.
        tolerance: levels closer than this (Ha) are degenerate (static).

    Returns:
        NaN where the solver failed, or a multiplet of more than six levels was found.

    Raises:
        InputError: if the parameters or tables are not the problem's, or `tolerance` not positive.
        NotImplementedError: when differentiated twice.
    """
    gap_and_ends, _ = _resolved(problem, params, tables, tolerance)
    field = build_field(tables.points.tables, problem.channels, params)
    at_gap = jax.tree.map(lambda leaf: leaf[0], gap_and_ends)
    at_ends = jax.tree.map(lambda leaf: leaf[1:], gap_and_ends)

    def at_q(arguments: tuple[Array, Multiplet]) -> Array:
        index, at_end = arguments
        pair = tables.pair(index)

        def at_edge(ends: tuple[Multiplet, Multiplet]) -> Array:
            elements = derivative_elements(problem, params, field, pair, *ends)
            return _average(ends[0], ends[1], elements)

        return jax.lax.map(at_edge, (at_gap, at_end))

    found = jax.lax.map(at_q, (jnp.arange(len(tables.differences)), at_ends))
    return HARTREE_IN_EV * found


def given_couplings(
    system: SystemInput,
) -> tuple[Float[np.ndarray, "q edge atom 3"], Bool[np.ndarray, "q edge atom 3"]]:
    """The |couplings| (eV/Bohr) of the expCoupling files of a system, and which of them are given.

    The system needs its q-points.
    """
    n_q = 0 if system.q_points is None else len(system.q_points)
    shape = (n_q, len(EDGES), len(system.crystal.symbols), 3)
    values, given = np.zeros(shape), np.zeros(shape, bool)
    for target in system.coupling_targets:
        place = EDGES.index(target.band), target.atom, "xyz".index(target.axis)
        values[:, *place], given[:, *place] = np.abs(target.values), True
    return values, given


def coupling_failures(problem: Problem, params: Parameters, tables: CouplingTables) -> list[str]:
    """Why couplings, or their derivatives, are not finite: at which point, which band edge."""

    def resolved(params: Parameters) -> tuple[Multiplet, Array]:
        return _resolved(problem, params, tables, DEGENERATE)

    (multiplets, found), (changes, _) = jax.jvp(resolved, (params,), (params,))
    failures = []
    for point, edge in np.ndindex(found.shape):
        why = ""
        if not found[point, edge]:
            why = "states not converged"
        elif jnp.isnan(multiplets.energy[point, edge]):
            why = f"a multiplet of more than {REACH + 1} levels"
        elif not jnp.all(jnp.isfinite(changes.vectors[point, edge])):
            why = "response of the states not converged"
        if why:
            place = f"k + q of q-point {point - 1}" if point else "the gap k-point"
            failures.append(f"{EDGES[edge]} at {place}: {why}")
    return failures


def _resolved(
    problem: Problem, params: Parameters, tables: CouplingTables, tolerance: float
) -> tuple[Multiplet, Bool[Array, "point edge"]]:
    """The multiplets of both band edges at all points, and whether their levels were found."""
    channels, system = problem.channels, tables.points.tables
    field = build_field(system, channels, params)
    size = window_size(tables.levels, tables.n_levels, system.dimension)

    def at(index: Array) -> tuple[Multiplet, Array]:
        point = point_at(tables.points, channels, field, index)
        levels = tables.levels
        found = resolve(problem.solver, size, levels, tolerance, hamiltonian_at, point)
        known = jnp.isfinite(found.window.energies[jnp.asarray(levels)])
        return found.multiplets, known

    # A loop in the compiled program: one eigensolver to compile, one point at a time in memory.
    return jax.lax.map(at, jnp.arange(len(tables.points.k_points)))


def _scattered(system: SystemInput, gap: int, q: Float[np.ndarray, "3"]) -> np.ndarray:
    """The k-point that q leads to: one of the list if any is equivalent."""
    end = system.k_points[gap] + q
    distance = system.k_points - end
    # The points are given in decimals: a third is one only to as many digits as were written.
    equivalent = np.all(np.abs(distance - np.round(distance)) < 1e-6, axis=1)
    return system.k_points[np.argmax(equivalent)] if equivalent.any() else end


def _differences(left: np.ndarray, right: np.ndarray) -> Int[np.ndarray, "difference 3"]:
    """The distinct g_i - g_j of two sets of integer triples."""
    lowest = left.min(axis=0) - right.max(axis=0)
    shape = left.max(axis=0) - right.min(axis=0) - lowest + 1
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    distinct = np.unique((left @ strides)[:, None] - right @ strides) - lowest @ strides
    return np.stack(np.unravel_index(distinct, shape), axis=-1) + lowest


def _average(left: Multiplet, right: Multiplet, elements: Array) -> Float[Array, "atom 3"]:
    """Root of the mean square over both multiplets, of derivative 0 where it vanishes."""
    squared = jnp.sum(elements.real**2 + elements.imag**2, axis=(-2, -1))
    mean = squared / (jnp.sum(left.members) * jnp.sum(right.members))
    positive = mean != 0.0  # NaN too: it must stay one
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, mean, 1.0)), 0.0)
