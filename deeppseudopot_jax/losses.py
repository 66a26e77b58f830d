"""The cost of a set of parameters: squared band errors plus penalties on v(q)."""

from functools import reduce
from operator import add

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from deeppseudopot_jax.observables.bands import energies
from deeppseudopot_jax.problem import Problem, Target

_STEEPNESS = 10.0
_TAIL_POINTS = 50
_MAGNITUDE_POINTS = 240
_LARGEST_Q = 12.0  # Bohr^-1, end of the range that the penalties look at


def loss(problem: Problem, params: dict) -> Float[Array, ""]:
    """Total cost: band errors of every system (eV^2) plus the penalties that are switched on.

    Raises:
        ValueError: if a system has no reference energies.
    """
    return loss_of_energies(problem, params, energies(problem, params))


def loss_of_energies(
    problem: Problem, params: dict, bands: list[Float[Array, "_kpt _band"]]
) -> Float[Array, ""]:
    """The same cost from band energies that are known already."""
    total = reduce(add, map(band_loss, bands, problem.targets))
    n_k = sum(target.n_k for target in problem.targets)
    if problem.tail_penalty.strength > 0:
        total = total + n_k * tail_penalty(problem, params)
    if problem.magnitude_penalty.strength > 0:
        total = total + n_k * magnitude_penalty(problem, params)
    return total


def band_loss(bands: Float[Array, "kpt band"], target: Target) -> Float[Array, ""]:
    """sum_k w_k sum_n b_n (E_nk - E_nk^ref)^2 in eV^2, weights as given."""
    return jnp.sum(target.weights * band_errors(bands, target) ** 2)


def band_errors(bands: Float[Array, "kpt band"], target: Target) -> Float[Array, "kpt band"]:
    """E_nk - E_nk^ref in eV.

    With a `relative_band` both sets of energies are first taken relative to that band at each k.

    Raises:
        ValueError: if there are no reference energies.
    """
    if target.reference is None:
        raise ValueError(f"{target.name}: no reference energies, so there is nothing to fit")
    reference = target.reference
    if target.relative_band is not None:
        bands = bands - bands[:, target.relative_band, None]
        reference = reference - reference[:, target.relative_band, None]
    return bands - reference


def tail_penalty(problem: Problem, params: dict) -> Float[Array, ""]:
    """lambda * mean |v(q)| over the tail, switched on smoothly half a Bohr^-1 beyond its start.

    v is the short-range local model: the long-range tail has its own decay.
    """
    start, strength = problem.tail_penalty.start, problem.tail_penalty.strength
    q = jnp.linspace(start, _LARGEST_Q, _TAIL_POINTS, dtype=problem.dtype)
    v = problem.local.apply(params["local"], q)
    switch = jax.nn.sigmoid(_STEEPNESS * (q - start - 0.5))
    return strength * jnp.mean(jnp.abs(v) * switch[:, None])


def magnitude_penalty(problem: Problem, params: dict) -> Float[Array, ""]:
    """lambda * mean relu(|v| - t) for the part of v(q) that exceeds the threshold t (Ha Bohr^3)."""
    threshold, strength = problem.magnitude_penalty.start, problem.magnitude_penalty.strength
    q = jnp.linspace(0.0, _LARGEST_Q, _MAGNITUDE_POINTS, dtype=problem.dtype)
    excess = jnp.abs(problem.local.apply(params["local"], q)) - threshold
    return strength * jnp.mean(jax.nn.relu(excess) * jax.nn.sigmoid(_STEEPNESS * excess))
