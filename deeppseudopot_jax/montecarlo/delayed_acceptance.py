"""Delayed acceptance: a cheap first stage turns most bad proposals away.

J. A. Christen and C. Fox, J. Comput. Graph. Stat. 14, 795 (2005). Their form for approximations
that depend on the current point is needed here, because a screen built from the wave functions at
x is best near x. With pi = exp(-beta sqrt(c)) and c*_x(y) the screen at y built at x,

    g(x, y)   = min(1, q(x|y) pi*_x(y) / (q(y|x) pi*_x(x)))             lets y pass,
    rho(x, y) = min(1, g(y, x) q(x|y) pi(y) / (g(x, y) q(y|x) pi(x)))   accepts it,

where g(y, x) uses the screen built at y. Detailed balance holds for any screen that is a function
of (x, y) alone. Unconverged spare vectors, which remember how x was reached, break it as far as
they change c*; the converged ones do not.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from deeppseudopot_jax.montecarlo.interface import (
    Attempt,
    Evaluate,
    Move,
    Replica,
    Screen,
    StepInfo,
    Temperature,
)
from deeppseudopot_jax.montecarlo.metropolis import accept_or_revert, draw, log_boltzmann_ratio
from deeppseudopot_jax.records import record


class Anchor(NamedTuple):
    """`aux` of the evaluation at x, and the screen built from it at x itself, c*_x(x)."""

    aux: Any
    screened: Float[Array, ""]


@record
class DelayedAcceptance:
    """Only proposals that pass the screen are evaluated exactly."""

    move: Move
    evaluate: Evaluate
    screen: Screen

    def init(self, params: Any, aux: Any, temperature: Temperature) -> Replica:
        """The replica at its start."""
        return self._evaluated(params, aux, temperature)

    def attempt(self, key: Key[Array, ""], replica: Replica) -> Attempt:
        """The first stage; what does not pass it, or has no finite screen, is rejected."""
        move_key, screen_key = jax.random.split(key)
        params, log_ratio = self.move(move_key, replica.params, replica.temperature.step_factor)
        anchor = replica.aux
        screened = self.screen(params, anchor.aux)
        log_pi = log_boltzmann_ratio(replica.temperature, screened, anchor.screened)
        log_screen = jnp.minimum(0.0, log_ratio + log_pi)
        return Attempt(params, log_ratio, log_screen, draw(screen_key, log_screen))

    def settle(
        self, key: Key[Array, ""], replica: Replica, attempt: Attempt
    ) -> tuple[Replica, StepInfo]:
        """The second stage, with the exact cost and the screen in the other direction."""
        temperature = replica.temperature
        found = self._evaluated(attempt.params, replica.aux.aux, temperature)
        back = self.screen(replica.params, found.aux.aux)
        log_pi_back = log_boltzmann_ratio(temperature, back, found.aux.screened)
        log_screen_back = jnp.minimum(0.0, log_pi_back - attempt.log_ratio)
        log_pi = log_boltzmann_ratio(temperature, found.cost, replica.cost)
        log_rho = attempt.log_ratio + log_pi + log_screen_back - attempt.log_screen
        return accept_or_revert(key, log_rho, found, replica)

    def _evaluated(self, params: Any, aux: Any, temperature: Temperature) -> Replica:
        cost, aux = self.evaluate(params, aux)
        return Replica(params, cost, Anchor(aux, self.screen(params, aux)), temperature)
