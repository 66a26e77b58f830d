"""Uniform steps of the nine coefficients per species: p -> p + U(-1, 1) * step * factor.

The steps do not depend on p, so the move is symmetric and needs no Hastings ratio.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from deeppseudopot_jax.montecarlo.constraints import neutral_directions
from deeppseudopot_jax.montecarlo.interface import Proposal
from deeppseudopot_jax.records import record

_CHANNELS = ("local", "long_range", "spin_orbit", "nonlocal", "strain")

DEFAULT_FRACTION = 0.01
"""Step of a coefficient without a file, over its size at the start of the run."""


class Steps(NamedTuple):
    """Step sizes in the shape of the parameters; `neutral` turns U(-1, 1) into steps of a4."""

    local: Float[Array, "species 4"]
    neutral: Float[Array, "species species"]
    spin_orbit: Float[Array, " species"]
    nonlocal_: Float[Array, "species 2"]
    strain: Float[Array, " species"]


@record
class UniformSteps:
    """Moves every coefficient that has a step; neutrality of all systems is kept."""

    steps: Steps

    def __call__(
        self, key: Key[Array, ""], params: dict, step_factor: Float[Array, ""]
    ) -> Proposal:
        """All coefficients at once."""
        steps = self.steps
        draws = jax.random.uniform(key, (len(steps.spin_orbit), 9), step_factor.dtype, -1.0)
        draws = step_factor * draws
        moves = (
            steps.local * draws[:, :4],
            steps.neutral @ draws[:, 4],
            steps.spin_orbit * draws[:, 5],
            steps.nonlocal_ * draws[:, 6:8],
            steps.strain * draws[:, 8],
        )
        moved = {name: params[name] + move for name, move in zip(_CHANNELS, moves, strict=True)}
        return Proposal({**params, **moved}, jnp.zeros_like(step_factor))


def uniform_steps(
    sizes: Float[np.ndarray, "species 9"], composition: Float[Array, "system species"]
) -> UniformSteps:
    """The move with step `sizes` for a0 .. a8 of every species; 0 keeps a coefficient fixed."""
    steps = (
        sizes[:, :4],
        neutral_directions(sizes[:, 4], np.asarray(composition)),
        sizes[:, 5],
        sizes[:, 6:8],
        sizes[:, 8],
    )
    return UniformSteps(Steps(*(jnp.asarray(size, composition.dtype) for size in steps)))


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
        ValueError: if there are not nine non-negative steps for every species, or nothing moves.
    """
    sizes = DEFAULT_FRACTION * np.abs(coefficients) if given is None else given
    if sizes.shape != coefficients.shape:
        raise ValueError(
            f"step sizes of shape {sizes.shape}: nine are needed for each of {', '.join(species)}"
        )
    if not (np.isfinite(sizes) & (sizes >= 0)).all():
        raise ValueError("step sizes must be numbers >= 0")
    acts = np.array([True] * 5 + [spin_orbit] * 3 + [strain])
    sizes = np.where(acts, sizes, 0.0)
    if not sizes.any():
        raise ValueError("every step size is 0, so nothing would move")
    return sizes
