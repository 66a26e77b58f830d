"""Time and peak memory of training cspbi3_soc (2378 rows, 32 bands) with many k-points.

    python benchmarks/many_k_points.py [number of k-points ...]

Each row is a process of its own: an epoch from scratch, then two that start from its vectors. The
bundle is looked for in $DEEPPSEUDOPOT_SHARED/bundles (default ../shared).
"""

import dataclasses
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

SHARED = Path(os.environ.get("DEEPPSEUDOPOT_SHARED", Path(__file__).parents[2] / "shared"))


def measure(n_k: int) -> dict[str, float]:
    """Seconds per epoch and k-point, and MB."""
    import deeppseudopot_jax as dp
    from deeppseudopot_jax.losses import loss_of_energies
    from deeppseudopot_jax.training.descent import Descent, TrainingState
    from deeppseudopot_jax.training.optimizers import make_optimizer
    from deeppseudopot_jax.training.trainable import split, trained_channels

    bundle = dp.read_bundle(SHARED / "bundles" / "cspbi3_soc")
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
    optimizer = make_optimizer(bundle.settings, problem.composition)
    trainable, frozen = split(params, trained_channels(bundle.settings))
    state = TrainingState(trainable, optimizer.init(trainable))
    descent = Descent(loss_of_energies, optimizer)
    for _ in range(3):
        start = time.perf_counter()
        state, info = descent.step(problem, frozen, state)
        float(info.cost)
        last = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"epoch": last, "per k": last / n_k, "peak MB": peak}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(int(sys.argv[2]))))
        sys.exit()
    print(f"{'k-points':>8}{'epoch (s)':>12}{'s per k':>10}{'peak MB':>10}")
    for count in map(int, sys.argv[1:] or ("12", "25", "50", "100")):
        command = [sys.executable, __file__, "--measure", str(count)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = json.loads(output.splitlines()[-1])
        print(
            f"{count:8}{found['epoch']:12.2f}{found['per k']:10.3f}{found['peak MB']:10.0f}",
            flush=True,
        )
