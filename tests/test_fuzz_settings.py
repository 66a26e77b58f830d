"""Random settings: refused in words, or a run that comes to its end with finite results.

100 always, of which some are run; `pytest -m exhaustive tests/test_fuzz_settings.py` tries 2,000.
"""

import shutil
from pathlib import Path

import bundle_samples
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deeppseudopot_jax import read_bundle
from deeppseudopot_jax.errors import UserError
from deeppseudopot_jax.files.atomic import ResultsFolder
from deeppseudopot_jax.run.outputs import Outputs
from deeppseudopot_jax.run.preparation import prepare, tables_of
from deeppseudopot_jax.run.sequence import stages_of
from deeppseudopot_jax.run.workflows import run
from deeppseudopot_jax.training.loop import AVAILABLE

ALWAYS = "nSystem = 1\nnQGrid = 16\nnRGrid = 8\nmovie = 0\n"
COEFFICIENTS = {f"init_{symbol}Params": "5\n2\n3\n0.4\n0\n0.1\n0\n0\n0\n" for symbol in ("Zn", "S")}
MODELS = (
    "PPmodel = ZeroFunction\n",
    "PPmodel = Net_celu_HeInit_decayGaussian\nPPmodel_gaussian_std = 2\nhiddenLayers = 4\n",
    "PPmodel = BSpline\nPPmodel_n_knots = 8\n",
)
FLAGS = (
    "SObool", "trainSO", "trainNL", "trainLR", "smooth_reorder", "eigvec_reorder", "printGrad",
    "runtime_flag", "memory_flag", "force_retrain", "strainBool",
)  # fmt: skip
NUMBERS = {
    "optimizer_lr": ("1e-4", "0.01", "100"), "scheduler_gamma": ("0.5", "1"),
    "schedulerStep": ("1", "5"), "plotEvery": ("1", "3"), "patience": ("1", "2"),
    "perturbEvery": ("1", "2", "-1"), "pre_adjust_moves": ("0", "1"), "clip_gradient": ("0.1",),
    "max_cost_increase": ("1.5", "10"), "sgd_momentum": ("0.5",), "adam_beta1": ("0", "0.5"),
    "ensemble_size": ("1", "2"), "validation_k": ("2",), "relE_bIdx": ("0", "1"),
    "penalize_lambda": ("1",), "penalize_starting": ("3",), "prior_roughness": ("0.003",),
    "prior_width": ("100",), "seed": ("3",), "init_Zunger_num_epochs": ("2",),
    "init_Zunger_optimizer_lr": ("0.01",), "init_Zunger_scheduler_gamma": ("0.9",),
    "init_Zunger_plotEvery": ("1",),
}  # fmt: skip
NEEDED = ("optimizer_lr", "scheduler_gamma", "schedulerStep", "plotEvery")


@st.composite
def configs(draw: st.DrawFn) -> str:
    """The text of an NN_config.par, most of which no rule forbids."""
    keys = {"max_num_epochs": draw(st.sampled_from(("1", "2", "3")))}
    keys["optimizer"] = draw(st.sampled_from(AVAILABLE))
    chosen = draw(st.sets(st.sampled_from(sorted(NUMBERS)), max_size=8))
    missing = draw(st.sets(st.sampled_from(NEEDED), max_size=1)) if draw(st.booleans()) else set()
    for key in sorted((chosen | set(NEEDED)) - missing):
        keys[key] = draw(st.sampled_from(NUMBERS[key]))
    keys |= dict.fromkeys(sorted(draw(st.sets(st.sampled_from(FLAGS), max_size=3))), "1")
    model = draw(st.sampled_from(MODELS))
    return ALWAYS + model + "".join(f"{key} = {value}\n" for key, value in keys.items())


def prepared(folder: Path, config: str) -> bool:
    """Whether a run of these settings would begin; refused ones are told in words."""
    shutil.rmtree(folder, ignore_errors=True)
    inputs = bundle_samples.write(folder / "inputs", NN_config=config, **COEFFICIENTS)
    try:
        bundle = read_bundle(inputs)
        tables = tables_of(bundle, "float64")
        for stage in stages_of(bundle, ResultsFolder(folder / "results")):
            prepare(stage.plan, tables)
    except UserError as error:
        assert str(error).strip()
        return False
    return True


def assert_runs(folder: Path) -> None:
    """It ends, with finite results or for a reason that it tells; nothing of it is NaN."""
    try:
        run(folder / "inputs", folder / "results")
    except UserError as error:
        assert str(error).strip()
    else:
        assert np.isfinite(np.loadtxt(folder / "results" / "final_BS_sys0.dat")).all()
    for path in (folder / "results").glob("best_*Params.par"):
        assert np.isfinite(np.loadtxt(path)).all()


def tried(folder: Path, config: str, runs: bool) -> None:
    """One of the examples, told by its text where it fails."""
    try:
        if prepared(folder, config) and runs:
            assert_runs(folder)
    except BaseException as error:
        error.add_note(config)
        raise


@pytest.fixture(scope="module", autouse=True)
def no_figures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Outputs, "save", lambda *_: None)
        yield


EVERY = {"suppress_health_check": list(HealthCheck), "derandomize": True, "database": None}


@given(configs())
@settings(max_examples=100, deadline=None, **EVERY)
def test_random_settings_are_refused_or_understood(tmp_path_factory, config):
    tried(tmp_path_factory.getbasetemp() / "settings", config, runs=False)


@given(configs())
@settings(max_examples=3, deadline=None, **EVERY)
def test_some_of_them_run(tmp_path_factory, config):
    tried(tmp_path_factory.getbasetemp() / "run_settings", config, runs=True)


@pytest.mark.exhaustive
@given(configs(), st.integers(0, 9))
@settings(max_examples=2000, deadline=None, **EVERY)
def test_two_thousand(tmp_path_factory, config, number):
    tried(tmp_path_factory.getbasetemp() / "many_settings", config, runs=number == 0)
