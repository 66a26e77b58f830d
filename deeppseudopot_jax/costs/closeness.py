"""The prior on coefficients: each stays near its start, keeps its sign and its order of magnitude.

The distance is linear in a near the start and logarithmic far from it, with finite derivatives
everywhere: a quadratic prior would let a coefficient reach zero at the price of doubling it.
"""

from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from deeppseudopot_jax.costs.interface import Evaluated, Needs
from deeppseudopot_jax.parameters import (
    BESIDE_LOCAL,
    COLUMNS,
    DEFAULT_FRACTION,
    N_COEFFICIENTS,
    Parameters,
    to_coefficients,
    trained_channels,
)
from deeppseudopot_jax.potentials.zunger import ZungerModel
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.records import record, static
from deeppseudopot_jax.types import Bundle

WORTH_OF_WIDTH = 0.05
"""eV: the root mean square error of all levels that coefficients prior_width away are worth."""

_FLOOR = 0.1
"""Size, over that at the start, below which a coefficient counts as zero."""


@record
class Width:
    """Distances of trained coefficients from their start; `columns` are theirs among a0 to a8."""

    name: ClassVar[str] = "width"
    needs: ClassVar[Needs] = "parameters"
    start: Float[Array, "species column"]
    floor: Float[Array, "species column"]
    strength: Float[Array, "species column"]
    columns: tuple[int, ...] = static()

    def residuals(
        self, problem: Problem, params: Parameters, evaluated: Evaluated
    ) -> Float[Array, " residual"]:
        """In eV: strength (asinh(a / floor) - asinh(start / floor))."""
        del evaluated
        of_local = isinstance(problem.local, ZungerModel)
        a0_to_a3 = params.local if of_local else np.zeros((len(problem.species), 4))
        rows = to_coefficients(params, a0_to_a3)[:, np.array(self.columns)]
        moved = jnp.arcsinh(rows / self.floor) - jnp.arcsinh(self.start / self.floor)
        return (self.strength * moved).ravel()


def width_prior(bundle: Bundle, problem: Problem, per_species: float) -> list[Width]:
    """The prior on what gradients train of a0 to a8; nothing where they train a network alone.

    Args:
        bundle: start values, step sizes and prior_width.
        problem: from `build_problem`; a0 to a3 count where its local model is Zunger's.
        per_species: root of the sum of all weights over the number of species.
    """
    settings = bundle.settings
    columns = trained_columns(trained_channels(settings), isinstance(problem.local, ZungerModel))
    if settings.monte_carlo or not columns:
        return []
    start = np.zeros((len(bundle.species), N_COEFFICIENTS))
    if bundle.coefficients is not None:
        start = bundle.coefficients
    size = sizes(start)
    floor = np.where(start == 0.0, 1.0, _FLOOR) * size
    steps = DEFAULT_FRACTION * size
    if bundle.step_sizes is not None:
        steps = np.where(bundle.step_sizes > 0.0, bundle.step_sizes, steps)
    # The slope of the distance is 1 / (prior_width steps) at the start.
    slope = WORTH_OF_WIDTH * per_species / (settings.prior_width * steps)
    strength = slope * np.hypot(start, floor)

    def trained(values: np.ndarray) -> Array:
        return jnp.asarray(values[:, columns], problem.dtype)

    return [Width(trained(start), trained(floor), trained(strength), columns)]


def trained_columns(channels: tuple[str, ...], of_local: bool) -> tuple[int, ...]:
    """Where the coefficients of channels stand among a0 to a8; `local` counts if `of_local`."""
    names = [name for name in channels if name in BESIDE_LOCAL or of_local]
    return tuple(np.r_[*(COLUMNS[name] for name in names)].tolist()) if names else ()


def sizes(start: Float[np.ndarray, "species 9"]) -> Float[np.ndarray, "species 9"]:
    """|a| at the start; for a start at 0 the mean of its column over species, else 1."""
    mean = np.abs(start).mean(axis=0)
    typical = np.where(mean > 0.0, mean, 1.0)
    return np.where(start == 0.0, typical, np.abs(start))
