"""The training loop: a generator of epochs that neither prints nor writes.

Epoch N is the state after N updates: its cost belongs to exactly the parameters it carries. An
update that leads nowhere is taken back and no epoch.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import jax.numpy as jnp
import optax
from jax.sharding import PartitionSpec

from deeppseudopot_jax.costs.bands import cost_of_bands
from deeppseudopot_jax.costs.diagnosis import diagnosis
from deeppseudopot_jax.costs.interface import Cost
from deeppseudopot_jax.observables.evaluation import Carried
from deeppseudopot_jax.parallel import local, placed
from deeppseudopot_jax.parameters import Parameters, trained_channels
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.training.descent import Descent
from deeppseudopot_jax.training.interface import Optimiser, TrainingState
from deeppseudopot_jax.training.kicks import is_kicked, kicked, pre_adjusted
from deeppseudopot_jax.training.lbfgs import LimitedMemory
from deeppseudopot_jax.training.least_squares.levenberg_marquardt import least_squares
from deeppseudopot_jax.training.optimizers import (
    OPTIMIZERS,
    make_optimizer,
    neutral_long_range,
    schedule_of,
)
from deeppseudopot_jax.training.rejection import MOST_REJECTIONS, NOT_FINITE, told, why_rejected
from deeppseudopot_jax.training.trainable import Split, merge, split

AVAILABLE = (*OPTIMIZERS, "lbfgs", "lm")
"""The names of the optimisers that there are."""
OUT_OF_EPOCHS = "max_num_epochs reached"
"""Why a training ended that might have gone on."""


@dataclass(frozen=True)
class Epoch:
    """One epoch: parameters after `number` updates, their cost and gradient norms.

    `terms` is what every term of the cost adds, by its name; `dense_fallbacks` counts k-points that
    the iterative solver gave up, `missed_levels` tells that a spot check against a dense solve made
    this epoch start from scratch. `stopped` is empty while training goes on, else it says why this
    epoch is the last one. `held_out` is the cost of the levels that are held out, None without any,
    and `judged` what tells the best epoch: that cost if there is a patience with it, else `cost`.
    From `state` another training goes on with this very epoch, bit by bit; it holds all wave
    functions, so whoever keeps epochs had better leave it out. `gradient` is that of the cost in
    the trainable numbers, None where the optimiser keeps it. `remarks` tell what has happened since
    the epoch before: kicks, steps that were taken back. `is_bad` tells of a step that could not be
    taken back any more. `moves` are the parameters after the moves before epoch 0.
    """

    number: int
    cost: float
    terms: dict[str, float]
    gradient_norms: dict[str, float]
    dense_fallbacks: int
    missed_levels: bool
    params: Parameters
    optimizer_state: optax.OptState
    stopped: str = ""
    held_out: float | None = None
    early_stopping: bool = False
    state: TrainingState | None = None
    gradient: dict | None = None
    remarks: tuple[str, ...] = ()
    is_bad: bool = False
    moves: tuple[Parameters, ...] = ()

    @property
    def judged(self) -> float:
        """What tells the best epoch."""
        return self.held_out if self.early_stopping and self.held_out is not None else self.cost

    @property
    def finite(self) -> bool:
        """Whether the cost and its gradient are finite."""
        return all(map(jnp.isfinite, [self.cost, *self.gradient_norms.values()]))

    @property
    def failed(self) -> bool:
        """Whether the step to here was a bad one, the last: the caller must not use `params`."""
        return self.is_bad or not self.finite


def train(
    problem: Problem,
    params: Parameters,
    settings: Settings,
    restore: Callable[[optax.OptState], optax.OptState] = lambda state: state,
    cost: Cost | None = None,
    carried: Carried | None = None,
    start: TrainingState | None = None,
) -> Iterator[Epoch]:
    """Epochs 0, 1, ... of gradient training; the last one says why it stopped.

    Training ends after `max_num_epochs` updates or after `patience` epochs without a lower cost.
    Where something is held out of the fit, patience goes by the held-out cost, and so does what is
    the best epoch. After every `perturbEvery` updates the parameters are kicked.

    An update whose cost or gradient is not finite, or whose cost has risen as `max_cost_increase`
    says, is made anew with half the learning rate; after 20 of these the next one ends it.

    Args:
        problem: from `build_problem`.
        params: start parameters.
        settings: optimiser, schedule, patience and which channels are trained.
        restore: maps the fresh optimiser state to the one to start from.
        cost: what is minimised, as from `training_cost`; by default the cost of the bands.
        carried: wave functions of the start, where they are known.
        start: of an epoch of the same training, which goes on with that epoch; then `restore` and
            `carried` do not count, and of `params` only what is not trained.

    Raises:
        InputError: if the optimiser or a required key is missing.
    """
    cost = cost or cost_of_bands(problem)
    trainable, frozen = split(params, trained_channels(settings))
    optimiser = optimiser_of(settings, problem, cost, trainable)
    fresh = start is None
    if start is None:
        start = TrainingState(trainable, restore(optimiser.begin(trainable)), carried)
    # Placed now, because the first update leaves its results so: nothing is compiled twice.
    trainable, optimizer_state, frozen = placed(
        problem.mesh, PartitionSpec(), (start.trainable, start.optimizer_state, frozen)
    )
    state = start._replace(trainable=trainable, optimizer_state=optimizer_state)
    remarks: tuple[str, ...] = ()
    moves: tuple[Parameters, ...] = ()
    if fresh and settings.pre_adjust_moves:
        state, tried, done = pre_adjusted(problem, frozen, state, cost, settings)
        moves = tuple(local(merge(Split(trainable, frozen))) for trainable in tried)
        remarks = (done,)
    patience = settings.patience or settings.max_epochs + 1
    before: tuple[TrainingState, Any] | None = None
    while True:
        info, found = optimiser.look(problem, frozen, state)
        epoch = Epoch(
            state.updates,
            float(info.cost),
            dict(zip(cost.names, info.values.tolist(), strict=True)),
            {name: float(norm) for name, norm in info.gradient_norms.items()},
            info.dense_fallbacks,
            info.missed_levels,
            local(merge(Split(state.trainable, frozen))),
            local(state.optimizer_state),
            held_out=float(info.held_out) if problem.holds_out else None,
            early_stopping=settings.patience is not None,
            state=state,
            gradient=None if info.gradient is None else local(info.gradient),
            moves=moves,
        )
        number, course, kick = epoch.number, state.course, is_kicked(settings, state.updates)
        rejected = ""
        if before is not None:
            limit = inf if kick else settings.max_cost_increase * course.least
            rejected = why_rejected(epoch.cost, epoch.finite, course, limit)
        # Least squares knows no rate, so it would make the same step again.
        repeated = course.rejections < MOST_REJECTIONS and (kick or not settings.least_squares)
        if rejected and repeated and before is not None:
            course = course.after_rejection()
            before = before[0]._replace(course=course), before[1]
            state, _ = optimiser.move(problem, frozen, *before)
            state = _kicked(optimiser, problem, state, settings)
            remarks += (told(number, rejected, course),)
            continue
        if kick:
            remarks += (f"epoch {number}: the parameters have been kicked (perturbEvery)",)
        epoch = replace(epoch, remarks=remarks, is_bad=bool(rejected))
        course = course.after(number, epoch.cost, epoch.judged, anew=kick)
        stopped = _why_stopped(epoch, settings.max_epochs, number - course.best >= patience)
        if rejected:
            stopped = rejected
        if stopped:
            if not epoch.finite:
                stopped += f": {diagnosis(problem, epoch.params, cost)}"
            yield replace(epoch, stopped=stopped)
            return
        before = state._replace(course=course), found
        state, ended = optimiser.move(problem, frozen, *before)
        yield replace(epoch, stopped=ended)
        if ended:
            return
        state, remarks, moves = _kicked(optimiser, problem, state, settings), (), ()


def _kicked(
    optimiser: Optimiser, problem: Problem, state: TrainingState, settings: Settings
) -> TrainingState:
    """The state after the kick that belongs to its number of updates, if one does."""
    if not is_kicked(settings, state.updates):
        return state
    # A kick that was taken back is followed by another one.
    number = state.updates, state.course.rejections
    trainable = kicked(local(state.trainable), settings.seed, *number)
    memory = optimiser.after_kick(state.optimizer_state)
    return state.kicked(*placed(problem.mesh, PartitionSpec(), (trainable, memory)))


def optimiser_of(settings: Settings, problem: Problem, cost: Cost, trainable: dict) -> Optimiser:
    """The optimiser of some trainable channels by its name.

    Raises:
        InputError: if it is not implemented or one of its keys is missing.
    """
    if settings.least_squares:
        return least_squares(problem, cost, trainable)
    if settings.optimizer == "lbfgs":
        neutral = neutral_long_range(problem.composition)
        return LimitedMemory(cost, schedule_of(settings), neutral)
    return Descent(cost, make_optimizer(settings, problem.composition))


def _why_stopped(epoch: Epoch, max_epochs: int, out_of_patience: bool) -> str:
    if not epoch.finite:
        return NOT_FINITE
    if out_of_patience:
        return f"no lower {'' if epoch.held_out is None else 'held-out '}cost within patience"
    if epoch.number >= max_epochs:
        return OUT_OF_EPOCHS
    return ""
