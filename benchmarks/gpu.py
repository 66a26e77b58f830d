"""Times, rates, batch sizes and correctness on the accelerator at hand; runs on a CPU too.

    python benchmarks/gpu.py [bundle ...]

By default every bundle of configs/ but those of the gallery (gallery/InP, say), and cspbi3_soc and
ingaasp_nn where they are found in $DEEPPSEUDOPOT_SHARED/bundles (default ../shared). Each bundle is
a process of its own.

"evaluation" is from scratch, "epoch" the median of five after a warm-up, of whatever optimiser the
bundle names (- where it trains by none) and of the levels alone, both compiled. "default" is the
default solver, "dense" the dense one alone, "iterative" iterates where the default one would not
when it starts from scratch (left out where the two are the same). "error (eV)" is the largest
difference of the energies from NumPy's eigvalsh of matrices assembled on the host; a solve that
failed gives nan. "apply" is H times the eigensolver's block at all k-points, in chunks as it is
done there; its rate counts the product with V_loc alone (8 real operations per complex
multiplication and addition), and "of matmul" divides it by the rate of a large complex128 product.

The last table is an evaluation of many k-points of gallium arsenide with other sizes of a chunk
(batching._CHUNK_BYTES; the backend's own is marked).
"""

import dataclasses
import json
import sys
import time
from pathlib import Path

import numpy as np
from measuring import REPOSITORY, SHARED, denser, measured_or_reason, median, training

CONFIGS = REPOSITORY / "configs"
SHARED_BUNDLES = ("cspbi3_soc", "ingaasp_nn")
WARM_UP = 5
MATMUL_ROWS = {"cpu": 1024}
MATMUL_ROWS_ELSEWHERE = 8192
APPLICATIONS = 20
SCALE = 1e-2  # Ha^-1, keeps repeated products from growing
CHUNK_MIB = (0.5, 2, 8, 32, 128, 512, 2048, 8192)
CHUNK_BUNDLE, CHUNK_K_POINTS = "gallium_arsenide", 512
TIMEOUT = 900  # s, for one process


def measure_device() -> dict:
    """What the device is, and its rate of complex128 products (flop/s)."""
    import jax
    import jax.numpy as jnp

    import deeppseudopot_jax  # noqa: F401, switches JAX to 64 bits

    backend = jax.default_backend()
    rows = MATMUL_ROWS.get(backend, MATMUL_ROWS_ELSEWHERE)
    factor = jax.random.normal(jax.random.key(0), (rows, rows), jnp.complex128)
    multiply = jax.jit(jnp.matmul)
    seconds = median(lambda: multiply(factor, factor))
    kind = jax.devices()[0].device_kind
    return {"backend": backend, "kind": kind, "rows": rows, "rate": 8 * rows**3 / seconds}


def folder_of(name: str) -> Path | None:
    """Where the bundle is; None where it is not found."""
    for parent in (CONFIGS, SHARED):
        if (parent / name / "NN_config.par").exists():
            return parent / name
    return None


def measure_bundle(name: str) -> dict:
    """Sizes, operator rate, and times and errors of every solver."""
    import deeppseudopot_jax as dp
    from deeppseudopot_jax.eigensolvers.dense import dense
    from deeppseudopot_jax.eigensolvers.iterative import Iterative, iterative

    bundle = dp.read_bundle(folder_of(name))
    problem = dp.build_problem(bundle)
    params = dp.initial_params(bundle, problem)
    dimensions = [group.tables.dimension for group in problem.groups]
    exact = reference_energies(problem, params)
    solvers = {"default": iterative, "dense": dense}
    if min(dimensions) <= iterative.dense_start_up_to:
        solvers["iterative"] = Iterative(dense_up_to=0, dense_start_up_to=0)
    found = {
        "N": max(dimensions),
        "k": sum(target.n_k for target in problem.targets),
        "levels": max(group.n_levels for group in problem.groups),
        "per chunk": max(group.k_points.shape[1] // group.n_chunks for group in problem.groups),
        "solvers": {},
    } | operator_figures(problem, params)
    for title, solver in solvers.items():
        chosen = dataclasses.replace(problem, solver=solver)
        try:
            found["solvers"][title] = solver_figures(bundle, chosen, params, exact)
        except Exception as error:  # one solver's failure is a row of the table
            lines = str(error).splitlines() or [""]
            found["solvers"][title] = f"failed: {type(error).__name__}: {lines[0]}"
    return found


def reference_energies(problem, params) -> list[np.ndarray]:
    """Bands (eV) of every system by NumPy from matrices assembled on the host."""
    import jax

    from deeppseudopot_jax.hamiltonian.assemble import hamiltonian_at
    from deeppseudopot_jax.observables.bands import bands_of_levels
    from deeppseudopot_jax.observables.hamiltonians import at_every_k, hamiltonians

    def assemble(problem, params):
        everywhere = hamiltonians(problem, params)
        return at_every_k(everywhere, lambda _, point: hamiltonian_at(point).matrix())

    host = jax.devices("cpu")[0]
    with jax.default_device(host):
        on_host = jax.device_put((problem, params), host)
        levels = []
        for group, matrices in zip(problem.groups, jax.jit(assemble)(*on_host), strict=True):
            matrices = np.asarray(matrices)
            of_group = np.empty((*matrices.shape[:2], group.n_levels))
            for place in np.ndindex(*matrices.shape[:2]):
                of_group[place] = np.linalg.eigvalsh(matrices[place])[: group.n_levels]
            levels.append(jax.device_put(of_group, host))
        return [np.asarray(bands) for bands in bands_of_levels(on_host[0], tuple(levels))]


def solver_figures(bundle, problem, params, exact: list[np.ndarray]) -> dict[str, float]:
    """Seconds of an evaluation from scratch and of an epoch, and the largest error (eV)."""
    import jax

    import deeppseudopot_jax as dp

    start = time.perf_counter()
    evaluate = jax.jit(dp.energies).lower(problem, params).compile()
    figures = {"compile": time.perf_counter() - start}
    bands = evaluate(problem, params)
    errors = [np.abs(np.asarray(b) - e).max() for b, e in zip(bands, exact, strict=True)]
    figures["error"] = float(np.max(errors))
    figures["evaluation"] = median(lambda: evaluate(problem, params))

    if bundle.settings.max_epochs > 0:
        epoch = training(bundle, problem, params)
        for _ in range(WARM_UP):
            epoch()
        figures["epoch"] = median(epoch)
    return figures


def operator_figures(problem, params) -> dict[str, float]:
    """Seconds of H times a block at all k-points, and operations of V_loc's product in them."""
    import jax
    import jax.numpy as jnp

    from deeppseudopot_jax.eigensolvers.iterative import iterative
    from deeppseudopot_jax.hamiltonian.assemble import hamiltonian_at
    from deeppseudopot_jax.observables.hamiltonians import at_every_k, hamiltonians

    def applied(problem, params, times):
        def at_k(group, point, times):
            operator = hamiltonian_at(point)
            shape = group.tables.dimension, group.n_levels + iterative.spare
            block = jax.random.normal(jax.random.key(0), shape, jnp.complex128)

            def again(_, block):
                return SCALE * operator.apply(block)

            return jax.lax.fori_loop(0, times, again, block)[0]

        return at_every_k(hamiltonians(problem, params), at_k, shared=(times,))

    work = jax.jit(applied)
    few, many = (median(lambda n=n: work(problem, params, n)) for n in (1, 1 + APPLICATIONS))
    operations = 0
    for group in problem.groups:
        rows = group.tables.dimension * group.tables.wave_integers.shape[-2]
        n_matrices = group.k_points.shape[0] * group.k_points.shape[1]
        operations += 8 * n_matrices * rows * (group.n_levels + iterative.spare)
    return {"apply": (many - few) / APPLICATIONS, "operations": operations}


def measure_chunks(size: str) -> dict[str, float | bool]:
    """Evaluation time of many k-points with chunks of `size` MiB."""
    import jax

    import deeppseudopot_jax as dp
    from deeppseudopot_jax import batching

    backend = jax.default_backend()
    own = batching._CHUNK_BYTES.get(backend, batching._CHUNK_BYTES_ELSEWHERE)
    allowed = int(float(size) * 2**20)
    batching._CHUNK_BYTES[backend] = allowed
    bundle = denser(dp.read_bundle(CONFIGS / CHUNK_BUNDLE), CHUNK_K_POINTS)
    problem = dp.build_problem(bundle, local="zunger")
    params = dp.initial_params(bundle, problem)
    evaluate = jax.jit(dp.energies)
    (group,) = problem.groups
    return {
        "seconds": median(lambda: evaluate(problem, params)),
        "chunks": group.n_chunks,
        "per chunk": group.k_points.shape[1] // group.n_chunks,
        "own": allowed == own,
    }


MEASURES = {"device": measure_device, "bundle": measure_bundle, "chunks": measure_chunks}


def figures_of(what: str, *arguments: str) -> dict | str:
    """The figures of a process of its own, or one line that says why there are none."""
    return measured_or_reason(__file__, what, *arguments, timeout=TIMEOUT)


def bundle_rows(name: str, rate: float) -> None:
    """A row for every solver of one bundle."""
    if folder_of(name) is None:
        print(f"{name:21} skipped: found neither in configs/ nor in $DEEPPSEUDOPOT_SHARED/bundles")
        return
    found = figures_of("bundle", name)
    if isinstance(found, str):
        print(f"{name:21} {found}", flush=True)
        return
    reached = found["operations"] / found["apply"]
    for title, row in found["solvers"].items():
        start = (
            f"{name:21}{found['N']:6}{found['k']:5}{found['levels']:7}{found['per chunk']:10}"
            f"  {title:10}"
        )
        if isinstance(row, str):
            print(f"{start}{row}")
            continue
        epoch = f"{row['epoch']:.4f}" if "epoch" in row else "-"
        print(
            f"{start}{row['compile']:9.1f}{row['evaluation']:12.4f}{epoch:>10}"
            f"{row['error']:12.1e}{1e3 * found['apply']:12.3f}{1e-9 * reached:10.1f}"
            f"{reached / rate:11.2f}",
            flush=True,
        )


def chunk_rows() -> None:
    """A row for every size of a chunk, up to the first that holds all k-points."""
    print(f"\n{CHUNK_K_POINTS} k-points of {CHUNK_BUNDLE}, dense from scratch")
    print(f"{'MiB':>8}{'per chunk':>11}{'chunks':>8}{'seconds':>10}{'ms per k':>10}")
    for mib in CHUNK_MIB:
        row = figures_of("chunks", str(mib))
        if isinstance(row, str):
            print(f"{mib:8g}  {row}", flush=True)
            continue
        print(
            f"{mib:8g}{row['per chunk']:11}{row['chunks']:8}{row['seconds']:10.3f}"
            f"{1e3 * row['seconds'] / CHUNK_K_POINTS:10.3f}{'  own' if row['own'] else ''}",
            flush=True,
        )
        if row["chunks"] == 1:
            break


def main(names: list[str]) -> None:
    device = figures_of("device")
    if isinstance(device, str):
        sys.exit(device)
    print(
        f"{device['kind']} ({device['backend']}): complex128 product of {device['rows']} rows at "
        f"{1e-9 * device['rate']:.1f} GFlop/s\n"
    )
    print(
        f"{'bundle':21}{'N':>6}{'k':>5}{'levels':>7}{'per chunk':>10}  {'solver':10}{'compile':>9}"
        f"{'evaluation':>12}{'epoch':>10}{'error (eV)':>12}{'apply (ms)':>12}{'GFlop/s':>10}"
        f"{'of matmul':>11}",
        flush=True,
    )
    for name in names:
        bundle_rows(name, device["rate"])
    chunk_rows()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(MEASURES[sys.argv[2]](*sys.argv[3:])))
    else:
        own = sorted(path.parent.name for path in CONFIGS.glob("*/NN_config.par"))
        main(sys.argv[1:] or [*own, *SHARED_BUNDLES])
