"""The prior on coefficients: each stays near its start, those with a natural sign keep it.

A nonlocal channel or a charge may turn round: its distance from the start is linear. The strength
of spin-orbit coupling and the Zunger form's coefficients may not: their distance is linear near the
start, then that of the larger of ratio and inverse ratio. All of it is finite, and so are slopes.
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
"""Size, over that at the start, below which a coefficient that keeps its sign counts as zero."""

_SIGNED = ("local", "spin_orbit")
"""Channels whose coefficients keep their sign."""


@record
class Width:
    """Distances of trained coefficients from their start; `columns` are theirs among a0 to a8."""

    name: ClassVar[str] = "width"
    needs: ClassVar[Needs] = "parameters"
    start: Float[Array, "species column"]
    floor: Float[Array, "species column"]
    slope: Float[Array, "species column"]
    columns: tuple[int, ...] = static()
    signed: tuple[bool, ...] = static()

    def residuals(
        self, problem: Problem, params: Parameters, evaluated: Evaluated
    ) -> Float[Array, " residual"]:
        """In eV: slope (a - start), or slope hypot(floor, start) sinh of the log-like distance.

        The latter is asinh(a / floor) - asinh(start / floor); written so that little cancels.
        """
        del evaluated
        of_local = isinstance(problem.local, ZungerModel)
        a0_to_a3 = params.local if of_local else np.zeros((len(problem.species), 4))
        a = to_coefficients(params, a0_to_a3)[:, np.array(self.columns)] / self.floor
        start = self.start / self.floor
        of_start, of_a = jnp.sqrt(1.0 + start**2), jnp.sqrt(1.0 + a**2)
        stretch = of_start * (1.0 + of_start * of_a - start * a) / (of_start + of_a)
        moved = (a - start) * jnp.where(np.array([self.signed]), stretch, 1.0)
        return (self.slope * self.floor * moved).ravel()


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
    slope = WORTH_OF_WIDTH * per_species / (settings.prior_width * steps)
    keep = trained_columns(_SIGNED, True)

    def trained(values: np.ndarray) -> Array:
        return jnp.asarray(values[:, columns], problem.dtype)

    signed = tuple(column in keep for column in columns)
    return [Width(trained(start), trained(floor), trained(slope), columns, signed)]


def trained_columns(channels: tuple[str, ...], of_local: bool) -> tuple[int, ...]:
    """Where the coefficients of channels stand among a0 to a8; `local` counts if `of_local`."""
    names = [name for name in channels if name in BESIDE_LOCAL or of_local]
    return tuple(np.r_[*(COLUMNS[name] for name in names)].tolist()) if names else ()


def sizes(start: Float[np.ndarray, "species 9"]) -> Float[np.ndarray, "species 9"]:
    """|a| at the start; for a start at 0 the mean of its column over species, else 1."""
    mean = np.abs(start).mean(axis=0)
    typical = np.where(mean > 0.0, mean, 1.0)
    return np.where(start == 0.0, typical, np.abs(start))
