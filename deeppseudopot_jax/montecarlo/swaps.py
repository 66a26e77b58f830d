"""Swaps between neighbouring temperatures, and the ladder's adaptation to them.

Temperatures change hands, not states: a rung is one integer, a replica carries wave functions.
Even and odd pairs of rungs take turns (S. Syed et al., J. R. Stat. Soc. B 84, 321 (2022)), which
keeps a replica moving along the ladder instead of diffusing.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

_GAIN = 0.1
"""Change of log(gap) per event and unit of acceptance, at first."""

_LAG = 100.0
"""Events after which the gain has halved."""


class SwapInfo(NamedTuple):
    """Per pair of neighbouring rungs: acceptance probability, whether it was tried, accepted."""

    probability: Float[Array, " pair"]
    tried: Bool[Array, " pair"]
    accepted: Bool[Array, " pair"]


def swap_probability(
    betas: Float[Array, " rung"], costs: Float[Array, " rung"]
) -> Float[Array, " pair"]:
    """min(1, exp((beta_i - beta_j) (e_i - e_j))) with e = sqrt(cost), for j = i + 1."""
    energies = jnp.sqrt(costs)
    log_ratio = (betas[:-1] - betas[1:]) * (energies[:-1] - energies[1:])
    return jnp.exp(jnp.minimum(0.0, log_ratio))


def swap(
    key: Key[Array, ""],
    betas: Float[Array, " rung"],
    costs: Float[Array, " replica"],
    rungs: Int[Array, " replica"],
    event: Int[Array, ""],
) -> tuple[Int[Array, " replica"], SwapInfo]:
    """The replicas' rungs after swap event number `event`: even pairs in even ones, else odd."""
    n = len(rungs)
    probability = swap_probability(betas, costs[jnp.argsort(rungs)])
    tried = jnp.arange(n - 1) % 2 == event % 2
    accepted = tried & (jax.random.uniform(key, (n - 1,), betas.dtype) < probability)
    one = accepted.astype(rungs.dtype)
    shift = jnp.zeros(n, rungs.dtype).at[:-1].add(one).at[1:].add(-one)
    return rungs + shift[rungs], SwapInfo(probability, tried, accepted)


def adapted(
    betas: Float[Array, " rung"], probability: Float[Array, " pair"], event: Int[Array, ""]
) -> Float[Array, " rung"]:
    """A ladder a little nearer to equal swap rates, between the same two ends.

    Gaps in log(beta) grow where swaps succeed more often than on average. The gain falls like
    1 / (1 + event / lag): W. D. Vousden, W. M. Farr and I. Mandel, MNRAS 455, 1919 (2016).
    """
    gain = _GAIN / (1.0 + event.astype(betas.dtype) / _LAG)
    gaps = -jnp.diff(jnp.log(betas)) * jnp.exp(gain * (probability - jnp.mean(probability)))
    fractions = jnp.cumsum(gaps) / jnp.sum(gaps)
    inner = betas[0] * (betas[-1] / betas[0]) ** fractions[:-1]
    return betas.at[1:-1].set(inner)
