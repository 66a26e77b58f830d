"""What an optimiser of a training is: it looks at parameters, then moves them."""

from typing import Any, NamedTuple, Protocol

from jaxtyping import Array, Float

from deeppseudopot_jax.eigensolvers.interface import States
from deeppseudopot_jax.observables.evaluation import Carried, Evaluation
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem


class TrainingState(NamedTuple):
    """Parameters on the move and what the optimiser remembers; `updates` counts its moves.

    `carried` are wave functions to start from, unknown before the first look; `evaluation` is that
    of exactly these parameters, where it is known already.
    """

    trainable: dict
    optimizer_state: Any
    carried: Carried | None = None
    updates: int = 0
    evaluation: Evaluation | None = None


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

    def compile(
        self, problem: Problem, frozen: Parameters, trainable: dict, states: tuple[States, ...]
    ) -> None:
        """Compile what `look` needs once states are known; `states` may be shapes alone."""
        ...
