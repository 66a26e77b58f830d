"""What the parts of a Monte Carlo run are: moves, costs, kernels and the state of a replica.

Everything is a pytree of pure functions (records with `__call__`, or `jax.tree_util.Partial` of a
plain function), so that a whole sampler is an argument of a jitted function, arrays included.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, Bool, Float, Key


class Temperature(NamedTuple):
    """A temperature: inverse temperature `beta` (1/sqrt(cost)), and a factor on all step sizes."""

    beta: Float[Array, ""]
    step_factor: Float[Array, ""]


class Proposal(NamedTuple):
    """Where a move leads from x: y, and log q(x|y) - log q(y|x), minus infinity if y is forbidden.

    The ratio is 0 for a symmetric move.
    """

    params: Any
    log_ratio: Float[Array, ""]


@runtime_checkable
class Move(Protocol):
    """move(key, params, step_factor) -> Proposal, for one replica."""

    def __call__(self, key: Key[Array, ""], params: Any, step_factor: Float[Array, ""]) -> Proposal:
        """A proposal drawn at `params`."""
        ...


@runtime_checkable
class Evaluate(Protocol):
    """evaluate(params, aux) -> (cost, aux): the exact cost >= 0, NaN where it does not exist.

    `aux` is whatever an evaluation leaves for the next one (the solver's last vectors); it follows
    the parameters, so it goes back with them when a move is rejected.
    """

    def __call__(self, params: Any, aux: Any) -> tuple[Float[Array, ""], Any]:
        """Cost at `params`, with the `aux` of an earlier point to start from."""
        ...


@runtime_checkable
class Screen(Protocol):
    """screen(params, aux) -> a cheap stand-in for the cost, built from the `aux` of some point."""

    def __call__(self, params: Any, aux: Any) -> Float[Array, ""]:
        """The stand-in at `params`, built from the point that `aux` belongs to."""
        ...


class Replica(NamedTuple):
    """One walker: its parameters with their cost and `aux`, and the temperature it is at."""

    params: Any
    cost: Float[Array, ""]
    aux: Any
    temperature: Temperature


class Attempt(NamedTuple):
    """A proposal after the cheap half of a step; `promising` ones deserve an exact evaluation.

    `log_screen` is the log-probability with which the first stage lets this proposal pass.
    """

    params: Any
    log_ratio: Float[Array, ""]
    log_screen: Float[Array, ""]
    promising: Bool[Array, ""]


class StepInfo(NamedTuple):
    """What one step did; `proposed_cost` is NaN where it was not evaluated or does not exist."""

    cost: Float[Array, ""]
    proposed_cost: Float[Array, ""]
    evaluated: Bool[Array, ""]
    accepted: Bool[Array, ""]


@runtime_checkable
class Kernel(Protocol):
    """A Markov step for one replica, in a cheap and an expensive half.

    A step whose `attempt` is not promising leaves the replica as it is. The halves are apart so
    that a population of replicas can gather promising proposals and evaluate them together.
    """

    def init(self, params: Any, aux: Any, temperature: Temperature) -> Replica:
        """The replica at its start."""
        ...

    def attempt(self, key: Key[Array, ""], replica: Replica) -> Attempt:
        """Propose, without the exact cost."""
        ...

    def settle(
        self, key: Key[Array, ""], replica: Replica, attempt: Attempt
    ) -> tuple[Replica, StepInfo]:
        """Evaluate a promising proposal and accept it, or return the replica exactly as it was."""
        ...
