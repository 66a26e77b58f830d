"""Monte Carlo steps of the Zunger, spin-orbit and nonlocal coefficients: seconds per proposal.

    python benchmarks/monte_carlo.py [--replicas 1 4 16] [--steps 40] [--sizes 1 0.1]

Every row is a process of its own. The PyTorch code evaluates the whole cost for every proposal, so
its cost per proposal is one evaluation (shared/README.md). Coefficients move by up to "size" per
cent of themselves; replicas lie between beta = 100 and 10 per eV. "exact" is the part of the
proposals that were evaluated exactly. "check" is what looking after the solver takes, which comes
every 400 steps of all replicas; the seconds per proposal contain their share of it. "first" is
compilation, start and five steps.

The bundles are looked for in $DEEPPSEUDOPOT_SHARED/bundles (default ../shared).
"""

import argparse
import json
import resource
import sys
import time
from dataclasses import replace
from itertools import product

from measuring import SHARED, measured_apart

PYTORCH = {"cspbi3_soc": 17.0, "ingaasp_nn": 4 * 0.74}
COLDEST, HOTTEST = 100.0, 10.0
SWAP_EVERY = 5
STEPS_BETWEEN_CHECKS = 400


def measure(name: str, n_replicas: int, delayed: bool, size: float, n_steps: int) -> dict:
    """Seconds per proposal of one replica after compilation, and what became of the proposals."""
    import jax
    import numpy as np

    import deeppseudopot_jax as dp
    from deeppseudopot_jax.montecarlo.chain import chains
    from deeppseudopot_jax.montecarlo.diagnostics import rates

    bundle = dp.read_bundle(SHARED / name)
    settings = bundle.settings.model_copy(
        update={
            "model": "ZeroFunction",
            "max_epochs": 0,
            "monte_carlo": True,
            "mc_iterations": n_steps,
            "mc_fraction": 0.01,
            "mc_beta": COLDEST,
            "mc_replicas": n_replicas,
            "mc_betas": (COLDEST, HOTTEST) if n_replicas > 1 else (),
            "mc_swap_every": SWAP_EVERY,
            "mc_delayed_acceptance": delayed,
        }
    )
    steps = size / 100.0 * np.abs(bundle.coefficients)
    bundle = replace(bundle, settings=settings, step_sizes=steps)
    problem = dp.build_problem(bundle)
    params = dp.initial_params(bundle, problem)
    (chain,) = chains(bundle, problem)

    def timed(work):
        start = time.perf_counter()
        found = jax.block_until_ready(work())
        return found, time.perf_counter() - start

    def sampled(running, n_windows: int):
        for _ in range(n_windows):
            running, _ = chain.advance(running, SWAP_EVERY)
        return running

    begin, key = chain.begin, jax.random.key(0)
    running, first = timed(lambda: sampled(begin(key, params), 1))
    before = running.state.counts
    running, elapsed = timed(lambda: sampled(running, n_steps // SWAP_EVERY))
    after = running.state.counts
    chain.looked_after(running, 0)  # compiles
    _, check = timed(lambda: chain.looked_after(running, 0))
    evaluated = int((after.evaluated - before.evaluated).sum())
    accepted = int((after.accepted - before.accepted).sum())
    proposals = n_replicas * n_steps
    swaps = rates(running.state.counts).swaps
    return {
        "first": first,
        "check": check,
        "per proposal": elapsed / proposals + check / (STEPS_BETWEEN_CHECKS * n_replicas),
        "exact": evaluated / proposals,
        "accepted": accepted / proposals,
        "swaps": float(np.nanmean(swaps)) if n_replicas > 1 else float("nan"),
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main(options: argparse.Namespace) -> None:
    print(
        f"{'bundle':<12}{'R':>4} {'kernel':<11}{'size %':>7}{'s/proposal':>11}{'proposals/s':>12}"
        f"{'PyTorch':>9}{'exact':>7}{'accepted':>9}{'swaps':>7}{'check s':>9}{'first s':>9}"
        f"{'peak MB':>9}"
    )
    for name, pytorch in PYTORCH.items():
        for delayed, n, size in product((False, True), options.replicas, options.sizes):
            if n > 1 and size != options.sizes[-1]:
                continue
            arguments = (name, str(n), str(int(delayed)), str(size), str(options.steps))
            row = measured_apart(__file__, *arguments)
            seconds = row["per proposal"]
            print(
                f"{name:<12}{n:4d} {'delayed' if delayed else 'Metropolis':<11}{size:7g}"
                f"{seconds:11.4f}{1 / seconds:12.2f}{f'{pytorch / seconds:.0f}x':>9}"
                f"{row['exact']:7.2f}{row['accepted']:9.2f}{row['swaps']:7.2f}"
                f"{row['check']:9.2f}{row['first']:9.1f}{row['peak MB']:9.0f}",
                flush=True,
            )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--steps", type=int, default=40, help="per replica, a multiple of 5")
    parser.add_argument("--sizes", type=float, nargs="+", default=[1.0, 0.3])
    return parser.parse_args()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        name, n, delayed, size, n_steps = sys.argv[2:]
        print(json.dumps(measure(name, int(n), bool(int(delayed)), float(size), int(n_steps))))
    else:
        main(_arguments())
