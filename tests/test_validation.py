"""What is held out of a fit: that the fit never sees it, and that it is told beside the fit."""

from dataclasses import replace
from pathlib import Path

import bundle_samples
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bundle_samples import GOOD
from numpy.testing import assert_allclose, assert_array_equal
from samples import TRAINING, bands, bundle_of, random_system, square, states_of

from deeppseudopot_jax import build_problem, initial_params, read_bundle
from deeppseudopot_jax.costs.bands import (
    BandErrors,
    held_out_cost,
    mean_band_residuals,
    mean_gap_residuals,
)
from deeppseudopot_jax.costs.choice import Asked, asked_by_inputs, asked_by_options, training_cost
from deeppseudopot_jax.costs.couplings import per_k_point
from deeppseudopot_jax.costs.interface import Evaluated
from deeppseudopot_jax.eigensolvers.dense import dense
from deeppseudopot_jax.files.results import figures
from deeppseudopot_jax.files.results.figures import band_figure
from deeppseudopot_jax.observables.band_errors import rms_error
from deeppseudopot_jax.run.checks.idle import remarks
from deeppseudopot_jax.run.checks.plan import plan_of
from deeppseudopot_jax.run.outputs import band_plot
from deeppseudopot_jax.run.workflows import run
from deeppseudopot_jax.training.descent import differentiated
from deeppseudopot_jax.training.loop import train
from deeppseudopot_jax.training.trainable import split
from deeppseudopot_jax.types import MonteCarloOptions, SystemInput

EVERY_SECOND = np.array([False, True, False, True])
PENALTIES = {
    "tail_start": 1.0, "tail_strength": 5.0, "magnitude_threshold": 0.1, "magnitude_strength": 7.0
}  # fmt: skip
OPTIONS = MonteCarloOptions("mcOpts1.par", (1.0, 2.0), (1, 1), (1.0, 1.0), 5, fit_masses=True)


def three_systems() -> list[SystemInput]:
    """One that is fitted, one of whose k-points half are held out, one that is held out."""
    rng = np.random.default_rng(5)
    return [
        random_system(rng, n_k=2),
        random_system(rng, ("Ga", "As"), n_k=4, n_bands=4, relative_band=2, held_out=EVERY_SECOND),
        random_system(rng, ("Ga",), n_k=3, n_bands=4, held_out=np.ones(3, bool)),
    ]


def changed_references(systems: list[SystemInput], where: str) -> list[SystemInput]:
    """The same with other reference energies at the k-points that are `fitted` or `held out`."""

    def shifted(system: SystemInput) -> SystemInput:
        chosen = system.is_fitted if where == "fitted" else ~system.is_fitted
        reference = np.where(chosen[:, None], 3.0 * system.reference_energies, 0.0)
        kept = np.where(chosen[:, None], 0.0, system.reference_energies)
        return replace(system, reference_energies=reference + kept)

    return [shifted(system) for system in systems]


def only_fitted(system: SystemInput) -> SystemInput:
    """What is left where held-out k-points were never in the bundle."""
    chosen, reference = system.is_fitted, system.reference_energies
    return replace(
        system,
        k_points=system.k_points[chosen],
        k_weights=system.k_weights[chosen],
        reference_energies=reference[chosen],
        held_out=None,
    )


def ready(*systems: SystemInput, **settings: object) -> tuple:
    bundle = bundle_of(np.random.default_rng(0), *systems, **settings)
    problem = build_problem(bundle, solver=dense)
    return bundle, problem, initial_params(bundle, problem)


def cost_and_slopes(*systems: SystemInput, **settings: object) -> tuple:
    """Cost, its gradient in the coefficients, and the held-out cost."""
    bundle, problem, params = ready(*systems, **settings)
    parts = split(params, ("local", "spin_orbit"))
    states = states_of(problem, params)
    cost, _, gradient, _, held_out = differentiated(
        training_cost(bundle, problem), problem, parts.frozen, parts.trainable, states
    )
    return float(cost), jax.tree.map(np.asarray, gradient), float(held_out)


def test_cost_and_gradient_never_see_what_is_held_out():
    cost, gradient, held_out = cost_and_slopes(*three_systems())
    same_cost, same_gradient, other = cost_and_slopes(
        *changed_references(three_systems(), "held out")
    )
    assert same_cost == cost and other != held_out
    jax.tree.map(assert_array_equal, same_gradient, gradient)
    other_cost, other_gradient, same = cost_and_slopes(
        *changed_references(three_systems(), "fitted")
    )
    assert same == held_out and other_cost != cost
    assert np.abs(other_gradient["local"] - gradient["local"]).max() > 1e-3


def test_the_cost_is_that_of_a_bundle_without_the_held_out_points():
    systems = three_systems()
    cost, gradient, _ = cost_and_slopes(*systems, **PENALTIES)
    expected, slopes, nothing = cost_and_slopes(systems[0], only_fitted(systems[1]), **PENALTIES)
    assert cost == pytest.approx(expected, rel=1e-12) and nothing == 0.0
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-9, atol=1e-12), gradient, slopes)
    given = np.ones(3, bool)
    assert [per_k_point(system, given) for system in systems] == [2.0, 2.0, 0.0]


def literal_held_out_cost(systems: list[SystemInput], found: list[np.ndarray]) -> float:
    """The sum over held-out levels by loops."""
    total = 0.0
    for system, energies in zip(systems, found, strict=True):
        for k in np.flatnonzero(~system.is_fitted):
            for n in range(system.n_bands):
                error = energies[k, n] - system.reference_energies[k, n]
                if system.relative_band is not None:
                    n_0 = system.relative_band
                    error -= energies[k, n_0] - system.reference_energies[k, n_0]
                total += system.k_weights[k] * system.band_weights[n] * error**2
    return total


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_held_out_cost_is_the_literal_sum(precision):
    systems = three_systems()
    bundle = bundle_of(np.random.default_rng(0), *systems)
    problem = build_problem(bundle, precision=precision, solver=dense)
    found = bands(problem, initial_params(bundle, problem))
    expected = literal_held_out_cost(systems, [np.asarray(energies) for energies in found])
    total = held_out_cost(problem, found)
    assert problem.holds_out and total.dtype == problem.dtype
    assert float(total) == pytest.approx(expected, rel=1e-11 if precision == "float64" else 1e-4)


def test_without_held_out_levels_nothing_is_different():
    system = replace(three_systems()[1], held_out=np.zeros(4, bool))
    bundle, problem, params = ready(system, **TRAINING)
    assert not problem.holds_out and problem.targets[0].held_out_weights is None
    assert float(held_out_cost(problem, bands(problem, params))) == 0.0
    (epoch,) = train(problem, params, bundle.settings)
    assert epoch.held_out is None and epoch.judged == epoch.cost


def test_means_of_monte_carlo_are_those_of_the_fitted_levels():
    systems = three_systems()
    _, problem, params = ready(*systems)
    _, only, _ = ready(systems[0], only_fitted(systems[1]))
    found = bands(problem, params)
    fitted = [found[0], found[1][~EVERY_SECOND]]
    for measure in (mean_band_residuals, mean_gap_residuals):
        term = BandErrors(measure)
        expected = float(square(term, only, params, fitted))
        assert expected > 0.0
        assert float(square(term, problem, params, found)) == pytest.approx(expected, rel=1e-12)


def misled_training(**settings: object) -> list:
    """A training whose held-out energies are those of the start: every step leads away."""
    rng = np.random.default_rng(1)
    system = random_system(rng, n_k=3, n_bands=4)
    _, problem, params = ready(system)
    reference = system.reference_energies.copy()
    reference[1] = np.asarray(bands(problem, params)[0])[1] + 1e-3
    held_out = np.array([False, True, False])
    system = replace(system, reference_energies=reference, held_out=held_out)
    bundle, problem, params = ready(system, **(TRAINING | settings))
    return list(train(problem, params, bundle.settings)), problem


def test_patience_and_the_best_epoch_go_by_the_held_out_cost():
    epochs, problem = misled_training(max_epochs=30, patience=3)
    best = min(epochs, key=lambda epoch: epoch.held_out).number
    assert epochs[-1].number == best + 3 < 30
    assert epochs[-1].stopped == "no lower held-out cost within patience"
    assert epochs[-1].cost < epochs[best].cost  # the cost alone would have gone on
    for epoch in epochs:
        expected = float(held_out_cost(problem, bands(problem, epoch.params)))
        assert epoch.judged == epoch.held_out == pytest.approx(expected, rel=1e-6)


def test_terms_beside_the_bands_are_those_of_fitted_systems():
    keys = {
        "fit_masses": True, "fit_deformation": True, "fit_couplings": True,
        "gap_k_point": 0, "valence_band": 1, "conduction_band": 2,
    }  # fmt: skip
    systems = [replace(system, **keys) for system in three_systems()]
    bundle = bundle_of(np.random.default_rng(0), *systems)
    assert asked_by_inputs(bundle) == Asked((0, 1), (0, 1), (0, 1))
    everything = replace(OPTIONS, fit_deformation=True, fit_couplings=True)
    assert asked_by_options(bundle, [everything]) == Asked((0, 1), (0, 1), (0, 1))


# ---------------------------------------------------------------- reading

FIT = "PPmodel = ZeroFunction\nnSystem = {}\nmax_num_epochs = 2\noptimizer_lr = 0.01\n"
FIT += "plotEvery = 2\nschedulerStep = 2\nscheduler_gamma = 0.5\n"  # 7 lines: the rest from line 8
K_POINTS = "0 0 0 1\n0.1 0.2 0 2\n0.2 0.2 0 1\n0.3 0.1 0 1\n"
REFERENCE = "0 -1 0 2 3\n0.1 -2 -1 3 4\n0.2 -2 -1 3 4.5\n0.3 -2 -1 3 5\n"


def files(n_systems: int = 3, **changes: str | None) -> dict:
    """Several systems of four k-points, ZnS all of them, in the form of `bundle_samples`."""
    found: dict = {}
    for index in range(n_systems):
        for name, text in GOOD.items():
            if name.endswith("_0.par"):
                found[name.replace("_0.par", f"_{index}")] = text
        found[f"kpoints_{index}"] = K_POINTS
        found[f"expBandStruct_{index}"] = REFERENCE
        found[f"input_{index}"] = GOOD["input_0.par"] + f"systemName = ZnS{index}\n"
    return found | changes


def problems(folder: Path, keys: str, n_systems: int = 3, **changes: str | None) -> list[str]:
    config = FIT.format(n_systems) + keys
    return bundle_samples.problems(folder, NN_config=config, **files(n_systems, **changes))


def read(folder: Path, keys: str, n_systems: int = 3, config: str = FIT, **changes: str | None):
    text = config.format(n_systems) + keys
    return bundle_samples.read(folder, NN_config=text, **files(n_systems, **changes))


def test_every_nth_k_point_and_whole_systems_are_held_out(tmp_path):
    bundle = read(tmp_path, "validation_k = 2\nvalidation_systems = 2\n")
    held_out = [system.held_out.tolist() for system in bundle.systems]
    assert held_out == [[False, True, False, True]] * 2 + [[True] * 4]
    weights = bundle.systems[0].level_weights
    assert weights[:, 1].tolist() == [2.0, 0.0, 2.0, 0.0]
    assert bundle.systems[0].held_out_weights[:, 1].tolist() == [0.0, 4.0, 0.0, 2.0]
    assert_array_equal(bundle.systems[2].level_weights, np.zeros((4, 4)))
    assert not [note for note in bundle.notes if "validation" in note]


@pytest.mark.parametrize("value", ["1", "0", "-3", "2.5", "two"])
def test_a_bad_validation_k(tmp_path, value):
    assert problems(tmp_path, f"validation_k = {value}\n") == [
        f"NN_config.par:8: bad value of validation_k; found '{value}'; legal: a whole number >= 2"
    ]


OTHER_SPECIES = {
    "system_2": GOOD["system_0.par"].replace("Zn", "Cd"), "init_CdParams": "1 2 3 4 0",
}  # fmt: skip
NO_WEIGHT = K_POINTS.replace(" 2\n", " 0\n").replace(" 1\n", " 0\n")
LATER_WEIGHT = "0 0 0 0\n0.1 0.2 0 2\n0.2 0.2 0 0\n0.3 0.1 0 1\n"


@pytest.mark.parametrize(
    ("keys", "changes", "expected"),
    [
        (
            "validation_systems = 1 3\n",
            {},
            "validation_systems names a system that is not there; found '1 3'; "
            "legal: 0 to 2 (nSystem = 3)",
        ),
        (
            "validation_systems = 1 1\n",
            {},
            "validation_systems names a system twice; found '1 1'; legal: every system once",
        ),
        (
            "validation_systems = -1\n",
            {},
            "bad value of validation_systems; found '-1'; "
            "legal: whole numbers >= 0, separated by spaces",
        ),
        (
            "validation_systems = 0 1 2\n",
            {},
            "validation_systems leaves nothing to fit; found '0 1 2'; "
            "legal: systems beside others that have weights",
        ),
        (
            "validation_systems = 0 1\n",
            {"kpoints_2": NO_WEIGHT},
            "validation_systems leaves nothing to fit; found '0 1'; "
            "legal: systems beside others that have weights",
        ),
        (
            "validation_k = 2\n",
            {"kpoints_1": LATER_WEIGHT},
            "validation_k leaves nothing of system 1 to fit: the other k-points in kpoints_1.par "
            "have the weight 0; found '2'; legal: a number that leaves a k-point with a weight",
        ),
        (
            "validation_systems = 2\n",
            OTHER_SPECIES,
            "nothing fits Cd of system 2, which is held out; found '2'; "
            "legal: systems of species that others have (S, Zn)",
        ),
        (
            "validation_systems = 1\n",
            {"kpoints_1": NO_WEIGHT},
            "all that is held out has the weight 0, so nothing would be validated; "
            "legal: k-points or systems with weights",
        ),
    ],
)
def test_what_cannot_be_held_out(tmp_path, keys, changes, expected):
    assert problems(tmp_path, keys, **changes) == [f"NN_config.par:8: {expected}"]


def test_a_held_out_system_needs_its_reference(tmp_path):
    assert problems(tmp_path, "validation_systems = 1\n", expBandStruct_1=None) == [
        "expBandStruct_1.par: is missing, but max_num_epochs > 0 needs it"
    ]


def notes_on(folder: Path, keys: str, **options: object) -> list[str]:
    return [note for note in read(folder, keys, **options).notes if "validation" in note]


def test_a_single_k_point_cannot_be_held_out(tmp_path):
    single = {"kpoints_0": "0 0 0 1\n", "expBandStruct_0": "0 -1 0 2 3\n"}
    assert notes_on(tmp_path / "one", "validation_k = 2\n", n_systems=2, **single) == [
        "kpoints_0.par: validation_k = 2 holds none of its 1 k-points out."
    ]
    alone = read(tmp_path / "alone", "validation_k = 2\n", n_systems=1, **single)
    assert not build_problem(alone).holds_out
    assert "no effect of validation_k: no system has a k-point that it could hold out." in remarks(
        plan_of(alone)
    )


def test_the_k_points_of_fitted_masses_are_spared(tmp_path):
    gap = GOOD["input_0.par"].replace("idxGap = 0", "idxGap = 2")
    masses = {"input_0": gap + "fit_eff_masses = 1\n"}
    bundle = read(tmp_path / "inputs", "validation_k = 2\n", n_systems=1, **masses)
    assert bundle.systems[0].held_out.tolist() == [False, False, False, True]
    (note,) = [note for note in bundle.notes if "validation" in note]
    assert note == (
        "kpoints_0.par: validation_k = 2 spares k-point 1 (from 0): the masses that are fitted "
        "are those of the reference energies there."
    )
    monte_carlo = "PPmodel = ZeroFunction\nnSystem = {}\nmc_bool = 1\nmc_iter = 2\n"
    monte_carlo += "mc_percentage = 0.1\nmc_beta = 1\n"
    options = "betas = 1 2\nstepsAtTemp = 1 1\ntempStepSizeMod = 1 1\ntotalIter = 2\n"
    # mcOpts*.par says what the coefficients are fitted to, whatever input_X.par asks for.
    for name, text, spared in (("no", "", 0), ("yes", "fitEffMass = True\n", 1)):
        changes = masses | {"mcOpts1": options + text}
        found = notes_on(
            tmp_path / name, "validation_k = 2\n", n_systems=1, config=monte_carlo, **changes
        )
        assert len(found) == spared


def test_options_of_monte_carlo_need_a_fitted_system(tmp_path):
    monte_carlo = "PPmodel = ZeroFunction\nnSystem = 2\nmc_bool = 1\nmc_iter = 2\n"
    monte_carlo += "mc_percentage = 0.1\nmc_beta = 1\nvalidation_systems = 1\n"
    options = "betas = 1 2\nstepsAtTemp = 1 1\ntempStepSizeMod = 1 1\ntotalIter = 2\n"
    changes = {"mcOpts1": options + "fitDefPot = True\n", "expDefPot_1": "-3\n-8\n"}
    (problem,) = bundle_samples.problems(tmp_path, NN_config=monte_carlo, **files(2, **changes))
    assert problem.startswith("mcOpts1.par: fitDefPot = True needs the file expDefPot_X.par")


def test_keys_without_a_fit_are_idle(tmp_path):
    keys = "validation_k = 2\nvalidation_systems = 1\n"
    idle = FIT.replace("max_num_epochs = 2", "max_num_epochs = 0")
    bundle = read(tmp_path / "initialise", keys, config=idle)
    folder = bundle_samples.write(tmp_path / "eval", NN_config=FIT.format(3) + keys, **files())
    evaluated = read_bundle(folder, purpose="eval")
    for plan in (plan_of(bundle), plan_of(evaluated, purpose="eval")):
        assert all(system.held_out is None for system in plan.bundle.systems)
        assert (
            "no effect of validation_k, validation_systems: nothing is fitted that could be "
            "validated."
        ) in remarks(plan)


def test_keys_of_other_fits_are_idle_in_a_held_out_system(tmp_path):
    fitted = {"input_1": GOOD["input_0.par"] + "fit_eff_masses = 1\n"}
    found = remarks(plan_of(read(tmp_path, "validation_systems = 1\n", **fitted)))
    assert (
        "no effect of fit_eff_masses = 1 (input_1.par): validation_systems holds the whole system "
        "out."
    ) in found


# ---------------------------------------------------------------- figures and whole runs


def test_figures_show_what_is_held_out_and_how_far_it_is_off():
    rng = np.random.default_rng(2)
    weights = np.array([1.0, 1.0, 1.0, 0.0])
    parts = {"n_k": 4, "n_bands": 4, "band_weights": weights, "held_out": EVERY_SECOND}
    system = random_system(rng, valence_band=0, **parts)
    curve = system.reference_energies + np.where(EVERY_SECOND, 0.055, 0.052)[:, None]
    whole = replace(system, held_out=np.ones(4, bool))
    plots = [band_plot(s, {"fit": curve}) for s in (system, whole)]
    assert plots[0].deviation("fit") == pytest.approx(0.052)
    assert plots[0].deviation("fit", held_out=True) == pytest.approx(0.055)
    assert plots[1].deviation("fit") is None
    assert plots[0].zero == plots[1].zero == system.reference_energies[:, 0].max()
    figure = band_figure(plots)
    titles = [axes.get_title("right") for axes in figure.axes]
    assert titles[0] == "fit: RMSE 52 meV, held out 55 meV"
    assert titles[2].startswith("fit: held out 53")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["reference", "reference, held out", "reference, not fitted", "fit"]
    signs = {handle.get_label(): handle.get_marker() for handle in figure.legends[0].get_lines()}
    assert signs["reference, held out"] != signs["reference"]
    only_held_out = band_figure(plots[1:])
    labels = [text.get_text() for text in only_held_out.legends[0].get_texts()]
    assert "reference" not in labels


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run with both keys: bundle, results folder, and the curves of the cost figure."""
    folder, shown = tmp_path_factory.mktemp("validation"), []
    config = FIT.format(2) + "nQGrid = 64\nnRGrid = 32\npatience = 2\n"
    config += "validation_k = 2\nvalidation_systems = 1\n"
    changes = {f"init_{symbol}Params": "5\n2\n3\n0.4\n" for symbol in ("Zn", "S")}
    inputs = bundle_samples.write(folder / "inputs", NN_config=config, **files(2), **changes)
    with pytest.MonkeyPatch.context() as patch:
        original = figures.cost_figure
        patch.setattr(
            figures, "cost_figure", lambda *given: [shown.append(given[0]), original(*given)][1]
        )
        run(inputs, folder / "results")
    return read_bundle(inputs), folder / "results", shown[-1]


def test_cost_files_and_figure_have_the_held_out_cost(trained):
    bundle, results, curves = trained
    names = {"final_training_cost": 3, "final_validation_cost": 1}
    for name, n_rows in names.items():
        text = (results / f"{name}.dat").read_text()
        assert text.startswith("# epoch cost bands held_out\n")
        rows = np.loadtxt(results / f"{name}.dat", ndmin=2)
        assert rows.shape == (n_rows, 4)
        assert rows[-1, 1] == pytest.approx(rows[-1, 2])
    training = np.loadtxt(results / "final_training_cost.dat")
    validation = np.loadtxt(results / "final_validation_cost.dat")
    assert_allclose(validation, training[2], rtol=1e-6)
    found = [np.loadtxt(results / f"epoch_2_BS_sys{i}.dat")[:, 1:] for i in range(2)]
    expected = literal_held_out_cost(list(bundle.systems), found)
    assert training[2, 3] == pytest.approx(expected, rel=1e-4)
    assert list(curves) == ["training", "re-evaluated", "held out"]
    assert_allclose(curves["held out"], training[:, [0, 3]], rtol=1e-9)


def test_the_log_tells_both_errors(trained):
    bundle, results, _ = trained
    log = (results / "run.log").read_text()
    assert "  ZnS0: 4 k-points (2 held out), 4 bands" in log
    assert "  ZnS1: 4 k-points, all held out, 4 bands" in log
    assert "patience and best_* go by the held-out cost" in log
    epochs = [line for line in log.splitlines() if "] epoch " in line]
    costs = np.loadtxt(results / "final_training_cost.dat")
    for row, line in zip(costs, epochs, strict=True):
        assert f", held out {row[3]:.8g} eV^2, gradient norm" in line
    best = int(np.argmin(costs[:, 3]))
    assert f"lowest held-out cost {costs[best, 3]:.6g} at epoch {best}, which is exported" in log
    found = [np.loadtxt(results / f"final_BS_sys{i}.dat")[:, 1:] for i in range(2)]
    first, second = bundle.systems
    errors = [
        1000.0 * rms_error(energies, system.reference_energies, weights > 0.0)
        for energies, system, weights in (
            (found[0], first, first.level_weights),
            (found[0], first, first.held_out_weights),
            (found[1], second, second.held_out_weights),
        )
    ]
    fitted, held_out, other = (f"{error:.0f} meV" for error in errors)
    final = next(line for line in log.splitlines() if "Final potential" in line)
    assert f"ZnS0 {fitted} (held out {held_out}), ZnS1 held out {other}, cost " in final
    assert ", held out " in final.split("cost ")[1]


def test_training_cost_of_a_run_is_blind(trained):
    """The whole way from files: other energies of held-out levels leave every epoch as it is."""
    bundle, results, _ = trained
    systems = tuple(changed_references(list(bundle.systems), "held out"))
    other = replace(bundle, systems=systems)
    problem = build_problem(other)
    params = initial_params(other, problem)
    cost = training_cost(other, problem)
    found = cost(problem, params, Evaluated([jnp.asarray(b) for b in bands(problem, params)]))
    costs = np.loadtxt(results / "final_training_cost.dat")
    assert float(found) == pytest.approx(costs[0, 1], rel=1e-6)
