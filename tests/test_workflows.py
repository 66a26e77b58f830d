"""Whole runs on a small bundle: stages, files, refusals, and what the next run can start from."""

import shutil

import bundle_samples
import numpy as np
import pytest

from deeppseudopot_jax.bundle import read_bundle
from deeppseudopot_jax.bundle.torch_pickle import read_checkpoint, read_state_dict
from deeppseudopot_jax.capabilities import UnsupportedError
from deeppseudopot_jax.results.atomic import ResultsError
from deeppseudopot_jax.session import NumericalError
from deeppseudopot_jax.workflows import evaluate, run

TRAINING = "optimizer_lr = 0.01\nplotEvery = 2\nschedulerStep = 2\nscheduler_gamma = 0.5\n"
NETWORK = "PPmodel = Net_celu_HeInit_decayGaussian\nPPmodel_gaussian_std = 2\nhiddenLayers = 4\n"
FIT = (
    "init_Zunger_num_epochs = 5\ninit_Zunger_optimizer_lr = 0.01\n"
    "init_Zunger_scheduler_gamma = 0.9\ninit_Zunger_plotEvery = 2\n"
)
GRIDS = "nSystem = 1\nnQGrid = 64\nnRGrid = 32\n"
COEFFICIENTS = "5\n2\n3\n0.4\n0\n0.3\n0.1\n0.2\n0\n"


@pytest.fixture
def inputs(tmp_path):
    """Writes the small bundle with the given NN_config.par."""

    def make(config: str, **changes):
        changes = {"init_ZnParams": COEFFICIENTS, "init_SParams": COEFFICIENTS} | changes
        return bundle_samples.write(tmp_path / "inputs", NN_config=GRIDS + config, **changes)

    return make


def names(folder):
    return {file.name for file in folder.iterdir()}


def test_a_network_run_writes_every_file_of_its_stages(inputs, tmp_path):
    folder = inputs(NETWORK + FIT + TRAINING + "max_num_epochs = 3\n")
    results = tmp_path / "results"
    run(folder, results)
    potentials = {"{}_pot_Zn.dat", "{}_pot_S.dat", "{}_qSpace_pot.dat"}
    initial = {
        "{}_plotPP.pdf", "{}_plotPP.png", "{}_plotBS.pdf", "{}_BS_sys0.dat", "{}_PPmodel.pth",
    }  # fmt: skip
    epoch = initial | {"{}_AdamState.pth", "{}_plotBS.png", "{}_qSpace_pot.dat"}
    expected = {
        "run.log", "oldFunc_plotBS.pdf", "oldFunc_BS_sys0.dat", "basisStates_0.dat",
        "init_train_cost.dat", "init_train_cost.pdf", "final_training_cost.dat",
        "final_validation_cost.dat", "final_train_cost.pdf", "final_plotBS.png",
        *(name.format("initZunger") for name in initial | potentials),
        *(name.format("epoch_2") for name in epoch),
        *(name.format("final") for name in initial | potentials),
        *(f"{p}_{a}Params.par" for p in ("initZunger", "epoch_2", "final") for a in ("Zn", "S")),
    }  # fmt: skip
    assert names(results) == expected
    costs = np.loadtxt(results / "final_training_cost.dat")
    assert costs[:, 0].tolist() == [0, 1, 2, 3]
    validation = np.loadtxt(results / "final_validation_cost.dat")
    assert validation[:, 0].tolist() == [2, 3]
    assert np.allclose(validation[:, 1], costs[2:, 1], rtol=1e-8)
    bands = np.loadtxt(results / "final_BS_sys0.dat")
    assert bands.shape == (2, 5) and bands[:, 0].tolist() == [0.0, 0.5]
    assert "fitted to the Zunger form" in (results / "run.log").read_text()


def test_a_run_without_optimisation_initialises_evaluates_and_exports(inputs, tmp_path):
    results = tmp_path / "results"
    run(inputs("PPmodel = ZeroFunction\nmax_num_epochs = 0\nmc_bool = 0\n"), results)
    assert {"oldFunc_BS_sys0.dat", "final_qSpace_pot.dat", "final_ZnParams.par"} <= names(results)
    assert not any(name.startswith("epoch") for name in names(results))


def test_trained_coefficients_and_channels_start_the_next_run(inputs, tmp_path):
    config = "PPmodel = ZeroFunction\nSObool = 1\ntrainSO = 1\ntrainNL = 1\n" + TRAINING
    folder = inputs(config + "max_num_epochs = 2\n")
    run(folder, tmp_path / "first")
    final = np.loadtxt(tmp_path / "first" / "final_ZnParams.par")
    start = np.loadtxt(folder / "init_ZnParams.par")
    moved = final != start
    assert moved.tolist() == [True] * 4 + [False] + [True] * 3 + [False]
    for symbol in ("Zn", "S"):
        source = tmp_path / "first" / f"final_{symbol}Params.par"
        shutil.copyfile(source, folder / f"init_{symbol}Params.par")
    run(folder, tmp_path / "second")
    first = np.loadtxt(tmp_path / "first" / "final_training_cost.dat")
    second = np.loadtxt(tmp_path / "second" / "final_training_cost.dat")
    assert np.isclose(first[:, 1].min(), second[0, 1], rtol=1e-12)


def test_a_network_and_its_adam_state_start_the_next_run(inputs, tmp_path):
    folder = inputs(NETWORK + TRAINING + "max_num_epochs = 2\nseed = 3\n")
    run(folder, tmp_path / "first")
    for kind in ("PPmodel", "AdamState"):
        source = tmp_path / "first" / f"epoch_2_{kind}.pth"
        shutil.copyfile(source, folder / f"init_{kind}.pth")
    run(folder, tmp_path / "second")
    first = np.loadtxt(tmp_path / "first" / "final_training_cost.dat")
    second = np.loadtxt(tmp_path / "second" / "final_training_cost.dat")
    assert np.isclose(first[-1, 1], second[0, 1], rtol=1e-12)
    state = read_checkpoint(tmp_path / "second" / "epoch_2_AdamState.pth")
    assert int(state["state"][0]["step"]) == 4
    assert "moments of init_AdamState.pth" in (tmp_path / "second" / "run.log").read_text()


def test_the_exported_table_can_initialise_a_network(inputs, tmp_path):
    run(inputs("PPmodel = ZeroFunction\n"), tmp_path / "first")
    folder = inputs(NETWORK + FIT)
    shutil.copyfile(
        tmp_path / "first" / "final_qSpace_pot.dat", folder / "init_qSpace_pot.par"
    )
    run(folder, tmp_path / "second")
    assert "fitted to init_qSpace_pot.par" in (tmp_path / "second" / "run.log").read_text()


def test_eval_agrees_with_run_and_needs_a_potential(inputs, tmp_path):
    folder = inputs(NETWORK + TRAINING + "max_num_epochs = 2\n")
    with pytest.raises(UnsupportedError, match=r"init_PPmodel\.pth"):
        evaluate(folder, tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    run(folder, tmp_path / "run")
    shutil.copyfile(tmp_path / "run" / "final_PPmodel.pth", folder / "init_PPmodel.pth")
    evaluate(folder, tmp_path / "eval")
    assert names(tmp_path / "eval") == {
        "eval.log", "eval_BS_sys0.dat", "eval_plotBS.pdf", "eval_plotBS.png", "eval_plotPP.pdf",
        "eval_plotPP.png", "eval_pot_Zn.dat", "eval_pot_S.dat", "eval_qSpace_pot.dat",
        "oldFunc_BS_sys0.dat", "oldFunc_plotBS.pdf",
    }  # fmt: skip
    final = (tmp_path / "run" / "final_BS_sys0.dat").read_text()
    assert (tmp_path / "eval" / "eval_BS_sys0.dat").read_text() == final
    weights = read_state_dict(tmp_path / "run" / "final_PPmodel.pth")
    assert weights.keys() == read_bundle(folder).model_state.keys()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("mc_bool = 1\nmc_iter = 3\nmc_percentage = 0.1\nmc_beta = 10\n", "mc_bool = 1"),
        (TRAINING + "max_num_epochs = 1\noptimizer = lbfgs\n", "optimizer = lbfgs"),
        (TRAINING + "max_num_epochs = 1\nperturbEvery = 5\n", "perturbEvery = 5"),
        (TRAINING + "max_num_epochs = 1\npre_adjust_moves = 5\n", "pre_adjust_moves = 5"),
        ("smooth_reorder = 1\n", "smooth_reorder"),
        ("eigvec_reorder = 1\n", "eigvec_reorder"),
    ],
)
def test_what_is_not_implemented_is_refused_before_anything_runs(
    inputs, tmp_path, config, message
):
    with pytest.raises(UnsupportedError, match=message):
        run(inputs("PPmodel = ZeroFunction\n" + config), tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_fits_of_other_observables_are_refused(inputs, tmp_path):
    keys = bundle_samples.GOOD["input_0.par"] + "fit_defPot = 1\nfit_eff_masses = 1\n"
    folder = inputs("PPmodel = ZeroFunction\n", input_0=keys, expDefPot_0="-1.0\n-7.0\n")
    with pytest.raises(UnsupportedError, match=r"(?s)fit_defPot.*fit_eff_masses"):
        run(folder, tmp_path / "results")


def test_results_are_never_overwritten_unless_asked(inputs, tmp_path):
    folder, results = inputs("PPmodel = ZeroFunction\n"), tmp_path / "results"
    run(folder, results)
    with pytest.raises(ResultsError, match="--overwrite"):
        run(folder, results)
    run(folder, results, overwrite=True)
    with pytest.raises(ResultsError, match="inputs folder"):
        run(folder, folder, overwrite=True)


def test_weights_that_do_not_fit_leave_no_results(inputs, tmp_path):
    folder = inputs(NETWORK)
    run(folder, tmp_path / "first")
    shutil.copyfile(tmp_path / "first" / "final_PPmodel.pth", folder / "init_PPmodel.pth")
    config = folder / "NN_config.par"
    config.write_text(config.read_text().replace("hiddenLayers = 4", "hiddenLayers = 5"))
    with pytest.raises(ValueError, match=r"hidden_l\.0\.weight has shape"):
        run(folder, tmp_path / "second")
    assert not (tmp_path / "second").exists()


def test_a_diverging_training_says_so_and_keeps_what_it_has(inputs, tmp_path):
    config = "PPmodel = ZeroFunction\nmax_num_epochs = 50\noptimizer = sgd\n" + TRAINING
    folder = inputs(config.replace("optimizer_lr = 0.01", "optimizer_lr = 1e30"))
    with pytest.raises(NumericalError, match="not finite"):
        run(folder, tmp_path / "results")
    assert "NumericalError" in (tmp_path / "results" / "run.log").read_text()
    assert (tmp_path / "results" / "initZunger_ZnParams.par").exists()


def test_single_precision_runs(inputs, tmp_path):
    folder = inputs(NETWORK + FIT + TRAINING + "max_num_epochs = 2\n")
    run(folder, tmp_path / "single", precision="float32")
    run(folder, tmp_path / "double")
    single, double = (
        np.loadtxt(tmp_path / name / "oldFunc_BS_sys0.dat") for name in ("single", "double")
    )
    assert np.abs(single - double).max() < 1e-3
