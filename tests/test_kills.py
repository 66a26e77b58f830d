"""Runs that are killed at random moments, and disks that are full: what is left is whole and true.

One kill always; on demand `pytest -m exhaustive tests/test_kills.py`: 90 kills and 30 sizes of a
disk. What is resumed ends with the same files, to the last bit, and the same log, times aside.
"""

import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import bundle_samples
import numpy as np
import pytest
from processes import QUICKLY_COMPILED
from same_files import told

from deeppseudopot_jax.files.torch_pickle import read_checkpoint

REPOSITORY = Path(__file__).parents[1]
COEFFICIENTS = "5\n2\n3\n0.4\n0\n0.1\n0\n0\n0\n"
STEPS = "0.1\n0.02\n0.03\n0.01\n0\n0\n0\n0\n0\n"
CONFIGS = {
    "training": (
        "PPmodel = Net_celu_HeInit_decayGaussian\nPPmodel_gaussian_std = 2\nhiddenLayers = 4\n"
        "nSystem = 1\nmax_num_epochs = 8\nmovie = 0\noptimizer_lr = 0.01\n"
        "plotEvery = 2\nschedulerStep = 10\nscheduler_gamma = 0.9\n"
    ),
    "least_squares": (
        "PPmodel = ZeroFunction\nnSystem = 1\nmax_num_epochs = 40\nmovie = 0\noptimizer = lm\n"
        "plotEvery = 10\n"
    ),
    "monte_carlo": (
        "PPmodel = ZeroFunction\nhiddenLayers = 1\nnSystem = 1\nmc_bool = 1\nmc_replicas = 2\n"
        "mc_betas = 5 1\nmc_swap_every = 5\nmc_iter = 4000\nmc_percentage = 0.01\nmc_beta = 5\n"
        "seed = 1\n"
    ),
}
SIGNALS = {
    signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 143, signal.SIGINT: 130
}  # fmt: skip
ALWAYS = ("training", signal.SIGKILL, 0)
KILLS = [
    pytest.param(
        kind,
        which,
        seed,
        id=f"{kind}-{which.name}-{seed}",
        marks=() if (kind, which, seed) == ALWAYS else pytest.mark.exhaustive,
    )
    for kind in CONFIGS
    for which in SIGNALS
    for seed in range(10)
]
LONGEST = 120  # s
_WITHOUT_COMPILING = 0.9
"""Of the first run; the others find its programs."""
TIMED = {"run_timings.json", "report.html"}
"""Files that tell how long something took."""


def written(folder: Path, kind: str) -> Path:
    """The bundle of a kind of run."""
    files = {"init_ZnParams": COEFFICIENTS, "init_SParams": COEFFICIENTS}
    if kind == "monte_carlo":
        files |= {"ZnParamSteps": STEPS, "SParamSteps": STEPS}
    edges = "nBands = 4\nmaxKE = 5\n"  # none: they would only take time
    return bundle_samples.write(folder, NN_config=CONFIGS[kind], input_0=edges, **files)


def started(inputs: Path, results: Path, *options: str) -> subprocess.Popen:
    """The command line as a process."""
    command = [sys.executable, "-m", "deeppseudopot_jax", "run", *options]
    return subprocess.Popen(
        [*command, str(inputs), str(results)],
        env={**QUICKLY_COMPILED, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen) -> tuple[int, str]:
    _, errors = process.communicate(timeout=LONGEST)
    return process.returncode, errors


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Callable[[str], tuple[Path, float]]:
    """Folders with inputs and undisturbed results, by their kind, and the seconds these took."""

    @cache
    def undisturbed(kind: str) -> tuple[Path, float]:
        folder = tmp_path_factory.mktemp(kind)
        written(folder / "inputs", kind)
        begin = time.perf_counter()
        code, errors = finished(started(folder / "inputs", folder / "results"))
        assert code == 0, errors
        return folder, _WITHOUT_COMPILING * (time.perf_counter() - begin)

    return undisturbed


def content(path: Path) -> object:
    """What a file says, times aside; raises where it is not whole."""
    raw = path.read_bytes()
    match path.suffix:
        case ".pth":
            return repr(read_checkpoint(path))
        case ".npz":
            with np.load(path) as arrays:  # the size of a log depends on the names of folders
                names = [name for name in arrays.files if "log_size" not in name]
                return {name: arrays[name].tobytes() for name in names}
        case ".png":
            assert raw.endswith(b"IEND\xaeB`\x82"), path
            return None
        case ".pdf":
            assert raw.rstrip().endswith(b"%%EOF"), path
            return None
        case ".log":
            return None
        case _:
            assert raw.endswith(b"\n"), path
            return raw


def assert_whole(results: Path) -> None:
    """Every visible file is complete."""
    for path in results.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            content(path)


def assert_unmixed(results: Path, reference: Path) -> None:
    """The parts of best_* are those of one epoch, as the run without a kill has written it."""
    parts = {path.name.removeprefix("best_") for path in results.glob("best_*")}
    parts = {name for name in parts if list(reference.glob(f"epoch_*_{name}"))}
    if not parts:
        return
    epochs = {
        name: {
            re.match(r"epoch_(\d+)_", path.name)[1]
            for path in reference.glob(f"epoch_*_{name}")
            if content(path) == content(results / f"best_{name}")
        }
        for name in parts
    }
    telling = [
        found
        for name, found in epochs.items()
        if len({content(path) for path in reference.glob(f"epoch_*_{name}")}) > 1
    ]
    if any(telling):  # else it is an epoch without files of its own
        assert set.intersection(*telling), epochs


def assert_resumed(inputs: Path, results: Path, reference: Path) -> None:
    """A run that goes on ends like one that nothing has disturbed."""
    code, errors = finished(started(inputs, results, "--resume"))
    if code == 1 and not list(results.glob("*checkpoint.npz")):
        assert "to resume from: start the run without --resume" in errors or not results.exists()
        return
    assert code == 0, errors
    names = {path.name for path in reference.iterdir()} - TIMED
    assert not [name for name in names if content(results / name) != content(reference / name)]
    if "monte_carlo" not in results.parent.name:  # its log tells that it was resumed
        assert told(results / "run.log") == told(reference / "run.log")


@pytest.mark.parametrize(("kind", "which", "seed"), KILLS)
def test_killed(whole, tmp_path, kind, which, seed):
    folder, seconds = whole(kind)
    inputs, reference = folder / "inputs", folder / "results"
    results = tmp_path / kind / "results"
    process = started(inputs, results)
    time.sleep(random.Random(f"{kind} {which} {seed}").uniform(0.3, 1.0) * seconds)
    process.send_signal(which)
    code, errors = finished(process)
    if code == -which:  # before the program could say otherwise
        assert which == signal.SIGKILL or not results.exists()
    else:
        assert code in (0, SIGNALS[which]), errors
    assert "Traceback" not in errors
    if results.exists():
        assert_whole(results)
        assert_unmixed(results, reference)
    if code != 0:
        assert_resumed(inputs, results, reference)


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """An empty folder to mount a small disk at."""
    folder = tmp_path / "disk"
    folder.mkdir()
    yield folder
    subprocess.run(["umount", str(folder)], check=False, capture_output=True)


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("part", range(10))
def test_full_disk(whole, tmp_path, disk, kind, part):
    folder, _ = whole(kind)
    inputs, reference = folder / "inputs", folder / "results"
    used = sum(path.stat().st_size for path in reference.iterdir()) // 1024
    size = max(4, int(used * 0.6 * (part + 1) / 10))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small disk can only be mounted by root")
    results = disk / kind / "results"
    code, errors = finished(started(inputs, results))
    assert code == 74, (size, errors)
    assert len(errors.strip().splitlines()) == 1 and "Traceback" not in errors
    for name in re.findall(r"goes on from (\S+)", errors):
        assert (results / name).exists()
    assert_whole(results)
    assert_unmixed(results, reference)
    subprocess.run(["mount", "-o", f"remount,size={10 * used}k", str(disk)], check=True)
    assert_resumed(inputs, results, reference)
