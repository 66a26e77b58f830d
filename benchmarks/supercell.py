"""A 64-atom alloy supercell, matrix-free: cost against basis size and number of bands.

    python benchmarks/supercell.py [--plot file.png] [--waves 2000 4000 ...] [--max-ke 5 ...]
                                   [--bands 20 36 ...] [--bands-waves 4000] [--limit-gb 24]

Two by two by two conventional zinc-blende cells of (Ga,In)As, cations drawn at random with a fixed
seed, Zunger coefficients of configs/, one k-point without symmetry, the default solver. The cell is
made in memory. The first rows have 128 valence levels and four more, the last ones other numbers of
levels in the basis of --bands-waves. Empty lists (`--bands`) leave a part out.

Each row is a process of its own, so that its peak memory is its own; it is killed above the limit
(or 80 % of the machine's memory, where that is less). "guess" is the dense problem of `low` rows
that a solve from scratch begins with and that is part of "scratch"; "warm" starts from the states
of a potential that differs by 0.3 %, as accurately as training asks for. Compilation is apart.
"V" tells how the local potential acts. The residual (Ha) is the largest of the wanted states.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measuring import Panel, figure_file, memory, plot

CONFIGS = Path(__file__).parents[1] / "configs"
LATTICE_CONSTANT = 10.7  # Bohr
CELLS = 2
SEED = 20
N_VALENCE = 128  # 64 atoms of four electrons on average, two in every level
K_POINT = (0.11, 0.23, 0.37)
CHANGE = 0.003
REPEATS, ENOUGH = 3, 10.0  # s; a time is the median of so many runs, or fewer if they take long
LARGEST_SHARE = 0.8
POLL = 0.1  # s
FCC = np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])


def supercell(max_kinetic_energy: float, n_levels: int):
    """The bundle of one alloy cell with the whole |G| sphere."""
    import deeppseudopot_jax as dp
    from deeppseudopot_jax.settings import Settings
    from deeppseudopot_jax.types import Bundle, Crystal, SystemInput

    origins = np.stack(np.meshgrid(*3 * [np.arange(CELLS)], indexing="ij"), -1).reshape(-1, 1, 3)
    cations = ((origins + FCC) / CELLS).reshape(-1, 3)
    drawn = np.random.default_rng(SEED).permutation(["Ga", "In"] * (len(cations) // 2))
    system = SystemInput(
        index=0,
        name="gallium indium arsenide",
        crystal=Crystal(
            CELLS * LATTICE_CONSTANT * np.eye(3),
            np.concatenate([cations, cations + 0.25 / CELLS]),
            (*map(str, drawn), *len(cations) * ["As"]),
        ),
        n_bands=2 * n_levels,
        max_kinetic_energy=max_kinetic_energy,
        k_points=np.array([K_POINT]),
        k_weights=np.ones(1),
        band_weights=np.ones(2 * n_levels),
    )
    species = ("As", "Ga", "In")
    known = {}
    for name in ("gallium_arsenide", "indium_phosphide_soc"):
        source = dp.read_bundle(CONFIGS / name)
        known |= dict(zip(source.species, source.coefficients, strict=True))
    coefficients = np.array([known[symbol] for symbol in species])
    coefficients[:, 4:] = 0.0
    settings = Settings(model="ZeroFunction", basis_sphere="G_full", n_systems=1)
    return Bundle(Path("in-memory"), settings, (system,), species, coefficients)


def cutoff(n_waves: int) -> float:
    """The kinetic energy (Ha), half-way between shells, that comes nearest to so many waves."""
    reach = int((3.0 * n_waves / (4.0 * np.pi)) ** (1 / 3)) + 4
    axis = np.arange(-reach, reach + 1)
    squares = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).ravel()
    shells, counts = np.unique(squares[squares <= reach**2], return_counts=True)
    shell = shells[np.abs(np.cumsum(counts) - n_waves).argmin()]
    return 0.5 * (2.0 * np.pi / (CELLS * LATTICE_CONSTANT)) ** 2 * (shell + 0.5)


def measure(max_kinetic_energy: float, n_levels: int) -> dict:
    """All figures of one case, in seconds, MB, Ha and eV."""
    import jax

    import deeppseudopot_jax as dp
    from deeppseudopot_jax.eigensolvers.interface import FOR_GRADIENTS, FOR_RESULTS
    from deeppseudopot_jax.observables.hamiltonians import prepared
    from deeppseudopot_jax.observables.states import first_guesses, solve
    from deeppseudopot_jax.units import HARTREE_IN_EV

    start = time.perf_counter()
    bundle = supercell(max_kinetic_energy, n_levels)
    problem = dp.build_problem(bundle)
    params = dp.initial_params(bundle, problem)
    jax.block_until_ready((problem, params))
    setup = time.perf_counter() - start
    changed = params.updated({"local": params.local.at[:, 0].multiply(1.0 + CHANGE)})
    before, after = prepared(problem, params), prepared(problem, changed)

    begin, first = _compiled(first_guesses, before)
    guess, guess_time = _timed(lambda: begin(before))
    work, second = _compiled(solve, before, guess, FOR_RESULTS)
    states, solve_time = _timed(lambda: work(before, guess, FOR_RESULTS))
    warm, warm_time = _timed(lambda: work(after, states, FOR_GRADIENTS))

    levels = HARTREE_IN_EV * np.asarray(states[0].energies)[0, 0]
    n_waves = problem.n_waves[0]
    preconditioner = None if guess[0] is None else guess[0].preconditioner
    by_matrix = jax.eval_shape(_local_matrix, problem, params) is not None
    return {
        "N": n_waves,
        "levels": n_levels,
        "grid": problem.groups[0].tables.fft_shape[0],
        "V": "matrix" if by_matrix else "FFT",
        "low": 0 if preconditioner is None else preconditioner.rows.shape[-1],
        "setup": setup,
        "compile": first + second,
        "guess": guess_time,
        "scratch": guess_time + solve_time,
        "warm": warm_time,
        "residual": float(states[0].residuals[..., :n_levels].max()),
        "residual warm": float(warm[0].residuals[..., :n_levels].max()),
        "gap": float(levels[N_VALENCE] - levels[N_VALENCE - 1]) if n_levels > N_VALENCE else None,
    } | memory()


def _local_matrix(problem, params):
    import jax

    from deeppseudopot_jax.hamiltonian.assemble import build_field

    tables = jax.tree.map(lambda leaf: leaf[0], problem.groups[0].tables)
    return build_field(tables, problem.channels, params).local_matrix


def _compiled(function, *arguments):
    import jax

    start = time.perf_counter()
    compiled = jax.jit(function).lower(*arguments).compile()
    return compiled, time.perf_counter() - start


def _timed(work):
    import jax

    times = []
    while not times or (len(times) < REPEATS and sum(times) < ENOUGH):
        start = time.perf_counter()
        result = jax.block_until_ready(work())
        times.append(time.perf_counter() - start)
    return result, statistics.median(times)


def case(max_kinetic_energy: float, n_levels: int, limit: float) -> dict | str:
    """The figures of a process of its own, or one line that says why there are none."""
    command = [sys.executable, __file__, "--measure", str(max_kinetic_energy), str(n_levels)]
    peak = 0.0
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=output, stderr=errors)
        while process.poll() is None:
            peak = max(peak, resident_gb(process.pid))
            if peak > limit:
                process.kill()
                process.wait()
                return f"killed at {peak:.1f} GB, above {limit:.1f} GB"
            time.sleep(POLL)
        output.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            lines = errors.read().strip().splitlines() or [f"exit status {process.returncode}"]
            return f"failed: {lines[-1]}"
        return json.loads(output.read().splitlines()[-1])


def resident_gb(pid: int) -> float:
    """Memory of a process now; 0 where the system has no /proc."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**30


def memory_limit(asked: float) -> float:
    """GB that a process may have."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return min(asked, LARGEST_SHARE * physical)


def run(cases: list[tuple[float, int]], limit: float) -> list[dict]:
    """Print a row for every case; those that came to an end."""
    found = []
    for max_kinetic_energy, n_levels in cases:
        row = case(max_kinetic_energy, n_levels, limit)
        start = f"{max_kinetic_energy:8.3f}"
        if isinstance(row, str):
            print(f"{start}{'':7}{n_levels:7}  {row}", flush=True)
            continue
        found.append(row)
        gap = "" if row["gap"] is None else f"{row['gap']:.3f}"
        print(
            f"{start}{row['N']:7}{row['levels']:7}{row['V']:>8}{row['grid']:6}{row['low']:6}"
            f"{row['setup']:8.2f}{row['compile']:9.2f}{row['guess']:9.2f}{row['scratch']:9.2f}"
            f"{row['warm']:9.2f}{row['peak MB']:9.0f}{row['device MB']:11.0f}"
            f"{row['residual']:10.1e}{row['residual warm']:10.1e}{gap:>9}",
            flush=True,
        )
    return found


def panel(rows: list[dict], key: str, x_label: str, fixed: str) -> Panel:
    """Seconds against `key`, where `fixed` is the same in all rows."""
    rows = sorted(rows, key=lambda row: row[key])
    x = [row[key] for row in rows]
    curves = {name: (x, [row[name] for row in rows]) for name in ("scratch", "warm") if rows}
    return Panel(curves, x_label, "seconds", f"{fixed} = {rows[0][fixed]}" if rows else "")


def main(options: argparse.Namespace) -> None:
    print(
        f"{'maxKE':>8}{'N':>7}{'levels':>7}{'V':>8}{'grid':>6}{'low':>6}{'setup':>8}{'compile':>9}"
        f"{'guess':>9}{'scratch':>9}{'warm':>9}{'peak MB':>9}{'device MB':>11}"
        f"{'residual':>10}{'(warm)':>10}{'gap (eV)':>9}",
        flush=True,
    )
    limit = memory_limit(options.limit_gb)
    cutoffs = [*map(cutoff, options.waves), *options.max_ke]
    by_waves = run([(energy, N_VALENCE + 4) for energy in cutoffs], limit)
    energy = cutoff(options.bands_waves)
    by_bands = run([(energy, n_levels) for n_levels in options.bands], limit)
    if options.plot:
        panels = [
            panel(by_waves, "N", "plane waves", "levels"),
            panel(by_bands, "levels", "levels", "N"),
        ]
        plot(panels, options.plot)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--waves", type=int, nargs="*", default=[2000, 4000, 8000, 16000])
    parser.add_argument("--max-ke", type=float, nargs="*", default=[5.0], help="cutoffs in Ha")
    parser.add_argument("--bands", type=int, nargs="*", default=[20, 36, 68, 132, 260])
    parser.add_argument("--bands-waves", type=int, default=4000)
    parser.add_argument("--limit-gb", type=float, default=24.0)
    parser.add_argument("--plot", type=figure_file)
    return parser.parse_args()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(float(sys.argv[2]), int(sys.argv[3]))))
    else:
        main(_arguments())
