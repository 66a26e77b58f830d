"""What a run will do follows from its bundle, once."""

from dataclasses import replace

import numpy as np
import pytest
from samples import TRAINING, bundle_of, random_system

from deeppseudopot_jax.costs.choice import Asked
from deeppseudopot_jax.run.checks.plan import plan_of
from deeppseudopot_jax.types import MonteCarloOptions

NETWORK = {"model": "Net_relu", "hidden_layers": (4,)}
FIT = {"init_epochs": 3, "init_learning_rate": 0.1, "init_plot_every": 1, "init_scheduler_gamma": 1}
MONTE_CARLO = {"monte_carlo": True, "mc_iterations": 5, "mc_fraction": 0.1, "mc_beta": 2.0}
STATE = {"model_state": {}, "optimizer_state": {}}
TRAINED = TRAINING | {"max_epochs": 2}


def planned(purpose: str = "run", parts=(), system=(), **settings):
    rng = np.random.default_rng(0)
    made = bundle_of(rng, replace(random_system(rng), **dict(system)), **settings)
    return plan_of(replace(made, **dict(parts)), purpose)


@pytest.mark.parametrize(
    ("settings", "mode"),
    [({}, "initialise"), (TRAINED, "gradient"), (MONTE_CARLO, "monte_carlo")],
)
def test_modes(settings, mode):
    plan = planned(**settings)
    assert plan.mode == mode
    assert plan.fits == (mode != "initialise")
    assert planned("eval", **settings).mode == "evaluate"


@pytest.mark.parametrize(
    ("settings", "parts", "start", "fit"),
    [
        (FIT, {}, "coefficients", None),
        (NETWORK, {}, "random", None),
        (NETWORK | FIT, {}, "random", "zunger"),
        (NETWORK | FIT, {"tabulated_potential": np.zeros((2, 3))}, "random", "table"),
        (NETWORK | FIT, STATE, "checkpoint", None),
        (NETWORK | FIT | {"force_retrain": True}, STATE, "checkpoint", "zunger"),
    ],
)
def test_starts_and_initial_fits(settings, parts, start, fit):
    plan = planned(parts=parts, **settings)
    assert (plan.start, plan.initial_fit) == (start, fit)
    assert planned("eval", parts, **settings).initial_fit is None


def test_moments_are_restored_for_adam_on_a_network_that_is_not_fitted_anew():
    adam = NETWORK | TRAINED
    assert planned(parts=STATE, **adam).restores_moments
    for changed in ({"optimizer": "sgd"}, {"force_retrain": True}, {"max_epochs": 0}):
        assert not planned(parts=STATE, **(adam | changed)).restores_moments
    assert not planned(**adam).restores_moments
    assert not planned(parts=STATE, **TRAINED).restores_moments


def test_channels_are_trained_by_gradients_only():
    everything = {"train_spin_orbit": True, "spin_orbit": True}
    assert planned(**TRAINED, **everything).trained_channels == ("local", "spin_orbit")
    assert planned(**MONTE_CARLO, **everything).trained_channels == ()


def test_terms_come_from_the_systems_or_from_the_options():
    system = {"fit_deformation": True, "gap_k_point": 0, "valence_band": 1, "conduction_band": 2}
    options = MonteCarloOptions("mcOpts1.par", (1.0, 2.0), (1, 1), (1.0, 1.0), 5, fit_masses=True)
    files = {"monte_carlo_options": (options,)}
    assert planned(parts=files, system=system, **TRAINED).asked == Asked(deformation=(0,))
    assert planned(parts=files, system=system, **MONTE_CARLO).asked == Asked(masses=(0,))
    network = planned(parts=files, system=system, **MONTE_CARLO, **NETWORK)
    assert network.asked == Asked(deformation=(0,))
    assert planned(parts=files, system=system).asked == Asked()
