"""Chains of fits: a run that starts from the results of another one, named or copied."""

import shutil
from pathlib import Path

import bundle_samples
import numpy as np
import pytest

from deeppseudopot_jax import BundleError, InputError, read_bundle
from deeppseudopot_jax.errors import ResultsError
from deeppseudopot_jax.files.torch_pickle import read_checkpoint
from deeppseudopot_jax.run.outputs import Outputs
from deeppseudopot_jax.run.workflows import evaluate, run

GRIDS = "nSystem = 1\nnQGrid = 16\nnRGrid = 8\nmovie = 0\n"
NETWORK = "PPmodel = Net_celu_HeInit_decayGaussian\nPPmodel_gaussian_std = 2\nhiddenLayers = 4\n"
ZERO = "PPmodel = ZeroFunction\n"
TRAINING = (
    "max_num_epochs = 3\noptimizer_lr = 0.01\nplotEvery = 2\nschedulerStep = 5\n"
    "scheduler_gamma = 0.5\n"
)
FIT = (
    "init_Zunger_num_epochs = 3\ninit_Zunger_optimizer_lr = 0.01\n"
    "init_Zunger_scheduler_gamma = 0.9\ninit_Zunger_plotEvery = 2\n"
)
MONTE_CARLO = "mc_bool = 1\nmc_iter = 20\nmc_percentage = 0.02\nmc_beta = 50\n"
START = {f"init_{symbol}Params": "5\n2\n3\n0.4\n" for symbol in ("Zn", "S")}


def make(folder: Path, config: str, **changes) -> Path:
    return bundle_samples.write(folder, NN_config=GRIDS + config, **(START | changes))


def log_of(folder: Path) -> str:
    return (folder / "run.log").read_text()


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    monkeypatch.setattr(Outputs, "save", lambda *_: None)


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """Results: a network trained by Adam, and coefficients by Monte Carlo."""
    folder = tmp_path_factory.mktemp("earlier")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Outputs, "save", lambda *_: None)
        run(make(folder / "network", NETWORK + TRAINING + "seed = 3\n"), folder / "trained")
        run(make(folder / "zunger", ZERO + MONTE_CARLO), folder / "sampled")
    return folder


@pytest.mark.parametrize("prefix", ["final", "best", "epoch_2"])
def test_naming_results_is_copying_them(tmp_path, earlier, prefix):
    names = ("PPmodel.pth", "AdamState.pth", "ZnParams.par", "SParams.par")
    copied = make(tmp_path / "copied", NETWORK + TRAINING)
    for name in names:
        shutil.copyfile(earlier / "trained" / f"{prefix}_{name}", copied / f"init_{name}")
    source = earlier / "trained" / ("" if prefix == "final" else prefix)
    named = make(tmp_path / "named", NETWORK + TRAINING + f"init_from = {source}\n")
    for folder in (copied, named):
        run(folder, tmp_path / f"{folder.name}_results")
    one, two = (tmp_path / f"{name}_results" for name in ("copied", "named"))
    for name in ("final_training_cost.dat", "final_BS_sys0.dat", "final_ZnParams.par"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    assert read_checkpoint(one / "final_PPmodel.pth").keys()
    log = log_of(two)
    assert f"Initialisation: weights of {prefix}_PPmodel.pth in {earlier / 'trained'}" in log
    assert "adam starts from the moments of init_AdamState.pth" in log


def test_a_network_starts_from_the_curve_of_sampled_coefficients(tmp_path, earlier):
    shutil.copytree(earlier / "sampled", tmp_path / "sampled")
    config = NETWORK + FIT + "init_from = ../sampled\n"
    run(make(tmp_path / "inputs", config, init_ZnParams="9\n2\n3\n0.4\n"), tmp_path / "results")
    found = np.loadtxt(tmp_path / "results" / "initZunger_ZnParams.par")
    assert np.array_equal(found, np.loadtxt(earlier / "sampled" / "final_ZnParams.par"))
    assert "weights are fitted to the Zunger form" in log_of(tmp_path / "results")


def test_a_chain_leaves_where_it_is_for_other_runs(tmp_path, earlier):
    config = ZERO + f"init_from = {earlier / 'sampled' / 'mc_checkpoint'}\n"
    evaluate(make(tmp_path / "inputs", config), tmp_path / "results")
    rows = np.loadtxt(earlier / "sampled" / "iterations.dat")
    last = rows[-1, 3:].reshape(2, 9)  # S, then Zn
    bundle = read_bundle(tmp_path / "inputs")
    assert np.allclose(bundle.coefficients, last, rtol=1e-14)
    assert "mc_checkpoint_<atom>Params" in (tmp_path / "results" / "eval.log").read_text()


@pytest.mark.parametrize(
    ("config", "source", "error", "message"),
    [
        (NETWORK.replace("= 4", "= 5"), "trained", InputError, r"has shape \(4, 1\).*\(5, 1\)"),
        (ZERO, "trained", BundleError, r"holds the potential of a network; .*ZeroFunction"),
        (ZERO, "nowhere", BundleError, r"does not exist; legal: the results folder of a run"),
        (ZERO, "sampled/epoch_7", BundleError, "does not exist"),
        (ZERO, "zunger", BundleError, "holds no potential of a run"),
    ],
)
def test_what_cannot_be_started_from_is_refused(tmp_path, earlier, config, source, error, message):
    inputs = make(tmp_path / "inputs", config + f"init_from = {earlier / source}\n")
    with pytest.raises(error, match=message):
        run(inputs, tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_a_run_does_not_replace_what_it_starts_from(tmp_path, earlier):
    shutil.copytree(earlier / "sampled", tmp_path / "results")
    inputs = make(tmp_path / "inputs", ZERO + "init_from = ../results/best\n")
    with pytest.raises(ResultsError, match="is the results folder"):
        run(inputs, tmp_path / "results", overwrite=True)
    assert (tmp_path / "results" / "best_ZnParams.dat").exists()
