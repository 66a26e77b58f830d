"""Ensembles: every member is the fit that it would be alone, whatever becomes of the others."""

import json
from dataclasses import replace

import bundle_samples
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from samples import TRAINING, bundle_of, random_system

from deeppseudopot_jax import build_problem, initial_params
from deeppseudopot_jax.costs.bands import cost_of_bands
from deeppseudopot_jax.files.torch_pickle import read_state_dict
from deeppseudopot_jax.run.file_names import of_run
from deeppseudopot_jax.run.workflows import run
from deeppseudopot_jax.training.ensemble.members import fit_members
from deeppseudopot_jax.training.loop import train

N = 3
RUN = (
    "nSystem = 1\nnQGrid = 64\nnRGrid = 32\nPPmodel = Net_celu_HeInit_decayGaussian\n"
    "PPmodel_gaussian_std = 2\nhiddenLayers = 4\nplotEvery = 1\nmax_num_epochs = 2\n"
)
FIT = (
    "init_Zunger_num_epochs = 5\ninit_Zunger_optimizer_lr = 0.01\n"
    "init_Zunger_scheduler_gamma = 0.9\ninit_Zunger_plotEvery = 4\n"
)
COEFFICIENTS = "5\n2\n3\n0.4\n0\n0.3\n0.1\n0.2\n0\n"


def ready(**settings: object) -> tuple:
    """A random crystal and the starts of three fits of its coefficients."""
    rng = np.random.default_rng(4)
    bundle = bundle_of(rng, random_system(rng, n_bands=4), **(TRAINING | settings))
    problem = build_problem(bundle)
    params = initial_params(bundle, problem)
    factors = jnp.asarray([1.0, 1.03, 0.95])[:, None, None]
    starts = jax.tree.map(lambda leaf: jnp.stack([leaf] * N), params)
    return problem, replace(starts, local=factors * starts.local), bundle.settings


def member(tree: object, index: int):
    return jax.tree.map(lambda leaf: leaf[index], tree)


@pytest.mark.parametrize("optimizer", ["adam", "lm"])
def test_members_are_the_fits_they_would_be_alone(optimizer):
    problem, starts, settings = ready(optimizer=optimizer, max_epochs=4)
    rounds = list(fit_members(problem, starts, settings, cost_of_bands(problem)))
    last = rounds[-1]
    assert np.asarray(last.updates).tolist() == [4] * N
    for i in range(N):
        alone = list(train(problem, member(starts, i), settings))
        assert float(last.cost[i]) == pytest.approx(alone[-1].cost, rel=1e-7)
        assert_allclose(member(last.params, i).local, alone[-1].params.local, rtol=1e-6)
        lowest = min(alone, key=lambda epoch: epoch.cost)
        assert float(last.lowest[i]) == pytest.approx(lowest.cost, rel=1e-7)
        assert_allclose(member(last.best, i).local, lowest.params.local, rtol=1e-6)


def test_a_member_that_fails_at_its_start_leaves_the_others_alone():
    problem, starts, settings = ready(optimizer="lm", max_epochs=2)
    broken = replace(starts, local=starts.local.at[1].set(jnp.nan))
    found = list(fit_members(problem, broken, settings, cost_of_bands(problem)))[-1]
    whole = list(fit_members(problem, starts, settings, cost_of_bands(problem)))[-1]
    assert np.asarray(found.updates).tolist() == [2, 0, 2]
    assert not np.isfinite(found.cost[1])
    assert_allclose(np.asarray(found.cost)[[0, 2]], np.asarray(whole.cost)[[0, 2]], rtol=1e-9)


def test_patience_ends_a_member_of_adam():
    problem, starts, settings = ready(
        optimizer="sgd", learning_rate=1e-3, scheduler_gamma=1.0, max_epochs=40, patience=3
    )
    found = list(fit_members(problem, starts, settings, cost_of_bands(problem)))[-1]
    idle, updates = np.asarray(found.idle), np.asarray(found.updates)
    ended = updates < 40
    assert np.asarray(found.done).all()
    assert (idle[ended & np.isfinite(np.asarray(found.cost))] == 3).all()


@pytest.mark.parametrize("fit", [FIT, pytest.param("", marks=pytest.mark.exhaustive)])
def test_a_run_writes_every_member_and_their_spread(tmp_path, fit):
    inputs = bundle_samples.write(
        tmp_path / "inputs",
        NN_config=RUN + fit + "optimizer = lm\nensemble_size = 3\n",
        expDefPot_0="0 1 1 2 1.01 -7.5 1\n",
        init_ZnParams=COEFFICIENTS,
        init_SParams=COEFFICIENTS,
    )
    run(inputs, tmp_path / "results")
    names = {path.name for path in (tmp_path / "results").iterdir()}
    assert all(map(of_run, names))
    table = np.loadtxt(tmp_path / "results" / "ensemble.dat", ndmin=2)
    assert table[:, 0].tolist() == [1.0, 2.0, 3.0]
    for i in range(1, 4):
        assert {f"member_{i}_PPmodel.pth", f"member_{i}_BS_sys0.dat"} <= names
    assert {"ensemble.npz", "ensemble_plotBS.pdf", "ensemble_plotPP.pdf"} <= names
    assert {"final_covariance.npz", "final_observables.dat", "best_PPmodel.pth"} <= names
    (system,) = json.loads((tmp_path / "results" / "final_observables.json").read_text())["systems"]
    sigmas = {one["name"]: one["sigma"] for one in system["observables"]}
    assert sigmas["gap"] > 0.0 and sigmas["hole mass"] > 0.0
    assert sigmas["row 1: transition"] > 0.0
    best = int(table[np.argmin(table[:, 2]), 0])
    weights = [
        read_state_dict(tmp_path / "results" / f"{name}_PPmodel.pth")
        for name in (f"member_{best}", "final", f"member_{1 + best % 3}")
    ]
    one, final, another = (np.concatenate([v.ravel() for v in w.values()]) for w in weights)
    assert_allclose(one, final)
    assert np.abs(one - another).max() > 1e-3
    with np.load(tmp_path / "results" / "ensemble.npz") as arrays:
        assert arrays["bands_sys0"].shape == (3, 2, 4)
        assert arrays["v_q"].shape == (3, 64, 2)
    log = (tmp_path / "results" / "run.log").read_text()
    assert f"the best is member {best}" in log


def test_coefficients_start_perturbed_and_what_has_no_effect_is_told(tmp_path):
    inputs = bundle_samples.write(
        tmp_path / "inputs",
        NN_config="nSystem = 1\nnQGrid = 64\nnRGrid = 32\nPPmodel = ZeroFunction\nplotEvery = 1\n"
        "optimizer = lm\nmax_num_epochs = 1\nensemble_size = 2\nensemble_spread = 0.05\n"
        "patience = 5\n",
        init_ZnParams=COEFFICIENTS,
        init_SParams=COEFFICIENTS,
    )
    run(inputs, tmp_path / "results")
    log = (tmp_path / "results" / "run.log").read_text()
    assert "no effect of plotEvery" in log
    assert "no effect of patience" in log
    assert "ensemble_spread:" not in log
    table = np.loadtxt(tmp_path / "results" / "ensemble.dat", ndmin=2)
    assert len(table) == 2 and table[0, 2] != table[1, 2]
