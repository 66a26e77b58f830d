"""Uniform steps of the nine coefficients per species: p -> p + U(-1, 1) * step * factor.

The steps do not depend on p, so the move is symmetric and needs no Hastings ratio.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.montecarlo.constraints import neutral_directions
from deeppseudopot_jax.montecarlo.interface import Proposal
from deeppseudopot_jax.parameters import (
    COLUMNS,
    DEFAULT_FRACTION,
    N_COEFFICIENTS,
    Parameters,
    from_coefficients,
)
from deeppseudopot_jax.records import record


@record
class UniformSteps:
    """Moves every coefficient that has a step; `neutral` turns U(-1, 1) into steps of a4.

    So neutrality of all systems is kept.
    """

    sizes: Parameters
    neutral: Float[Array, "species species"]

    def __call__(
        self, key: Key[Array, ""], params: Parameters, step_factor: Float[Array, ""]
    ) -> Proposal:
        """All coefficients at once."""
        shape = (len(self.neutral), N_COEFFICIENTS)
        draws = jax.random.uniform(key, shape, step_factor.dtype, -1.0)
        drawn = from_coefficients(step_factor * draws, step_factor.dtype)
        moves = jax.tree.map(jnp.multiply, self.sizes, drawn)
        moves = moves.updated({"long_range": self.neutral @ drawn.long_range})
        return Proposal(jax.tree.map(jnp.add, params, moves), jnp.zeros_like(step_factor))


def uniform_steps(
    sizes: Float[np.ndarray, "species 9"], composition: Float[Array, "system species"]
) -> UniformSteps:
    """The move with step `sizes` for a0 .. a8 of every species; 0 keeps a coefficient fixed."""
    steps = from_coefficients(sizes, composition.dtype)
    neutral = neutral_directions(sizes[:, COLUMNS["long_range"]], np.asarray(composition))
    return UniformSteps(steps, jnp.asarray(neutral, composition.dtype))


def step_sizes(
    coefficients: Float[np.ndarray, "species 9"],
    given: np.ndarray | None,
    species: Sequence[str],
    spin_orbit: bool,
    strain: bool,
) -> Float[np.ndarray, "species 9"]:
    """Steps of all coefficients: the `given` ones, else |coefficient| / 100.

    What the cost does not depend on gets step 0, else it would wander off unseen: a5 to a7 without
    spin-orbit, a8 unless `strain` says that the cost looks at deformed crystals.

    Raises:
        InputError: if there are not nine non-negative steps for every species, or nothing moves.
    """
    sizes = DEFAULT_FRACTION * np.abs(coefficients) if given is None else given
    if sizes.shape != coefficients.shape:
        raise InputError(
            f"step sizes of shape {sizes.shape}: nine are needed for each of {', '.join(species)}"
        )
    if not (np.isfinite(sizes) & (sizes >= 0)).all():
        raise InputError("step sizes must be numbers >= 0")
    idle = [] if spin_orbit else ["spin_orbit", "nonlocal"]
    sizes = sizes.copy()
    for channel in idle + ([] if strain else ["strain"]):
        sizes[:, COLUMNS[channel]] = 0.0
    if not sizes.any():
        raise InputError("every step size is 0, so nothing would move")
    return sizes
