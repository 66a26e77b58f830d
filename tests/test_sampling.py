"""Monte Carlo runs on a small bundle: files, restart to the last bit, refusals before anything."""

from pathlib import Path

import bundle_samples
import numpy as np
import pytest
from numpy.testing import assert_allclose
from same_files import assert_same_file
from samples import cost_and_gradient

from deeppseudopot_jax import build_problem, initial_params
from deeppseudopot_jax.costs.choice import monte_carlo_cost
from deeppseudopot_jax.costs.masses import mass_errors
from deeppseudopot_jax.errors import ResultsError
from deeppseudopot_jax.files.bundle import BundleError, read_bundle
from deeppseudopot_jax.montecarlo.chain import Chain
from deeppseudopot_jax.observables import evaluation
from deeppseudopot_jax.observables.bands import energies
from deeppseudopot_jax.observables.couplings import couplings
from deeppseudopot_jax.observables.deformation import deformation_potentials, deformation_rows
from deeppseudopot_jax.run.file_names import frames
from deeppseudopot_jax.run.outputs import Outputs
from deeppseudopot_jax.run.stages.sampling import stage
from deeppseudopot_jax.run.stages.sampling.files import ChainFiles
from deeppseudopot_jax.run.workflows import run

GRIDS = "nSystem = 1\nnQGrid = 64\nnRGrid = 32\n"
MONTE_CARLO = "mc_bool = 1\nmc_iter = 30\nmc_percentage = 0.02\nmc_beta = 50\n"
ZERO = GRIDS + MONTE_CARLO + "PPmodel = ZeroFunction\n"
NETWORK = GRIDS + MONTE_CARLO + "PPmodel = Net_celu_HeInit\nhiddenLayers = 4\n"
TEMPERED = "mc_replicas = 3\nmc_betas = 50 5\nmc_swap_every = 5\nmc_delayed_acceptance = 1\n"
MOVED = {4: [True, True], 5: [True, True], 6: [True, False], 7: [False, True]}
"""By mc_perturb_mode: whether a5, and whether a6 and a7 move."""
OPTIONS = "betas = 100 1\nstepsAtTemp = 4 3\ntempStepSizeMod = 1 0.5\ntotalIter = 30\n"
COEFFICIENTS = "5\n2\n3\n0.4\n0\n0.3\n0.1\n0.2\n0.1\n"
START = {"init_ZnParams": COEFFICIENTS, "init_SParams": COEFFICIENTS}


def make_inputs(folder: Path, config: str, **changes: str | None) -> Path:
    """The small bundle with the given NN_config.par."""
    return bundle_samples.write(folder, NN_config=config, **(START | changes))


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch):
    """Several chunks, and files after each of them, in a run of seconds."""
    monkeypatch.setattr(stage, "_STEPS_PER_CHUNK", 10)
    for name in ("_SECONDS_BETWEEN_ROWS", "_SECONDS_BETWEEN_CHECKPOINTS"):
        monkeypatch.setattr(stage, name, -1.0)
    monkeypatch.setattr(evaluation, "_FIRST_CHECKS", (10, 20))


@pytest.fixture
def no_figures(monkeypatch):
    """They take longer than the steps."""
    monkeypatch.setattr(Outputs, "save", lambda *_: None)


def dies_in_chunk(monkeypatch, number: int) -> None:
    """Lets a run end like a killed one: nothing is saved after the first chunk."""
    advance, save, calls = Chain.advance, ChainFiles.save, []

    def dying(self, running, n_steps):
        calls.append(n_steps)
        if len(calls) == number:
            raise KeyboardInterrupt
        return advance(self, running, n_steps)

    def saved_once(self, running):
        if len(calls) == 1:
            save(self, running)

    monkeypatch.setattr(Chain, "advance", dying)
    monkeypatch.setattr(ChainFiles, "save", saved_once)


def contents(folder: Path) -> dict[str, bytes]:
    """All that a run computes; figures and logs carry dates."""
    files = (file for file in folder.iterdir() if file.suffix in (".dat", ".par", ".pth"))
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.parametrize(
    ("config", "files"),
    [
        pytest.param(
            ZERO + "SObool = 1\n",
            {"mcOpts1": OPTIONS},
            id="alternating, spin-orbit",
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(ZERO, {"mcOpts1": OPTIONS}, id="alternating"),
        pytest.param(ZERO + TEMPERED, {}, id="tempered"),
        pytest.param(
            NETWORK + TEMPERED + "plotEvery = 10\nmovie = 0\n",
            {},
            id="network",
            marks=pytest.mark.exhaustive,
        ),
    ],
)
def test_a_run_that_was_killed_goes_on_bit_by_bit(tmp_path, monkeypatch, no_figures, config, files):
    inputs = make_inputs(tmp_path / "inputs", config, **files)
    run(inputs, tmp_path / "whole")
    with monkeypatch.context() as patch:
        dies_in_chunk(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            run(inputs, tmp_path / "parts")
    assert len(np.loadtxt(tmp_path / "parts" / "final_mc_cost.dat")) == 21
    run(inputs, tmp_path / "parts", resume=True)
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    found = frames(tmp_path / "parts")
    written = [f"mc_iter_{n}" for n in (10, 20, 30)] if "plotEvery" in config else []
    assert found == ["initZunger", *written]
    log = (tmp_path / "parts" / "run.log").read_text()
    assert "resumed after step 10" in log
    assert ("eV^2 (mean squares of " in log) == ("ZeroFunction" in config)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Inputs and results of a network that was tempered."""
    folder = tmp_path_factory.mktemp("network")
    inputs = make_inputs(folder / "inputs", NETWORK + TEMPERED)
    run(inputs, folder / "results")
    return inputs, folder / "results"


def test_the_files_of_a_tempered_network(network):
    _, results = network
    expected = {
        "final_mc_cost.dat", "final_mc_cost.png", "final_mc_replicas.dat", "iterations.dat",
        "final_mc_replicas.png", "mc_checkpoint.npz", "best_PPmodel.pth", "best_ZnParams.dat",
        "best_pot_S.dat", "best_plotBS.png", "best_plotPP.png", "final_PPmodel.pth",
    }  # fmt: skip
    assert expected <= {file.name for file in results.iterdir()}
    costs = np.loadtxt(results / "final_mc_cost.dat")
    number, new, accepted, best, current, bands = costs.T
    assert_allclose(bands, current, rtol=1e-9)  # the only term of this cost
    np.testing.assert_array_equal(number, np.arange(31))
    assert (np.diff(best) <= 0).all() and (best <= np.fmin(new, current) + 1e-9).all()
    assert (new[accepted == 1] == current[accepted == 1]).all()
    walks = np.loadtxt(results / "final_mc_replicas.dat")
    np.testing.assert_array_equal(walks[:, 0], np.arange(0, 31, 5))
    np.testing.assert_array_equal(np.sort(walks[:, 1:4], axis=1), [[0, 1, 2]] * 7)
    samples = np.loadtxt(results / "iterations.dat")
    assert samples.shape == (4, 3 + 2 * 5)
    assert_allclose(samples[:, 1], current[::10])
    log = (results / "run.log").read_text()
    assert "delayed acceptance saved" in log and "% of swaps with the next" in log


def test_the_best_potential_starts_gradient_training(network, tmp_path, no_figures):
    _, results = network
    lowest = np.loadtxt(results / "final_mc_cost.dat")[-1, 3]
    config = (
        NETWORK.replace("mc_bool = 1", "mc_bool = 0") + "max_num_epochs = 1\noptimizer_lr = 1e-4\n"
        "plotEvery = 5\nschedulerStep = 5\nscheduler_gamma = 0.9\n"
    )
    start = {f"init_{atom}Params": (results / f"best_{atom}Params.dat").read_text()
             for atom in ("Zn", "S")}  # fmt: skip
    make_inputs(tmp_path / "inputs", config, **start)
    state = (results / "best_PPmodel.pth").read_bytes()
    (tmp_path / "inputs" / "init_PPmodel.pth").write_bytes(state)
    run(tmp_path / "inputs", tmp_path / "results")
    costs = np.loadtxt(tmp_path / "results" / "final_training_cost.dat")
    assert costs[0, 1] == pytest.approx(lowest, rel=1e-6)


def test_a_finished_run_can_be_made_longer(network, tmp_path, no_figures):
    inputs, _ = network
    config = (inputs / "NN_config.par").read_text()
    run(make_inputs(tmp_path / "inputs", config.replace("mc_iter = 30", "mc_iter = 10")),
        tmp_path / "results")  # fmt: skip
    make_inputs(tmp_path / "inputs", config)
    run(tmp_path / "inputs", tmp_path / "results", resume=True)
    assert contents(tmp_path / "results") == contents(network[1])


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        (NETWORK + TEMPERED.replace("50 5", "50 2"), {}, "mc_betas"),
        (NETWORK + TEMPERED.replace("mc_replicas = 3", "mc_replicas = 2"), {}, "mc_replicas"),
        (NETWORK + TEMPERED, {"bandWeights_0": "1\n1\n1\n1\n"}, "systems 0 band weights: 'float"),
        (
            (NETWORK + TEMPERED).replace("mc_iter = 30", "mc_iter = 20"),
            {},
            r"of 30 steps, mc_iter = 20: legal is 30 or more",
        ),
    ],
)
def test_the_checkpoint_of_another_run_is_refused(network, tmp_path, config, changes, message):
    results = tmp_path / "results"
    results.mkdir()
    for file in network[1].iterdir():
        (results / file.name).write_bytes(file.read_bytes())
    make_inputs(tmp_path / "inputs", config, **changes)
    with pytest.raises(ResultsError, match=message):
        run(tmp_path / "inputs", results, resume=True)
    assert (results / "mc_checkpoint.npz").read_bytes() == (
        network[1] / "mc_checkpoint.npz"
    ).read_bytes()


def test_nothing_to_resume_from(network, tmp_path):
    inputs, _ = network
    with pytest.raises(ResultsError, match=r"has no mc_checkpoint\.npz to resume from"):
        run(inputs, tmp_path / "results", resume=True)
    assert not (tmp_path / "results").exists()
    other = make_inputs(tmp_path / "inputs", GRIDS + "PPmodel = ZeroFunction\n")
    with pytest.raises(ResultsError, match="--resume is for runs that train, sample"):
        run(other, tmp_path / "results", resume=True)


@pytest.mark.parametrize(
    ("config", "files", "message"),
    [
        (ZERO.replace("mc_beta = 50", "mc_beta = 0"), {}, "mc_beta"),
        (ZERO + "mc_replicas = 0\n", {}, "mc_replicas"),
        (ZERO + TEMPERED.replace("50 5", "50 0"), {}, "mc_betas"),
        (ZERO, {"ZnParamSteps": "1\n" * 9}, "SParamSteps.par"),
        (ZERO, {"ZnParamSteps": "1\n" * 9, "SParamSteps": "1\n" * 3}, "SParamSteps.par"),
        (ZERO, {"mcOpts1": OPTIONS.replace("betas = 100 1", "betas = 100 -1")}, "betas"),
        (ZERO, {"mcOpts1": OPTIONS.replace("stepsAtTemp = 4 3", "stepsAtTemp =")}, "stepsAtTemp"),
        (ZERO + "mc_beta_schedule = betas.par\n", {"betas": "# iteration beta\n"}, "betas.par"),
        (ZERO, {"mcOpts1": OPTIONS + "fitDefPot = True\n"}, "expDefPot_X.par"),
        (ZERO, {"expBandStruct_0": None}, "expBandStruct_0.par"),
        (ZERO + TEMPERED.replace("every = 5", "every = 7"), {}, "mc_iter = 30 is no multiple"),
        (ZERO, {"ZnParamSteps": "0\n" * 9, "SParamSteps": "0\n" * 9}, "nothing would move"),
        (
            ZERO,
            {"mcOpts1": OPTIONS + "fitEffMass = True\n", "input_0": "nBands = 4\nmaxKE = 5\n"},
            "fitEffMass = True needs idxVB",
        ),
    ],
)
def test_bad_options_end_the_run_before_anything(tmp_path, config, files, message):
    inputs = make_inputs(tmp_path / "inputs", config, **files)
    with pytest.raises((BundleError, ValueError), match=message):
        run(inputs, tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_a_missed_level_is_found_and_told(network, tmp_path, monkeypatch, no_figures):
    """Costs that lack a level count no more: the chain is that of a run that has missed none."""
    looked_after = Chain.looked_after

    def after_a_miss(self, running, turn):
        replicas, best = running.state.replicas, running.state.best
        wrong = running.state._replace(
            replicas=replicas._replace(cost=2.0 * replicas.cost),
            best=best._replace(cost=0.0 * best.cost),
        )
        return looked_after(self, running._replace(state=wrong), turn)

    monkeypatch.setattr(Chain, "looked_after", after_a_miss)
    monkeypatch.setattr(evaluation, "largest_deviation", lambda *_: 1.0)
    inputs, expected = network
    run(inputs, tmp_path / "found")
    assert "a spot check missed a level" in (tmp_path / "found" / "run.log").read_text()
    for name in ("final_mc_cost.dat", "final_mc_replicas.dat", "iterations.dat"):
        assert_same_file(expected / name, tmp_path / "found" / name)
    assert_same_file(expected / "best_PPmodel.pth", tmp_path / "found" / "best_PPmodel.pth")


@pytest.mark.parametrize(
    "mode", [5, *(pytest.param(mode, marks=pytest.mark.exhaustive) for mode in (4, 6, 7))]
)
def test_the_files_of_a_network_have_the_coefficients_that_moved(tmp_path, no_figures, mode):
    """SObool = 1 without coefficient files: what the files say has the lowest cost of the run."""
    config = (NETWORK + f"SObool = 1\nmc_perturb_mode = {mode}\n").replace("= 0.02", "= 2")
    results = tmp_path / "results"
    run(make_inputs(tmp_path / "inputs", config, **dict.fromkeys(START)), results)
    lowest = np.loadtxt(results / "final_mc_cost.dat")[-1, 3]
    for prefix, suffix in (("best", "dat"), ("final", "par")):
        names = {atom: results / f"{prefix}_{atom}Params.{suffix}" for atom in ("Zn", "S")}
        found = {f"init_{atom}Params": name.read_text() for atom, name in names.items()}
        again = make_inputs(tmp_path / prefix, config, **found)
        weights = (results / f"{prefix}_PPmodel.pth").read_bytes()
        (again / "init_PPmodel.pth").write_bytes(weights)
        bundle = read_bundle(again)
        problem = build_problem(bundle)
        params = initial_params(bundle, problem)
        assert [bool(params[name].any()) for name in ("spin_orbit", "nonlocal")] == MOVED[mode]
        assert float(cost_and_gradient(problem, params)[0]) == pytest.approx(lowest, rel=1e-6)


@pytest.mark.exhaustive
def test_every_observable_can_be_in_the_cost(tmp_path, no_figures):
    options = OPTIONS.replace("totalIter = 30", "totalIter = 2") + (
        "fitDefPot = True\ndefPotWeight = 0.5\nfitCoupling = True\nfitEffMass = True\n"
    )
    inputs = make_inputs(
        tmp_path / "inputs",
        ZERO + "strainBool = 1\n",
        mcOpts1=options,
        mcOpts2=OPTIONS.replace("totalIter = 30", "totalIter = 2"),
        expDefPot_0="-3\n-8\n",
        expCoupling_0=bundle_samples.COUPLINGS,
        qpoints_0="0.5 0 0 1\n0 0 0 1\n",
    )
    run(inputs, tmp_path / "results")
    start = np.loadtxt(tmp_path / "results" / "mcOpts1_final_mc_cost.dat")[0, 4]
    bundle = read_bundle(inputs)
    problem = build_problem(bundle)
    params = initial_params(bundle, problem)
    (system,) = bundle.systems
    bands = energies(problem, params)
    errors = system.reference_energies - np.asarray(bands[0])
    expected = np.mean(system.k_weights[:, None] * system.band_weights * errors**2)
    rows = deformation_rows(system)
    found = deformation_potentials(problem, params, 0, rows)
    expected += 0.5 * np.sum((np.asarray(found) - [-3.0, -8.0]) ** 2)
    cost = monte_carlo_cost(bundle, bundle.monte_carlo_options[0], problem)
    (fit,) = cost.terms[-1].fits
    differences = np.asarray(couplings(problem, params, fit.tables) - fit.values)
    expected += np.mean(differences[np.asarray(fit.given)] ** 2)
    (masses,) = mass_errors(bundle, problem, [0]).fits
    expected += np.sum(np.asarray(masses.found(bands[0]) - masses.masses) ** 2)
    assert start == pytest.approx(float(expected), rel=1e-6)
    second = np.loadtxt(tmp_path / "results" / "mcOpts2_final_mc_cost.dat")
    assert np.isfinite(second).all() and len(second) == 3
