"""Damped Gauss-Newton steps, and how their damping follows from what they achieve.

(J^T J + damping D^2) x = -gradient, with D the largest norms that the columns of J have had
(J. J. More, Lecture Notes in Mathematics 630, 105 (1978)). The damping follows the gain ratio after
H. B. Nielsen, Report IMM-REP-1999-05, Technical University of Denmark.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Float

from deeppseudopot_jax.eigensolvers.one_by_one import one_by_one_on_cpu
from deeppseudopot_jax.training.least_squares.linearised import Linearised

_SMALLEST_SCALE = 1e-8
"""Of a column that residuals do not depend on, over the largest one."""

FIRST_DAMPING = 1e-3
_LARGEST_RELIEF = 1.0 / 3.0


class Damping(NamedTuple):
    """What Levenberg-Marquardt remembers: damping, its next growth, scales of the coordinates."""

    value: Float[Array, ""]
    growth: Float[Array, ""]
    scales: Float[Array, " coordinate"]

    def raised(self) -> "Damping":
        """After a step that was rejected."""
        return Damping(self.value * self.growth, 2.0 * self.growth, self.scales)

    def relieved(self, gain: Float[Array, ""]) -> "Damping":
        """After a step that was accepted, with its gain ratio."""
        relief = jnp.maximum(_LARGEST_RELIEF, 1.0 - (2.0 * gain - 1.0) ** 3)
        return Damping(self.value * relief, jnp.full_like(self.growth, 2.0), self.scales)

    def with_scales(self, column_norms: Float[Array, " coordinate"]) -> "Damping":
        """The same for columns of another Jacobian."""
        return self._replace(scales=jnp.maximum(self.scales, column_norms))


class Step(NamedTuple):
    """A step, and by how much it lowers the linearised cost."""

    change: Float[Array, " coordinate"]
    predicted: Float[Array, ""]
    length: Float[Array, ""]


def first_damping(n_coordinates: int) -> Damping:
    """Before any Jacobian is known."""
    # With a dtype: weakly typed ones would compile a second program for the first step.
    value, growth = (jnp.asarray(number, jnp.float64) for number in (FIRST_DAMPING, 2.0))
    return Damping(value, growth, jnp.zeros(n_coordinates, jnp.float64))


@one_by_one_on_cpu
def _solved(matrix: Array, right: Array) -> Array:
    return cho_solve(cho_factor(matrix), right)


@jax.jit
def damped_step(near: Linearised, damping: Damping) -> Step:
    """The minimum of the damped, linearised cost; NaN where the arithmetic fails.

    The smaller of J J^T and J^T J is factorised; where the gradient has a part beside the rows, its
    step follows by Woodbury's formula. `length` is that of the step in units of 1 / scales.
    """
    largest = jnp.max(damping.scales)
    scales = jnp.maximum(damping.scales, jnp.where(largest > 0, largest, 1.0) * _SMALLEST_SCALE)
    if near.rows is None or near.residuals is None:
        assert near.normal is not None
        matrix = near.normal / (scales[:, None] * scales[None, :])
        damped = matrix + damping.value * jnp.eye(len(scales))
        scaled = -_solved(damped, (near.gradient / scales)[:, None])[:, 0]
        curvature = scaled @ (matrix @ scaled)
    else:
        rows = near.rows / scales[None, :]
        damped = rows @ rows.T + damping.value * jnp.eye(rows.shape[0])
        beside = near.beside / scales
        both = _solved(damped, jnp.stack([near.residuals, rows @ beside], axis=1))
        scaled = -rows.T @ both[:, 0] - (beside - rows.T @ both[:, 1]) / damping.value
        curvature = jnp.sum((rows @ scaled) ** 2)
    change = scaled / scales
    predicted = -(2.0 * near.gradient @ change + curvature)
    return Step(change, predicted, jnp.linalg.norm(scaled))
