"""Levenberg-Marquardt as an optimiser of `train`: every move is a step that lowers the cost."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from deeppseudopot_jax.costs.interface import Cost, Evaluated
from deeppseudopot_jax.eigensolvers.interface import FOR_GRADIENTS, States
from deeppseudopot_jax.observables.bands import bands_of_levels
from deeppseudopot_jax.observables.evaluation import begun, carried, evaluate
from deeppseudopot_jax.observables.hamiltonians import Hamiltonians, on_every_device, prepared
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.training.interface import StepInfo, TrainingState
from deeppseudopot_jax.training.least_squares.coordinates import Coordinates
from deeppseudopot_jax.training.least_squares.damped import (
    Damping,
    damped_step,
    first_damping,
)
from deeppseudopot_jax.training.least_squares.linearised import (
    Linearised,
    columns_of,
    linearised,
    side_of,
)
from deeppseudopot_jax.training.trainable import Split, merge

_TRIALS = 12
_LEAST_GAIN = 1e-4
_SMALL_SLOPE = 1e-8
_SMALL_STEP = 1e-10
_SMALL_PREDICTION = 1e-9


class Found(NamedTuple):
    """What a look leaves for the move after it."""

    cost: Float[Array, ""]
    near: Linearised
    damping: Damping
    states: tuple[States, ...]


@dataclass(frozen=True)
class LevenbergMarquardt:
    """Least squares of one cost in some coordinates."""

    cost: Cost
    coordinates: Coordinates

    def begin(self, trainable: dict) -> Damping:
        """The damping before the first step."""
        return first_damping(self.coordinates.size(trainable))

    def look(
        self, problem: Problem, frozen: Parameters, state: TrainingState
    ) -> tuple[StepInfo, Found]:
        """Cost and Jacobian at the parameters of `state`."""
        states, fallbacks, missed = state.states, 0, False
        if states is None:
            everywhere = prepared(problem, merge(Split(state.trainable, frozen)))
            start = begun(everywhere) if state.carried is None else state.carried
            states, fallbacks, missed = evaluate(everywhere, start, FOR_GRADIENTS)
        columns = columns_of(problem)
        side = side_of(problem, columns, self.coordinates.size(state.trainable))
        values, near = linearised(
            self.cost, problem, frozen, state.trainable, self.coordinates, columns, states, side
        )
        damping = state.optimizer_state.with_scales(near.column_norms)
        slopes = self.coordinates.by_channel(state.trainable, near.gradient)
        norms = {name: 2.0 * jnp.linalg.norm(slope) for name, slope in slopes.items()}
        total = values.sum()
        return StepInfo(total, values, norms, fallbacks, missed), Found(
            total, near, damping, states
        )

    def move(
        self, problem: Problem, frozen: Parameters, state: TrainingState, found: Found
    ) -> tuple[TrainingState, str]:
        """The first of some damped steps that lowers the cost."""
        damping, start = found.damping, carried(found.states)
        if _largest_slope(found) <= _SMALL_SLOPE:
            return state, "converged: the gradient vanishes"
        for _ in range(_TRIALS):
            step = damped_step(found.near, damping)
            if step.predicted <= _SMALL_PREDICTION * found.cost:
                return state, "converged: no step would lower the cost"
            trainable = self.coordinates.moved(state.trainable, step.change)
            everywhere = prepared(problem, merge(Split(trainable, frozen)))
            if not _finite(everywhere):
                damping = damping.raised()
                continue
            states, fallbacks, missed = evaluate(everywhere, start, FOR_GRADIENTS)
            cost = _cost_of(self.cost, problem, frozen, trainable, states)
            gain = (found.cost - cost) / step.predicted
            print(
                "   trial",
                float(damping.value),
                float(gain),
                float(cost),
                "pred",
                float(step.predicted),
            )
            if gain > _LEAST_GAIN:
                following = TrainingState(
                    trainable, damping.relieved(gain), start, state.updates + 1, states
                )
                return following, ""
            damping = damping.raised()
        return state, "stalled: no trial step lowered the cost"


@jax.jit
def _finite(everywhere: Hamiltonians) -> Bool[Array, ""]:
    return jnp.all(
        jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(everywhere.fields)])
    )


@jax.jit
def _cost_of(
    cost: Cost, problem: Problem, frozen: Parameters, trainable: dict, states: tuple[States, ...]
) -> Array:
    pairs = zip(problem.groups, states, strict=True)
    found = tuple(of_group.energies[..., : group.n_levels] for group, of_group in pairs)
    bands = bands_of_levels(problem, on_every_device(problem.groups, found))
    return cost(problem, merge(Split(trainable, frozen)), Evaluated(bands))


def _largest_slope(found: Found) -> Array:
    norms = found.damping.scales * jnp.sqrt(found.cost)
    return jnp.max(jnp.abs(found.near.gradient) / jnp.where(norms > 0, norms, 1.0))
