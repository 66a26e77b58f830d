"""A cost that is not finite says what is to blame."""

import jax.numpy as jnp
import numpy as np
import pytest
from samples import bundle_of, cost_of_parameters, random_system, zinc_blende

from deeppseudopot_jax import build_problem, initial_params, training_cost
from deeppseudopot_jax.costs.bands import cost_of_bands
from deeppseudopot_jax.costs.diagnosis import diagnosis, k_points_not_found
from deeppseudopot_jax.eigensolvers import response
from deeppseudopot_jax.eigensolvers.dense import dense
from deeppseudopot_jax.eigensolvers.iterative import Iterative
from deeppseudopot_jax.types import CouplingTarget

COUPLED = {
    "fit_couplings": True,
    "coupling_targets": (CouplingTarget(0, "Ga", "x", "cb", np.array([0.1])),),
    "q_points": np.array([[0.5, 0.0, 0.0]]),
    "q_weights": np.ones(1),
    "gap_k_point": 0,
    "valence_band": 2,
    "conduction_band": 4,
}


def made(system=None, solver=dense, **settings):
    rng = np.random.default_rng(3)
    bundle = bundle_of(rng, system or random_system(rng, ("Ga", "As"), **COUPLED), **settings)
    problem = build_problem(bundle, solver=solver)
    return problem, initial_params(bundle, problem), training_cost(bundle, problem)


def test_a_potential_that_is_not_finite():
    problem, params, _ = made()
    cost = cost_of_bands(problem)
    bad = params.updated({"local": params.local.at[1, 3].set(jnp.nan)})
    assert diagnosis(problem, bad, cost) == "the potential of Ga is not finite at q = 0 Bohr^-1"
    bad = params.updated({"spin_orbit": params.spin_orbit.at[0].set(jnp.inf)})
    assert diagnosis(problem, bad, cost) == "the spin_orbit coefficients of As are not finite"


def test_k_points_without_energies_are_told():
    problem, *_ = made()
    bands = np.zeros((2, 6))
    assert k_points_not_found(problem, [bands]) == ""
    bands[1, 3] = np.nan
    assert (
        k_points_not_found(problem, [bands]) == "random: no energies at k-points 1 (not converged)"
    )


def test_a_term_that_is_no_number():
    problem, params, _ = made()
    cost = cost_of_parameters(lambda params: jnp.log(-jnp.sum(params.local**2)))
    assert diagnosis(problem, params, cost) == "the term plain of the cost is nan"
    finite = cost_of_parameters(lambda params: jnp.sum(params.local**2))
    assert "its gradient is not" in diagnosis(problem, params, finite)


@pytest.mark.exhaustive
def test_couplings_whose_states_do_not_converge():
    system = random_system(np.random.default_rng(3), ("Ga", "As"), 5.0, n_bands=8, **COUPLED)
    hasty = Iterative(max_steps=0, dense_up_to=0, dense_start_up_to=0)
    found = diagnosis(*made(system, hasty, spin_orbit=True))
    assert found.startswith(
        "the term couplings of the cost is nan (random, vb at the gap k-point: "
    )
    assert "states not converged" in found and "k + q of q-point 0" in found


@pytest.mark.exhaustive
def test_couplings_of_a_multiplet_that_is_too_large():
    edges = {"valence_band": 14, "conduction_band": 16}
    target = (CouplingTarget(0, "Si", "x", "cb", np.array([0.1])),)
    coupled = COUPLED | edges | {"coupling_targets": target}
    system = zinc_blende(("Si", "Si"), [[0.0, 0.0, 0.0]], 18, **coupled)
    problem, params, cost = made(system)
    nothing = params.updated({"local": 0.0 * params.local})  # free electrons: (111) is eightfold
    found = diagnosis(problem, nothing, cost)
    assert "cb at the gap k-point: a multiplet of more than 6 levels" in found


def test_a_response_that_does_not_converge(monkeypatch):
    monkeypatch.setattr(response, "_MAX_STEPS", 1)
    found = diagnosis(*made())
    assert found.startswith("the gradient of the term couplings is not finite (random, ")
    assert "response of the states not converged" in found


@pytest.mark.parametrize("name", ["bands", "couplings"])
def test_a_cost_knows_its_terms(name):
    assert name in made()[2].names
