"""What is refused, and that no key and no file is ignored without a word."""

from dataclasses import replace

import numpy as np
import pytest
from samples import bundle_of, random_system

from deeppseudopot_jax.errors import UnsupportedError
from deeppseudopot_jax.run.checks.capabilities import check_initialised
from deeppseudopot_jax.run.checks.idle import WHY_IDLE, remarks
from deeppseudopot_jax.run.checks.plan import plan_of
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.training.adam_family import ADAM_FAMILY
from deeppseudopot_jax.training.loop import AVAILABLE
from deeppseudopot_jax.types import DeformationTarget, MonteCarloOptions

TRAINING = {
    "max_epochs": 3, "learning_rate": 0.1, "plot_every": 1, "scheduler_step": 1,
    "scheduler_gamma": 1.0,
}  # fmt: skip
INITIAL_FIT = {
    "init_epochs": 3, "init_learning_rate": 0.1, "init_plot_every": 1, "init_scheduler_gamma": 1.0
}  # fmt: skip
MONTE_CARLO = {"monte_carlo": True, "mc_iterations": 5, "mc_fraction": 0.1, "mc_beta": 2.0}
TEMPERING = {"mc_replicas": 3, "mc_betas": (3.0, 2.0, 1.0), "mc_burn_in": 2}
NETWORK = {"model": "Net_relu", "hidden_layers": (4,)}
SPLINE = {"model": "BSpline", "n_knots": 9}
STATE = {"model_state": {}, "optimizer_state": {}}


def made(changes=(), system=(), **settings):
    """A bundle in memory: settings by name; `changes` replaces parts of the bundle."""
    rng = np.random.default_rng(0)
    changed = replace(random_system(rng), **dict(system))
    return replace(bundle_of(rng, changed, **settings), **dict(changes))


def about(bundle, key: str) -> str:
    """The reason that the remarks give for a key; empty where it is not mentioned."""
    for remark in remarks(plan_of(bundle)):
        keys, _, reason = remark.removeprefix("no effect of ").partition(": ")
        if key in keys.split(", "):
            return reason
    return ""


def test_every_setting_has_its_place_in_the_table():
    assert WHY_IDLE.keys() == Settings.model_fields.keys()


@pytest.mark.parametrize(
    ("settings", "key", "reason"),
    [
        ({"num_cores": 2}, "num_cores", "JAX uses every core"),
        ({"separate_k_gradients": True}, "separateKptGrad", "no extra memory"),
        ({"gradient_checkpointing": True}, "checkpoint", "in any case"),
        ({"cache_spin_orbit": True}, "cacheSO", "projectors"),
        ({"show_plots": True}, "SHOWPLOTS", "not shown"),
        ({"strain": True}, "strainBool", "undeformed"),
        (TRAINING | {"train_strain": True}, "trainStrain", "undeformed"),
        ({"train_long_range": True}, "trainLR", "nothing is trained"),
        ({"spin_orbit": True, "train_spin_orbit": True}, "trainSO", "nothing is trained"),
        ({"spin_orbit": True, "train_nonlocal": True}, "trainNL", "nothing is trained"),
        ({"hidden_layers": (3,)}, "hiddenLayers", "no weights"),
        (NETWORK | {"decay_rate": 1.0}, "PPmodel_decay_rate", "PPmodel = Net_relu"),
        ({"scale": (1.0,)}, "PPmodel_scale", "PPmodel = ZeroFunction"),
        (NETWORK | {"n_frequencies": 4}, "PPmodel_n_frequencies", "PPmodel = Net_relu"),
        (NETWORK | {"model_range": 8.0}, "PPmodel_range", "PPmodel = Net_relu"),
        (NETWORK | {"n_knots": 9}, "PPmodel_n_knots", "PPmodel = Net_relu"),
        (SPLINE | {"hidden_layers": (3,)}, "hiddenLayers", "linear in its weights"),
        (SPLINE | INITIAL_FIT, "init_Zunger_optimizer_lr", "solved without steps"),
        (SPLINE | INITIAL_FIT | {"seed": 3}, "seed", "no random numbers"),
        ({"tail_start": 3.0}, "penalize_starting", "penalize_lambda is not positive"),
        ({"tail_strength": -1.0}, "penalize_lambda", "not positive"),
        ({"magnitude_threshold": 3.0}, "penalize_mag_threshold", "mag_lambda is not positive"),
        (INITIAL_FIT, "init_Zunger_num_epochs", "no weights"),
        (NETWORK | {"init_optimizer": "sgd"}, "init_Zunger_optimizer", "no initial fit"),
        (NETWORK | {"force_retrain": True}, "force_retrain", "no initial fit"),
        (
            NETWORK | INITIAL_FIT | {"force_retrain": True},
            "force_retrain",
            "no init_PPmodel.pth",
        ),
        ({"optimizer": "lbfgs"}, "optimizer", "nothing is trained"),
        ({"perturb_every": 5}, "perturbEvery", "nothing is trained"),
        ({"pre_adjust_moves": 5}, "pre_adjust_moves", "nothing is trained"),
        (TRAINING | {"pre_adjust_step_size": 0.1}, "pre_adjust_stepSize", "moves is 0"),
        (TRAINING | {"optimizer": "sgd", "adam_beta1": 0.5}, "adam_beta1", "belongs to adam"),
        (TRAINING | {"sgd_momentum": 0.5}, "sgd_momentum", "belongs to sgd"),
        ({"log_gradients": True}, "printGrad", "nothing is trained"),
        ({"mc_iterations": 5}, "mc_iter", "no Monte Carlo fit"),
        ({"mc_beta": 5.0}, "mc_beta", "no Monte Carlo fit"),
        ({"mc_replicas": 4}, "mc_replicas", "no Monte Carlo fit"),
        ({"mc_delayed_acceptance": True}, "mc_delayed_acceptance", "no Monte Carlo fit"),
        (MONTE_CARLO | {"mc_swap_every": 5}, "mc_swap_every", "mc_replicas is 1"),
        (MONTE_CARLO | TEMPERING | {"mc_beta": 5.0}, "mc_beta", "its own beta"),
        (MONTE_CARLO | {"mc_perturb_mode": 4}, "mc_perturb_mode", "by their step sizes"),
        ({"relative_band": 1}, "relE_bIdx", "every system has its own"),
        ({"seed": 3}, "seed", "no random numbers"),
    ],
)
def test_keys_without_effect_are_named_with_the_reason(settings, key, reason):
    assert reason in about(made(**settings), key)


def test_keys_with_effect_are_not():
    everything = TRAINING | INITIAL_FIT | NETWORK
    channels = dict.fromkeys(("spin_orbit", "train_spin_orbit", "train_nonlocal"), True)
    more = {"adam_beta1": 0.5, "log_gradients": True, "tail_start": 3.0, "tail_strength": 1.0}
    bundle = made(system={"relative_band": 1}, **everything, **channels, **more, relative_band=1)
    quiet = replace(bundle, coefficients=np.where(np.arange(9) == 8, 0.0, bundle.coefficients))
    assert remarks(plan_of(quiet)) == []


def test_keys_of_monte_carlo_with_effect_are_not():
    keys = [str(info.alias) for name, info in Settings.model_fields.items() if name[:3] == "mc_"]
    several = TEMPERING | {"mc_swap_every": 2, "mc_delayed_acceptance": True}
    tempered = made(**NETWORK, **MONTE_CARLO, **several, seed=4)
    assert [key for key in keys if about(tempered, key)] == ["mc_beta"]
    assert not about(tempered, "seed")
    walker = made(**NETWORK, **MONTE_CARLO)
    assert not any(about(walker, key) for key in keys)
    options = MonteCarloOptions("mcOpts1.par", (2.0, 1.0), (3, 3), (1.0, 1.0), 9)
    by_file = made({"monte_carlo_options": (options,)}, **MONTE_CARLO)
    assert "mcOpts*.par says it" in about(by_file, "mc_iter")


def test_keys_of_a_linear_model_with_effect_are_not():
    fitted = made(**SPLINE, init_epochs=1, seed=3, init_log_gradients=True)
    assert not about(fitted, "init_Zunger_num_epochs") and not about(fitted, "PPmodel_n_knots")
    assert not about(fitted, "init_Zunger_printGrad")
    assert not about(made(**SPLINE, seed=3), "seed")


def test_switches_that_are_off_ask_for_nothing():
    off = {"strain": False, "train_long_range": False, "force_retrain": False, "perturb_every": -1}
    assert all(not about(made(**off), str(Settings.model_fields[name].alias)) for name in off)


def test_checkpoints_and_initial_fits():
    loaded = made(STATE, **NETWORK, **INITIAL_FIT, seed=1)
    assert "force_retrain = 0" in about(loaded, "init_Zunger_num_epochs")
    assert "no random numbers" in about(loaded, "seed")
    assert "nothing is trained" in about(loaded, "init_AdamState.pth")
    again = made(STATE, **NETWORK, **INITIAL_FIT, **TRAINING, force_retrain=True)
    assert about(again, "force_retrain") == about(again, "init_Zunger_num_epochs") == ""
    assert "force_retrain = 1" in about(again, "init_AdamState.pth")
    nothing = made(STATE, **NETWORK, force_retrain=True)
    assert "nothing to retrain" in about(nothing, "force_retrain")
    assert "optimizer = sgd" in about(
        made(STATE, **NETWORK, **TRAINING, optimizer="sgd"), "init_AdamState.pth"
    )
    assert "no weights" in about(made(STATE), "init_PPmodel.pth")
    table = {"tabulated_potential": np.zeros((2, 3))}
    assert "no initial fit" in about(made(table, **NETWORK), "init_qSpace_pot.par")


def test_coefficients_without_effect():
    bundle = made(long_range_gamma=1.0)
    assert "SObool is 0" in about(bundle, "a6")
    assert "undeformed" in about(bundle, "a8") and not about(bundle, "LRgamma")
    without = replace(bundle, coefficients=np.zeros_like(bundle.coefficients))
    assert not about(without, "a8") and "a4 is 0" in about(without, "LRgamma")


def test_a8_acts_where_deformation_potentials_are_fitted_with_the_strain_channel():
    keys = "strainBool", "trainStrain", "a8", "fit_defPot = 1 (input_0.par)", "expDefPot_0.par"
    row = DeformationTarget((0, 0), None, 1.01, -2.0, 1.0)
    system = {"fit_deformation": True, "deformation_targets": (row,)}
    fitted = made(system=system, **TRAINING, strain=True, train_strain=True)
    assert not any(about(fitted, key) for key in keys)
    assert plan_of(fitted).trained_channels == ("local", "strain")
    without = made(system=system, **TRAINING, train_strain=True)
    assert about(without, "trainStrain") == about(without, "a8") == "strainBool is 0."
    told = made(system={"deformation_targets": (row,)}, **TRAINING, strain=True, train_strain=True)
    assert not any(about(told, key) for key in ("strainBool", "a8", "expDefPot_0.par"))
    assert "undeformed" in about(told, "trainStrain")


def test_neutrality_can_leave_no_long_range_to_train():
    one = made(**TRAINING, train_long_range=True)
    two = replace(one, systems=(one.systems[0],), species=(one.species[0],))
    assert not about(one, "trainLR") and "neutrality" in about(two, "trainLR")


def test_keys_and_files_of_a_system():
    system = {"gap_k_point": 0, "q_points": np.zeros((1, 3)), "fit_couplings": True}
    bundle = made(system=system)
    assert "needs idxVB and idxCB" in about(bundle, "idxGap (input_0.par)")
    edges = {"valence_band": 0, "conduction_band": 1}
    named = made(system=system | edges)
    assert not any(about(named, f"{key} (input_0.par)") for key in ("idxCB", "idxGap"))
    alone = made(system={"conduction_band": 1})
    assert about(alone, "idxCB (input_0.par)") == "a gap needs idxVB too."
    assert "no cost of this run" in about(bundle, "qpoints_0.par")
    assert "nothing is trained" in about(bundle, "fit_eph = 1 (input_0.par)")
    trained = made(system=system, **TRAINING)
    assert not about(trained, "qpoints_0.par") and not about(trained, "fit_eph = 1 (input_0.par)")


def test_the_dropout_rate_is_told():
    bundle = made(model="Net_tanh", hidden_layers=(4,))
    assert any("dropout rate is 0" in remark for remark in remarks(plan_of(bundle)))


@pytest.mark.parametrize("optimizer", AVAILABLE)
def test_kicks_act_with_every_optimiser(optimizer):
    keys = {"optimizer": optimizer, "perturb_every": 5, "pre_adjust_moves": 5, "seed": 2}
    plan = plan_of(made(**TRAINING, **keys))
    assert not any(about(plan.bundle, key) for key in ("perturbEvery", "pre_adjust_moves", "seed"))
    assert not about(plan.bundle, "optimizer_lr")  # the length of these moves


def test_keys_act_with_the_optimisers_that_have_them():
    keys = {"adam_beta1": 0.8, "sgd_momentum": 0.5, "clip_gradient": 1.0, "max_cost_increase": 4.0}
    acting = {
        name: [key for key in keys if not about(made(**TRAINING, **keys, optimizer=name), key)]
        for name in AVAILABLE
    }
    own = dict.fromkeys(ADAM_FAMILY, "adam_beta1") | dict.fromkeys(
        ("sgd", "rmsprop"), "sgd_momentum"
    )
    for name in AVAILABLE:
        expected = [own[name]] if name in own else []
        expected += [] if name in ("lm", "lbfgs") else ["clip_gradient"]
        expected += [] if name == "lm" else ["max_cost_increase"]
        assert acting[name] == expected
    ensemble = made(**TRAINING, perturb_every=5, ensemble_size=2)
    assert "undisturbed" in about(ensemble, "perturbEvery")


@pytest.mark.parametrize("request_", ["smooth_reorder", "eigenvector_reorder"])
def test_following_bands_is_idle_where_every_order_is_fixed(request_):
    order = np.array([np.arange(6)] * 2)
    assert not any("reorder" in remark for remark in remarks(plan_of(made(**{request_: True}))))
    system = random_system(np.random.default_rng(0), band_order=order)
    bundle = bundle_of(np.random.default_rng(0), system, **{request_: True})
    assert any("orderMatrix" in remark for remark in remarks(plan_of(bundle)))


def test_only_known_weights_are_evaluated():
    check_initialised(plan_of(made(), "eval"))
    check_initialised(plan_of(made(STATE, **NETWORK), "eval"))
    with pytest.raises(UnsupportedError, match=r"init_PPmodel\.pth"):
        check_initialised(plan_of(made(**NETWORK), "eval"))
