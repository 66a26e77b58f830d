"""Levenberg-Marquardt as an optimiser of `train`: every move is a step that lowers the cost."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float

from deeppseudopot_jax.costs.interface import Cost, Evaluated
from deeppseudopot_jax.eigensolvers.interface import States
from deeppseudopot_jax.observables.band_order import followed
from deeppseudopot_jax.observables.bands import bands_of_levels
from deeppseudopot_jax.observables.evaluation import (
    carried,
)
from deeppseudopot_jax.observables.states import energies_of
from deeppseudopot_jax.parallel import placed
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.training.interface import StepInfo, TrainingState
from deeppseudopot_jax.training.least_squares.coordinates import Coordinates, coordinates_of
from deeppseudopot_jax.training.least_squares.damped import (
    FIRST_DAMPING,
    Damping,
    damped_step,
    first_damping,
)
from deeppseudopot_jax.training.least_squares.geodesic import geodesic_step
from deeppseudopot_jax.training.least_squares.linearised import Linearised, linearised
from deeppseudopot_jax.training.least_squares.sides import Columns, Side, columns_of, side_of
from deeppseudopot_jax.training.trainable import Split, merge
from deeppseudopot_jax.training.trials import evaluation_of, tried

TRIALS = 12
LEAST_GAIN = 1e-4
"""Of an accepted step: what it lowers the cost by, over what the linearised cost promised."""

_SMALL_SLOPE = 1e-8
"""Cosine of the angle between residuals and a column of J, at which they are orthogonal."""
_SMALL_STEP = 1e-10
"""Of the coordinates, both in units of their scales."""
SMALL_GAIN = 1e-13
"""Of the cost, promised by a step."""

_UNCERTAIN = 1e-6
"""Of cost and coordinates: errors of the energies may hide such gains and steps."""
_ROUNDING = 1e3
"""The same over the relative precision."""


class Found(NamedTuple):
    """What a look leaves for the move after it."""

    cost: Float[Array, ""]
    near: Linearised
    damping: Damping
    states: tuple[States, ...]


@dataclass(frozen=True)
class LevenbergMarquardt:
    """Damped Gauss-Newton steps of one cost; made by `least_squares`."""

    cost: Cost
    coordinates: Coordinates
    columns: Columns
    side: Side

    def begin(self, trainable: dict) -> Damping:
        """The damping before the first step."""
        return first_damping(self.coordinates.size(trainable))

    def look(
        self, problem: Problem, frozen: Parameters, state: TrainingState
    ) -> tuple[StepInfo, Found]:
        """Cost and Jacobian at the parameters of `state`."""
        evaluation = evaluation_of(problem, frozen, state)
        values, held_out, near = linearised(
            *self._arguments(problem, frozen, state.trainable, evaluation.states)
        )
        slopes = self.coordinates.by_channel(state.trainable, near.gradient)
        norms = {name: 2.0 * jnp.linalg.norm(slope) for name, slope in slopes.items()}
        total = values.sum()
        info = StepInfo(
            total, values, norms, evaluation.dense_fallbacks, evaluation.missed_levels, held_out,
            self.coordinates.unfolded(state.trainable, 2.0 * near.gradient),
        )  # fmt: skip
        scales = self.coordinates.scales(state.trainable, near.column_norms)
        damping = state.optimizer_state.with_scales(scales)
        return info, Found(total, near, damping, evaluation.states)

    def move(
        self, problem: Problem, frozen: Parameters, state: TrainingState, found: Found
    ) -> tuple[TrainingState, str]:
        """The first of some steps, ever more damped, that lowers the cost."""
        if _largest_slope(found) <= _SMALL_SLOPE:
            return state, "converged: the residuals are orthogonal to every change"
        damping, start = found.damping, carried(found.states)
        size = jnp.linalg.norm(damping.scales * self.coordinates.values(state.trainable))
        parts = self.cost, problem, frozen, state.trainable, self.coordinates
        for _ in range(TRIALS):
            step = geodesic_step(*parts, found.near, damping)
            if step.predicted <= SMALL_GAIN * found.cost or step.length <= _SMALL_STEP * size:
                break
            trainable = self.coordinates.moved(state.trainable, step.change)
            there = tried(problem, merge(Split(trainable, frozen)), state.updates, start)
            if there is not None:
                cost = _cost_of(self.cost, problem, frozen, trainable, there.states)
                gain = (found.cost - cost) / step.predicted
                if gain > LEAST_GAIN:
                    moved = state._replace(
                        trainable=trainable,
                        optimizer_state=damping.relieved(gain),
                        carried=None,
                        updates=state.updates + 1,
                        evaluation=there,
                    )
                    return moved, ""
            damping = damping.raised()
        return state, _why_ended(found, size, problem.dtype)

    def after_kick(self, optimizer_state: Damping) -> Damping:
        """The damping; the Jacobian is formed anew in any case."""
        return optimizer_state

    def compile(
        self, problem: Problem, frozen: Parameters, trainable: dict, states: tuple[States, ...]
    ) -> None:
        """Compile the Jacobian before it is needed; `states` may be shapes alone."""
        linearised.lower(*self._arguments(problem, frozen, trainable, states)).compile()

    def _arguments(
        self, problem: Problem, frozen: Parameters, trainable: dict, states: tuple[States, ...]
    ) -> tuple[Any, ...]:
        """Those of `linearised`."""
        shape = self.coordinates, self.columns, states, self.side
        return self.cost, problem, frozen, trainable, *shape


def least_squares(problem: Problem, cost: Cost, trainable: dict) -> LevenbergMarquardt:
    """The optimiser of some trainable channels.

    Args:
        problem: from `build_problem`.
        cost: what is minimised.
        trainable: from `split`.
    """
    coordinates, columns = placed(
        problem.mesh,
        PartitionSpec(),
        (coordinates_of(problem.composition, trainable), columns_of(problem)),
    )
    side = side_of(problem, columns, coordinates.size(trainable))
    return LevenbergMarquardt(cost, coordinates, columns, side)


@jax.jit
def _cost_of(
    cost: Cost, problem: Problem, frozen: Parameters, trainable: dict, states: tuple[States, ...]
) -> Float[Array, ""]:
    problem = followed(problem, states)
    bands = bands_of_levels(problem, energies_of(problem.groups, states))
    return cost(problem, merge(Split(trainable, frozen)), Evaluated(bands))


def _why_ended(found: Found, size: Float[Array, ""], dtype: jnp.dtype) -> str:
    """Whether a minimum is reached, or steps fail that ought to lower the cost.

    Any step promises little once it is damped enough: what counts is one that is damped mildly.
    """
    mildest = jnp.minimum(found.damping.value, FIRST_DAMPING)
    step = damped_step(found.near, found.damping._replace(value=mildest))
    hidden = max(_UNCERTAIN, _ROUNDING * float(jnp.finfo(dtype).eps))
    if step.predicted <= hidden * found.cost:
        return "converged: no step would lower the cost"
    if step.length <= hidden * size:
        return "converged: the steps vanish"
    return "stalled: no trial step lowered the cost"


def _largest_slope(found: Found) -> Float[Array, ""]:
    norms = found.damping.scales * jnp.sqrt(found.cost)
    return jnp.max(jnp.abs(found.near.gradient) / jnp.where(norms > 0, norms, 1.0))
