"""Time and peak memory of training cspbi3_soc (2378 rows, 32 bands) with many k-points.

    python benchmarks/many_k_points.py [number of k-points ...]

Each row is a process of its own: an epoch from scratch, then two that start from its vectors. The
bundle is looked for in $DEEPPSEUDOPOT_SHARED/bundles (default ../shared).
"""

import dataclasses
import json
import resource
import sys

import numpy as np
from measuring import SHARED, measured_apart, times, training


def measure(n_k: int) -> dict[str, float]:
    """Seconds per epoch and k-point, and MB."""
    import deeppseudopot_jax as dp

    bundle = dp.read_bundle(SHARED / "cspbi3_soc")
    system = bundle.systems[0]
    nearest = np.arange(n_k) % len(system.k_points)
    system = dataclasses.replace(
        system,
        k_points=np.linspace(0.0, 0.5, n_k)[:, None] * np.ones(3),
        k_weights=system.k_weights[nearest],
        path_length=np.linspace(0.0, 1.0, n_k),
        reference_energies=system.reference_energies[nearest],
    )
    bundle = dataclasses.replace(bundle, systems=(system,))
    problem = dp.build_problem(bundle)
    params = dp.initial_params(bundle, problem)
    last = times(training(bundle, problem, params), repeats=3)[-1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"epoch": last, "per k": last / n_k, "peak MB": peak}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(int(sys.argv[2]))))
        sys.exit()
    print(f"{'k-points':>8}{'epoch (s)':>12}{'s per k':>10}{'peak MB':>10}")
    for count in map(int, sys.argv[1:] or ("12", "25", "50", "100")):
        found = measured_apart(__file__, str(count))
        print(
            f"{count:8}{found['epoch']:12.2f}{found['per k']:10.3f}{found['peak MB']:10.0f}",
            flush=True,
        )
