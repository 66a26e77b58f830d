"""One member of an ensemble of fits, and its updates as pure functions that can be vectorised."""

from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from deeppseudopot_jax.costs.interface import Cost, Evaluated
from deeppseudopot_jax.eigensolvers.interface import FOR_GRADIENTS, States
from deeppseudopot_jax.observables.band_order import followed
from deeppseudopot_jax.observables.bands import bands_of_levels
from deeppseudopot_jax.observables.evaluation import carried, solve_from
from deeppseudopot_jax.observables.hamiltonians import hamiltonians
from deeppseudopot_jax.observables.states import found_levels
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.records import record, static
from deeppseudopot_jax.training.descent import differentiated
from deeppseudopot_jax.training.least_squares.coordinates import Coordinates
from deeppseudopot_jax.training.least_squares.damped import Damping, first_damping
from deeppseudopot_jax.training.least_squares.geodesic import geodesic_step
from deeppseudopot_jax.training.least_squares.levenberg_marquardt import (
    LEAST_GAIN,
    SMALL_GAIN,
    TRIALS,
)
from deeppseudopot_jax.training.least_squares.linearised import linearised
from deeppseudopot_jax.training.least_squares.sides import Columns, Side
from deeppseudopot_jax.training.trainable import Split, merge, split


class Member(NamedTuple):
    """One fit: where it stands, with its solved states and their cost, and the best it has met.

    `updates` counts those that were made, `idle` the rounds since the lowest cost. A member whose
    states were not found has the cost NaN and is done, as one that has converged or lost patience.
    """

    params: Parameters
    memory: Any
    states: tuple[States, ...]
    cost: Float[Array, ""]
    best: Parameters
    lowest: Float[Array, ""]
    updates: Int[Array, ""]
    idle: Int[Array, ""]
    done: Bool[Array, ""]


@runtime_checkable
class Round(Protocol):
    """An update of one member: a pure function, written for one, and a pytree."""

    def begin(self, params: Parameters) -> Any:
        """What a member remembers before its first update."""
        ...

    def __call__(self, cost: Cost, problem: Problem, member: Member) -> Member:
        """The member after an update, which may have been rejected."""
        ...


@record
class LeastSquaresRound:
    """A trial step of Levenberg-Marquardt; after a rejected one too the Jacobian is formed anew."""

    coordinates: Coordinates
    columns: Columns
    side: Side = static()
    channels: tuple[str, ...] = static()

    def begin(self, params: Parameters) -> Damping:
        """The first damping."""
        return first_damping(self.coordinates.size(split(params, self.channels).trainable))

    def __call__(self, cost: Cost, problem: Problem, member: Member) -> Member:
        """The member after a step, or with more damping."""
        trainable, frozen = split(member.params, self.channels)
        basis = self.coordinates, self.columns
        _, _, near = linearised(cost, problem, frozen, trainable, *basis, member.states, self.side)
        scales = self.coordinates.scales(trainable, near.column_norms)
        damping = member.memory.with_scales(scales)
        step = geodesic_step(cost, problem, frozen, trainable, self.coordinates, near, damping)
        moved = merge(Split(self.coordinates.moved(trainable, step.change), frozen))
        states, found = _evaluated(cost, problem, moved, member.states)
        gain = (member.cost.astype(step.predicted.dtype) - found) / step.predicted
        accepted = gain > LEAST_GAIN
        tried = member._replace(
            params=moved,
            memory=damping.relieved(gain),
            states=states,
            cost=found,
            best=moved,
            lowest=found,
            updates=member.updates + 1,
            idle=jnp.zeros_like(member.idle),
        )
        stayed = member._replace(memory=damping.raised(), idle=member.idle + 1)
        following: Member = jax.tree.map(partial(jnp.where, accepted), tried, stayed)
        converged = step.predicted <= SMALL_GAIN * member.cost
        return following._replace(done=converged | (following.idle >= TRIALS))


@record
class DescentRound:
    """A step along the gradient, as an optax optimiser has it."""

    optimizer: optax.GradientTransformation = static()
    channels: tuple[str, ...] = static()
    patience: int = static()

    def begin(self, params: Parameters) -> optax.OptState:
        """The fresh state of the optimiser."""
        return self.optimizer.init(split(params, self.channels).trainable)

    def __call__(self, cost: Cost, problem: Problem, member: Member) -> Member:
        """The member after one update."""
        trainable, frozen = split(member.params, self.channels)
        _, _, gradient, _, _ = differentiated(cost, problem, frozen, trainable, member.states)
        updates, memory = self.optimizer.update(gradient, member.memory, trainable)
        moved = merge(Split(optax.apply_updates(trainable, updates), frozen))
        states, found = _evaluated(cost, problem, moved, member.states)
        better = found < member.lowest
        best = jax.tree.map(partial(jnp.where, better), moved, member.best)
        idle = jnp.where(better, 0, member.idle + 1)
        return Member(
            moved,
            memory,
            states,
            found,
            best,
            jnp.where(better, found, member.lowest),
            member.updates + 1,
            idle,
            ~jnp.isfinite(found) | (idle >= self.patience),
        )


def _evaluated(
    cost: Cost, problem: Problem, params: Parameters, near: tuple[States, ...]
) -> tuple[tuple[States, ...], Float[Array, ""]]:
    """States from those of a potential nearby, and their cost; NaN where one was not found."""
    states = solve_from(hamiltonians(problem, params), carried(near), FOR_GRADIENTS)
    return states, cost_of_states(cost, problem, params, states)


def cost_of_states(
    cost: Cost, problem: Problem, params: Parameters, states: tuple[States, ...]
) -> Float[Array, ""]:
    """The whole cost; NaN where a state was not found."""
    problem = followed(problem, states)
    levels = found_levels(problem.groups, states, FOR_GRADIENTS)
    return cost(problem, params, Evaluated(bands_of_levels(problem, levels)))
