"""Monte Carlo steps of the Zunger, spin-orbit and nonlocal coefficients: seconds per proposal.

    python benchmarks/monte_carlo.py [--replicas 1 4 16] [--steps 60]

Every row is a process of its own. The PyTorch code evaluates the whole cost for every proposal, so
its cost per proposal is one evaluation (shared/README.md). Steps are |coefficient| / 100, replicas
lie between beta = 100 and 10 per eV. "exact" is the part of the proposals that were evaluated
exactly, "saved" the time that delayed acceptance saves against plain Metropolis.

The bundles are looked for in $DEEPPSEUDOPOT_SHARED/bundles (default ../shared).
"""

import argparse
import json
import resource
import sys
import time
from dataclasses import replace

from measuring import SHARED, measured_apart

PYTORCH = {"cspbi3_soc": 17.0, "ingaasp_nn": 4 * 0.74}
COLDEST, HOTTEST = 100.0, 10.0
SWAP_EVERY = 5


def measure(name: str, n_replicas: int, delayed: bool, n_steps: int) -> dict[str, float]:
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
    bundle = replace(bundle, settings=settings)
    problem = dp.build_problem(bundle)
    params = dp.initial_params(bundle, problem)
    (chain,) = chains(bundle, problem)
    start = time.perf_counter()
    running = chain.begin(jax.random.key(0), params)
    running, _ = chain.advance(running, SWAP_EVERY)
    jax.block_until_ready(running)
    first = time.perf_counter() - start
    before = rates_of(running)
    start = time.perf_counter()
    for _ in range(n_steps // SWAP_EVERY):
        running, _ = chain.advance(running, SWAP_EVERY)
    jax.block_until_ready(running)
    elapsed = time.perf_counter() - start
    counts = jax.tree.map(np.subtract, rates_of(running), before)
    found = rates(running.state.counts)
    proposals = n_replicas * n_steps
    return {
        "first": first,
        "per proposal": elapsed / proposals,
        "exact": float(counts[0]) / proposals,
        "accepted": float(counts[1]) / proposals,
        "swaps": float(np.nanmean(found.swaps)) if n_replicas > 1 else float("nan"),
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def rates_of(running) -> tuple:
    """Evaluated and accepted proposals so far."""
    counts = running.state.counts
    return int(counts.evaluated.sum()), int(counts.accepted.sum())


def main(options: argparse.Namespace) -> None:
    print(
        f"{'bundle':<12}{'R':>4} {'kernel':<11}{'s/proposal':>11}{'proposals/s':>12}"
        f"{'PyTorch':>9}{'exact':>7}{'accepted':>9}{'swaps':>7}{'first s':>9}{'peak MB':>9}"
    )
    for name, pytorch in PYTORCH.items():
        for delayed in (False, True):
            for n in options.replicas:
                arguments = (name, str(n), str(int(delayed)), str(options.steps))
                row = measured_apart(__file__, *arguments)
                seconds = row["per proposal"]
                print(
                    f"{name:<12}{n:4d} {'delayed' if delayed else 'Metropolis':<11}"
                    f"{seconds:11.4f}{1 / seconds:12.2f}{f'{pytorch / seconds:.0f}x':>9}"
                    f"{row['exact']:7.2f}{row['accepted']:9.2f}{row['swaps']:7.2f}"
                    f"{row['first']:9.1f}{row['peak MB']:9.0f}",
                    flush=True,
                )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--steps", type=int, default=60, help="per replica, a multiple of 5")
    return parser.parse_args()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        name, n_replicas, delayed, n_steps = sys.argv[2:]
        print(json.dumps(measure(name, int(n_replicas), bool(int(delayed)), int(n_steps))))
    else:
        main(_arguments())
