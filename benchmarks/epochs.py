"""Setup, compile, evaluation and epoch times and peak memory of the two reference bundles.

    python benchmarks/epochs.py [bundle ...]

Bundles are looked for in $DEEPPSEUDOPOT_SHARED/bundles (default ../shared), and run with the dense
solver alone and with the default one. Each row is a process of its own, so that its peak memory is
its own. The first epoch includes compilation and a solve from scratch, the second compiles the
solve from vectors; "epoch" is the median after ten more. The last column is the epoch time of the
PyTorch code on the same kind of machine over ours.
"""

import json
import resource
import sys
import time

from measuring import SHARED, measured_apart, median, training

PYTORCH = {"cspbi3_soc": 196.0, "ingaasp_nn": 57.0}  # seconds per epoch
WARM_UP = {"dense": 0, "default": 10}


def measure(name: str, solver: str) -> dict[str, float]:
    """All figures of one bundle with one solver, in seconds and MB; medians over repeats."""
    import jax

    import deeppseudopot_jax as dp
    from deeppseudopot_jax.eigensolvers.dense import dense
    from deeppseudopot_jax.eigensolvers.iterative import iterative

    bundle = dp.read_bundle(SHARED / name)
    start = time.perf_counter()
    chosen = dense if solver == "dense" else iterative
    problem = dp.build_problem(bundle, solver=chosen)
    params = dp.initial_params(bundle, problem)
    jax.block_until_ready((problem, params))
    found = {"setup": time.perf_counter() - start}

    start = time.perf_counter()
    evaluate = jax.jit(dp.energies).lower(problem, params).compile()
    found["compile evaluation"] = time.perf_counter() - start
    found["evaluation"] = median(lambda: evaluate(problem, params))

    epoch = training(bundle, problem, params)
    start = time.perf_counter()
    jax.block_until_ready(epoch())
    jax.block_until_ready(epoch())  # the second one has vectors to start from
    found["first two epochs"] = time.perf_counter() - start
    for _ in range(WARM_UP[solver]):
        epoch()
    found["epoch"] = median(epoch)
    found["peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def main(names: list[str]) -> None:
    columns = ["setup", "compile evaluation", "evaluation", "first two epochs", "epoch", "peak MB"]
    title = " ".join(f"{column:>18}" for column in columns)
    print(f"{'bundle':12} {'solver':8}{title}   PyTorch epoch, ratio")
    for name in names:
        for solver in WARM_UP:
            found = measured_apart(__file__, name, solver)
            row = " ".join(f"{found[column]:18.3f}" for column in columns)
            ratio = f"{PYTORCH[name]:.0f} s, {PYTORCH[name] / found['epoch']:.0f}x"
            print(f"{name:12} {solver:8}{row}   {ratio}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2], sys.argv[3])))
    else:
        main(sys.argv[1:] or list(PYTORCH))
