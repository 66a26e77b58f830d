"""Penalties on v(q) and on spin-orbit strengths: terms that are no sums of squares."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from deeppseudopot_jax.costs.interface import Penalty
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.records import record

LARGEST_Q = 12.0
"""Bohr^-1, end of the range of v(q) that penalties and priors look at."""

_STEEPNESS = 10.0
_TAIL_POINTS = 50
_MAGNITUDE_POINTS = 240

_LARGEST_FREE_SPIN_ORBIT = 8.0
_SPIN_ORBIT_SLOPE = 10.0


@record
class Tail:
    """`tail_penalty` once per fitted k-point of all systems."""

    name: ClassVar[str] = "tail"

    def value(self, problem: Problem, params: Parameters) -> Float[Array, ""]:
        """What it adds to the cost."""
        return _n_fitted(problem) * tail_penalty(problem, params)


@record
class Magnitude:
    """`magnitude_penalty` once per fitted k-point of all systems."""

    name: ClassVar[str] = "magnitude"

    def value(self, problem: Problem, params: Parameters) -> Float[Array, ""]:
        """What it adds to the cost."""
        return _n_fitted(problem) * magnitude_penalty(problem, params)


@record
class LargeSpinOrbit:
    """sum over species of 10 (a5 - 8) where a5 > 8."""

    name: ClassVar[str] = "spin_orbit"

    def value(self, problem: Problem, params: Parameters) -> Float[Array, ""]:
        """What it adds to the cost."""
        del problem
        excess = params.spin_orbit - _LARGEST_FREE_SPIN_ORBIT
        return _SPIN_ORBIT_SLOPE * jnp.sum(jnp.maximum(excess, 0.0))


def penalties_of(problem: Problem) -> tuple[Penalty, ...]:
    """The penalties on v(q) that are switched on."""
    pairs: list[tuple[Penalty, float]] = [
        (Tail(), problem.tail_penalty.strength),
        (Magnitude(), problem.magnitude_penalty.strength),
    ]
    return tuple(penalty for penalty, strength in pairs if strength > 0)


def tail_penalty(problem: Problem, params: Parameters) -> Float[Array, ""]:
    """lambda * mean |v(q)| over the tail, switched on smoothly half a Bohr^-1 beyond its start.

    v is the short-range local model: the long-range tail has its own decay.
    """
    start, strength = problem.tail_penalty.start, problem.tail_penalty.strength
    q = jnp.linspace(start, LARGEST_Q, _TAIL_POINTS, dtype=problem.dtype)
    v = problem.local.apply(params.local, q)
    switch = jax.nn.sigmoid(_STEEPNESS * (q - start - 0.5))
    return strength * jnp.mean(jnp.abs(v) * switch[:, None])


def magnitude_penalty(problem: Problem, params: Parameters) -> Float[Array, ""]:
    """lambda * mean relu(|v| - t) for the part of v(q) that exceeds the threshold t (Ha Bohr^3)."""
    threshold, strength = problem.magnitude_penalty.start, problem.magnitude_penalty.strength
    q = jnp.linspace(0.0, LARGEST_Q, _MAGNITUDE_POINTS, dtype=problem.dtype)
    excess = jnp.abs(problem.local.apply(params.local, q)) - threshold
    return strength * jnp.mean(jax.nn.relu(excess) * jax.nn.sigmoid(_STEEPNESS * excess))


def _n_fitted(problem: Problem) -> int:
    return sum(target.n_fitted for target in problem.targets)
