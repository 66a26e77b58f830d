"""What parameters must keep to: neutral systems, spin-orbit strengths that are not negative.

Neutrality is built into the moves; a condition on the result makes a proposal forbidden, which is a
rejection and so keeps a symmetric move symmetric (reflecting or clipping it would not always).
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from deeppseudopot_jax.montecarlo.interface import Move, Proposal
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.records import record, static


def neutral_directions(
    sizes: Float[np.ndarray, " species"], composition: Float[np.ndarray, "system species"]
) -> Float[np.ndarray, "species species"]:
    """The matrix D for which composition @ D = 0: moves D u of a4 keep every system neutral.

    u is projected on the null space in units of the steps, D = S P with S = diag(sizes) and P the
    projector on the null space of composition @ S. So a species of step 0 stays where it is, and
    none moves further than its step allows.
    """
    scaled = composition * sizes
    projector = np.eye(len(sizes)) - np.linalg.pinv(scaled) @ scaled
    return sizes[:, None] * projector


@record
class Constrained:
    """A move that is forbidden outside some region, which keeps a symmetric move symmetric."""

    move: Move
    allowed: tuple[Callable[[Any], Bool[Array, ""]], ...] = static()

    def __call__(
        self, key: Key[Array, ""], params: Parameters, step_factor: Float[Array, ""]
    ) -> Proposal:
        """The move's proposal, with log-ratio minus infinity where one condition is not met."""
        proposal = self.move(key, params, step_factor)
        inside = jnp.all(jnp.stack([allows(proposal.params) for allows in self.allowed]))
        return proposal._replace(log_ratio=jnp.where(inside, proposal.log_ratio, -jnp.inf))


def spin_orbit_is_not_negative(params: Parameters) -> Bool[Array, ""]:
    """a5 >= 0 for every species; 0 itself is where species without spin-orbit part stay."""
    return jnp.all(params.spin_orbit >= 0)
