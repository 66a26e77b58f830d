"""L-BFGS with a strong Wolfe line search, step by step that of PyTorch with max_iter = 1.

J. Nocedal, Math. Comput. 35, 773 (1980). An epoch is one iteration; every trial of its line search
solves the bands and differentiates the cost.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float, Int

from deeppseudopot_jax.costs.interface import Cost
from deeppseudopot_jax.eigensolvers.interface import States
from deeppseudopot_jax.observables.evaluation import Evaluation, carried
from deeppseudopot_jax.parallel import placed
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.training.descent import differentiated
from deeppseudopot_jax.training.interface import StepInfo, TrainingState
from deeppseudopot_jax.training.line_search import Point, wolfe_point
from deeppseudopot_jax.training.trainable import Split, merge
from deeppseudopot_jax.training.trials import evaluation_of, tried

_HISTORY = 100
_SMALL_GRADIENT = 1e-7
_SMALL_SLOPE = 1e-9
_LEAST_CURVATURE = 1e-10


class Memory(NamedTuple):
    """Steps and what they changed of the gradient, the latest last; those not made yet are zero.

    `inverses` are 1 / (step . change), `scale` the curvature that is assumed beside them. The last
    step is `length` times `direction`, from where the gradient was `gradient`.
    """

    iterations: Int[Array, ""]
    steps: Float[Array, "pair coordinate"]
    changes: Float[Array, "pair coordinate"]
    inverses: Float[Array, " pair"]
    scale: Float[Array, ""]
    direction: Float[Array, " coordinate"]
    length: Float[Array, ""]
    gradient: Float[Array, " coordinate"]


class Found(NamedTuple):
    """What a look leaves for the move after it."""

    cost: Float[Array, ""]
    gradient: Float[Array, " coordinate"]
    states: tuple[States, ...]


@dataclass(frozen=True)
class LimitedMemory:
    """L-BFGS of one cost; `neutral` projects gradients on changes of a4 that are allowed."""

    cost: Cost
    schedule: optax.Schedule
    neutral: optax.GradientTransformation

    def begin(self, trainable: dict) -> Memory:
        """An empty memory."""
        return _empty(ravel_pytree(trainable)[0])

    def look(
        self, problem: Problem, frozen: Parameters, state: TrainingState
    ) -> tuple[StepInfo, Found]:
        """Cost and gradient at the parameters of `state`."""
        states, fallbacks, missed = evaluation_of(problem, frozen, state)
        parts = self.cost, problem, frozen, state.trainable, states
        cost, values, gradient, norms, held_out = differentiated(*parts)
        info = StepInfo(cost, values, norms, fallbacks, missed, held_out)
        return info, Found(cost, self._flat(gradient), states)

    def move(
        self, problem: Problem, frozen: Parameters, state: TrainingState, found: Found
    ) -> tuple[TrainingState, str]:
        """The state after one line search."""
        if float(jnp.abs(found.gradient).max()) <= _SMALL_GRADIENT:
            return state, "converged: the gradient vanishes"
        memory = _remembering(state.optimizer_state, found.gradient)
        direction = memory.direction
        slope = float(found.gradient @ direction)
        if slope > -_SMALL_SLOPE:
            return state, "converged: no step would lower the cost"
        rate = float(self.schedule(state.updates)) * state.course.rate_factor
        if int(memory.iterations) == 1:
            rate *= min(1.0, 1.0 / float(jnp.abs(found.gradient).sum()))
        flat, back = ravel_pytree(state.trainable)

        def at(length: float) -> Point:
            trainable = back(flat + length * direction)
            params = merge(Split(trainable, frozen))
            there = tried(problem, params, state.updates, carried(found.states))
            if there is None:
                return Point(length, math.inf, 0.0)
            return self._point(problem, frozen, trainable, there, direction, length)

        start = Point(0.0, float(found.cost), slope)
        point = wolfe_point(at, start, rate, float(jnp.abs(direction).max()))
        if point.found is None:
            return state, "stalled: no trial step lowered the cost"
        trainable, evaluation = point.found
        length = placed(problem.mesh, PartitionSpec(), jnp.asarray(point.length, flat.dtype))
        moved = state._replace(
            trainable=trainable,
            optimizer_state=memory._replace(length=length),
            carried=None,
            updates=state.updates + 1,
            evaluation=evaluation,
        )
        return moved, ""

    def after_kick(self, optimizer_state: Memory) -> Memory:
        """Nothing: what is remembered belongs to other parameters."""
        return _empty(optimizer_state.gradient)

    def compile(
        self, problem: Problem, frozen: Parameters, trainable: dict, states: tuple[States, ...]
    ) -> None:
        """Compile the gradient before it is needed; `states` may be shapes alone."""
        differentiated.lower(self.cost, problem, frozen, trainable, states).compile()

    def _flat(self, gradient: dict) -> Float[Array, " coordinate"]:
        allowed, _ = self.neutral.update(gradient, optax.EmptyState())
        return ravel_pytree(allowed)[0]

    def _point(
        self,
        problem: Problem,
        frozen: Parameters,
        trainable: dict,
        there: Evaluation,
        direction: Array,
        length: float,
    ) -> Point:
        parts = self.cost, problem, frozen, trainable, there.states
        cost, _, gradient, _, _ = differentiated(*parts)
        value, slope = float(cost), float(self._flat(gradient) @ direction)
        if not (math.isfinite(value) and math.isfinite(slope)):
            return Point(length, math.inf, 0.0)
        return Point(length, value, slope, (trainable, there))


def _empty(like: Float[Array, " coordinate"]) -> Memory:
    zeros, pairs = jnp.zeros_like(like), jnp.zeros((_HISTORY, len(like)), like.dtype)
    one = jnp.ones((), like.dtype)
    count = jnp.zeros((), jnp.int32)
    return Memory(count, pairs, pairs, pairs[:, 0], one, zeros, one, zeros)


@jax.jit
def _remembering(memory: Memory, gradient: Float[Array, " coordinate"]) -> Memory:
    """The memory with the step before, and the direction of the next one."""
    change, step = gradient - memory.gradient, memory.length * memory.direction
    product = change @ step
    new = (memory.iterations > 0) & (product > _LEAST_CURVATURE)

    def with_new(old: Array, value: Array) -> Array:
        return jnp.where(new, jnp.roll(old, -1, axis=0).at[-1].set(value), old)

    steps, changes = with_new(memory.steps, step), with_new(memory.changes, change)
    inverses = with_new(memory.inverses, 1.0 / jnp.where(new, product, 1.0))
    scale = jnp.where(new, product / jnp.where(new, change @ change, 1.0), memory.scale)

    def newest_first(rest: Array, pair: tuple) -> tuple[Array, Array]:
        step, change, inverse = pair
        part = inverse * (step @ rest)
        return rest - part * change, part

    def oldest_first(found: Array, pair: tuple) -> tuple[Array, None]:
        step, change, inverse, part = pair
        return found + (part - inverse * (change @ found)) * step, None

    pairs = steps, changes, inverses
    rest, parts = jax.lax.scan(newest_first, -gradient, pairs, reverse=True)
    direction, _ = jax.lax.scan(oldest_first, scale * rest, (*pairs, parts))
    return Memory(
        memory.iterations + 1, steps, changes, inverses, scale, direction, memory.length, gradient
    )
