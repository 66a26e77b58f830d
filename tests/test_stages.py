"""Several fits in one run (`stages`): the numbers of one run after the other, and one story."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import bundle_samples
import numpy as np
import pytest

from deeppseudopot_jax.errors import ResultsError
from deeppseudopot_jax.files.atomic import ResultsFolder
from deeppseudopot_jax.files.bundle import BundleError, read_bundle
from deeppseudopot_jax.files.torch_pickle import read_state_dict
from deeppseudopot_jax.montecarlo.chain import Chain
from deeppseudopot_jax.run.checks.idle import remarks
from deeppseudopot_jax.run.file_names import of_run
from deeppseudopot_jax.run.handover import Outcome
from deeppseudopot_jax.run.outputs import Outputs
from deeppseudopot_jax.run.sequence import stages_of
from deeppseudopot_jax.run.stages.sampling import stage
from deeppseudopot_jax.run.stages.training import stage as training
from deeppseudopot_jax.run.workflows import evaluate, run

GRIDS = "nSystem = 1\nnQGrid = 64\nnRGrid = 32\n"
TRAINING = (
    "max_num_epochs = 3\noptimizer_lr = 0.01\nplotEvery = 20\nschedulerStep = 2\n"
    "scheduler_gamma = 0.5\n"
)
LEAST_SQUARES = "max_num_epochs = 2\noptimizer = lm\nplotEvery = 20\n"
MONTE_CARLO = "mc_iter = 20\nmc_percentage = 0.02\nmc_beta = 50\n"
ZERO = "PPmodel = ZeroFunction\n"
NETWORK = "PPmodel = Net_celu_HeInit_decayGaussian\nPPmodel_gaussian_std = 2\nhiddenLayers = 4\n"
FIT = (
    "init_Zunger_num_epochs = 5\ninit_Zunger_optimizer_lr = 0.01\n"
    "init_Zunger_scheduler_gamma = 0.9\ninit_Zunger_plotEvery = 4\n"
)
CHANNELS = "SObool = 1\ntrainSO = 1\ntrainNL = 1\n"
COEFFICIENTS = "5\n2\n3\n0.4\n0\n0.3\n0.1\n0.2\n0.1\n"
START = {"init_ZnParams": COEFFICIENTS, "init_SParams": COEFFICIENTS}
ATOMS = ("Zn", "S")


def make_inputs(folder: Path, config: str, **changes) -> Path:
    """The small bundle with the given NN_config.par."""
    return bundle_samples.write(folder, NN_config=GRIDS + config, **(START | changes))


@pytest.fixture
def inputs(tmp_path):
    return lambda config, **changes: make_inputs(tmp_path / "inputs", config, **changes)


@pytest.fixture
def no_figures(monkeypatch):
    monkeypatch.setattr(Outputs, "save", lambda *_: None)


def names(folder):
    return {file.name for file in folder.iterdir()}


def log_of(folder):
    return (folder / "run.log").read_text()


def contents(folder: Path) -> dict[str, bytes]:
    """All that a run computes, by name; figures and logs carry dates."""
    files = (file for file in folder.iterdir() if file.suffix in (".dat", ".par", ".pth"))
    return {file.name: file.read_bytes() for file in files}


def dies_after(monkeypatch, module, name: str) -> None:
    """Lets the program end like a killed one, after a generator or function has worked once."""
    original, calls = getattr(module, name), []

    def dying(*arguments):
        calls.append(name)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(module, name, dying)


@pytest.fixture(scope="module")
def in_stages(tmp_path_factory):
    """Coefficients and a5 to a7 first, then a network from their curve; and both runs by hand."""
    folder = tmp_path_factory.mktemp("stages")
    config = CHANNELS + FIT + TRAINING
    staged = make_inputs(folder / "staged", f"{NETWORK}{config}stages = zunger network\n")
    run(staged, folder / "results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Outputs, "save", lambda *_: None)
        run(make_inputs(folder / "first", ZERO + config), folder / "zunger")
        second = make_inputs(folder / "second", NETWORK + config)
        for atom in ATOMS:
            final = folder / "zunger" / f"final_{atom}Params.par"
            shutil.copyfile(final, second / f"init_{atom}Params.par")
        run(second, folder / "network")
    return SimpleNamespace(inputs=staged, results=folder / "results", by_hand=folder)


def test_stages_are_one_run_after_the_other(in_stages):
    results, by_hand = in_stages.results, in_stages.by_hand
    assert contents(results / "1_zunger") == contents(by_hand / "zunger")
    assert contents(results) == contents(by_hand / "network")
    start, first, last = (
        np.loadtxt(folder / "final_ZnParams.par")
        for folder in (by_hand / "zunger", results / "1_zunger", results)
    )
    assert (start == first).all()
    assert (last != first).tolist() == [False] * 5 + [True] * 3 + [False]


def test_every_stage_has_its_files_and_the_last_one_those_of_the_results(in_stages):
    results = in_stages.results
    assert names(results) == names(in_stages.by_hand / "network") | {
        "1_zunger", *(name for name in names(results) if name.endswith((".pdf", ".png")))
    }  # fmt: skip
    for name in ("run.log", "final_plotBS.png", "final_qSpace_pot.dat", "handed_over.npz"):
        assert (results / "1_zunger" / name).exists()
    assert not (results / "handed_over.npz").exists()
    assert (results / "final_plotBS.png").exists()


def test_the_log_tells_one_story(in_stages):
    first, last = log_of(in_stages.results / "1_zunger"), log_of(in_stages.results)
    assert "Stage 1 of 2: zunger" in first and "Stage 2 of 2: network" in last
    assert "coefficients of init_<atom>Params.par" in first
    assert "fitted to the Zunger form of the stage before" in last
    assert "no effect of a8: " in first and "no effect" not in last
    assert "no weights" not in first


def test_nothing_is_resumed_that_another_run_did(in_stages, tmp_path, no_figures):
    results = shutil.copytree(in_stages.results, tmp_path / "results")
    before = contents(results)
    run(in_stages.inputs, results, resume=True)
    assert contents(results) == before
    log = (results / "run_interrupted.log").read_text()
    assert f"Stage 1 of 2: zunger, taken over from {results / '1_zunger'}" in log
    assert log_of(results / "1_zunger") == log_of(in_stages.results / "1_zunger")
    other = (in_stages.inputs / "NN_config.par").read_text().replace("0.01", "0.02")
    with pytest.raises(ResultsError, match=r"handed_over.npz belongs to another run:\n.*lr"):
        run(bundle_samples.write(tmp_path / "o", NN_config=other, **START), results, resume=True)
    assert contents(results) == before
    assert {name for name in names(results) if not of_run(name)} == {"1_zunger"}
    assert all(map(of_run, names(results / "1_zunger")))
    for name in ("handed_over.npz", "training_checkpoint.npz"):
        (results / "1_zunger" / name).unlink()
    with pytest.raises(ResultsError, match="no complete stage"):
        run(in_stages.inputs, results, resume=True)


def test_old_folders_are_told(in_stages, inputs, no_figures):
    run(inputs(ZERO), in_stages.results, overwrite=True)
    assert "1 files and folders in" in log_of(in_stages.results)
    assert "older than this run: 1_zunger/\n" in log_of(in_stages.results)


@pytest.mark.exhaustive
def test_least_squares_after_monte_carlo_and_two_kills(inputs, tmp_path, monkeypatch, no_figures):
    monkeypatch.setattr(stage, "_STEPS_PER_CHUNK", 10)
    folder = inputs(LEAST_SQUARES + MONTE_CARLO + ZERO + "stages = monte_carlo zunger\n")
    run(folder, tmp_path / "whole")
    parts, first = tmp_path / "parts", tmp_path / "parts" / "1_monte_carlo"
    for module, name, resume in ((Chain, "advance", False), (training, "_log_line", True)):
        with monkeypatch.context() as patch:
            dies_after(patch, module, name)
            with pytest.raises(KeyboardInterrupt):
                run(folder, parts, resume=resume)
    assert "resumed after step 10" in log_of(first)
    written = (first / "run.log").stat().st_mtime_ns
    run(folder, parts, resume=True)
    assert (first / "run.log").stat().st_mtime_ns == written
    assert contents(first) == contents(tmp_path / "whole" / "1_monte_carlo")
    assert contents(parts) == contents(tmp_path / "whole")
    begun = np.loadtxt(parts / "initZunger_ZnParams.par")
    assert (begun == np.loadtxt(first / "final_ZnParams.par")).all()
    assert "coefficients of the stage before" in log_of(parts)
    assert "taken over from" in (parts / "run_interrupted.log").read_text()


def planned(folder: Path, config: str, **changes):
    bundle = read_bundle(make_inputs(folder / "inputs", config, **changes))
    return bundle, stages_of(bundle, ResultsFolder(folder / "results"))


@pytest.mark.parametrize(
    ("model", "words", "fitted", "modes"),
    [
        (NETWORK + FIT, "zunger network", "ZN", "gg"),
        (ZERO, "monte_carlo zunger", "ZZ", "mg"),
        (NETWORK + FIT, "monte_carlo zunger network", "ZZN", "mgg"),
        (NETWORK + FIT, "zunger monte_carlo network", "ZNN", "gmg"),
        (NETWORK + FIT, "zunger monte_carlo zunger network", "ZZZN", "gmgg"),
        (NETWORK, "network monte_carlo", "NN", "gm"),
        (NETWORK + FIT, "zunger monte_carlo", "ZN", "gm"),
        (ZERO, "zunger monte_carlo", "ZZ", "gm"),
        (NETWORK, "network", "N", "g"),
    ],
)
def test_what_every_stage_fits_and_how(tmp_path, model, words, fitted, modes):
    _, stages = planned(tmp_path, f"{model}{TRAINING}{MONTE_CARLO}stages = {words}\n")
    plans = [each.plan for each in stages]
    local = "".join("Z" if plan.settings.trains_coefficients else "N" for plan in plans)
    assert (local, "".join(plan.mode[0] for plan in plans)) == (fitted, modes)
    folders = [each.folder.path.name for each in stages]
    expected = [f"{i}_{word}" for i, word in enumerate(words.split(), 1)]
    assert folders == [*expected[:-1], "results"]
    assert not (tmp_path / "results").exists()


def test_only_monte_carlo_is_no_training(tmp_path):
    bundle, (only,) = planned(tmp_path, ZERO + MONTE_CARLO + "stages = monte_carlo\n")
    assert only.plan.mode == "monte_carlo" and only.folder.path.name == "results"
    assert only.title == "Stage 1 of 1: monte_carlo" and bundle.settings.fits


def test_weights_go_on_as_they_are(tmp_path, in_stages):
    words = "stages = network monte_carlo network\n"
    config = NETWORK + FIT + TRAINING + MONTE_CARLO + "force_retrain = 1\n" + words
    make_inputs(tmp_path / "inputs", config)
    source = in_stages.by_hand / "network" / "final_PPmodel.pth"
    shutil.copyfile(source, tmp_path / "inputs" / "init_PPmodel.pth")
    _, stages = planned(tmp_path, config)
    assert [each.plan.initial_fit for each in stages] == ["zunger", None, None]
    weights = read_state_dict(source)
    rows = np.full((2, 9), 0.5)
    plan = stages[1].after(Outcome(rows, weights)).plan
    assert plan.start == "checkpoint" and plan.handed_over.keys() == {"coefficients", "weights"}
    assert plan.bundle.model_state is weights and plan.bundle.coefficients is rows


def test_without_coefficients_there_are_none_later_unless_they_came(tmp_path):
    config = NETWORK + TRAINING + MONTE_CARLO + "stages = network monte_carlo\n"
    absent = dict.fromkeys(START)
    _, (_, last) = planned(tmp_path, config, **absent)
    rows = np.zeros((2, 9))
    assert last.after(Outcome(rows, {})).plan.bundle.coefficients is None
    rows[0, 5] = 0.1
    assert last.after(Outcome(rows, {})).plan.bundle.coefficients is rows


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ZERO + TRAINING + "stages = zungr\n", "bad value of stages; found 'zungr'; legal: words"),
        (ZERO + TRAINING + "stages = zunger zunger\n", "zunger twice in a row"),
        (ZERO + TRAINING + "stages = zunger network\n", "ZeroFunction is no network"),
        (NETWORK + TRAINING + "stages = zunger\n", "nothing fits PPmodel = Net_celu"),
        (NETWORK + TRAINING + "stages = network zunger network\n", "cannot start from a network"),
        (NETWORK + TRAINING + "stages = zunger network\n", "needs init_Zunger_num_epochs > 0"),
        (ZERO + "stages = zunger\n", "stages = zunger needs max_num_epochs > 0"),
        (ZERO + TRAINING.replace("optimizer_lr", "#") + "stages = zunger\n", "key optimizer_lr"),
        (ZERO + MONTE_CARLO + TRAINING + "stages = monte_carlo\n", "which trains nothing"),
        (ZERO + TRAINING + "stages = zunger monte_carlo\n", "monte_carlo needs the key mc_iter"),
        (
            ZERO + TRAINING + MONTE_CARLO + "mc_bool = 1\nstages = monte_carlo zunger\n",
            "mc_bool = 1 together with stages = monte_carlo zunger",
        ),
        (
            NETWORK + TRAINING + MONTE_CARLO + "mc_replicas = 3\nstages = monte_carlo network\n",
            "mc_replicas = 3 needs the key mc_betas",
        ),
    ],
)
def test_mistakes_in_the_chain_are_told_with_their_line(inputs, tmp_path, config, message):
    folder = inputs(config)
    with pytest.raises(BundleError) as error:
        run(folder, tmp_path / "results")
    problems = [str(p) for p in error.value.problems if message in str(p)]
    assert len(problems) == 1 and problems[0].startswith("NN_config.par:")
    assert not (tmp_path / "results").exists()


def test_a_missing_model_is_told_as_such(inputs):
    with pytest.raises(BundleError) as error:
        read_bundle(inputs(TRAINING + "stages = zunger network\n"))
    found = [str(problem) for problem in error.value.problems]
    assert any("the key PPmodel is missing" in text for text in found)
    assert not any("None" in text for text in found)


@pytest.mark.parametrize(
    ("words", "changes", "message"),
    [
        ("zunger network", dict.fromkeys(START), "init_ZnParams.par: is missing, but stages = z"),
        ("zunger", {"expBandStruct_0": None}, "is missing, but stages = zunger"),
        ("zunger network", {"init_qSpace_pot": "0 1 1\n9 1 1\n"}, "zunger network hands a curve"),
    ],
)
def test_files_that_are_missing_or_in_the_way(inputs, words, changes, message):
    model = NETWORK + FIT if "network" in words else ZERO
    with pytest.raises(BundleError, match=message):
        read_bundle(inputs(f"{model}{TRAINING}stages = {words}\n", **changes))


def test_weights_in_the_way_of_a_curve(inputs, in_stages, tmp_path):
    config = NETWORK + FIT + TRAINING + "stages = zunger network\n"
    folder = inputs(config)
    for kind in ("PPmodel", "AdamState"):
        source = in_stages.by_hand / "network" / f"final_{kind}.pth"
        shutil.copyfile(source, folder / f"init_{kind}.pth")
    with pytest.raises(BundleError, match=r"init_PPmodel\.pth: would start .* force_retrain = 1"):
        read_bundle(folder)
    bundle = read_bundle(inputs(config + "force_retrain = 1\n"))
    stages = stages_of(bundle, ResultsFolder(tmp_path / "results"))
    assert stages[1].plan.initial_fit == "zunger" and stages[1].plan.start == "checkpoint"
    assert any("init_AdamState.pth is not used" in note for note in bundle.notes)


def test_what_does_not_fit_a_later_stage_is_found_at_once(inputs, tmp_path, in_stages):
    config = NETWORK + FIT + TRAINING + "force_retrain = 1\nstages = zunger network\n"
    folder = inputs(config.replace("hiddenLayers = 4", "hiddenLayers = 5"))
    source = in_stages.by_hand / "network" / "final_PPmodel.pth"
    shutil.copyfile(source, folder / "init_PPmodel.pth")
    with pytest.raises(ValueError, match=r"hidden_l\.0\.weight has shape"):
        run(folder, tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_a_key_is_idle_where_no_stage_needs_it(tmp_path):
    config = NETWORK + FIT + TRAINING + MONTE_CARLO + "mc_swap_every = 5\nprior_width = 100\n"
    _, stages = planned(tmp_path, config + "stages = monte_carlo zunger network\n")
    found = " ".join(remarks(*(each.plan for each in stages)))
    for key in ("hiddenLayers", "init_Zunger", "optimizer_lr", "mc_iter", "prior_width", "stages"):
        assert key not in found
    assert (
        "no effect of mc_swap_every: stage 1: mc_replicas is 1; stage 2: there is no Monte Carlo "
        "fit; stage 3: there is no Monte Carlo fit."
    ) in found


def test_an_evaluation_has_no_stages(inputs, tmp_path, in_stages, no_figures):
    folder = inputs(NETWORK + FIT + TRAINING + "stages = zunger network\n")
    source = in_stages.by_hand / "network" / "final_PPmodel.pth"
    shutil.copyfile(source, folder / "init_PPmodel.pth")
    evaluate(folder, tmp_path / "results")
    log = (tmp_path / "results" / "eval.log").read_text()
    assert "stages left out" in log and "Stage" not in log


def test_masses_of_any_stage_keep_their_k_points(inputs):
    keys = bundle_samples.GOOD["input_0.par"] + "fit_eff_masses = 1\n"
    points = "".join(f"0 0 {k / 10} 1\n" for k in range(2))
    config = ZERO + TRAINING + MONTE_CARLO + "validation_k = 2\n"
    told = []
    for words in ("monte_carlo zunger", "monte_carlo"):
        text = config.replace("max_num_epochs = 3\n", "") if words == "monte_carlo" else config
        folder = inputs(f"{text}stages = {words}\n", input_0=keys, kpoints_0=points)
        told.append(any("spares k-point 1" in note for note in read_bundle(folder).notes))
    assert told == [True, False]
