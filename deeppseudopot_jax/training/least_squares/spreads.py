"""What a covariance of the coordinates means for bands, numbers, deformation potentials, curves."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from deeppseudopot_jax.eigensolvers.interface import States
from deeppseudopot_jax.observables.band_order import followed
from deeppseudopot_jax.observables.bands import bands_of_levels
from deeppseudopot_jax.observables.deformation import deformation_potentials
from deeppseudopot_jax.observables.hamiltonians import hamiltonians
from deeppseudopot_jax.observables.states import Levels, energies_of
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.potentials.compose import v_of_q
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.training.least_squares.coordinates import Coordinates
from deeppseudopot_jax.training.least_squares.levels import derivatives_of_levels
from deeppseudopot_jax.training.least_squares.steps import ParamsAt, inputs_by_step, params_after
from deeppseudopot_jax.types import DeformationTarget


class LevelsByStep(NamedTuple):
    """Derivatives of the levels of every group: with respect to inputs of H, of these to a step."""

    by_inputs: tuple[Float[Array, "_system _kpt _level _input"], ...]
    inputs: tuple[Float[Array, "_system _input coordinate"], ...]


def levels_by_step(
    problem: Problem, params_at: ParamsAt, states: tuple[States, ...], n_coordinates: int
) -> LevelsByStep:
    """At solved states without a step; `params_at` has the parameters after one."""
    start = jnp.zeros(n_coordinates, problem.dtype)
    everywhere = hamiltonians(problem, params_at(start))
    by_inputs = tuple(
        derivatives_of_levels(everywhere, index, of_group) for index, of_group in enumerate(states)
    )
    return LevelsByStep(by_inputs, inputs_by_step(problem, params_at, start))


def spread_of_bands(
    problem: Problem, levels: LevelsByStep, half: Float[Array, "coordinate coordinate"]
) -> list[Float[Array, "_kpt _band"]]:
    """One standard deviation (eV) of every band energy, in the order of the bands.

    Args:
        problem: from `build_problem`.
        levels: from `levels_by_step`.
        half: of the covariance.
    """

    def of_system(by_inputs: Array, inputs: Array) -> Array:
        scattered = inputs @ half.astype(inputs.dtype)
        return jax.lax.map(lambda at_k: jnp.linalg.norm(at_k @ scattered, axis=-1), by_inputs)

    found = tuple(jax.vmap(of_system)(*of_group) for of_group in zip(*levels, strict=True))
    return bands_of_levels(problem, found)


def spread_of_numbers(
    problem: Problem,
    levels: LevelsByStep,
    states: tuple[States, ...],
    half: Float[Array, "coordinate coordinate"],
    slopes: list[Float[Array, "number _kpt _band"]],
) -> Float[Array, " number"]:
    """One standard deviation of numbers that follow from bands.

    Args:
        problem: from `build_problem`.
        levels: from `levels_by_step`.
        states: those that it belongs to.
        half: of the covariance.
        slopes: derivatives of the numbers with respect to the bands (eV) of every system.
    """

    def numbers(energies: Levels) -> Array:
        bands = bands_of_levels(problem, energies)
        parts = [jnp.einsum("okn,kn->o", *pair) for pair in zip(slopes, bands, strict=True)]
        return sum(parts, jnp.zeros(len(slopes[0]), problem.dtype))

    by_levels = jax.jacrev(numbers)(energies_of(problem.groups, states))
    by_step = jnp.zeros((len(slopes[0]), len(half)), problem.dtype)
    for of_levels, by_inputs, inputs in zip(by_levels, *levels, strict=True):
        followed = jnp.einsum("oskl,sklu->osu", of_levels, by_inputs)
        by_step += jnp.einsum("osu,sup->op", followed, inputs)
    return jnp.linalg.norm(by_step @ half.astype(by_step.dtype), axis=1)


def spread_of_curves(
    problem: Problem,
    params_at: ParamsAt,
    half: Float[Array, "coordinate coordinate"],
    q: Float[Array, " q"],
    transform: Float[Array, "r q"],
) -> tuple[Float[Array, "q species"], Float[Array, "r species"]]:
    """One standard deviation of v(q) (Ha Bohr^3) and of its transform v(r) (Ha).

    Args:
        problem: from `build_problem`.
        params_at: the parameters after a step.
        half: of the covariance.
        q: in Bohr^-1.
        transform: the matrix that takes v(q) to v(r).
    """
    start = jnp.zeros(len(half), problem.dtype)
    gamma = problem.channels.long_range_gamma

    def at_q(step: Array, q: Array) -> Array:
        return v_of_q(problem.local, params_at(step), q[None], gamma)[0]

    by_step = jax.vmap(jax.jacrev(at_q), (None, 0))(start, q) @ half.astype(q.dtype)
    in_space = jnp.einsum("rq,qsp->rsp", transform, by_step)
    return jnp.linalg.norm(by_step, axis=-1), jnp.linalg.norm(in_space, axis=-1)


class Spreads(NamedTuple):
    """One standard deviation of what follows from a fit: bands in eV, v(q) and v(r) by species."""

    bands: list[Float[Array, "_kpt _band"]]
    numbers: Float[Array, " number"]
    v_q: Float[Array, "q species"]
    v_r: Float[Array, "r species"]


@jax.jit
def spreads(
    problem: Problem,
    frozen: Parameters,
    trainable: dict,
    coordinates: Coordinates,
    states: tuple[States, ...],
    half: Float[Array, "coordinate coordinate"],
    slopes: list[Float[Array, "number _kpt _band"]],
    q: Float[Array, " q"],
    transform: Float[Array, "r q"],
) -> Spreads:
    """`spread_of_bands`, `spread_of_numbers` and `spread_of_curves` at solved states."""

    problem = followed(problem, states)
    params_at = params_after(coordinates, trainable, frozen)
    levels = levels_by_step(problem, params_at, states, len(half))
    return Spreads(
        spread_of_bands(problem, levels, half),
        spread_of_numbers(problem, levels, states, half, slopes),
        *spread_of_curves(problem, params_at, half, q, transform),
    )


@partial(jax.jit, static_argnames="system_index")
def spread_of_deformation_potentials(
    problem: Problem,
    frozen: Parameters,
    trainable: dict,
    coordinates: Coordinates,
    half: Float[Array, "coordinate coordinate"],
    system_index: int,
    rows: tuple[DeformationTarget, ...],
) -> Float[Array, " row"]:
    """One standard deviation (eV) of the deformation potentials that some rows name.

    Args:
        problem: from `build_problem`.
        frozen: parameters that are not trained.
        trainable: those that are.
        coordinates: of the trainable numbers.
        half: of the covariance.
        system_index: of the system, static.
        rows: of expDefPot_X.par, static.

    Raises:
        IndexError: if a row names a k-point or band that is not there.
        InputError: if a ratio is not positive or 1.
    """
    params_at = params_after(coordinates, trainable, frozen)

    def potentials(step: Array) -> Array:
        return deformation_potentials(problem, params_at(step), system_index, rows)

    by_step = jax.jacrev(potentials)(jnp.zeros(len(half), problem.dtype))
    return jnp.linalg.norm(by_step @ half.astype(by_step.dtype), axis=1)
