"""A cost around some parameters: residuals as linear functions of a step, and the gradient.

J = (residuals by levels) (levels by inputs of H) (inputs by parameters). The middle factor is
Hellmann-Feynman's, whatever the model is, and products are formed on the smallest side.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from deeppseudopot_jax.costs.bands import BandErrors, held_out_cost
from deeppseudopot_jax.costs.interface import Cost, Evaluated, joined
from deeppseudopot_jax.eigensolvers.interface import States
from deeppseudopot_jax.eigensolvers.one_by_one import one_by_one_on_cpu
from deeppseudopot_jax.observables.band_order import followed
from deeppseudopot_jax.observables.bands import bands_of_levels
from deeppseudopot_jax.observables.hamiltonians import Hamiltonians, hamiltonians
from deeppseudopot_jax.observables.states import Levels, energies_of
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.training.least_squares.coordinates import Coordinates
from deeppseudopot_jax.training.least_squares.levels import (
    OfLevels,
    Sums,
    derivatives_of_levels,
    residuals_of_levels,
    summed_rows,
)
from deeppseudopot_jax.training.least_squares.sides import Columns, Side
from deeppseudopot_jax.training.least_squares.steps import (
    Others,
    inputs_by_step,
    other_residuals,
    params_after,
)

_NEGLIGIBLE = 1e-15
"""Eigenvalues of a Gram matrix over the largest that are rounding."""


class Linearised(NamedTuple):
    """A cost F = |r + J x|^2 + penalties near x = 0, in double precision.

    `rows` and `residuals` have the J^T J and J^T r of all residuals, but may be fewer. Where there
    are more of them than coordinates, `normal` is J^T J and both are None. `gradient` is half that
    of F, and `beside` what of it is not rows^T residuals: penalties, and rounding. `priors` are
    those rows of J that know of the parameters alone. `bending` tells what becomes of the gradient
    when the inputs of H bend: J^T J_u of every group; only beside `normal`.
    """

    rows: Float[Array, "row coordinate"] | None
    residuals: Float[Array, " row"] | None
    normal: Float[Array, "coordinate coordinate"] | None
    gradient: Float[Array, " coordinate"]
    beside: Float[Array, " coordinate"]
    column_norms: Float[Array, " coordinate"]
    priors: Float[Array, "prior coordinate"]
    bending: tuple[Float[Array, "_system coordinate _input"], ...] = ()


@partial(jax.jit, static_argnames="side")
def linearised(
    cost: Cost,
    problem: Problem,
    frozen: Parameters,
    trainable: dict,
    coordinates: Coordinates,
    columns: Columns,
    states: tuple[States, ...],
    side: Side,
) -> tuple[Float[Array, " term"], Float[Array, ""], Linearised]:
    """What the terms of a cost add, the held-out cost, and the cost around these parameters.

    Args:
        cost: its terms are sums of squares, its penalties enter by their gradients.
        problem: from `build_problem`.
        frozen: what is not trained.
        trainable: where the cost is linearised.
        coordinates: of a step.
        columns: from `columns_of`.
        states: the solved states of these parameters.
        side: from `side_of`.
    """

    problem = followed(problem, states)
    params_at = params_after(coordinates, trainable, frozen)
    start = jnp.zeros(coordinates.size(trainable), problem.dtype)
    params = params_at(start)
    levels = energies_of(problem.groups, states)
    evaluated = Evaluated(bands_of_levels(problem, levels))
    values = cost.values(problem, params, evaluated)

    measures = [term.measure for term in cost.terms if isinstance(term, BandErrors)]
    rest = [term for term in cost.terms if not isinstance(term, BandErrors)]

    def of_levels_at(levels: Levels, step: Array) -> Array:
        known, params = Evaluated(bands_of_levels(problem, levels)), params_at(step)
        terms = [term for term in rest if term.needs != "parameters"]
        return joined([term.residuals(problem, params, known) for term in terms], problem.dtype)

    def of_parameters_at(step: Array) -> Array:
        return cost.of_parameters(problem, params_at(step))

    def penalties_at(step: Array) -> Array:
        found = (penalty.value(problem, params_at(step)) for penalty in cost.penalties)
        return sum(found, jnp.zeros((), problem.dtype))

    of_levels = residuals_of_levels(problem, measures, levels)
    others = other_residuals(of_levels_at, of_parameters_at, levels, start)
    inputs = inputs_by_step(problem, params_at, start)
    penalty_gradient = 0.5 * jax.grad(penalties_at)(start).astype(jnp.float64)
    everywhere = hamiltonians(problem, params)
    if side == "residuals":
        of_bands = _all_rows(everywhere, states, of_levels, others, inputs)
    else:
        of_bands = _summed(everywhere, states, of_levels, others, inputs, columns, side)
    held_out = held_out_cost(problem, evaluated.bands)
    n_priors = len(others.residuals) - len(others.by_levels[0])
    return values, held_out, _joined(of_bands, penalty_gradient, n_priors)


class _Parts(NamedTuple):
    """Rows with their residuals; J^T J of others as a matrix, J^T r and J^T J_u of all of them."""

    rows: Array
    residuals: Array
    normal: Array | None
    gradient: Array
    bending: tuple[Array, ...] = ()


def _all_rows(
    everywhere: Hamiltonians,
    states: tuple[States, ...],
    of_levels: tuple[OfLevels, ...],
    others: Others,
    inputs: tuple[Array, ...],
) -> _Parts:
    """Every residual with its row."""
    rows, residuals, other_rows = [], [], others.by_step.astype(jnp.float64)
    for index, of_group in enumerate(of_levels):
        derivatives = derivatives_of_levels(everywhere, index, states[index])
        by_step = jnp.einsum("sklu,sup->sklp", derivatives, inputs[index]).astype(jnp.float64)
        maps = of_group.maps.astype(jnp.float64)
        rows.append(jnp.einsum("skrl,sklp->skrp", maps, by_step).reshape(-1, by_step.shape[-1]))
        residuals.append(of_group.residuals.astype(jnp.float64).ravel())
        by_levels = others.by_levels[index].astype(jnp.float64)
        change = jnp.einsum("oskl,sklp->op", by_levels, by_step)
        other_rows = other_rows.at[: len(change)].add(change)
    all_rows = jnp.concatenate([*rows, other_rows])
    found = jnp.concatenate([*residuals, others.residuals.astype(jnp.float64)])
    return _Parts(all_rows, found, None, all_rows.T @ found)


def _summed(
    everywhere: Hamiltonians,
    states: tuple[States, ...],
    of_levels: tuple[OfLevels, ...],
    others: Others,
    inputs: tuple[Array, ...],
    columns: Columns,
    side: Side,
) -> _Parts:
    """Products over the k-points, in the inputs of H or in the coordinates."""
    n_coordinates = others.by_step.shape[1]
    rows, residuals, other_rows = [], [], others.by_step.astype(jnp.float64)
    gradient = jnp.zeros(n_coordinates)
    normal = None if side == "inputs" else jnp.zeros((n_coordinates, n_coordinates))
    bending, others_by_inputs = [], []
    for index, of_group in enumerate(of_levels):
        by_levels = jnp.moveaxis(others.by_levels[index], 0, 2)
        projected = None if side == "inputs" else inputs[index]
        sums: Sums = jax.tree.map(
            lambda leaf: leaf.astype(jnp.float64),
            summed_rows(everywhere, index, states[index], of_group, by_levels, projected),
        )
        by_step = inputs[index].astype(jnp.float64)
        change = jnp.einsum("sou,sup->op", sums.others, by_step)
        other_rows = other_rows.at[: len(change)].add(change)
        others_by_inputs.append(sums.others)
        if normal is not None:
            normal += jnp.einsum("squ,sup->qp", sums.normal, by_step)
            gradient += sums.gradient.sum(axis=0)
            bending.append(sums.normal)
            continue
        gradient += jnp.einsum("su,sup->p", sums.gradient, by_step)
        bending.append(jnp.einsum("sup,suv->spv", by_step, sums.normal))
        factors, found = jax.vmap(_factor)(sums.normal, sums.gradient, columns[index])
        chosen = jax.vmap(lambda matrix, rows: matrix[rows])(by_step, columns[index])
        rows.append((factors @ chosen).reshape(-1, n_coordinates))
        residuals.append(found.ravel())
    known_by_levels = other_rows[: len(others.by_levels[0])]
    bending = [
        of_bands + jnp.einsum("op,sou->spu", known_by_levels, of_others)
        for of_bands, of_others in zip(bending, others_by_inputs, strict=True)
    ]
    other_residuals = others.residuals.astype(jnp.float64)
    all_rows = jnp.concatenate([*rows, other_rows])
    found = jnp.concatenate([*residuals, other_residuals])
    gradient += other_rows.T @ other_residuals
    return _Parts(all_rows, found, normal, gradient, tuple(bending))


@one_by_one_on_cpu
def _eigh(matrix: Array) -> tuple[Array, Array]:
    sizes, vectors = jnp.linalg.eigh(matrix)
    return sizes, vectors


def _factor(normal: Array, gradient: Array, columns: Array) -> tuple[Array, Array]:
    """F and r with F^T F = normal and F^T r = gradient, as many rows as columns."""
    sizes, vectors = _eigh(normal[columns][:, columns])
    known = sizes > _NEGLIGIBLE * sizes[-1]
    roots = jnp.sqrt(jnp.where(known, sizes, 1.0))
    residuals = jnp.where(known, (vectors.T @ gradient[columns]) / roots, 0.0)
    return jnp.where(known, roots, 0.0)[:, None] * vectors.T, residuals


def _joined(parts: _Parts, penalty_gradient: Array, n_priors: int) -> Linearised:
    """The cost around some parameters; a square matrix where there are more rows than columns."""
    rows, residuals, normal, gradient, bending = parts
    gradient = gradient + penalty_gradient
    priors = rows[len(rows) - n_priors :]
    if normal is None and rows.shape[0] <= rows.shape[1]:
        beside = gradient - rows.T @ residuals
        norms = jnp.sqrt(jnp.sum(rows**2, axis=0))
        return Linearised(rows, residuals, None, gradient, beside, norms, priors)
    whole = rows.T @ rows if normal is None else normal + rows.T @ rows
    norms = jnp.sqrt(jnp.diagonal(whole))
    return Linearised(None, None, whole, gradient, gradient, norms, priors, bending)
