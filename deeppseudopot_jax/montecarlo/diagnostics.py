"""How much a chain knows: autocorrelation times, effective sample sizes, acceptance rates."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.montecarlo.tempering import Counts


def autocorrelation_time(chains: Float[np.ndarray, "step chain"]) -> float:
    """The integrated time tau = 1 + 2 sum_t rho(t), in steps, of chains of the same density.

    rho is averaged over the chains, about the mean of all, so chains stuck in different places
    count as correlated; where nothing ever moved, tau is the number of steps. The sum is the
    initial monotone sequence of C. J. Geyer, Statist. Sci. 7, 473 (1992): sums of neighbouring
    pairs, up to the first that is not positive, never rising.
    """
    n = len(chains)
    centred = chains - np.mean(chains)
    if not centred.any():
        return float(n)
    spectrum = np.abs(np.fft.rfft(centred, 2 * n, axis=0)) ** 2  # zeros behind: no wrap-around
    correlation = np.fft.irfft(spectrum.sum(axis=1))[: n - n % 2]
    pairs = (correlation / correlation[0]).reshape(-1, 2).sum(axis=1)
    ends = np.flatnonzero(pairs <= 0)
    positive = pairs[: ends[0]] if len(ends) else pairs
    return float(max(2.0 * np.minimum.accumulate(positive).sum() - 1.0, 1.0))


def effective_sample_size(chains: Float[np.ndarray, "step chain"]) -> float:
    """Independent draws that give a mean as accurate as that over all of these chains."""
    return chains.size / autocorrelation_time(chains)


class Rates(NamedTuple):
    """Per rung: accepted and exactly evaluated moves per step; per pair: accepted swaps per try.

    NaN where nothing was tried.
    """

    acceptance: Float[np.ndarray, " rung"]
    evaluation: Float[np.ndarray, " rung"]
    swaps: Float[np.ndarray, " pair"]


def rates(counts: Counts) -> Rates:
    """Fractions of what was tried."""
    steps = np.asarray(counts.steps)
    return Rates(
        _fraction(counts.accepted, steps),
        _fraction(counts.evaluated, steps),
        _fraction(counts.swaps_accepted, counts.swaps_tried),
    )


def _fraction(successes: object, tries: object) -> np.ndarray:
    number = np.asarray(tries)
    return np.where(number > 0, np.asarray(successes) / np.maximum(number, 1), np.nan)
