"""Whole runs on a small bundle: stages, files, refusals, and what the next run can start from.

A run costs seconds of compilation and figures: tests share runs where they can.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import bundle_samples
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeppseudopot_jax import build_problem, initial_params
from deeppseudopot_jax.errors import NumericalError, ResultsError, UnsupportedError
from deeppseudopot_jax.files.bundle import read_bundle
from deeppseudopot_jax.files.results import figures
from deeppseudopot_jax.files.torch_pickle import read_checkpoint, read_state_dict, write_checkpoint
from deeppseudopot_jax.potentials.zunger import zunger_form
from deeppseudopot_jax.run import session
from deeppseudopot_jax.run.file_names import of_evaluation, of_run
from deeppseudopot_jax.run.outputs import Outputs, band_plot
from deeppseudopot_jax.run.stages import initial
from deeppseudopot_jax.run.stages.training import stage as training
from deeppseudopot_jax.run.timing import StageTime
from deeppseudopot_jax.run.workflows import evaluate, run
from deeppseudopot_jax.training.rejection import MOST_REJECTIONS

TRAINING = "optimizer_lr = 0.01\nplotEvery = 2\nschedulerStep = 2\nscheduler_gamma = 0.5\n"
RARE_FILES = TRAINING.replace("plotEvery = 2", "plotEvery = 20")
NETWORK = "PPmodel = Net_celu_HeInit_decayGaussian\nPPmodel_gaussian_std = 2\nhiddenLayers = 4\n"
FIT = (
    "init_Zunger_num_epochs = 5\ninit_Zunger_optimizer_lr = 0.01\n"
    "init_Zunger_scheduler_gamma = 0.9\ninit_Zunger_plotEvery = 4\n"
)
GRIDS = "nSystem = 1\nnQGrid = 64\nnRGrid = 32\nmovie = 0\n"
ZERO = "PPmodel = ZeroFunction\n"
COEFFICIENTS = "5\n2\n3\n0.4\n0\n0.3\n0.1\n0.2\n0\n"
LOCAL = jnp.array([[5.0, 2.0, 3.0, 0.4]] * 2)
POLAR = {
    f"init_{symbol}Params": f"5\n2\n3\n0.4\n{a4}\n" for symbol, a4 in (("Zn", 0.2), ("S", -0.2))
}


def make_inputs(folder: Path, config: str, **changes) -> Path:
    """Writes the small bundle with the given NN_config.par."""
    changes = {"init_ZnParams": COEFFICIENTS, "init_SParams": COEFFICIENTS} | changes
    return bundle_samples.write(folder, NN_config=GRIDS + config, **changes)


@pytest.fixture
def inputs(tmp_path):
    return lambda config, **changes: make_inputs(tmp_path / "inputs", config, **changes)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A whole run of a network: its results, and what it asked the figures to show."""
    folder, shown = tmp_path_factory.mktemp("network"), []
    config = NETWORK + FIT + TRAINING + "max_num_epochs = 3\nruntime_flag = 1\nprintGrad = 1\n"
    config += "memory_flag = 1\ninit_Zunger_printGrad = 1\n"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("potential_figure", "cost_figure"):
            original = getattr(figures, name)

            def recorded(*arguments, original=original, **options):
                shown.append((arguments, options))
                return original(*arguments, **options)

            patch.setattr(figures, name, recorded)
        run(make_inputs(folder / "inputs", config), folder / "results")
    return SimpleNamespace(results=folder / "results", shown=shown)


@pytest.fixture(scope="module")
def analytic(tmp_path_factory):
    """A run of the Zunger form with a long-range tail, into a folder that was used before."""
    folder = tmp_path_factory.mktemp("analytic")
    results = folder / "results"
    results.mkdir()
    for name in ("epoch_9_plotBS.png", "notes.txt"):
        (results / name).touch()
    run(make_inputs(folder / "inputs", ZERO, **POLAR), results, overwrite=True)
    return results


def names(folder):
    return {file.name for file in folder.iterdir()}


def log_of(folder, name="run.log"):
    return (folder / name).read_text()


def test_a_network_run_writes_every_file_of_its_stages(network):
    results = network.results
    potentials = {"{}_pot_Zn.dat", "{}_pot_S.dat", "{}_qSpace_pot.dat"}
    initial = {
        "{}_plotPP.pdf", "{}_plotPP.png", "{}_plotBS.pdf", "{}_BS_sys0.dat", "{}_PPmodel.pth",
    }  # fmt: skip
    epoch = initial | {"{}_AdamState.pth", "{}_plotBS.png", "{}_qSpace_pot.dat"}
    stages_ = ("initZunger", "epoch_2", "best", "final")
    expected = {
        "run.log", "report.html", "oldFunc_plotBS.pdf", "oldFunc_BS_sys0.dat", "basisStates_0.dat",
        "init_train_cost.dat", "init_train_cost.pdf", "final_training_cost.dat",
        "final_validation_cost.dat", "final_train_cost.pdf", "training_checkpoint.npz",
        "best_PPmodel.pth", "best_AdamState.pth", "run_timings.json",
        "final_observables.dat", "final_observables.json",
        *(name.format("initZunger") for name in initial | potentials),
        *(name.format("epoch_2") for name in epoch),
        *(name.format("final") for name in epoch | potentials),
        *(f"{prefix}_{atom}Params.par" for prefix in stages_ for atom in ("Zn", "S")),
    }  # fmt: skip
    assert names(results) == expected and all(map(of_run, expected))
    costs = np.loadtxt(results / "final_training_cost.dat")
    assert costs[:, 0].tolist() == [0, 1, 2, 3]
    validation = np.loadtxt(results / "final_validation_cost.dat")
    assert validation[:, 0].tolist() == [2, 3]
    assert np.allclose(validation[:, 1], costs[2:, 1], rtol=1e-8)
    bands = np.loadtxt(results / "final_BS_sys0.dat")
    assert bands.shape == (2, 5) and bands[:, 0].tolist() == [0.0, 0.5]
    best, final = (read_state_dict(results / f"{name}_PPmodel.pth") for name in ("best", "final"))
    assert all(np.array_equal(best[key], final[key]) for key in final)


def test_the_log_is_a_record_of_the_run(network):
    log = log_of(network.results)
    for part in (
        "deeppseudopot-jax", "JAX ", "float64 arithmetic", "optimizer_lr = 0.01",
        "hiddenLayers = 4", "trained channels: local\n", "random, as Net_celu", "(seed 0)",
        "these weights are fitted to the Zunger form", "band structure:",
    ):  # fmt: skip
        assert part in log, part
    note = "note: max_num_epochs = 3 was reached before the training converged: raise it"
    report = (network.results / "report.html").read_text()
    assert log.count(note) == 1 and report.count(note) == 2  # a remark, and in the log below
    epochs = [line for line in log.splitlines() if "] epoch " in line]
    assert len(epochs) == 4
    assert all("cost " in e and "gradient norm" in e and "(local" in e for e in epochs)
    assert all(e.endswith(" s") for e in epochs)
    layers = [line for line in log.splitlines() if "]   gradient norms: " in line]
    assert len(layers) == len(epochs) + 2  # of the initial fit too
    assert all("neural_network.hidden_l.0.weight " in line for line in layers)


def test_what_the_stages_took_is_in_a_file_and_told_where_it_is_asked_for(network, analytic):
    found = json.loads((network.results / "run_timings.json").read_text())
    assert list(found) == ["format", "stages", "versions", "device", "command", "precision"]
    assert found["precision"] == "float64" and found["versions"]["jax"] == jax.__version__
    names = [stage["name"] for stage in found["stages"]]
    assert names == ["tables", "initialisation", "initial bands", "training", "export", "movies",
                     "figures"]  # fmt: skip
    for each in found["stages"]:
        assert list(each) == list(StageTime._fields)
        assert 0 <= each["compile_seconds"] <= each["seconds"]
    peaks = [stage["host_peak_bytes"] for stage in found["stages"]]
    assert peaks == sorted(peaks) and peaks[0] > 2**20
    table = log_of(network.results).partition("what the stages took:\n")[2]
    assert "of which compiling" in table and "host peak (MiB)" in table
    assert all(f"  {name} " in table for name in names)
    quiet = log_of(analytic)
    assert (analytic / "run_timings.json").exists()
    assert not any(part in quiet for part in ("what the stages took", "peak", "gradient norms"))


def test_the_initial_fit_is_shown_with_its_target_and_unit(network):
    potentials = [arguments[3] for arguments, _ in network.shown if len(arguments) == 4]
    fitted = [plots for plots in potentials if [p.label for p in plots] == ["network", "target"]]
    assert len(fitted) == 3  # two stages of the fit, and its result
    q = np.linspace(0.0, 20.0, 64)
    inside = q < 10.0
    target = fitted[0][1].v_q
    exact = np.asarray(zunger_form(jnp.asarray(q), LOCAL))
    assert np.abs(target - exact)[inside].max() < 1e-3 and np.isnan(target[q > 10.0]).all()
    units = [arguments[2] for arguments, _ in network.shown if len(arguments) == 3]
    assert units == ["Cost ((Ha Bohr$^3$)$^2$)", "Cost (eV$^2$)"]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (ZERO, 1),
        (NETWORK, 2),  # and the Zunger form
        (ZERO + RARE_FILES + "max_num_epochs = 1\n", 2),  # and the last epoch, or the best
        (ZERO + "mc_bool = 1\nmc_iter = 2\nmc_percentage = 0.01\nmc_beta = 9\n", 2),
    ],
    ids=["initialise", "network", "gradient", "Monte Carlo"],
)
def test_every_potential_is_solved_once_per_stage(inputs, tmp_path, monkeypatch, config, expected):
    solved, original = [], session.evaluate_bands

    def counted(*arguments):
        solved.append(1)
        return original(*arguments)

    monkeypatch.setattr(session, "evaluate_bands", counted)
    monkeypatch.setattr(Outputs, "save", lambda *_: None)
    run(inputs(config), tmp_path / "results")
    assert len(solved) == expected


def test_a_run_without_optimisation_initialises_evaluates_and_exports(analytic):
    found = names(analytic)
    assert {"oldFunc_BS_sys0.dat", "final_qSpace_pot.dat", "final_ZnParams.par"} <= found
    assert not any(name.startswith("best") for name in found)
    log = log_of(analytic)
    assert "1 files of an earlier run were removed" in log and "epoch_9_plotBS.png" not in found
    assert "older than this run: notes.txt" in log and log.count("1 files in ") == 1
    assert "seed" not in log


def test_results_are_never_overwritten_unless_asked(inputs, analytic):
    folder = inputs(ZERO)
    with pytest.raises(ResultsError, match="--overwrite"):
        run(folder, analytic)
    with pytest.raises(ResultsError, match="inputs folder"):
        run(folder, folder, overwrite=True)


@pytest.mark.slow
def test_trained_coefficients_and_channels_start_the_next_run(inputs, tmp_path):
    config = ZERO + "SObool = 1\ntrainSO = 1\ntrainNL = 1\n" + TRAINING
    folder = inputs(config + "max_num_epochs = 1\n")
    run(folder, tmp_path / "first")
    assert "trained channels: local, spin_orbit, nonlocal" in log_of(tmp_path / "first")
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
    # From other start vectors: energies of a potential on the move are accurate to 1e-7 eV.
    assert np.isclose(first[:, 1].min(), second[0, 1], rtol=1e-6)


def test_a_network_and_its_adam_state_start_the_next_run(inputs, tmp_path, network):
    folder = inputs(NETWORK + TRAINING + "max_num_epochs = 2\ntrainLR = 1\n")
    for kind in ("PPmodel", "AdamState"):
        source = network.results / f"final_{kind}.pth"
        shutil.copyfile(source, folder / f"init_{kind}.pth")
    run(folder, tmp_path / "second")
    first = np.loadtxt(network.results / "final_training_cost.dat")
    second = np.loadtxt(tmp_path / "second" / "final_training_cost.dat")
    best = int(np.argmin(first[:, 1]))
    assert np.isclose(first[best, 1], second[0, 1], rtol=1e-12)
    state = read_checkpoint(tmp_path / "second" / "epoch_2_AdamState.pth")
    assert int(state["state"][0]["step"]) == best + 2
    # The schedule starts anew with a run: 0.01, halved after two of its own steps.
    assert np.isclose(state["param_groups"][0]["lr"], 0.005)
    log = log_of(tmp_path / "second")
    assert "moments of init_AdamState.pth; those of long_range start from zero" in log
    assert "weights of init_PPmodel.pth" in log and "seed" not in log


def test_a_retraining_fits_loaded_weights_to_a_table_again(inputs, tmp_path, network, analytic):
    config = NETWORK + FIT + "force_retrain = 1\n"
    folder = inputs(config, **POLAR)
    for name in ("PPmodel", "AdamState"):
        shutil.copyfile(network.results / f"final_{name}.pth", folder / f"init_{name}.pth")
    shutil.copyfile(analytic / "final_qSpace_pot.dat", folder / "init_qSpace_pot.par")
    bundle = read_bundle(folder)
    problem = build_problem(bundle)
    parts = SimpleNamespace(bundle=bundle, problem=problem)
    curves, _ = initial.target_curves(parts, initial_params(bundle, problem))
    assert np.allclose(curves.v, zunger_form(curves.q, LOCAL), atol=1e-4)
    run(folder, tmp_path / "results")
    log = log_of(tmp_path / "results")
    loaded, fitted = log.index("weights of init_PPmodel.pth"), log.index("are fitted again to")
    assert loaded < fitted and "init_qSpace_pot.par less the long-range tail of a4" in log
    assert "init_AdamState.pth: nothing is trained" in log and "from the moments" not in log


def test_the_initial_fit_has_the_defaults_of_pytorch(inputs):
    found = []
    for keys in ("", "adam_beta1 = 0.1\nadam_beta2 = 0.2\n"):
        bundle = read_bundle(inputs(NETWORK + FIT + keys))
        problem = build_problem(bundle)
        params = initial_params(bundle, problem)
        parts = SimpleNamespace(bundle=bundle, problem=problem)
        curves, _ = initial.target_curves(parts, params)
        fit = initial.fit_curves(problem.local, params.local, curves, bundle.settings)
        found.append([float(stage.costs[-1]) for stage in fit])
    assert found[0] == found[1]


def test_eval_agrees_with_run_on_a_folder_prepared_for_training(inputs, tmp_path, network):
    config = NETWORK + FIT + TRAINING + "max_num_epochs = 2\nperturbEvery = 4\n"
    folder = inputs(config)
    with pytest.raises(UnsupportedError, match=r"init_PPmodel\.pth"):
        evaluate(folder, tmp_path / "nothing")
    source = network.results / "final_PPmodel.pth"
    shutil.copyfile(source, folder / "init_PPmodel.pth")
    assert not (tmp_path / "nothing").exists()
    third = bundle_samples.GOOD["kpoints_0.par"] + "0.1 0 0 1\n"
    charged = POLAR["init_ZnParams"]
    inputs(config, kpoints_0=third, init_ZnParams=charged, init_SParams="5\n2\n3\n0.4\n")
    shutil.copyfile(source, folder / "init_PPmodel.pth")
    evaluate(folder, tmp_path / "polar")
    log = log_of(tmp_path / "polar", "eval.log")
    for part in (
        "weights of init_PPmodel.pth", "is not neutral", "the bands are not compared",
        "max_num_epochs, init_Zunger_num_epochs left out", "perturbEvery", "plotEvery",
    ):  # fmt: skip
        assert part in log, part
    assert np.loadtxt(tmp_path / "polar" / "eval_BS_sys0.dat").shape == (3, 5)
    inputs(config, kpoints_0=third)
    evaluate(folder, tmp_path / "eval")
    found = names(tmp_path / "eval")
    assert {name for name in found if not of_evaluation(name)} == {
        "oldFunc_BS_sys0.dat", "oldFunc_plotBS.pdf", "report.html",
    }  # fmt: skip
    assert found == {
        "eval.log", "eval_timings.json", "eval_BS_sys0.dat", "eval_plotBS.pdf", "eval_plotBS.png",
        "eval_plotPP.pdf", "eval_plotPP.png", "eval_pot_Zn.dat", "eval_pot_S.dat",
        "eval_qSpace_pot.dat", "oldFunc_BS_sys0.dat", "oldFunc_plotBS.pdf", "report.html",
        "eval_observables.dat", "eval_observables.json",
    }  # fmt: skip
    final = np.loadtxt(network.results / "final_BS_sys0.dat")
    assert np.array_equal(np.loadtxt(tmp_path / "eval" / "eval_BS_sys0.dat")[:2, 1:], final[:, 1:])


def test_followed_bands_are_told_and_tables_ascend(inputs, tmp_path):
    crossing = "0.0 -1 -1 2 2\n0.5 4 4 -2 -2\n"
    run(inputs(ZERO + "eigvec_reorder = 1\n", expBandStruct_0=crossing), tmp_path / "results")
    log = log_of(tmp_path / "results")
    assert "followed along 2 straight pieces of the path by overlaps of states" in log
    assert "are taken as continuous bands; tables *_BS_sys ascend in energy" in log
    assert "root mean square error (bands followed: eigvec_reorder) " in log
    table = np.loadtxt(tmp_path / "results" / "final_BS_sys0.dat")[:, 1:]
    assert (np.diff(table, axis=1) >= 0).all()


def test_kicks_and_moves_before_the_first_epoch_are_in_the_log(inputs, tmp_path):
    config = ZERO + "max_num_epochs = 2\noptimizer = lbfgs\nperturbEvery = 2\n" + RARE_FILES
    run(inputs(config + "pre_adjust_moves = 1\n"), tmp_path / "results")
    log = log_of(tmp_path / "results")
    assert log.index("pre_adjust_moves: cost") < log.index("epoch 0: cost")
    assert log.index("epoch 1: cost") < log.index("have been kicked") < log.index("epoch 2: cost")


def test_what_does_not_fit_the_network_leaves_no_results(inputs, tmp_path, network):
    config = NETWORK + TRAINING + "max_num_epochs = 1\n"
    folder = inputs(config)
    shutil.copyfile(network.results / "final_PPmodel.pth", folder / "init_PPmodel.pth")
    write_checkpoint(folder / "init_AdamState.pth", {"state": {}})
    with pytest.raises(ValueError, match=r"init_AdamState\.pth: .* not the state of an optimizer"):
        run(folder, tmp_path / "results")
    inputs(config.replace("hiddenLayers = 4", "hiddenLayers = 5"))
    with pytest.raises(ValueError, match=r"hidden_l\.0\.weight has shape"):
        run(folder, tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_a_diverging_training_says_so_and_keeps_what_it_has(inputs, tmp_path):
    config = ZERO + "max_num_epochs = 50\noptimizer = sgd\n" + RARE_FILES
    folder = inputs(config.replace("optimizer_lr = 0.01", "optimizer_lr = 1e30"))
    results = tmp_path / "results"
    with pytest.raises(NumericalError, match=r"epoch 1: .* (is above that at|not finite: the pot)"):
        run(folder, results)
    log = log_of(results)
    assert log.count("step 1 taken back: ") == MOST_REJECTIONS
    assert "Traceback" in log and "NumericalError: epoch " in log
    assert "ended by NumericalError at epoch " in log
    assert "at epoch 0, which best_* hold" in log
    for symbol in ("Zn", "S"):
        best = np.loadtxt(results / f"best_{symbol}Params.par")
        assert np.array_equal(best, np.loadtxt(folder / f"init_{symbol}Params.par"))
    assert (results / "final_training_cost.dat").exists()
    assert not any(name.startswith("final_ZnParams") for name in names(results))


def test_an_interrupted_training_keeps_the_best_potential(inputs, tmp_path, monkeypatch):
    seen = []

    def interrupted(*arguments):
        for epoch in original(*arguments):
            seen.append(epoch)
            yield epoch
            if epoch.number == 2:
                raise KeyboardInterrupt

    original = training.train
    monkeypatch.setattr(training, "train", interrupted)
    config = ZERO + "max_num_epochs = 50\n" + RARE_FILES
    results = tmp_path / "results"
    with pytest.raises(KeyboardInterrupt):
        run(inputs(config), results)
    best = min(seen, key=lambda epoch: epoch.cost)
    found = np.loadtxt(results / "best_ZnParams.par")[:4]
    assert np.array_equal(found, np.asarray(best.params.local)[1])
    assert len(np.loadtxt(results / "final_training_cost.dat")) == 3
    log = log_of(results)
    assert f"ended by KeyboardInterrupt at epoch 2: cost {seen[0].cost:.6g}" in log
    assert f"lowest {best.cost:.6g} at epoch {best.number}, which best_* hold" in log


def test_errors_are_relative_and_of_fitted_levels_where_the_cost_is(inputs):
    keys = bundle_samples.GOOD["input_0.par"] + "relE_bIdx = 1\n"
    (system,) = read_bundle(inputs(ZERO, input_0=keys, bandWeights_0="1 1 1 0")).systems
    bands = system.reference_energies + np.array([[0.3], [-0.7]])  # a shift at each k
    bands[:, 2] += 0.2
    bands[:, 3] += 5.0  # a level that is not fitted
    expected = np.sqrt(0.2**2 / 3)
    assert np.isclose(band_plot(system, {"fit": bands}).deviation("fit"), expected)
    absolute = replace(system, relative_band=None)
    assert band_plot(absolute, {"fit": bands}).deviation("fit") > expected


def test_single_precision_runs(inputs, tmp_path, network):
    folder = inputs(NETWORK + FIT + TRAINING + "max_num_epochs = 1\n")
    run(folder, tmp_path / "single", precision="float32")
    single, double = (
        np.loadtxt(results / "oldFunc_BS_sys0.dat")
        for results in (tmp_path / "single", network.results)
    )
    assert np.abs(single - double).max() < 1e-3
