"""What an optimiser of a training is: it looks at parameters, then moves them."""

from math import inf
from typing import Any, NamedTuple, Protocol

from jax.sharding import PartitionSpec
from jaxtyping import Array, Float

from deeppseudopot_jax.eigensolvers.interface import States
from deeppseudopot_jax.observables.evaluation import Carried, Evaluation, carried
from deeppseudopot_jax.parallel import placed
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem


class Course(NamedTuple):
    """What a training has come to so far: plain numbers.

    `first` is the cost at its start or after its last kick, `least` the lowest one since then.
    `judged` is the lowest one of what judges epochs, of all, at epoch `best`. Infinite before any
    epoch. `rejections` counts steps that were taken back, each of which halved `rate_factor`, a
    factor on the learning rate.
    """

    first: float = inf
    least: float = inf
    judged: float = inf
    best: int = 0
    rejections: int = 0
    rate_factor: float = 1.0

    def after(self, number: int, cost: float, judged: float, anew: bool) -> "Course":
        """The course after an epoch; `anew` is one of kicked parameters."""
        anew = anew or self.first == inf
        found = self._replace(
            first=cost if anew else self.first, least=cost if anew else min(cost, self.least)
        )
        return found._replace(judged=judged, best=number) if judged < self.judged else found

    def after_rejection(self) -> "Course":
        """The course after a step that was taken back."""
        return self._replace(rejections=self.rejections + 1, rate_factor=0.5 * self.rate_factor)


class TrainingState(NamedTuple):
    """All that a training needs to go on: a pytree of arrays and plain numbers.

    Parameters on the move and what the optimiser remembers; `updates` counts its moves. `carried`
    are wave functions to start from, unknown before the first look; `evaluation` is that of exactly
    these parameters, where it is known already.
    """

    trainable: dict
    optimizer_state: Any
    carried: Carried | None = None
    updates: int = 0
    evaluation: Evaluation | None = None
    course: Course = Course()

    @property
    def nearby(self) -> Carried | None:
        """Wave functions of these parameters or of some nearby, where there are any."""
        return self.carried if self.evaluation is None else carried(self.evaluation.states)

    def kicked(self, trainable: dict, optimizer_state: Any) -> "TrainingState":
        """The state at other parameters, whose bands are solved from the same wave functions."""
        return self._replace(
            trainable=trainable,
            optimizer_state=optimizer_state,
            carried=self.nearby,
            evaluation=None,
        )


class StepInfo(NamedTuple):
    """What a look found: cost, what each of its terms adds, gradient norms of the channels.

    `dense_fallbacks` counts the k-points that the iterative solver gave up, `missed_levels` tells
    that a spot check found a level missing, after which everything was solved from scratch.
    `held_out` is the `held_out_cost` of the same bands; it counts where something is held out.
    `gradient` is that of `cost` in the trainable numbers, None where it is not told.
    """

    cost: Float[Array, ""]
    values: Float[Array, " term"]
    gradient_norms: dict[str, Float[Array, ""]]
    dense_fallbacks: int
    missed_levels: bool
    held_out: Float[Array, ""]
    gradient: dict | None = None


class Optimiser(Protocol):
    """One way to lower a cost; `train` makes its looks and moves in turn."""

    def begin(self, trainable: dict) -> Any:
        """What the optimiser remembers before its first move."""
        ...

    def look(
        self, problem: Problem, frozen: Parameters, state: TrainingState
    ) -> tuple[StepInfo, Any]:
        """Cost and slopes at the parameters of `state`, and what `move` needs of them."""
        ...

    def move(
        self, problem: Problem, frozen: Parameters, state: TrainingState, found: Any
    ) -> tuple[TrainingState, str]:
        """The state after one update, and why there is no further one; empty while there is."""
        ...

    def after_kick(self, optimizer_state: Any) -> Any:
        """What the optimiser remembers where its parameters have been changed from outside."""
        ...

    def compile(
        self, problem: Problem, frozen: Parameters, trainable: dict, states: tuple[States, ...]
    ) -> None:
        """Compile what `look` needs once states are known; `states` may be shapes alone."""
        ...


def placed_state(problem: Problem, state: TrainingState) -> TrainingState:
    """A state that every process knows whole, on the devices that go on with it."""
    everywhere = PartitionSpec()
    trainable, optimizer_state = placed(
        problem.mesh, everywhere, (state.trainable, state.optimizer_state)
    )
    state = state._replace(trainable=trainable, optimizer_state=optimizer_state)
    if state.carried is not None:
        parts = (_per_k(problem, part) for part in state.carried)
        state = state._replace(carried=Carried(*parts))
    if state.evaluation is not None:
        states = _per_k(problem, state.evaluation.states)
        state = state._replace(evaluation=state.evaluation._replace(states=states))
    return state


def _per_k(problem: Problem, of_groups: tuple[Any, ...]) -> tuple[Any, ...]:
    """Arrays (system, kpt, ...) of every group, each on the devices of its k-points."""
    return tuple(
        part if group.layout is None else placed(group.layout.mesh, group.layout.per_k, part)
        for group, part in zip(problem.groups, of_groups, strict=True)
    )
