"""Least-squares fits against what they must reach: cost against wall time of whole commands.

    python benchmarks/fitting.py [case ...] [--curves FILE]

Each case is a bundle of configs/ or of $DEEPPSEUDOPOT_SHARED/bundles (default ../shared) with other
keys, run by the command line twice; the second run, which finds compiled programs, counts. Seconds
are wall time since the command was started, read off its log while it runs. With `--curves` the
costs of adam, sgd and lm on three bundles are written instead, as rows of bundle, optimiser,
seconds and lowest cost; docs/fitting.md draws docs/data/fitting.csv (ten minutes, idle machine).
"""

import argparse
import csv
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from measuring import REPOSITORY, SHARED, new_file

CONFIGS = REPOSITORY / "configs"
_EPOCH = re.compile(r"epoch (\d+): cost ([-+.\de]+)")
_FITTED = re.compile(r"Final potential: root mean square error (.*)")
_POLL = 0.05  # s

LEAST_SQUARES = {"optimizer": "lm", "plotEvery": "1000"}
FOURIER = {
    "PPmodel": "Net_fourier_celu_HeInit_decayGaussian",
    "hiddenLayers": "20 20",
    "PPmodel_n_frequencies": "8",
    "PPmodel_range": "8.0",
    "PPmodel_gaussian_std": "3.0",
    "PPmodel_decay_rate": None,
    "PPmodel_decay_center": None,
    "init_Zunger_num_epochs": "2000",
    "init_Zunger_optimizer_lr": "0.01",
    "init_Zunger_scheduler_gamma": "0.7",
    "init_Zunger_plotEvery": "500",
    "seed": "1",
}
PRIOR_KEYS = ("prior_roughness", "prior_range", "prior_width")
NO_PRIOR = dict.fromkeys(PRIOR_KEYS)


@dataclass(frozen=True)
class Case:
    """A bundle with other keys, what its costs must be by when (s), and files to leave out."""

    folder: Path
    keys: dict[str, str | None]
    bars: tuple[tuple[float, float], ...] = ()
    without: tuple[str, ...] = ()


@dataclass
class Outcome:
    """What a run did: (seconds, cost) of every epoch, its wall time and last lines."""

    costs: list[tuple[float, float]] = field(default_factory=list)
    seconds: float = 0.0
    lines: list[str] = field(default_factory=list)

    def when(self, cost: float) -> float | None:
        """Seconds until the cost is below; None where it never is."""
        return next((seconds for seconds, found in self.costs if found < cost), None)


def prior(name: str) -> dict[str, str]:
    """The priors that an example of configs/ uses: the documented default."""
    text = (CONFIGS / name / "NN_config.par").read_text()
    found = re.findall(r"^(prior_\w+)\s*=\s*(\S+)", text, flags=re.MULTILINE)
    return dict(found)


def cases() -> dict[str, Case]:
    """All cases by name."""
    weights, start = ("init_PPmodel.pth",), SHARED / "ingaasp_nn"
    fourier = LEAST_SQUARES | FOURIER
    default = {k: v for k, v in prior("silicon").items() if k != "prior_width"}
    phosphide = CONFIGS / "indium_phosphide_soc"
    return {
        "iii_v_relu": Case(
            start, LEAST_SQUARES | {"max_num_epochs": "60"}, ((313.4, 40), (312.0, 90))
        ),
        "iii_v_fourier": Case(
            start,
            fourier | {"max_num_epochs": "170"},
            ((60.0, 45), (26.0, 75), (22.0, 150)),
            weights,
        ),
        "iii_v_prior": Case(start, fourier | default | {"max_num_epochs": "60"}, (), weights),
        "iii_v_held_out": Case(
            start, fourier | default | {"max_num_epochs": "60", "validation_k": "3"}, (), weights
        ),
        "iii_v_zunger": Case(
            start,
            LEAST_SQUARES
            | {"PPmodel": "ZeroFunction", "max_num_epochs": "60"}
            | dict.fromkeys(("PPmodel_decay_rate", "PPmodel_decay_center")),
            ((355.0, 30),),
            weights,
        ),
        "cspbi3": Case(
            SHARED / "cspbi3_soc", LEAST_SQUARES | {"max_num_epochs": "40"}, ((0.005, 45),)
        ),
        "indium_phosphide": Case(
            phosphide, NO_PRIOR | {"max_num_epochs": "100", "plotEvery": "1000"}, ((0.4, 180),)
        ),
        "indium_phosphide_prior": Case(phosphide, {}),
        "silicon": Case(CONFIGS / "silicon", {}, ((0.6, 30),)),
    }


def prepared(case: Case, folder: Path) -> Path:
    """A copy of the bundle with the keys of the case."""
    shutil.copytree(case.folder, folder)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    for name in case.without:
        (folder / name).unlink(missing_ok=True)
    config = folder / "NN_config.par"
    kept = [
        line
        for line in config.read_text().splitlines()
        if line.partition("=")[0].strip() not in case.keys
    ]
    added = [f"{key} = {value}" for key, value in case.keys.items() if value is not None]
    config.write_text("\n".join((*kept, *added)) + "\n")
    return folder


def run(inputs: Path, results: Path) -> Outcome:
    """The whole command, its log read while it grows."""
    command = [sys.executable, "-m", "deeppseudopot_jax", "run", "--overwrite"]
    outcome, log = Outcome(), results / "run.log"
    shutil.rmtree(results, ignore_errors=True)
    start = time.perf_counter()
    process = subprocess.Popen(
        [*command, str(inputs), str(results)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    seen = 0
    while process.poll() is None:
        seen = _look(log, seen, time.perf_counter() - start, outcome)
        time.sleep(_POLL)
    outcome.seconds = time.perf_counter() - start
    _look(log, seen, outcome.seconds, outcome)
    if process.returncode:
        assert process.stderr is not None
        raise SystemExit(process.stderr.read().decode())
    return outcome


def _look(log: Path, seen: int, seconds: float, outcome: Outcome) -> int:
    """Take note of what a log has gained; returns how many lines are known."""
    if not log.exists():
        return seen
    lines = log.read_text().splitlines()
    for line in lines[seen:]:
        if (found := _EPOCH.search(line)) is not None:
            outcome.costs.append((seconds, float(found[2])))
        outcome.lines.append(line.partition("] ")[2])
    return len(lines)


def measured(case: Case, runs: int = 2) -> tuple[Outcome, Path]:
    """The last of some runs, and its results."""
    folder = Path(tempfile.mkdtemp())
    inputs = prepared(case, folder / "inputs")
    for _ in range(runs):
        outcome = run(inputs, folder / "results")
    return outcome, folder / "results"


def report(name: str, case: Case, runs: int) -> None:
    """One line per bar, and what the log says of the fit."""
    outcome, results = measured(case, runs)
    per_epoch = (outcome.costs[-1][0] - outcome.costs[1][0]) / (len(outcome.costs) - 2)
    print(
        f"{name}: {outcome.seconds:.1f} s, cost {outcome.costs[0][1]:.6g} -> "
        f"{min(cost for _, cost in outcome.costs):.6g} in {len(outcome.costs) - 1} epochs, "
        f"{per_epoch:.2f} s each"
    )
    for cost, seconds in case.bars:
        found = outcome.when(cost)
        shown = "never" if found is None else f"{found:.1f} s"
        passed = found is not None and found <= seconds
        print(f"  cost < {cost:g}: {shown} (bar {seconds:g} s) {'' if passed else 'MISSED'}")
    for line in outcome.lines:
        if line.startswith(("Final potential", "Error bars", "Training ended")):
            print(f"  {line}")
    for file in sorted(results.glob("final_*Params.par")):
        rows = [line.split()[0] for line in file.read_text().splitlines()]
        shown = ", ".join(f"a{i} {float(rows[i]):.4g}" for i in (5, 6, 7))
        print(f"  {file.name}: {shown}", flush=True)


def curves(table: Path, runs: int) -> None:
    """Cost against time of three optimisers on three bundles."""
    rates = {"optimizer_lr": "0.005", "scheduler_gamma": "0.9", "schedulerStep": "80"}
    fourier = FOURIER | {"plotEvery": "10000"} | NO_PRIOR
    chosen: dict[str, Case] = {
        "silicon": Case(CONFIGS / "silicon", fourier),
        "InP with spin-orbit": Case(CONFIGS / "indium_phosphide_soc", fourier),
        "four III-V compounds": Case(SHARED / "ingaasp_nn", fourier, (), ("init_PPmodel.pth",)),
    }
    optimisers: dict[str, dict[str, str | None]] = {
        "adam": rates | {"optimizer": "adam", "max_num_epochs": "100"},
        "sgd": rates | {"optimizer": "sgd", "optimizer_lr": "1e-7", "max_num_epochs": "100"},
        "lm": {"optimizer": "lm", "max_num_epochs": "30"} | dict.fromkeys(rates),
    }
    points: list[tuple[str, str, str, str]] = []
    for title, case in chosen.items():
        for name, keys in optimisers.items():
            outcome, _ = measured(Case(case.folder, case.keys | keys, (), case.without), runs)
            seconds = [second for second, _ in outcome.costs]
            lowest = list(accumulate((cost for _, cost in outcome.costs), min))
            points += (
                (title, name, f"{second:.2f}", f"{cost:.5g}")
                for second, cost in zip(seconds, lowest, strict=True)
            )
            print(f"{title}, {name}: {lowest[-1]:.4g} after {seconds[-1]:.0f} s", flush=True)
    with table.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("bundle", "optimiser", "seconds", "lowest cost"))
        rows.writerows(points)
    print(f"written: {table}")


def main() -> None:
    known = cases()
    parser = argparse.ArgumentParser(description="least-squares fits against their bars")
    parser.add_argument("case", nargs="*", choices=[*known, []], default=[])
    parser.add_argument("--runs", type=int, default=2, help="of each command; the last one counts")
    parser.add_argument("--curves", type=new_file, metavar="FILE", help="write points")
    arguments = parser.parse_args()
    if arguments.curves:
        curves(arguments.curves, arguments.runs)
        return
    for name in arguments.case or known:
        report(name, known[name], arguments.runs)


if __name__ == "__main__":
    main()
