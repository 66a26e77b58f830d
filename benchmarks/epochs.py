"""Setup, compile, evaluation and epoch times and peak memory of the two reference bundles.

    python benchmarks/epochs.py [bundle ...]

Bundles are looked for in $DEEPPSEUDOPOT_SHARED/bundles (default ../shared), and run with the dense
solver alone and with the default one. Each row is a process of its own, so that its peak memory is
its own. The first epoch includes compilation and a solve from scratch, the second compiles the
solve from vectors; "epoch" is the median after ten more. The last column is the epoch time of the
PyTorch code on the same kind of machine over ours.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
SHARED = Path(os.environ.get("DEEPPSEUDOPOT_SHARED", REPOSITORY.parent / "shared"))
PYTORCH = {"cspbi3_soc": 196.0, "ingaasp_nn": 57.0}  # seconds per epoch
REPEATS = 5
WARM_UP = {"dense": 0, "default": 10}


def measure(name: str, solver: str) -> dict[str, float]:
    """All figures of one bundle with one solver, in seconds and MB; medians over repeats."""
    import jax

    import deeppseudopot_jax as dp
    from deeppseudopot_jax.eigensolvers.dense import dense
    from deeppseudopot_jax.eigensolvers.iterative import iterative
    from deeppseudopot_jax.losses import loss_of_energies
    from deeppseudopot_jax.training.descent import Descent, TrainingState
    from deeppseudopot_jax.training.optimizers import make_optimizer
    from deeppseudopot_jax.training.trainable import split, trained_channels

    bundle = dp.read_bundle(SHARED / "bundles" / name)
    start = time.perf_counter()
    chosen = dense if solver == "dense" else iterative
    problem = dp.build_problem(bundle, solver=chosen)
    params = dp.initial_params(bundle, problem)
    jax.block_until_ready((problem, params))
    found = {"setup": time.perf_counter() - start}

    start = time.perf_counter()
    evaluate = jax.jit(dp.energies).lower(problem, params).compile()
    found["compile evaluation"] = time.perf_counter() - start
    found["evaluation"] = _median(lambda: evaluate(problem, params))

    optimizer = make_optimizer(bundle.settings, problem.composition)
    trainable, frozen = split(params, trained_channels(bundle.settings))
    state = TrainingState(trainable, optimizer.init(trainable))
    descent = Descent(loss_of_energies, optimizer)

    def epoch():
        nonlocal state
        state, info = descent.step(problem, frozen, state)
        return info

    start = time.perf_counter()
    jax.block_until_ready(epoch())
    jax.block_until_ready(epoch())  # the second one has vectors to start from
    found["first two epochs"] = time.perf_counter() - start
    for _ in range(WARM_UP[solver]):
        epoch()
    found["epoch"] = _median(epoch)
    found["peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def _median(work) -> float:
    import jax

    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        jax.block_until_ready(work())
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main(names: list[str]) -> None:
    columns = ["setup", "compile evaluation", "evaluation", "first two epochs", "epoch", "peak MB"]
    title = " ".join(f"{column:>18}" for column in columns)
    print(f"{'bundle':12} {'solver':8}{title}   PyTorch epoch, ratio")
    for name in names:
        for solver in WARM_UP:
            command = [sys.executable, __file__, "--measure", name, solver]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found = json.loads(output.splitlines()[-1])
            row = " ".join(f"{found[column]:18.3f}" for column in columns)
            ratio = f"{PYTORCH[name]:.0f} s, {PYTORCH[name] / found['epoch']:.0f}x"
            print(f"{name:12} {solver:8}{row}   {ratio}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2], sys.argv[3])))
    else:
        main(sys.argv[1:] or list(PYTORCH))
