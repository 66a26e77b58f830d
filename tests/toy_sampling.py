"""One-dimensional densities exp(-beta e(x)) that a sampler has to reproduce.

e is a polynomial whose coefficients are data, and all runs have four replicas and the same length,
so a kernel is compiled once for all densities and temperatures.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deeppseudopot_jax.montecarlo.delayed_acceptance import DelayedAcceptance
from deeppseudopot_jax.montecarlo.diagnostics import effective_sample_size
from deeppseudopot_jax.montecarlo.interface import Kernel, Proposal
from deeppseudopot_jax.montecarlo.metropolis import Metropolis
from deeppseudopot_jax.montecarlo.schedule import Schedule
from deeppseudopot_jax.montecarlo.tempering import State, Tempering, WindowInfo, run_chunk

N_STEPS, SWAP_EVERY = 40_000, 5
START = {"x": jnp.asarray(0.3)}

# Highest power first, as for polyval; both energies are positive.
HARMONIC = jnp.asarray([0.0, 0.0, 0.5, 0.0, 0.1])
DOUBLE_WELL = jnp.asarray([3.0, 0.0, -6.0, 0.3, 3.4])  # the left well is deeper by 0.6


def evaluate(coefficients, params, aux):
    """cost = e^2, and as `aux` the point itself, which tells a screen where it was built."""
    return jnp.polyval(coefficients, params["x"]) ** 2, params["x"]


def screen(coefficients, params, aux):
    """A bad stand-in that depends on where it was built: scaled, tilted and rippled."""
    x = params["x"]
    ripple = 0.3 * jnp.sin(3.0 * x + 2.0 * aux)
    energy = 0.8 * jnp.polyval(coefficients, x) + 0.4 * jnp.abs(x - aux) + ripple + 0.5
    return energy**2


def uniform_step(width, key, params, step_factor):
    """The symmetric move x + U(-width, width)."""
    change = width * step_factor * jax.random.uniform(key, minval=-1.0)
    return Proposal({"x": params["x"] + change}, jnp.zeros(()))


def made(kind: type[Kernel], energy: jax.Array = HARMONIC, width: float = 1.5) -> Kernel:
    """A kernel on one density."""
    partial = jax.tree_util.Partial
    move, exact = partial(uniform_step, jnp.asarray(width)), partial(evaluate, energy)
    if issubclass(kind, DelayedAcceptance):
        return kind(move, exact, partial(screen, energy))
    return kind(move, exact)


KERNELS = [Metropolis, DelayedAcceptance]


def x_of(replica):
    return replica.params["x"]


def schedule_of(betas: list[float]) -> Schedule:
    """Like a ladder, but walkers may share a temperature and are then as good as independent."""
    rows = jnp.asarray(betas)[None]
    return Schedule(jnp.zeros(1, int), rows, jnp.ones_like(rows), None)


def sample(
    kernel: Kernel, betas: list[float], seed: int = 0, n_steps: int = N_STEPS
) -> tuple[State, WindowInfo]:
    """A run of one chunk."""
    sampler = Tempering(kernel, SWAP_EVERY, 0, x_of, len(betas))
    state = sampler.init(jax.random.key(seed), START, START["x"], schedule_of(betas))
    return run_chunk(sampler, state, n_steps)


def on_rung(info: WindowInfo, rung: int) -> np.ndarray:
    """What one rung of the ladder saw, step by step, as one chain (step, 1)."""
    kept = np.asarray(info.history.kept)
    holder = np.argmax(np.asarray(info.rungs) == rung, axis=1)
    steps = len(kept) // len(holder)
    return np.take_along_axis(kept, np.repeat(holder, steps)[:, None], axis=1)


class Comparison(NamedTuple):
    """Largest deviation of a distribution function in standard errors, and the smallest sample."""

    deviation: float
    sample_size: float


def compare(chains: np.ndarray, energy: jax.Array, beta: float) -> Comparison:
    """Empirical against exact distribution function at seven points; chains are (step, chain).

    The first tenth still remembers the start and does not count.
    """
    chains = chains[len(chains) // 10 :]
    grid = np.linspace(-6.0, 6.0, 20001)
    density = np.exp(-beta * np.polyval(np.asarray(energy), grid))
    distribution = np.cumsum(density) - 0.5 * density  # trapezoids; it vanishes at the ends
    distribution /= density.sum()
    deviations, sizes = [], []
    for p in (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95):
        below = (chains <= np.interp(p, distribution, grid)).astype(float)
        sizes.append(effective_sample_size(below))
        deviations.append(abs(below.mean() - p) / np.sqrt(p * (1.0 - p) / sizes[-1]))
    return Comparison(max(deviations), min(sizes))
