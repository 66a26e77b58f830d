"""The Metropolis-Hastings kernel on the energy sqrt(cost).

N. Metropolis et al., J. Chem. Phys. 21, 1087 (1953); W. K. Hastings, Biometrika 57, 97 (1970). With
a symmetric move the chain samples exp(-beta sqrt(cost)).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from deeppseudopot_jax.montecarlo.interface import (
    Attempt,
    Evaluate,
    Move,
    Replica,
    StepInfo,
    Temperature,
)
from deeppseudopot_jax.records import record


@record
class Metropolis:
    """Every proposal that is not forbidden is evaluated exactly."""

    move: Move
    evaluate: Evaluate

    def init(self, params: Any, aux: Any, temperature: Temperature) -> Replica:
        """The replica at its start."""
        return Replica(params, *self.evaluate(params, aux), temperature)

    def attempt(self, key: Key[Array, ""], replica: Replica) -> Attempt:
        """A proposal; it is promising unless it is forbidden."""
        params, log_ratio = self.move(key, replica.params, replica.temperature.step_factor)
        return Attempt(params, log_ratio, jnp.zeros_like(log_ratio), log_ratio > -jnp.inf)

    def settle(
        self, key: Key[Array, ""], replica: Replica, attempt: Attempt
    ) -> tuple[Replica, StepInfo]:
        """Accept with probability min(1, q(x|y) / q(y|x) exp(-beta (sqrt(c_y) - sqrt(c_x))))."""
        cost, aux = self.evaluate(attempt.params, replica.aux)
        log_ratio = attempt.log_ratio + log_boltzmann_ratio(replica.temperature, cost, replica.cost)
        found = replica._replace(params=attempt.params, cost=cost, aux=aux)
        return accept_or_revert(key, log_ratio, found, replica)


def log_boltzmann_ratio(
    temperature: Temperature, new: Float[Array, ""], current: Float[Array, ""]
) -> Float[Array, ""]:
    """-beta (sqrt(new) - sqrt(current)); minus infinity where the new cost is not finite."""
    change = jnp.sqrt(new) - jnp.sqrt(current)
    return jnp.where(jnp.isfinite(change), -temperature.beta * change, -jnp.inf)


def draw(key: Key[Array, ""], log_probability: Float[Array, ""]) -> Bool[Array, ""]:
    """True with probability min(1, exp(log_probability))."""
    return jnp.log(jax.random.uniform(key, dtype=log_probability.dtype)) < log_probability


def accept_or_revert(
    key: Key[Array, ""], log_ratio: Float[Array, ""], found: Replica, replica: Replica
) -> tuple[Replica, StepInfo]:
    """`found` with probability min(1, exp(log_ratio)), else `replica`, every bit of it."""
    accepted = draw(key, log_ratio)
    kept = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), found, replica)
    return kept, StepInfo(kept.cost, found.cost, jnp.asarray(True), accepted)
