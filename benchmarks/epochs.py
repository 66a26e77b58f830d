"""Setup, compile, evaluation and epoch times and peak memory of the two reference bundles.

    python benchmarks/epochs.py [bundle ...]

Bundles are looked for in $DEEPPSEUDOPOT_SHARED/bundles (default ../shared). Each one runs in a
process of its own, so that its peak memory is its own. The last column is the epoch time of the
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
PYTORCH = {"cspbi3_soc": (196.0, 16300.0), "ingaasp_nn": (57.0, 1070.0)}  # epoch s, peak MB
REPEATS = 5
WARM_UP = 10


def measure(name: str) -> dict[str, float]:
    """All figures of one bundle, in seconds and MB; medians over repeats."""
    import jax

    import deeppseudopot_jax as dp
    from deeppseudopot_jax.losses import loss_of_energies
    from deeppseudopot_jax.training.descent import Descent, TrainingState
    from deeppseudopot_jax.training.optimizers import make_optimizer
    from deeppseudopot_jax.training.trainable import split, trained_channels

    bundle = dp.read_bundle(SHARED / "bundles" / name)
    start = time.perf_counter()
    problem = dp.build_problem(bundle)
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
    for _ in range(WARM_UP):
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
    print(f"{'bundle':12} " + " ".join(f"{c:>18}" for c in columns) + "   PyTorch epoch, ratio")
    for name in names:
        command = [sys.executable, __file__, "--measure", name]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = json.loads(output.splitlines()[-1])
        reference = PYTORCH[name][0]
        row = " ".join(f"{found[c]:18.3f}" for c in columns)
        print(f"{name:12} {row}   {reference:.0f} s, {reference / found['epoch']:.0f}x")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2])))
    else:
        main(sys.argv[1:] or list(PYTORCH))
