"""NN_config.par: every kind of mistake is told with line, key, what was found and what is legal."""

import pytest
from bundle_samples import GOOD, problems, read
from pydantic import ValidationError

from deeppseudopot_jax.files.bundle.config import MODEL_NEEDS
from deeppseudopot_jax.potentials.catalogue import CATALOGUE
from deeppseudopot_jax.settings import Settings

BASE = GOOD["NN_config.par"]  # three lines: what a test adds stands on line 4


def test_all_keys_have_their_values(tmp_path):
    settings = read(
        tmp_path,
        NN_config=BASE + "LRgamma = 6\nSObool = 1\nperturbEvery = -1\nbasis_sphere = kG # sphere\n"
        "optimizer=nadam\nmc_iter\t=\t7\nSHOWPLOTS = 0\nqmax = 1e1",
    ).settings
    assert settings.hidden_layers == (4, 3)
    assert settings.long_range_gamma == 6.0
    assert settings.spin_orbit is True and settings.show_plots is False
    assert (settings.basis_sphere, settings.optimizer) == ("kG", "nadam")
    assert (settings.mc_iterations, settings.q_max) == (7, 10.0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("optimizer_lr = fast", "bad value of optimizer_lr; found 'fast'; legal: a number > 0"),
        ("optimizer_lr = nan", "bad value of optimizer_lr; found 'nan'; legal: a number > 0"),
        ("qmax = inf", "bad value of qmax; found 'inf'; legal: a number > 0"),
        ("qmax = 1e999", "bad value of qmax; found '1e999'; legal: a number > 0"),
        ("qmax = 1_0", "bad value of qmax; found '1_0'; legal: a number > 0"),
        ("qmax = 1d1", "bad value of qmax; found '1d1'; legal: a number > 0"),
        ("seed = 1.5", "bad value of seed; found '1.5'; legal: a whole number >= 0"),
        ("seed = -1", "bad value of seed; found '-1'; legal: a whole number >= 0"),
        (
            "PPmodel_n_knots = 2",
            "bad value of PPmodel_n_knots; found '2'; legal: a whole number >= 3",
        ),
        (
            "PPmodel_n_frequencies = 0",
            "bad value of PPmodel_n_frequencies; found '0'; legal: a whole number > 0",
        ),
        ("PPmodel_range = -8", "bad value of PPmodel_range; found '-8'; legal: a number > 0"),
        ("SObool = True", "bad value of SObool; found 'True'; legal: 0 or 1"),
        ("SObool = 2", "bad value of SObool; found '2'; legal: 0 or 1"),
        (
            "mc_perturb_mode = 8",
            "bad value of mc_perturb_mode; found '8'; legal: a whole number >= 1 and <= 7",
        ),
        ("adam_beta1 = 1", "bad value of adam_beta1; found '1'; legal: a number >= 0 and < 1"),
        ("basis_sphere = kg", "bad value of basis_sphere; found 'kg'; legal: G, "),
        ("init_Zunger_optimizer = lbfgs", "found 'lbfgs'; legal: adam, sgd"),
        (
            "PPmodel_scale = 1, 2",
            "bad value of PPmodel_scale; found '1, 2'; legal: numbers, separated by spaces",
        ),
        ("optimzer_lr = 1", "unknown key; found 'optimzer_lr'; did you mean optimizer_lr?"),
        ("sobool = 1", "unknown key; found 'sobool'; did you mean SObool?"),
        ("spin_orbit = 1", "unknown key; found 'spin_orbit'"),
        ("nSystem = 2", "nSystem is given twice, first in line 3; found '2'"),
        ("SObool", "not a setting; found 'SObool'; legal: a line `key = value`"),
        ("SObool = # off", "not a setting; found 'SObool ='; legal: a line `key = value`"),
        ("perturbEvery = 0", "perturbEvery = 0: a number of epochs, or -1 for never"),
        ("mc_beta_schedule = nowhere.par", "mc_beta_schedule names no file; found 'nowhere.par'"),
    ],
)
def test_a_bad_line_is_told_with_its_place(tmp_path, line, message):
    (problem,) = problems(tmp_path, NN_config=BASE + line)
    assert problem.startswith("NN_config.par:4: ") and message in problem


@pytest.mark.parametrize("key", ["PPmodel", "nSystem"])
def test_a_required_key_is_missed(tmp_path, key):
    text = "".join(line for line in BASE.splitlines(True) if not line.startswith(key))
    (problem,) = problems(tmp_path, NN_config=text)
    assert problem.startswith(f"NN_config.par: the key {key} is missing; legal: ")


def test_hidden_layers_are_needed_by_all_networks(tmp_path):
    text = BASE.replace("hiddenLayers = 4 3\n", "")
    assert problems(tmp_path / "a", NN_config=text) == [
        "NN_config.par:1: PPmodel = Net_relu needs the key hiddenLayers"
    ]
    for model in ("ZeroFunction", "BSpline\nPPmodel_n_knots = 3"):
        assert not problems(tmp_path / "b", NN_config=text.replace("Net_relu", model))


@pytest.mark.parametrize("value", ["4 0", "4 2.5", "4,3", "-4"])
def test_hidden_layers_are_positive_integers(tmp_path, value):
    text = BASE.replace("4 3", value)
    assert problems(tmp_path, NN_config=text) == [
        f"NN_config.par:2: bad value of hiddenLayers; found '{value}'; "
        "legal: whole numbers > 0, separated by spaces"
    ]


@pytest.mark.parametrize(
    ("reason", "needed"),
    [
        ("max_num_epochs = 2", ["optimizer_lr", "plotEvery", "schedulerStep", "scheduler_gamma"]),
        ("mc_bool = 1", ["mc_iter", "mc_percentage", "mc_beta"]),
        (
            "init_Zunger_num_epochs = 2",
            [
                "init_Zunger_optimizer_lr",
                "init_Zunger_scheduler_gamma",
                "init_Zunger_plotEvery",
            ],
        ),
        ("penalize_lambda = 2", ["penalize_starting"]),
        ("penalize_mag_lambda = 2", ["penalize_mag_threshold"]),
    ],
)
def test_a_key_can_make_others_necessary(tmp_path, reason, needed):
    found = problems(tmp_path, NN_config=BASE + reason)
    assert [problem.split()[-1] for problem in found] == needed
    assert all(problem.startswith("NN_config.par:4: ") for problem in found)


def test_monte_carlo_and_gradient_exclude_each_other(tmp_path):
    found = problems(tmp_path, NN_config=BASE + "max_num_epochs = 2\nmc_bool = 1\n")
    assert sum("mc_bool = 1 together with max_num_epochs > 0" in problem for problem in found) == 1
    assert len(found) == 8  # and what both need


def test_the_rules_do_not_blame_what_is_only_misspelt(tmp_path):
    found = problems(tmp_path, NN_config=BASE + "penalize_lambda = 1\npenalize_starting = x\n")
    assert found == ["NN_config.par:5: bad value of penalize_starting; found 'x'; legal: a number"]


def test_all_problems_of_the_file_are_told_at_once(tmp_path):
    found = problems(
        tmp_path, NN_config=BASE + "seed = x\nnSytem = 3\nmc_bool = 1\nmc_iter = 0\nmc_beta = 1\n"
    )
    assert [problem.split(": ")[0] for problem in found] == [
        "NN_config.par:4",
        "NN_config.par:5",
        "NN_config.par:6",
        "NN_config.par:7",
    ]


@pytest.mark.parametrize(("model", "needs"), MODEL_NEEDS.items())
def test_every_model_is_legal_and_asks_for_its_options(tmp_path, model, needs):
    text = f"PPmodel = {model}\nhiddenLayers = 4\nnSystem = 1\n"
    keys = [str(Settings.model_fields[option].alias) for option in needs]
    found = problems(tmp_path / "bare", NN_config=text)
    assert found == [f"NN_config.par:1: PPmodel = {model} needs the key {key}" for key in keys]
    options = "".join(f"{key} = 3 {'2' * (key == 'PPmodel_scale')}\n" for key in keys)
    assert read(tmp_path / "full", NN_config=text + options).notes == ()


def test_there_are_32_models_and_their_names_decide_their_options():
    assert len(MODEL_NEEDS) == 32
    for model, needs in MODEL_NEEDS.items():
        assert ("decay_center" in needs) == (model == "Net_relu_xavier_decay")
        assert ("gaussian_std" in needs) == model.endswith("_decayGaussian")
        assert ("scale" in needs) == ("_scale_" in model)
        for option in ("n_frequencies", "model_range"):
            assert (option in needs) == ("_fourier_" in model)
        assert ("n_knots" in needs) == (model == "BSpline")


def test_the_settings_know_which_models_are_linear():
    for model, spec in CATALOGUE.items():
        settings = Settings(model=model, hidden_layers=(4,), n_systems=1)
        assert settings.is_linear == spec.linear


def test_an_unknown_model_is_refused_with_a_suggestion(tmp_path):
    (problem,) = problems(tmp_path, NN_config=BASE.replace("Net_relu", "Net_Relu_Xavier"))
    assert problem.startswith("NN_config.par:1: unknown PPmodel; found 'Net_Relu_Xavier'; legal: ")
    assert problem.endswith("did you mean Net_relu_xavier?")


@pytest.mark.parametrize("key", ["trainSO", "trainNL"])
def test_channels_that_are_absent_cannot_be_trained(tmp_path, key):
    found = problems(tmp_path / "a", NN_config=BASE + f"{key} = 1\n")
    assert found == [f"NN_config.par:4: {key} = 1 needs SObool = 1"]
    assert not problems(tmp_path / "b", NN_config=BASE + f"{key} = 1\nSObool = 1\n")


def test_settings_are_spelled_as_in_the_file(tmp_path):
    settings = read(tmp_path, NN_config=BASE + "SObool = 1\nqmax = 20\nRmax = 12.5\n").settings
    assert settings.changed() == {
        "nSystem": "1", "SObool": "1", "PPmodel": "Net_relu", "hiddenLayers": "4 3",
        "Rmax": "12.5",
    }  # fmt: skip


def test_the_scale_has_one_number_per_species(tmp_path):
    text = (
        "PPmodel = Net_celu_HeInit_scale_decayGaussian\nhiddenLayers = 4\nnSystem = 1\n"
        "PPmodel_gaussian_std = 2\nPPmodel_scale = 1 2 3\n"
    )
    assert problems(tmp_path, NN_config=text) == [
        "NN_config.par:5: PPmodel_scale must have one number per species; found '1 2 3'; "
        "legal: 2 numbers (S Zn)"
    ]


def test_settings_made_in_code_keep_the_same_rules():
    with pytest.raises(ValidationError, match="mc_bool = 1 needs the key mc_iter\n"):
        Settings(model="ZeroFunction", n_systems=1, monte_carlo=True)
    with pytest.raises(ValidationError, match="finite"):
        Settings(model="ZeroFunction", n_systems=1, q_max=float("inf"))
