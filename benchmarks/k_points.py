"""Evaluation time and peak memory against the number of k-points: memory bounded, time linear.

    python benchmarks/k_points.py

Uses the project's own gallium arsenide bundle, with its k-path made denser.
"""

import dataclasses
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

BUNDLE = Path(__file__).parents[1] / "configs" / "gallium_arsenide"
NUMBERS = (125, 250, 500, 1000, 2000)


def measure(n_k: int) -> dict[str, float]:
    """Evaluation time (s, second call) and peak memory (MB) for n_k k-points."""
    import jax

    import deeppseudopot_jax as dp

    bundle = dp.read_bundle(BUNDLE)
    (system,) = bundle.systems
    path = np.linspace(0, len(system.k_points) - 1, n_k)
    nodes = np.arange(len(system.k_points))
    k_points = np.stack([np.interp(path, nodes, column) for column in system.k_points.T], axis=1)
    system = dataclasses.replace(
        system, k_points=k_points, k_weights=np.ones(n_k), reference_energies=None
    )
    problem = dp.build_problem(dataclasses.replace(bundle, systems=(system,)), local="zunger")
    params = dp.initial_params(bundle, problem)
    evaluate = jax.jit(dp.energies)
    jax.block_until_ready(evaluate(problem, params))
    start = time.perf_counter()
    jax.block_until_ready(evaluate(problem, params))
    elapsed = time.perf_counter() - start
    return {"s": elapsed, "MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main() -> None:
    print(f"{'k-points':>9} {'seconds':>9} {'ms per k':>9} {'peak MB':>9}")
    for n_k in NUMBERS:
        command = [sys.executable, __file__, str(n_k)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = json.loads(output.splitlines()[-1])
        print(f"{n_k:9d} {found['s']:9.2f} {1000 * found['s'] / n_k:9.2f} {found['MB']:9.0f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(int(sys.argv[1]))))
    else:
        main()
