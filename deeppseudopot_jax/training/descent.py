"""One update of gradient descent: solve from the last vectors, differentiate, move.

The solver never sees a derivative: it finds vectors, states that it has not found are solved again
densely, and the cost is differentiated at fixed vectors (Hellmann-Feynman).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import jax
import optax
from jaxtyping import Array, Float

from deeppseudopot_jax.cost_terms import CostOfBands
from deeppseudopot_jax.eigensolvers.interface import States
from deeppseudopot_jax.observables.bands import bands_of_levels
from deeppseudopot_jax.observables.fallback import largest_deviation, with_dense_fallback
from deeppseudopot_jax.observables.states import Guesses, first_guesses, levels_of, solve
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.training.trainable import Split, merge

_UPDATES_BETWEEN_PRECONDITIONERS = 25
_UPDATES_BEFORE_CHECKS = (25, 50, 100, 200)
_UPDATES_BETWEEN_LATER_CHECKS = 400
_TOLERATED_DEVIATION = 4e-7  # Ha, 1e-5 eV: far above the error of an accepted state


class TrainingState(NamedTuple):
    """What the next update needs; `states` is None before the first."""

    trainable: dict
    optimizer_state: optax.OptState
    states: tuple[States, ...] | None = None
    updates: int = 0


class StepInfo(NamedTuple):
    """What an update found: cost and gradient at the parameters before it.

    `dense_fallbacks` counts the k-points that the iterative solver gave up, `missed_levels` tells
    that a spot check found a level missing, after which everything was solved from scratch.
    """

    cost: Float[Array, ""]
    gradient_norms: dict[str, Float[Array, ""]]
    dense_fallbacks: int
    missed_levels: bool


@dataclass
class Descent:
    """`step(problem, frozen, state) -> (state, info)` for one cost and one optimiser.

    The cost is a pytree, or a plain function without arrays of its own.
    """

    cost: CostOfBands
    optimizer: optax.GradientTransformation
    _solve: Callable = field(init=False, repr=False)
    _move: Callable = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if jax.tree_util.all_leaves([self.cost]):
            self.cost = jax.tree_util.Partial(self.cost)
        self._begin = jax.jit(first_guesses)
        self._solve = jax.jit(solve)
        self._move = jax.jit(self._differentiate_and_move)

    def step(
        self, problem: Problem, frozen: dict, state: TrainingState
    ) -> tuple[TrainingState, StepInfo]:
        """One update; the energies of `info.cost` belong to the parameters of `state`."""
        moving = replace(problem, solver=problem.solver.following())
        params = merge(Split(state.trainable, frozen))
        guesses = state.states
        if state.updates % _UPDATES_BETWEEN_PRECONDITIONERS == 0 or guesses is None:
            fresh = self._begin(moving, params)
            guesses = fresh if guesses is None else _with_preconditioners(guesses, fresh)
        states = self._solve(moving, params, guesses)
        missed = self._misses_levels(moving, params, states, state.updates)
        if missed:
            states = self._solve(moving, params, self._begin(moving, params))
        states, fallbacks = with_dense_fallback(moving, params, states)
        # Terms of the cost that solve for themselves do so to the solver's full accuracy.
        trainable, optimizer_state, cost, norms = self._move(
            self.cost, problem, frozen, state.trainable, state.optimizer_state, states
        )
        info = StepInfo(cost, norms, fallbacks, missed)
        return TrainingState(trainable, optimizer_state, states, state.updates + 1), info

    @staticmethod
    def _misses_levels(
        problem: Problem, params: dict, states: tuple[States, ...], updates: int
    ) -> bool:
        """A spot check now and then; the first update started from scratch and needs none."""
        later, rest = divmod(updates, _UPDATES_BETWEEN_LATER_CHECKS)
        if updates in _UPDATES_BEFORE_CHECKS:
            turn = _UPDATES_BEFORE_CHECKS.index(updates)
        elif later and not rest:
            turn = len(_UPDATES_BEFORE_CHECKS) + later
        else:
            return False
        return largest_deviation(problem, params, states, turn) > _TOLERATED_DEVIATION

    def _differentiate_and_move(
        self,
        cost_of_bands: CostOfBands,
        problem: Problem,
        frozen: dict,
        trainable: dict,
        optimizer_state: optax.OptState,
        states: tuple[States, ...],
    ) -> tuple[dict, optax.OptState, Array, dict[str, Array]]:
        def total(trainable: dict) -> Array:
            params = merge(Split(trainable, frozen))
            bands = bands_of_levels(problem, levels_of(problem, params, states))
            return cost_of_bands(problem, params, bands)

        cost, gradient = jax.value_and_grad(total)(trainable)
        updates, optimizer_state = self.optimizer.update(gradient, optimizer_state, trainable)
        norms = {name: optax.tree.norm(part) for name, part in gradient.items()}
        return optax.apply_updates(trainable, updates), optimizer_state, cost, norms


def _with_preconditioners(old: tuple[States, ...], fresh: Guesses) -> tuple[States, ...]:
    """The old states with preconditioners of the present potential."""
    pairs = zip(old, fresh, strict=True)
    return tuple(
        states if new is None else states._replace(preconditioner=new.preconditioner)
        for states, new in pairs
    )
