"""Monte Carlo finds the bands of a known potential: the whole bundle silicon_monte_carlo."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from deeppseudopot_jax.run.workflows import run

pytestmark = pytest.mark.as_compiled  # it is the steps that take time

GRADIENT = """PPmodel = ZeroFunction
hiddenLayers = 1
nSystem = 1
basis_sphere = kG
max_num_epochs = 2
optimizer_lr = 1e-4
scheduler_gamma = 1
schedulerStep = 1
plotEvery = 2
movie = 0
nQGrid = 64
nRGrid = 32
"""


def levels(file: Path) -> np.ndarray:
    """Energies in eV, (k, band), of a table that begins with the path length."""
    return np.loadtxt(file)[:, 1:]


@pytest.mark.slow
def test_coefficients_wrong_by_20_percent_recover_their_reference(configs, tmp_path):
    inputs, results = configs / "silicon_monte_carlo", tmp_path / "results"
    reference = levels(inputs / "expBandStruct_0.par")

    def rmse(file: str) -> float:
        return float(np.sqrt(np.mean((levels(results / file) - reference) ** 2)))

    run(inputs, results)
    assert rmse("initZunger_BS_sys0.dat") > 0.3
    assert rmse("best_BS_sys0.dat") < 0.03
    # All weights are 1: the lowest energy of the chain is what the tables say, to their digits.
    lowest = np.loadtxt(results / "final_mc_cost.dat")[-1, 3]
    assert rmse("best_BS_sys0.dat") == pytest.approx(np.sqrt(lowest), abs=1e-5)

    after = tmp_path / "gradient"
    shutil.copytree(inputs, after)
    (after / "NN_config.par").write_text(GRADIENT)
    shutil.copyfile(results / "best_SiParams.dat", after / "init_SiParams.par")
    run(after, tmp_path / "trained")
    costs = np.loadtxt(tmp_path / "trained" / "final_training_cost.dat")
    # Training sums over k-points and bands what Monte Carlo averages.
    assert costs[0, 1] / reference.size == pytest.approx(lowest, rel=1e-3)
