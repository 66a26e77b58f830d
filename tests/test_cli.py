"""The command line: exit codes, messages, and files that are whole whenever a run is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import bundle_samples
import numpy as np
import pytest

from deeppseudopot_jax.files.torch_pickle import read_checkpoint

REPOSITORY = Path(__file__).parents[1]
SCRIPTS = REPOSITORY / "scripts"
COEFFICIENTS = "5\n2\n3\n0.4\n0\n0\n0\n0\n0\n"
CONFIG = (
    "PPmodel = Net_celu_HeInit_decayGaussian\nPPmodel_gaussian_std = 2\nhiddenLayers = 4\n"
    "nSystem = 1\nmax_num_epochs = 100000\noptimizer_lr = 0.01\nplotEvery = 1\n"
    "schedulerStep = 10\nscheduler_gamma = 0.9\n"
)


def start(*arguments: str | Path, program=(SCRIPTS / "main.py",)) -> subprocess.Popen:
    command = [sys.executable, *map(str, program), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def inputs(tmp_path):
    return bundle_samples.write(
        tmp_path / "inputs",
        NN_config=CONFIG,
        init_ZnParams=COEFFICIENTS,
        init_SParams=COEFFICIENTS,
    )


def test_a_mistake_ends_with_a_message_and_without_a_results_folder(inputs, tmp_path):
    config = (inputs / "NN_config.par").read_text() + "hidenLayers = 3\nplotEvry = 2\n"
    (inputs / "NN_config.par").write_text(config)
    process = start(inputs, tmp_path / "results")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "NN_config.par:10" in errors and "hiddenLayers" in errors
    assert "NN_config.par:11" in errors and "plotEvery" in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "results").exists()


def test_the_evaluation_script_takes_the_same_two_folders(inputs, tmp_path):
    process = start(inputs, tmp_path / "results", program=[SCRIPTS / "eval_fullBand.py"])
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1 and "init_PPmodel.pth" in errors


def test_the_package_is_a_program(inputs, tmp_path):
    process = start("eval", inputs, tmp_path / "results", program=["-m", "deeppseudopot_jax"])
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert errors.startswith("deeppseudopot: ") and "init_PPmodel.pth" in errors


@pytest.mark.exhaustive
def test_a_killed_run_leaves_only_whole_files(inputs, tmp_path):
    results = tmp_path / "results"
    process = start(inputs, results)
    deadline = time.monotonic() + 120
    while not list(results.glob("epoch_*_plotPP.png")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    time.sleep(0.37)  # somewhere in the middle of the files of an epoch
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    visible = [file for file in results.iterdir() if not file.name.startswith(".")]
    assert len(visible) > 10
    for file in visible:
        read_whole(file)


def read_whole(file: Path) -> None:
    """Reads a results file and fails if any of it is missing."""
    if file.suffix == ".pth":
        read_checkpoint(file)
    elif file.suffix == ".pdf":
        assert file.read_bytes().rstrip().endswith(b"%%EOF"), file
    elif file.suffix == ".png":
        assert file.read_bytes().endswith(b"IEND\xaeB`\x82"), file
    elif file.suffix in (".dat", ".par"):
        assert np.isfinite(np.loadtxt(file)).all(), file
    else:
        assert file.name == "run.log" and file.read_text().endswith("\n")
