"""Temperatures: the alternating and annealing schedules, and the ladder of parallel tempering."""

from collections.abc import Sequence
from itertools import pairwise

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.montecarlo.interface import Temperature
from deeppseudopot_jax.records import record, static


@record
class Schedule:
    """Inverse temperature and step factor of every rung, constant from each of `starts` on.

    `starts` are step numbers, the first one 0; after `period` steps they begin again. Rung 0 is the
    coldest of a ladder.
    """

    starts: Int[Array, " row"]
    betas: Float[Array, "row rung"]
    step_factors: Float[Array, "row rung"]
    period: int | None = static()

    @property
    def n_rungs(self) -> int:
        """Temperatures that exist at the same time."""
        return self.betas.shape[1]

    def row(self, step: Int[Array, ""]) -> Int[Array, ""]:
        """The row that holds at a step."""
        if self.period is not None:
            step = step % self.period
        return jnp.searchsorted(self.starts, step, side="right") - 1

    def temperature(self, step: Int[Array, ""], rung: Int[Array, ""]) -> Temperature:
        """The temperature of a rung at a step."""
        row = self.row(step)
        return Temperature(self.betas[row, rung], self.step_factors[row, rung])


def alternating(
    betas: Sequence[float], steps: Sequence[int], step_factors: Sequence[float]
) -> Schedule:
    """One walker: `steps[0]` steps at `betas[0]`, then `steps[1]` at `betas[1]`, over and over.

    Raises:
        InputError: if nothing is given, lengths differ or a number is not positive.
    """
    if not len(betas) == len(steps) == len(step_factors):
        raise InputError(
            f"{len(betas)} betas, {len(steps)} numbers of steps and {len(step_factors)} step "
            "factors: one of each is needed per temperature"
        )
    _check_positive("steps", steps)
    starts = [sum(steps[:i]) for i in range(len(steps))]
    return _schedule(starts, [betas], [step_factors], sum(steps))


def annealing(beta: float, rows: Sequence[Sequence[float]]) -> Schedule:
    """One walker: `beta` until the first of `rows` (iteration, beta); the last value holds.

    Raises:
        InputError: if an iteration is negative or does not ascend, or a beta is not positive.
    """
    starts = [int(row[0]) for row in rows]
    betas = [float(row[1]) for row in rows]
    if not starts or starts[0] > 0:
        starts, betas = [0, *starts], [beta, *betas]
    if starts[0] < 0 or any(a >= b for a, b in pairwise(starts)):
        raise InputError(f"iterations {starts}: they must ascend from 0")
    return _schedule(starts, [betas], [[1.0] * len(betas)], None)


def ladder(betas: Sequence[float], step_factors: Sequence[float] | None = None) -> Schedule:
    """Several temperatures at once, coldest first; step factors are 1 by default.

    Raises:
        InputError: if there is no beta, one is not positive, or they do not descend.
    """
    _check_positive("betas", betas)
    if any(a <= b for a, b in pairwise(betas)):
        raise InputError(f"betas {_spelled(betas)}: a ladder descends, the coldest first")
    factors = [1.0] * len(betas) if step_factors is None else step_factors
    if len(factors) != len(betas):
        raise InputError(f"{len(betas)} betas and {len(factors)} step factors")
    return _schedule([0], [[beta] for beta in betas], [[factor] for factor in factors], None)


def geometric(first: float, last: float, n: int) -> list[float]:
    """`n` numbers from `first` to `last` with equal ratios.

    Raises:
        InputError: if `n` < 1, an end is not positive, or one number has two different ends.
    """
    if n < 1:
        raise InputError(f"{n} replicas: at least one is needed")
    _check_positive("ends", [first, last])
    if n == 1 and first != last:
        raise InputError(f"one replica cannot be at {first:g} and at {last:g}")
    inner = np.geomspace(first, last, n)[1:-1]
    return [first, *map(float, inner), last][:n]


def _schedule(
    starts: Sequence[int],
    betas: Sequence[Sequence[float]],
    step_factors: Sequence[Sequence[float]],
    period: int | None,
) -> Schedule:
    """From lists (rung, row): users write the temperatures of a walker one after another."""
    for name, lists in (("betas", betas), ("step factors", step_factors)):
        for numbers in lists:
            _check_positive(name, numbers)
    return Schedule(
        jnp.asarray(starts),
        jnp.asarray(np.array(betas, float).T),
        jnp.asarray(np.array(step_factors, float).T),
        period,
    )


def _check_positive(name: str, values: Sequence[float]) -> None:
    if not len(values):
        raise InputError(f"there are no {name}")
    if not all(np.isfinite(value) and value > 0 for value in values):
        raise InputError(f"{name} {_spelled(values)}: every one must be positive")


def _spelled(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)
