"""How the inputs of H, and residuals beside those of the bands, follow a step of the parameters."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from deeppseudopot_jax.hamiltonian.assemble import scaled_strengths
from deeppseudopot_jax.hamiltonian.tables import SystemTables
from deeppseudopot_jax.observables.hamiltonians import on_every_device
from deeppseudopot_jax.observables.states import Levels
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.potentials.compose import v_of_q
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.training.least_squares.coordinates import Coordinates
from deeppseudopot_jax.training.trainable import Split, merge

ParamsAt = Callable[[Array], Parameters]
"""The parameters after a step."""

_ROWS_AT_A_TIME = 16
"""Of residuals that are differentiated in reverse; bounds their memory."""


def params_after(coordinates: Coordinates, trainable: dict, frozen: Parameters) -> ParamsAt:
    """The parameters as a function of a step from `trainable`."""

    def params_at(step: Array) -> Parameters:
        return merge(Split(coordinates.moved(trainable, step), frozen))

    return params_at


class Others(NamedTuple):
    """Residuals beside those of the bands: their derivatives at fixed parameters (per Ha), and at
    fixed levels of the undeformed crystals.

    The first of them depend on levels, `by_levels` has rows for these alone.
    """

    residuals: Float[Array, " other"]
    by_levels: tuple[Float[Array, "other _system _kpt _level"], ...]
    by_step: Float[Array, "other coordinate"]


def other_residuals(
    of_levels: Callable[[Levels, Array], Array],
    of_parameters: Callable[[Array], Array],
    levels: Levels,
    start: Float[Array, " coordinate"],
) -> Others:
    """Differentiate `of_levels(levels, step)` and `of_parameters(step)`, row after row."""
    first, pullback = jax.vjp(of_levels, levels, start)
    second, pullback_alone = jax.vjp(of_parameters, start)
    by_levels, by_step = _pulled_back(pullback, first, (levels, start))
    (alone,) = _pulled_back(pullback_alone, second, (start,))
    return Others(jnp.concatenate([first, second]), by_levels, jnp.concatenate([by_step, alone]))


def _pulled_back(pullback: Callable[[Array], Any], residuals: Array, arguments: Any) -> Any:
    """The rows of a Jacobian, some at a time."""
    if len(residuals) == 0:
        return jax.tree.map(lambda leaf: jnp.zeros((0, *leaf.shape), leaf.dtype), arguments)
    unit = jnp.eye(len(residuals), dtype=residuals.dtype)
    return jax.lax.map(pullback, unit, batch_size=_ROWS_AT_A_TIME)


def inputs_by_step(
    problem: Problem, params_at: ParamsAt, start: Float[Array, " coordinate"]
) -> tuple[Float[Array, "_system _input coordinate"], ...]:
    """The derivatives of the inputs of H of every group with respect to a step.

    Those of form factors are taken q by q, so that a network is differentiated at one q at a time.
    """

    def form_factors(step: Array, q: Array) -> Array:
        return _form_factors(problem, params_at(step), q[None])

    def strengths(step: Array, tables: SystemTables) -> Array:
        return flat_strengths(problem, params_at(step), tables)

    def of_system(tables: SystemTables) -> Array:
        shells = jax.vmap(jax.jacrev(form_factors), (None, 0))(start, tables.shell_radii)
        of_strengths = jax.jacrev(strengths)(start, tables)
        return jnp.concatenate([shells.reshape(-1, len(start)), of_strengths])

    found = tuple(jax.vmap(of_system)(group.tables) for group in problem.groups)
    return on_every_device(problem.groups, found)


def inputs_bent(
    problem: Problem, params_at: ParamsAt, direction: Float[Array, " coordinate"]
) -> tuple[Float[Array, "_system _input"], ...]:
    """The second derivatives of the inputs of H of every group along a step."""

    def of_system(tables: SystemTables) -> Array:
        def inputs(step: Array) -> Array:
            params = params_at(step)
            shells = _form_factors(problem, params, tables.shell_radii)
            return jnp.concatenate([shells, flat_strengths(problem, params, tables)])

        return bent(inputs, direction)

    found = tuple(jax.vmap(of_system)(group.tables) for group in problem.groups)
    return on_every_device(problem.groups, found)


def bent(function: Callable[[Array], Array], direction: Float[Array, " coordinate"]) -> Array:
    """The second derivative of a function of the step at zero, along a direction."""

    def slope(step: Array) -> Array:
        return jax.jvp(function, (step,), (direction,))[1]

    return jax.jvp(slope, (jnp.zeros_like(direction),), (direction,))[1]


def _form_factors(problem: Problem, params: Parameters, q: Float[Array, " shell"]) -> Array:
    """Those of all species at some q, in one axis."""
    return v_of_q(problem.local, params, q, problem.channels.long_range_gamma).ravel()


def flat_strengths(
    problem: Problem, params: Parameters, tables: SystemTables
) -> Float[Array, " strength"]:
    """The scaled strengths of all separable channels of a system, in one axis."""
    found = scaled_strengths(tables, problem.channels, params, tables.volume)
    return jnp.concatenate([jnp.zeros(0, problem.dtype), *(part.ravel() for part in found)])
