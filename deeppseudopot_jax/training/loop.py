"""The training loop: a generator of epochs that neither prints nor writes.

Epoch N is the state after N updates: its cost belongs to exactly the parameters it carries.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

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
from deeppseudopot_jax.training.least_squares.levenberg_marquardt import least_squares
from deeppseudopot_jax.training.optimizers import OPTIMIZERS, make_optimizer
from deeppseudopot_jax.training.trainable import Split, merge, split

AVAILABLE = (*OPTIMIZERS, "lm")
"""The names of the optimisers that there are."""


@dataclass(frozen=True)
class Epoch:
    """One epoch: parameters after `number` updates, their cost and gradient norms.

    `terms` is what every term of the cost adds, by its name; `dense_fallbacks` counts k-points that
    the iterative solver gave up, `missed_levels` tells that a spot check against a dense solve made
    this epoch start from scratch. `stopped` is empty while training goes on, else it says why this
    epoch is the last one. `held_out` is the cost of the levels that are held out, None without any,
    and `judged` what tells the best epoch: that cost if there is a patience with it, else `cost`.
    From `state` another training goes on with this very epoch, bit by bit; it holds all wave
    functions, so whoever keeps epochs had better leave it out.
    `gradient` is that of the cost in the trainable numbers, None where the optimiser keeps it.
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

    @property
    def judged(self) -> float:
        """What tells the best epoch."""
        return self.held_out if self.early_stopping and self.held_out is not None else self.cost

    @property
    def failed(self) -> bool:
        """Whether the cost or its gradient is not finite: the caller must not use `params`."""
        return not all(map(jnp.isfinite, [self.cost, *self.gradient_norms.values()]))


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

    Training ends after `max_num_epochs` updates, after `patience` epochs without a lower cost, or
    at once where the cost or gradient is not finite. Where something is held out of the fit,
    patience goes by the held-out cost, and so does what is the best epoch.

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
    if start is None:
        start = TrainingState(trainable, restore(optimiser.begin(trainable)), carried)
    # Placed now, because the first update leaves its results so: nothing is compiled twice.
    trainable, optimizer_state, frozen = placed(
        problem.mesh, PartitionSpec(), (start.trainable, start.optimizer_state, frozen)
    )
    state = start._replace(trainable=trainable, optimizer_state=optimizer_state)
    patience = settings.patience or settings.max_epochs + 1
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
        )
        course = state.course.after(epoch.number, epoch.cost, epoch.judged)
        stopped = _why_stopped(epoch, settings.max_epochs, epoch.number - course.best >= patience)
        if stopped:
            if epoch.failed:
                stopped += f": {diagnosis(problem, epoch.params, cost)}"
            yield replace(epoch, stopped=stopped)
            return
        state, ended = optimiser.move(problem, frozen, state._replace(course=course), found)
        yield replace(epoch, stopped=ended)
        if ended:
            return


def optimiser_of(settings: Settings, problem: Problem, cost: Cost, trainable: dict) -> Optimiser:
    """The optimiser of some trainable channels by its name.

    Raises:
        InputError: if it is not implemented or one of its keys is missing.
    """
    if settings.least_squares:
        return least_squares(problem, cost, trainable)
    return Descent(cost, make_optimizer(settings, problem.composition))


def _why_stopped(epoch: Epoch, max_epochs: int, out_of_patience: bool) -> str:
    if epoch.failed:
        return "the cost or its gradient is not finite"
    if out_of_patience:
        return f"no lower {'' if epoch.held_out is None else 'held-out '}cost within patience"
    if epoch.number >= max_epochs:
        return "max_num_epochs reached"
    return ""
