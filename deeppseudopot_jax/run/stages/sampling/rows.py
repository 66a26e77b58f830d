"""What chunks of a Monte Carlo run look like as rows of its tables."""

import numpy as np

from deeppseudopot_jax.montecarlo.chain import Kept, Running
from deeppseudopot_jax.montecarlo.tempering import WindowInfo
from deeppseudopot_jax.parallel import on_host

Rows = dict[str, list[tuple]]
"""Rows by the name of their table."""


class RowMaker:
    """Rows of all chunks, one after the other; `lowest` is the lowest cost of any replica so far.

    Args:
        running: where the run begins or resumes.
        every: steps between rows of iterations.dat.
    """

    def __init__(self, running: Running, every: int) -> None:
        state = running.state
        self._step, self._every = int(state.step), every
        self.lowest = float(np.min(on_host(state.best.cost)))

    def start(self, running: Running, kept: Kept) -> Rows:
        """The row of iteration 0.

        Args:
            running: the start.
            kept: of all replicas.
        """
        replicas = running.state.replicas
        costs, beta, rungs = on_host(
            (replicas.cost, replicas.temperature.beta, running.state.rungs)
        )
        return {
            "final_mc_cost": [(0, costs[0], True, self.lowest, costs[0], *kept.values[0])],
            "iterations": [(0, costs[0], beta[0], *kept.coefficients[0].ravel())],
            "final_mc_replicas": [(0, *rungs, *costs)],
        }

    def of(self, info: WindowInfo) -> Rows:
        """The rows of the steps of one chunk."""
        info = WindowInfo(*on_host(tuple(info)))
        steps, kept = info.history.info, info.history.kept
        n_steps, n_windows = len(steps.cost), len(info.rungs)
        window = np.arange(n_steps) * n_windows // n_steps
        cold = np.argmax(info.rungs == 0, axis=1)[window]  # the replica on the coldest rung
        step = np.arange(n_steps)
        number = self._step + 1 + step
        proposed = np.where(np.isnan(steps.proposed_cost), np.inf, steps.proposed_cost)
        lowest = np.minimum(np.minimum.accumulate(proposed.min(axis=1)), self.lowest)
        current, new = steps.cost[step, cold], steps.proposed_cost[step, cold]
        terms = kept.values[step, cold]
        columns = number, new, steps.accepted[step, cold], lowest, current, *terms.T
        costs = zip(*columns, strict=True)
        betas = info.betas[window, 0]
        sampled = np.flatnonzero(number % self._every == 0)
        samples = [
            (number[i], current[i], betas[i], *kept.coefficients[i, cold[i]].ravel())
            for i in sampled
        ]
        ends = (np.arange(n_windows) + 1) * n_steps // n_windows - 1
        walks = [(number[end], *info.rungs[w], *steps.cost[end]) for w, end in enumerate(ends)]
        self._step += n_steps
        self.lowest = float(lowest[-1])
        return {
            "final_mc_cost": list(costs),
            "iterations": samples,
            "final_mc_replicas": walks,
        }
