"""Evaluation time and peak memory against the number of k-points: memory bounded, time linear.

    python benchmarks/k_points.py

Uses the project's own gallium arsenide bundle, with its k-path made denser.
"""

import json
import resource
import sys

from measuring import REPOSITORY, denser, measured_apart, times

BUNDLE = REPOSITORY / "configs" / "gallium_arsenide"
NUMBERS = (125, 250, 500, 1000, 2000)


def measure(n_k: int) -> dict[str, float]:
    """Evaluation time (s, second call) and peak memory (MB) for n_k k-points."""
    import jax

    import deeppseudopot_jax as dp

    bundle = dp.read_bundle(BUNDLE)
    problem = dp.build_problem(denser(bundle, n_k), local="zunger")
    params = dp.initial_params(bundle, problem)
    evaluate = jax.jit(dp.energies)
    elapsed = times(lambda: evaluate(problem, params), repeats=2)[-1]
    return {"s": elapsed, "MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main() -> None:
    print(f"{'k-points':>9} {'seconds':>9} {'ms per k':>9} {'peak MB':>9}")
    for n_k in NUMBERS:
        found = measured_apart(__file__, str(n_k))
        print(f"{n_k:9d} {found['s']:9.2f} {1000 * found['s'] / n_k:9.2f} {found['MB']:9.0f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(int(sys.argv[2]))))
    else:
        main()
