"""Effective masses: exact second-order k.p perturbation theory, and a finite-difference formula."""

import operator
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, Int

from deeppseudopot_jax.arguments import checked, is_traced, positive
from deeppseudopot_jax.eigensolvers.interface import Solver
from deeppseudopot_jax.eigensolvers.response import (
    DEGENERATE,
    REACH,
    Multiplet,
    first_columns,
    resolve,
    respond,
    window_size,
)
from deeppseudopot_jax.hamiltonian.assemble import AtK, build_field, hamiltonian_at
from deeppseudopot_jax.numerics import scaled
from deeppseudopot_jax.observables.arguments import (
    a_k_point,
    a_problem,
    a_system,
    fitting_parameters,
    non_zero_vector,
    some_bands,
)
from deeppseudopot_jax.observables.bands import alone
from deeppseudopot_jax.observables.choices import Index, for_system, is_one_of, known_where
from deeppseudopot_jax.observables.points import listed_points, point_at
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.units import HARTREE_IN_EV

_SAME_SLOPE = 1e-6
"""Ha Bohr: first-order slopes of a multiplet closer than this are one."""

_OUT_OF_REACH = 1e6
"""Ha: where what does not take part is put in the small eigenproblems."""

_with_checks = checked(
    problem=a_problem,
    params=fitting_parameters,
    system_index=a_system,
    k_point=a_k_point,
    bands=some_bands,
    direction=non_zero_vector,
    tolerance=positive,
)


@_with_checks
def curvatures(
    problem: Problem,
    params: Parameters,
    system_index: Index,
    k_point: Index,
    bands: Sequence[Index] | Int[Array, " band"],
    direction: Float[Array, "3"],
    tolerance: float = DEGENERATE,
) -> Float[Array, " band"]:
    """d^2E/dk^2 of bands at a k-point along a direction, in Ha Bohr^2: inverse effective masses.

    Second-order perturbation theory in dH/dk and d^2H/dk^2, which contain the k-dependence of the
    kinetic, spin-orbit and nonlocal parts. In a multiplet the slopes come first; levels of equal
    slope then diagonalise the second-order matrix among themselves (J. M. Luttinger and W. Kohn,
    Phys. Rev. 97, 869 (1955)). The bands of a multiplet are those found in ascending order a small
    step along `direction`.

    Differentiable once in `params`; where a multiplet is degenerate by symmetry, the derivative is
    that of a change which keeps the symmetry.

    Args:
        problem: from `build_problem`.
        params: potential parameters.
        system_index: of the system; a traced one compiles every system.
        k_point: index of the k-point; its plane waves are those of the derivatives too.
        bands: indices of the bands, counted by energy, without a band order; where one is traced,
            the masses of all bands are computed.
        direction: Cartesian, of any length but zero.
        tolerance: levels closer than this (Ha) are degenerate (static).

    Returns:
        NaN where the solver failed, a multiplet of more than six levels was found, a traced index
        is out of range or a traced direction has no length.

    Raises:
        IndexError: if there is no such system, k-point or band.
        InputError: if `direction` is zero or not finite, `tolerance` is not positive, or an
            argument is of another kind or shape.
        NotImplementedError: when differentiated twice.
    """

    def of_system(index: int) -> Array:
        target = problem.targets[index]

        def of_bands(bands: tuple[int, ...]) -> Array:
            return _curvatures(problem, params, index, k_point, bands, direction, tolerance)

        if not any(is_traced(band) for band in bands):
            found = of_bands(tuple(map(operator.index, bands)))
        else:
            per_level = 2 // problem.groups[0].tables.n_spin
            every = of_bands(tuple(range(0, target.n_bands, per_level)))
            chosen = jnp.stack([jnp.asarray(band) for band in bands])
            found = known_where(is_one_of(chosen, target.n_bands), every[chosen // per_level])
        return known_where(is_one_of(k_point, target.n_k), found)

    return for_system(problem, system_index, of_system)


def _curvatures(
    problem: Problem,
    params: Parameters,
    system_index: int,
    k_point: Index,
    bands: tuple[int, ...],
    direction: Float[Array, "3"],
    tolerance: float,
) -> Float[Array, " band"]:
    group = alone(problem, system_index)
    points = listed_points(problem, system_index, (k_point,))
    field = build_field(points.tables, problem.channels, params)
    point = point_at(points, problem.channels, field, 0)
    levels = tuple(band * points.tables.n_spin // 2 for band in bands)
    direction = jnp.asarray(direction, problem.dtype)
    unit = (direction / jnp.linalg.norm(direction))[None]
    itself = jnp.ones((1, 1), problem.dtype)
    return curvatures_of_levels(
        problem.solver, group.n_levels, levels, point, unit, itself, tolerance
    )[0]


def curvatures_of_levels(
    solver: Solver,
    n_levels: int,
    levels: tuple[int, ...],
    point: AtK,
    axes: Float[Array, "axis 3"],
    directions: Float[Array, "direction axis"],
    tolerance: float = DEGENERATE,
    width: int = 2 * REACH + 1,
) -> Float[Array, "direction level"]:
    """`curvatures` of levels along several directions, from one solve and one response per axis.

    Args:
        solver: the eigensolver (static).
        n_levels: that are solved for at least (static).
        levels: indices of the levels (static).
        point: what H at the k-point is made of.
        axes: unit vectors whose responses are solved for.
        directions: combinations of the axes, unit vectors too.
        tolerance: levels closer than this (Ha) are degenerate (static).
        width: states of the largest multiplet that is looked at (static); NaN for larger ones.
    """
    size = window_size(levels, n_levels, point.tables.dimension)
    resolved = resolve(solver, size, levels, tolerance, hamiltonian_at, point)
    columns = jnp.asarray(levels) - jnp.asarray(first_columns(levels, size))
    zero, one = (jnp.asarray(x, point.k_point.dtype) for x in (0.0, 1.0))
    to_fractions = jnp.linalg.inv(point.field.reciprocal_lattice)

    def of_level(arguments: tuple[Multiplet, Array]) -> Array:
        whole, column = arguments
        before = jnp.arange(whole.members.shape[0]) < column
        place = jnp.sum(jnp.where(before, whole.members, 0.0)).astype(jnp.int32)
        multiplet = _packed(whole, width)
        psi = multiplet.vectors

        def moved(distance: Array, direction: Array) -> Array:
            k_point = point.k_point + distance * (direction @ to_fractions)
            return hamiltonian_at(point._replace(k_point=k_point)).apply(psi)

        def velocity(distance: Array, direction: Array) -> Array:
            return jax.jvp(lambda t: moved(t, direction), (distance,), (one,))[1]

        def along_axis(axis: Array) -> tuple[Array, Array]:
            perturbed = velocity(zero, axis)
            change = respond(hamiltonian_at(point), multiplet, resolved.window, perturbed)
            return perturbed, change

        responses = jax.lax.map(along_axis, axes)

        def along(direction: Array) -> Array:
            perturbed, change = (
                jnp.tensordot(direction.astype(leaf.dtype), leaf, 1) for leaf in responses
            )
            at_zero = partial(velocity, direction=direction @ axes)
            second = jax.jvp(at_zero, (zero,), (one,))[1]
            matrix = psi.conj().T @ second + 2.0 * perturbed.conj().T @ change
            matrix = 0.5 * (matrix + matrix.conj().T)
            return _second_order(psi.conj().T @ perturbed, matrix, multiplet.members, place)

        return jax.lax.map(along, directions)

    return jax.lax.map(of_level, (resolved.multiplets, columns)).T


def _packed(multiplet: Multiplet, width: int) -> Multiplet:
    """The same with its members in the first columns, `width` of them; NaN if it has more."""
    if width >= multiplet.members.shape[0]:
        return multiplet
    chosen = jnp.argsort(-multiplet.members, stable=True)[:width]
    complete = jnp.sum(multiplet.members) <= width
    vectors = jnp.where(complete, multiplet.vectors[:, chosen], jnp.nan)
    return Multiplet(multiplet.energy, vectors, multiplet.members[chosen])


@_with_checks
def effective_masses(
    problem: Problem,
    params: Parameters,
    system_index: Index,
    k_point: Index,
    bands: Sequence[Index] | Int[Array, " band"],
    direction: Float[Array, "3"],
    tolerance: float = DEGENERATE,
) -> Float[Array, " band"]:
    """1 / (d^2E/dk^2) in electron masses, negative at band maxima; see `curvatures`."""
    return 1.0 / curvatures(problem, params, system_index, k_point, bands, direction, tolerance)


def neighbour_masses(
    at_edge: Float[Array, "2"], at_neighbour: Float[Array, "2"], distance: Float[Array, ""]
) -> Float[Array, "2"]:
    """Masses |dk|^2 / (2 dE) of hole and electron from energies at the gap and at a k-point nearby.

    The parabola through two points; the hole's mass is that of -E, so that both are positive at a
    direct gap. Infinite where the energies are equal.

    Args:
        at_edge: energies (eV) of valence and conduction band at the gap.
        at_neighbour: the same bands at the neighbouring k-point.
        distance: |dk| in Bohr^-1.
    """
    change = (at_neighbour - at_edge) / HARTREE_IN_EV
    return distance**2 / (2.0 * jnp.asarray([-1.0, 1.0], change.dtype) * change)


def _second_order(
    slopes: Complex[Array, "column column"],
    matrix: Complex[Array, "column column"],
    members: Float[Array, " column"],
    place: Int[Array, ""],
) -> Float[Array, ""]:
    """The second-order energy of the member that comes at `place` when slopes order the others."""
    aside = jnp.diag(_OUT_OF_REACH * (1.0 - members)).astype(slopes.dtype)
    rotation, values = _rotation(slopes + aside)
    alike = ~(jnp.abs(values - values[place]) > _SAME_SLOPE)  # so that NaN stays NaN
    matrix = rotation.conj().T @ matrix @ rotation
    block = jnp.where(alike[:, None] & alike[None, :], matrix, 0.0)
    within = jnp.sum(alike * (jnp.arange(len(alike), dtype=place.dtype) < place))
    return jnp.linalg.eigvalsh(block + jnp.diag(jnp.where(alike, 0.0, _OUT_OF_REACH)))[within]


@jax.custom_jvp
def _rotation(
    matrix: Complex[Array, "column column"],
) -> tuple[Complex[Array, "column column"], Float[Array, " column"]]:
    """Eigenvectors and eigenvalues; the vectors' derivative leaves out what mixes equal values."""
    values, vectors = jnp.linalg.eigh(matrix)
    return vectors, values


@_rotation.defjvp
def _rotation_response(primals, tangents):
    vectors, values = _rotation(*primals)
    coupling = vectors.conj().T @ tangents[0] @ vectors
    distance = values[None, :] - values[:, None]
    apart = jnp.abs(distance) > _SAME_SLOPE
    mixing = jnp.where(apart, scaled(coupling, 1.0 / jnp.where(apart, distance, 1.0)), 0.0)
    return (vectors, values), (vectors @ mixing, jnp.diag(coupling).real)
