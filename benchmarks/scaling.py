"""Cost against number of k-points and number of devices, as tables and as a figure.

    python benchmarks/scaling.py [--plot file.png] [--k-points 125 250 ...]
                                 [--training-k-points 12 25 ...] [--devices 1 2 4]

--k-points: the second evaluation of gallium_arsenide (169 rows) of configs/, its k-path made
denser. --training-k-points: the third epoch of cspbi3_soc (2378 rows, 32 bands), the second that
starts from vectors. Both on one device. --devices: evaluations and warm epochs of ingaasp_nn
(4 x 61 k-points), or of gallium_arsenide where it is not found, spread over so many virtual devices
of the CPU or, where JAX has GPUs, over so many of these (the first ones of CUDA_VISIBLE_DEVICES);
medians. Empty lists (`--devices`) leave a part out.

cspbi3_soc and ingaasp_nn are looked for in $DEEPPSEUDOPOT_SHARED/bundles (default ../shared). Each
row is a process of its own, so that its peak memory is its own.
"""

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path

import numpy as np
from measuring import (
    REPOSITORY,
    SHARED,
    Panel,
    denser,
    figure_file,
    measured_apart,
    measured_or_reason,
    median,
    memory,
    plot,
    times,
    training,
)

EVALUATED = REPOSITORY / "configs" / "gallium_arsenide"
TRAINED = SHARED / "cspbi3_soc"
WARM_UP = 5  # epochs
MEMORY = {"process": "peak MB", "device": "device MB"}
PER_K = ("seconds", "ms per k", *MEMORY.values())
PER_DEVICES = ("evaluation", "epoch", *MEMORY.values())

Rows = dict[int, dict[str, float]]
"""What was measured, for every number of k-points or devices."""


def spread() -> Path:
    """The bundle that is spread over devices."""
    folder = SHARED / "ingaasp_nn"
    return folder if folder.is_dir() else EVALUATED


def measure_evaluation(n_k: int) -> dict[str, float]:
    """Seconds of the second evaluation of n_k k-points, and MB."""
    import jax

    import deeppseudopot_jax as dp

    bundle = denser(dp.read_bundle(EVALUATED), n_k)
    problem = dp.build_problem(bundle, local="zunger")
    params = dp.initial_params(bundle, problem)
    evaluate = jax.jit(dp.energies)
    seconds = times(lambda: evaluate(problem, params), repeats=2)[-1]
    return {"seconds": seconds, "ms per k": 1e3 * seconds / n_k} | memory()


def measure_training(n_k: int) -> dict[str, float]:
    """Seconds of the third epoch with n_k k-points between Gamma and R, and MB."""
    import deeppseudopot_jax as dp

    bundle = dp.read_bundle(TRAINED)
    (system,) = bundle.systems
    repeated = np.arange(n_k) % len(system.k_points)
    system = dataclasses.replace(
        system,
        k_points=np.linspace(0.0, 0.5, n_k)[:, None] * np.ones(3),
        k_weights=system.k_weights[repeated],
        path_length=np.linspace(0.0, 1.0, n_k),
        reference_energies=system.reference_energies[repeated],
    )
    bundle = dataclasses.replace(bundle, systems=(system,))
    problem = dp.build_problem(bundle)
    params = dp.initial_params(bundle, problem)
    seconds = times(training(bundle, problem, params), repeats=3)[-1]
    return {"seconds": seconds, "ms per k": 1e3 * seconds / n_k} | memory()


def measure_devices(n_devices: int) -> dict[str, float]:
    """Seconds of an evaluation and of a warm epoch on all devices, and MB.

    Raises:
        ValueError: if JAX sees another number of devices.
    """
    import jax

    import deeppseudopot_jax as dp

    if jax.device_count() != n_devices:
        raise ValueError(f"JAX sees {jax.device_count()} devices, not {n_devices}")
    bundle = dp.read_bundle(spread())
    problem = dp.distribute(dp.build_problem(bundle))
    params = dp.initial_params(bundle, problem)
    evaluate = jax.jit(dp.energies)
    found = {"evaluation": median(lambda: evaluate(problem, params))}
    epoch = training(bundle, problem, params)
    times(epoch, repeats=WARM_UP)
    return found | {"epoch": median(epoch)} | memory()


def default_backend() -> str:
    """JAX's name of it, asked for in a process of its own that does not keep its devices."""
    import jax

    return jax.default_backend()


MEASURES = {
    "evaluation": measure_evaluation,
    "training": measure_training,
    "devices": measure_devices,
    "backend": default_backend,
}


def with_devices(n_devices: int, backend: str) -> dict[str, str]:
    """Variables of the environment of a process that sees so many devices of `backend`."""
    if backend == "gpu":
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = visible.split(",") if visible else [str(number) for number in range(n_devices)]
        return {"CUDA_VISIBLE_DEVICES": ",".join(names[:n_devices])}
    flag = f"--xla_force_host_platform_device_count={n_devices}"
    return {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flag}"}


def table(what: str, columns: tuple[str, ...], variables_of: dict[int, dict[str, str]]) -> Rows:
    """Print a row for every number of k-points or devices; those that came to an end."""
    found = {}
    print(f"{'number':>8}" + "".join(f"{column:>12}" for column in columns), flush=True)
    for number, variables in variables_of.items():
        row = measured_or_reason(__file__, what, str(number), variables=variables)
        if isinstance(row, str):
            print(f"{number:8}  {row}", flush=True)
            continue
        found[number] = row
        print(f"{number:8}" + "".join(f"{row[column]:12.4g}" for column in columns), flush=True)
    return found


def curve(rows: Rows, column: str) -> tuple[list[float], list[float]]:
    """Numbers of k-points or devices in order, and what was measured."""
    return sorted(rows), [rows[number][column] for number in sorted(rows)]


def panels(by_k: dict[str, Rows], by_devices: Rows) -> list[Panel]:
    """Seconds and memory against number of k-points, seconds against number of devices."""
    seconds = {name: curve(rows, "seconds") for name, rows in by_k.items() if rows}
    memories = {
        f"{name} ({of})": curve(rows, column)
        for name, rows in by_k.items()
        for of, column in MEMORY.items()
        if any(row[column] for row in rows.values())
    }
    devices = {name: curve(by_devices, name) for name in ("evaluation", "epoch") if by_devices}
    return [
        Panel(seconds, "k-points", "seconds", "one device"),
        Panel(memories, "k-points", "peak memory (MB)", "one device", power_law=False),
        Panel(devices, "devices", "seconds", spread().name),
    ]


def main(options: argparse.Namespace) -> None:
    by_k = {}
    if options.k_points:
        name = f"evaluation, {EVALUATED.name}"
        print(f"{name}, against number of k-points")
        by_k[name] = table("evaluation", PER_K, {n: {} for n in options.k_points})
    if options.training_k_points and not TRAINED.is_dir():
        print(f"{TRAINED.name} skipped: not found in $DEEPPSEUDOPOT_SHARED/bundles")
    elif options.training_k_points:
        name = f"epoch, {TRAINED.name}"
        print(f"{name}, against number of k-points")
        by_k[name] = table("training", PER_K, {n: {} for n in options.training_k_points})
    by_devices = {}
    if options.devices:
        backend = measured_apart(__file__, "backend")
        print(f"{spread().name}, against number of devices ({backend})")
        variables_of = {n: with_devices(n, backend) for n in options.devices}
        by_devices = table("devices", PER_DEVICES, variables_of)
    if options.plot:
        plot(panels(by_k, by_devices), options.plot)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--k-points", type=int, nargs="*", default=[125, 250, 500, 1000, 2000])
    parser.add_argument("--training-k-points", type=int, nargs="*", default=[12, 25, 50, 100])
    parser.add_argument("--devices", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--plot", type=figure_file)
    return parser.parse_args()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(MEASURES[sys.argv[2]](*map(int, sys.argv[3:]))))
    else:
        main(_arguments())
