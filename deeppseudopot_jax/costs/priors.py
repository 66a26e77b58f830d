"""Priors on v(q): residuals that tell a smooth potential of short range from any other.

Both are squares of fixed linear maps of the short-range local model on a grid of q. A unit of
either is a constant of nature's form factors, not of a material: the mean over species of the
roughness of Zunger's curves lies within 20 % of it from silicon to CsPbI3. A strength s (eV) then
tells what root mean square error of all fitted levels such a unit is worth, whatever their number
and their weights: a term is s^2 W times the prior in its unit, W the sum of all weights.
"""

from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from deeppseudopot_jax.costs.closeness import width_prior
from deeppseudopot_jax.costs.interface import Evaluated, Needs, Term
from deeppseudopot_jax.costs.penalties import LARGEST_Q
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.records import record
from deeppseudopot_jax.types import Bundle

UNIT_OF_ROUGHNESS = 4.0e4
"""Ha^2 Bohr^9."""
UNIT_OF_RANGE = 30.0
"""Ha^2 Bohr^3: int |v(r)|^2 d^3r of one species, for Zunger's curves of the same materials."""
SMALLEST_RADIUS = 5.0
"""Bohr, where the penalised region of v(r) begins: a little beyond the distance of neighbours."""

_CURVATURES = 240
_LARGEST_RADIUS = 12.0  # Bohr
_RADII = 36
_TRANSFORM_POINTS = 121
"""Images of v(r) of the transform by a sum over q stand at 63 Bohr - r, far beyond any radius."""


@record
class _OfCurves:
    """The residuals `matrix` @ v(q) of every species."""

    needs: ClassVar[Needs] = "parameters"
    q: Float[Array, " q"]
    matrix: Float[Array, "row q"]

    def residuals(
        self, problem: Problem, params: Parameters, evaluated: Evaluated
    ) -> Float[Array, " residual"]:
        """In eV, of the short-range model: the long-range tail has its own decay."""
        del evaluated
        return (self.matrix @ problem.local.apply(params.local, self.q)).ravel()


@record
class Roughness(_OfCurves):
    """Mean over species of int (1 + q^4) |d^2v/dq^2|^2 dq, q in Bohr^-1.

    Form factors fall off like 1/q^2 and their curvature like 1/q^4 or faster: the weight makes
    wiggles at large q count beside the well at small q, which is physics.
    """

    name: ClassVar[str] = "roughness"


@record
class Range(_OfCurves):
    """Mean over species of int (r / r_0 - 1)^2 |v(r)|^2 4 pi r^2 dr from r_0 = 5 Bohr on."""

    name: ClassVar[str] = "range"


def priors_of(bundle: Bundle, problem: Problem) -> list[Term]:
    """The priors that NN_config.par switches on.

    Args:
        bundle: what `read_bundle` returned; coefficients are held close to those in it.
        problem: from `build_problem`.
    """
    settings = bundle.settings
    weights = sum(float(system.level_weights.sum()) for system in bundle.systems)
    per_species = (weights / len(bundle.species)) ** 0.5
    terms: list[Term] = []
    if settings.prior_roughness > 0:
        q, matrix = curvature_matrix()
        scale = settings.prior_roughness * per_species / UNIT_OF_ROUGHNESS**0.5
        terms.append(Roughness(*_arrays(problem, q, scale * matrix)))
    if settings.prior_range > 0:
        q, matrix = tail_matrix()
        scale = settings.prior_range * per_species / UNIT_OF_RANGE**0.5
        terms.append(Range(*_arrays(problem, q, scale * matrix)))
    if settings.prior_width > 0:
        terms += width_prior(bundle, problem, per_species)
    return terms


def curvature_matrix() -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, "row q"]]:
    """q (Bohr^-1), and the matrix whose rows' squares add up to int (1 + q^4) |d^2v/dq^2|^2 dq.

    Second differences from q = 0 to the end of the range that penalties look at, by the trapezoidal
    rule. v is even in q, so that a kink of it at q = 0, a slow tail of v(r), is as rough as others.
    """
    q = np.linspace(0.0, LARGEST_Q, _CURVATURES + 1)
    rows = np.arange(_CURVATURES)
    second = np.zeros((_CURVATURES, len(q)))
    second[rows, rows] = -2.0
    for side in (-1, 1):
        np.add.at(second, (rows, np.abs(rows + side)), 1.0)
    weights = _trapezoidal(q)[:-1] * (1.0 + q[:-1] ** 4)
    return q, np.sqrt(weights)[:, None] * second / q[1] ** 2


def tail_matrix() -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, "row q"]]:
    """q (Bohr^-1), and the matrix whose rows' squares add up to the prior on the range of v(r).

    v(r) = 1 / (2 pi^2) int q^2 v(q) sin(q r) / (q r) dq by the trapezoidal rule in q and in r.
    """
    q = np.linspace(0.0, LARGEST_Q, _TRANSFORM_POINTS)
    r = np.linspace(SMALLEST_RADIUS, _LARGEST_RADIUS, _RADII)
    transform = np.sin(np.outer(r, q)) / r[:, None] * q * _trapezoidal(q) / (2.0 * np.pi**2)
    amplitudes = (r / SMALLEST_RADIUS - 1.0) * r * np.sqrt(4.0 * np.pi * _trapezoidal(r))
    return q, amplitudes[:, None] * transform


def _trapezoidal(points: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Weights of the trapezoidal rule on equidistant points."""
    weights = np.full(len(points), points[1] - points[0])
    weights[[0, -1]] /= 2.0
    return weights


def _arrays(problem: Problem, *arrays: Float[np.ndarray, "..."]) -> tuple[Float[Array, "..."], ...]:
    return tuple(jnp.asarray(array, problem.dtype) for array in arrays)
