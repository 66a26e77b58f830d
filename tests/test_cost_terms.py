"""Training on more than bands: the sum of all terms, its gradient, and a whole run."""

from pathlib import Path

import bundle_samples
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeppseudopot_jax import build_problem, initial_params
from deeppseudopot_jax.costs.bands import cost_of_bands
from deeppseudopot_jax.costs.choice import training_cost
from deeppseudopot_jax.costs.interface import Evaluated
from deeppseudopot_jax.eigensolvers.iterative import Iterative
from deeppseudopot_jax.files.bundle import read_bundle
from deeppseudopot_jax.observables.bands import energies
from deeppseudopot_jax.observables.couplings import couplings
from deeppseudopot_jax.observables.deformation import deformation_potentials, deformation_rows
from deeppseudopot_jax.run.checks.idle import remarks
from deeppseudopot_jax.run.checks.plan import plan_of
from deeppseudopot_jax.run.outputs import Outputs
from deeppseudopot_jax.run.workflows import run
from deeppseudopot_jax.training.loop import train

FITS = "fit_defPot = 1\nfit_eph = 1\nfit_eff_masses = 1\n"
SGD = (
    "nSystem = 1\nPPmodel = ZeroFunction\nnQGrid = 64\nnRGrid = 32\noptimizer = sgd\nmovie = 0\n"
    "optimizer_lr = 1e-7\nschedulerStep = 1\nscheduler_gamma = 1\nplotEvery = 1\n"
    "max_num_epochs = 2\n"
)


def make_inputs(folder: Path, fits: str = FITS, config: str = SGD) -> Path:
    coefficients = "5\n2\n3\n0.4\n0\n0.3\n0.1\n0.2\n0.1\n"
    return bundle_samples.write(
        folder,
        NN_config=config,
        init_ZnParams=coefficients,
        init_SParams="4\n2.1\n2.8\n0.5\n0\n0.1\n0\n0.1\n0\n",
        # A point without symmetry: no multiplets whose energies move at different rates.
        kpoints_0="0.1 0.2 0.3 1.0\n0.15 0.2 0.3 2.0\n",
        input_0=bundle_samples.GOOD["input_0.par"] + fits,
        expDefPot_0="-3\n-8\n",
        expCoupling_0=bundle_samples.COUPLINGS,
        qpoints_0="0.05 0 0 1\n0 0 0 0.5\n",
    )


def test_the_cost_is_the_sum_that_is_asked_for(tmp_path):
    bundle = read_bundle(make_inputs(tmp_path))
    problem = build_problem(bundle)
    params = initial_params(bundle, problem)
    (system,) = bundle.systems
    bands = energies(problem, params)
    evaluated = Evaluated(bands)
    band_loss = float(cost_of_bands(problem)(problem, params, evaluated))

    cost = training_cost(bundle, problem)
    assert cost.names == ("bands", "masses", "deformation_potentials", "couplings")
    found = deformation_potentials(problem, params, 0, deformation_rows(system))
    deformation = np.sum((np.asarray(found) - [-3.0, -8.0]) ** 2)
    (fit,) = cost.terms[-1].fits
    differences = np.asarray(couplings(problem, params, fit.tables) - fit.values)
    errors = differences**2 * np.array([1.0, 0.5])[:, None, None, None]
    (fit,) = cost.terms[1].fits
    masses = np.sum(np.asarray(fit.found(bands[0]) - fit.masses) ** 2)

    exact = float(cost(problem, params, evaluated))
    assert exact == pytest.approx(band_loss + deformation + 2 * errors.sum() + masses, rel=1e-9)
    assert float(cost.of_bands(problem, params, evaluated)) == pytest.approx(band_loss + masses)

    plain = read_bundle(make_inputs(tmp_path, fits=""))
    assert float(training_cost(plain, problem)(problem, params, evaluated)) == band_loss


@pytest.mark.exhaustive
def test_training_follows_the_gradient_of_the_whole_cost(tmp_path):
    bundle = read_bundle(make_inputs(tmp_path, config=SGD + "SObool = 1\n"))
    problem = build_problem(bundle, solver=Iterative(dense_up_to=0, dense_start_up_to=0))
    params = initial_params(bundle, problem)
    cost = training_cost(bundle, problem)
    first, second, third = train(problem, params, bundle.settings, cost=cost)
    rate = bundle.settings.learning_rate
    squares = [sum(norm**2 for norm in epoch.gradient_norms.values()) for epoch in (first, second)]
    # The trapezoidal rule along the step: exact to second order.
    assert first.cost - second.cost == pytest.approx(rate * np.mean(squares), rel=2e-3)
    assert third.cost < second.cost < first.cost
    moved = jax.tree.map(jnp.subtract, first.params, second.params)
    assert float(jnp.abs(moved["local"]).max()) > 0


def test_a_run_fits_all_and_says_what_it_costs(tmp_path, monkeypatch):
    monkeypatch.setattr(Outputs, "save", lambda *_: None)
    inputs = make_inputs(tmp_path / "inputs")
    run(inputs, tmp_path / "results")
    bundle = read_bundle(inputs)
    problem = build_problem(bundle)
    params = initial_params(bundle, problem)
    evaluated = Evaluated(energies(problem, params))
    cost = training_cost(bundle, problem)(problem, params, evaluated)
    training = np.loadtxt(tmp_path / "results" / "final_training_cost.dat")
    header = (tmp_path / "results" / "final_training_cost.dat").read_text().splitlines()[0]
    assert header == "# epoch cost bands masses deformation_potentials couplings"
    assert np.allclose(training[:, 2:].sum(axis=1), training[:, 1], rtol=1e-9)
    validation = np.loadtxt(tmp_path / "results" / "final_validation_cost.dat", ndmin=2)
    assert training[0, 1] == pytest.approx(float(cost), rel=1e-6)
    assert training[2, 1] < training[0, 1]
    assert np.allclose(validation[:, 1], training[1:, 1], rtol=1e-5)
    assert f"cost {float(cost):.4f}" in (tmp_path / "results" / "run.log").read_text()
    told = " ".join(remarks(plan_of(bundle)))
    assert "expDefPot" not in told and "fit_" not in told and "idxGap" not in told


def test_a_fit_without_a_neighbour_of_the_gap_leaves_no_results(tmp_path):
    inputs = make_inputs(tmp_path / "inputs")
    (inputs / "kpoints_0.par").write_text("0 0 0 1\n")
    (inputs / "expBandStruct_0.par").write_text("0 -1 0 2 3\n")
    with pytest.raises(ValueError, match=r"kpoints_0\.par: masses need a neighbour of the gap"):
        run(inputs, tmp_path / "results")
    assert not (tmp_path / "results").exists()
