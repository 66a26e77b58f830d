"""Several devices and processes give what one device gives."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import bundle_samples
import jax
import numpy as np
import parallel_worker
import pytest
from processes import QUICKLY_COMPILED
from same_files import assert_same_folder

from deeppseudopot_jax.parallel import best_system_split, device_mesh
from deeppseudopot_jax.run.workflows import run

REPOSITORY = Path(__file__).parents[1]
WORKER = Path(parallel_worker.__file__)
TELLS_MASSES = True
DRAWS = True
ACCURACY = 1e-12  # relative to the largest entry; sums are taken in another order
GRIDS = "nSystem = 1\nnQGrid = 64\nnRGrid = 32\nmovie = 0\n"
CONFIG = GRIDS + (
    "PPmodel = Net_celu_HeInit_decayGaussian\nPPmodel_gaussian_std = 2\nhiddenLayers = 4\n"
    "max_num_epochs = 2\noptimizer_lr = 0.01\nplotEvery = 9\nschedulerStep = 10\n"
    "scheduler_gamma = 0.9\n"
)
MONTE_CARLO = "mc_iter = 20\nmc_percentage = 1\nmc_beta = 1\nmc_betas = 50 5\nmc_swap_every = 10\n"
START = dict.fromkeys(("init_ZnParams", "init_SParams"), "5\n2\n3\n0.4\n0\n0\n0\n0\n0\n")


def start(command: list[str | Path], devices: int = 2, **variables: str) -> subprocess.Popen:
    """A process with so many virtual CPU devices.

    It compiles as this one does: iterations make more of another rounding than ACCURACY.
    """
    path = os.pathsep.join(map(str, (REPOSITORY, WORKER.parent)))
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = {**QUICKLY_COMPILED, "PYTHONPATH": path, "XLA_FLAGS": flags, **variables}
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(*processes: subprocess.Popen) -> list[str]:
    """What the processes printed; they must succeed."""
    try:
        texts = [process.communicate(timeout=240) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, texts, strict=True):
        assert process.returncode == 0, errors
    return [output for output, _ in texts]


def start_two(command: list[str | Path]) -> list[subprocess.Popen]:
    """The same command as two processes of two devices each, by JAX's variables."""
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        address = f"localhost:{listener.getsockname()[1]}"
    common = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2"}
    return [start(command, **common, JAX_PROCESS_ID=str(i)) for i in range(2)]


def assert_same(
    found: Path, expected: dict, devices: int | None = None, accuracy: float = ACCURACY
) -> None:
    with np.load(found) as file:
        arrays = dict(file)
    assert arrays.pop("devices", devices) == devices
    expected = {name: value for name, value in expected.items() if name != "devices"}
    assert arrays.keys() == expected.keys()
    for name, value in expected.items():
        largest = np.abs(value).max()
        assert np.abs(arrays[name] - value).max() <= accuracy * largest, name


def test_two_processes_of_two_devices_give_the_same_numbers(tmp_path):
    processes = start_two([WORKER, tmp_path / "found.npz", "dense"])
    expected = parallel_worker.calculate()
    finish(*processes)
    assert expected["fallbacks"] == 2 and expected["deviation"] == pytest.approx(0.5)
    assert_same(tmp_path / "found.npz", expected, devices=4)


def test_four_devices_of_one_process_iterate_to_the_same_numbers_and_share_replicas(tmp_path):
    process = start([WORKER, tmp_path / "found.npz", "iterative", "replicas"], devices=4)
    expected = parallel_worker.calculate_iteratively()
    expected["replicas"] = parallel_worker.costs_of_replicas()
    finish(process)
    assert_same(tmp_path / "found.npz", expected)


@pytest.mark.parametrize(
    "started",
    [
        pytest.param(lambda command: [start(command, devices=4)], id="one process"),
        pytest.param(start_two, id="two processes", marks=pytest.mark.exhaustive),
    ],
)
def test_least_squares_on_four_devices_makes_the_same_steps(tmp_path, started):
    processes = started([WORKER, tmp_path / "found.npz", "least squares"])
    expected = parallel_worker.calculate_least_squares()
    finish(*processes)
    # Steps are solutions of equations, which make more of rounding than sums.
    assert_same(tmp_path / "found.npz", expected, accuracy=1e-9)
    for side in parallel_worker.SIDES:
        np.testing.assert_allclose(
            expected[f"gradient {side}"], expected["gradient residuals"], rtol=1e-9
        )


def test_a_run_of_two_processes_writes_the_files_of_one(tmp_path):
    edges = "nBands = 4\nmaxKE = 5\n"  # none, whose masses would take time
    inputs = bundle_samples.write(
        tmp_path / "inputs", NN_config=CONFIG, input_0=edges, **dict.fromkeys(START)
    )
    two, one = tmp_path / "two", tmp_path / "one"
    processes = start_two(["-m", "deeppseudopot_jax", "run", inputs, two])
    run(inputs, one)
    printed = finish(*processes)
    assert "Final potential" in printed[0] and "potential" not in printed[1]
    assert "4 devices of 2 processes" in (two / "run.log").read_text()
    assert_same_folder(one, two)


@pytest.mark.exhaustive
@pytest.mark.parametrize("replicas", [4, 3], ids=["split replicas", "split k-points"])
def test_monte_carlo_of_two_processes_writes_the_files_of_one(tmp_path, replicas):
    config = GRIDS + MONTE_CARLO + f"mc_replicas = {replicas}\nmc_delayed_acceptance = 1\n"
    config += "PPmodel = ZeroFunction\nmc_bool = 1\n"
    inputs = bundle_samples.write(tmp_path / "inputs", NN_config=config, **START)
    two, one = tmp_path / "two", tmp_path / "one"
    processes = start_two(["-m", "deeppseudopot_jax", "run", inputs, two])
    run(inputs, one)
    finish(*processes)
    assert_same_folder(one, two)


def test_half_set_variables_are_told_before_anything_runs(tmp_path):
    command = ["-m", "deeppseudopot_jax", "run", tmp_path / "inputs", tmp_path / "results"]
    process = start(command, JAX_NUM_PROCESSES="2", JAX_PROCESS_ID="0")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.startswith("deeppseudopot: 2 processes") and "JAX_COORDINATOR_ADDRESS" in errors


@pytest.mark.parametrize(
    "groups, devices, split",
    [
        ([(1, 40, 100)], 4, 1),  # one system: k-points
        ([(4, 1, 100)], 4, 4),  # one k-point: systems
        ([(2, 5, 100)], 4, 2),  # three k-points of one system instead of two of both
        ([(4, 1, 10), (1, 8, 100)], 4, 4),  # a single system is split over both axes anyway
        ([(2, 1, 10), (2, 5, 100)], 4, 2),  # what costs most decides
        ([(3, 3, 100)], 4, 1),  # no divisor of 4 divides 3
    ],
)
def test_the_busiest_device_has_the_least_to_do(groups, devices, split):
    assert best_system_split(groups, devices) == split


def test_devices_that_cannot_be_split_are_refused():
    with pytest.raises(ValueError, match="4 devices cannot be split into 1 parts for systems"):
        device_mesh(4 * jax.devices()[:1], 1, 3)
