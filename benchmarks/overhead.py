"""What files, figures, movies and checkpoints cost: a training of silicon with and without them.

    python benchmarks/overhead.py [--epochs 300] [--every 50] [--repeats 3]

Each run is a process of its own, by turns with files at every `--every` epochs and with none on the
way, neither movies. Times are those of run_timings.json without compiling, from the training on.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import REPOSITORY

CONFIG = REPOSITORY / "configs" / "silicon_zunger"
PARTS = ("training", "error bars", "export", "movies", "figures")
NEVER = 10**6


def bundle(folder: Path, epochs: int, every: int, optimizer: str) -> Path:
    """The silicon bundle with so many epochs."""
    shutil.copytree(CONFIG, folder)
    config = folder / "NN_config.par"
    keys = {"max_num_epochs": epochs, "plotEvery": every, "movie": int(every < NEVER)}
    if optimizer == "adam":
        keys |= {"optimizer": "adam", "optimizer_lr": 1e-4, "schedulerStep": 100}
        keys |= {"scheduler_gamma": 0.9}
    kept = re.sub(rf"(?m)^({'|'.join(keys)})\b.*\n", "", config.read_text())
    config.write_text(kept + "".join(f"\n{key} = {value}" for key, value in keys.items()) + "\n")
    return folder


def measured(inputs: Path, results: Path) -> dict[str, float]:
    """Seconds of the parts of a run, without compiling, and how many epochs it had."""
    command = [sys.executable, "-m", "deeppseudopot_jax", "run", str(inputs), str(results)]
    subprocess.run(command, check=True, capture_output=True, env=os.environ)
    stages = json.loads((results / "run_timings.json").read_text())["stages"]
    found = {s["name"]: s["seconds"] - s["compile_seconds"] for s in stages if s["name"] in PARTS}
    epochs = len((results / "final_training_cost.dat").read_text().splitlines()) - 2
    return found | {"epochs": epochs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--every", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--optimizer", choices=("adam", "as configured"), default="adam")
    arguments = parser.parse_args()
    runs: dict[int, list[dict[str, float]]] = {arguments.every: [], NEVER: []}
    with tempfile.TemporaryDirectory() as name:
        for repeat in range(arguments.repeats):
            for every, found in runs.items():
                folder = Path(name) / f"{repeat}_{every}"
                options = arguments.epochs, every, arguments.optimizer
                inputs = bundle(folder / "inputs", *options)
                found.append(measured(inputs, folder / "results"))
                print(every, {part: round(value, 2) for part, value in found[-1].items()})
    totals = {
        every: statistics.median(sum(r[p] for p in PARTS if p in r) for r in found)
        for every, found in runs.items()
    }
    with_files, without = totals[arguments.every], totals[NEVER]
    print(f"with {with_files:.1f} s, without {without:.1f} s: {with_files / without - 1:+.1%}")


if __name__ == "__main__":
    main()
