"""Every key of training, penalties, initial fit and band order changes what a run leaves."""

from pathlib import Path

import bundle_samples
import pytest
from same_files import told

from deeppseudopot_jax.run.outputs import Outputs
from deeppseudopot_jax.run.workflows import run
from deeppseudopot_jax.settings.fitting import BandOrder, Initialisation, Penalties, Training

GRIDS = "nSystem = 1\nnQGrid = 16\nnRGrid = 8\nmovie = 0\n"
NETWORK = "PPmodel = Net_celu_HeInit_decayGaussian\nPPmodel_gaussian_std = 2\nhiddenLayers = 4\n"
COEFFICIENTS = {f"init_{symbol}Params": "5\n2\n3\n0.4\n0\n0\n0\n0\n0\n" for symbol in ("Zn", "S")}
TRAINING = {
    "max_num_epochs": "3", "optimizer_lr": "0.01", "plotEvery": "2", "schedulerStep": "2",
    "scheduler_gamma": "0.5",
}  # fmt: skip
SGD = TRAINING | {"optimizer": "sgd", "optimizer_lr": "1e-5"}
WILD = SGD | {"optimizer_lr": "0.05", "max_cost_increase": "1e9"}
FIT = {
    "init_Zunger_num_epochs": "4", "init_Zunger_optimizer_lr": "0.01",
    "init_Zunger_scheduler_gamma": "0.5", "init_Zunger_plotEvery": "2",
}  # fmt: skip
TAIL = TRAINING | {"penalize_lambda": "1", "penalize_starting": "3"}
MAGNITUDE = TRAINING | {"penalize_mag_lambda": "1", "penalize_mag_threshold": "0.1"}
ENSEMBLE = TRAINING | {"ensemble_size": "2", "init_from": "../earlier"}
COSTS, FITTED = "final_training_cost.dat", "init_train_cost.dat"

CASES: dict[str, tuple[dict[str, str], str, str]] = {
    "max_num_epochs": (TRAINING, "2", COSTS),
    "optimizer": (TRAINING, "adamw", COSTS),
    "optimizer_lr": (TRAINING, "0.02", COSTS),
    "scheduler_gamma": (TRAINING, "0.7", COSTS),
    "schedulerStep": (TRAINING, "1", COSTS),
    "adam_beta1": (TRAINING, "0.5", COSTS),
    "adam_beta2": (TRAINING, "0.9", COSTS),
    "sgd_momentum": (SGD, "0.5", COSTS),
    "clip_gradient": (SGD, "0.1", COSTS),
    "max_cost_increase": (WILD, "1.5", COSTS),
    "patience": (WILD, "1", COSTS),
    "plotEvery": (TRAINING, "1", "epoch_1_BS_sys0.dat"),
    "perturbEvery": (TRAINING, "1", COSTS),
    "pre_adjust_moves": (TRAINING, "2", "preEpoch_2_BS_sys0.dat"),
    "pre_adjust_stepSize": (TRAINING | {"pre_adjust_moves": "2"}, "0.2", COSTS),
    "ensemble_size": (TRAINING, "2", "ensemble.dat"),
    "ensemble_spread": (ENSEMBLE, "0.02", "ensemble.dat"),
    "penalize_lambda": (TAIL, "2", COSTS),
    "penalize_starting": (TAIL, "2", COSTS),
    "penalize_mag_lambda": (MAGNITUDE, "2", COSTS),
    "penalize_mag_threshold": (MAGNITUDE, "0.2", COSTS),
    "init_from": ({}, "../earlier", "final_BS_sys0.dat"),
    "init_Zunger_num_epochs": (FIT, "2", FITTED),
    "init_Zunger_optimizer": (FIT, "sgd", FITTED),
    "init_Zunger_optimizer_lr": (FIT, "0.02", FITTED),
    "init_Zunger_scheduler_gamma": (FIT, "0.7", FITTED),
    "init_Zunger_plotEvery": (FIT, "1", FITTED),
    "init_Zunger_printGrad": (FIT, "1", "run.log"),
    "force_retrain": (FIT | {"init_from": "../earlier"}, "1", FITTED),
    "relE_bIdx": (TRAINING, "2", COSTS),
}
"""A run, another value of the key in it, and a file that this changes or adds."""
ELSEWHERE = {"smooth_reorder": "test_band_order", "eigvec_reorder": "test_band_order"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Results of settings; runs of the same settings are done once."""
    folder, done = tmp_path_factory.mktemp("keys"), {}

    def results(settings: dict[str, str]) -> Path:
        text = GRIDS + NETWORK + "".join(f"{key} = {value}\n" for key, value in settings.items())
        if text not in done:
            inputs = folder / f"{len(done)}_inputs"
            done[text] = folder / f"{len(done)}_results"
            bundle_samples.write(inputs, NN_config=text, **COEFFICIENTS)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Outputs, "save", lambda *_: None)
                run(inputs, done[text])
        return done[text]

    results({"seed": "7"}).rename(folder / "earlier")
    return results


def content(path: Path) -> str | None:
    if not path.exists():
        return None
    return told(path) if path.suffix == ".log" else path.read_text()


@pytest.mark.parametrize("key", CASES)
def test_a_key_changes_what_a_run_leaves(runs, key):
    settings, value, file = CASES[key]
    assert settings.get(key) != value
    one, two = (content(runs(each) / file) for each in (settings, settings | {key: value}))
    assert one != two and two is not None


def test_every_key_of_these_groups_is_tested():
    groups = (Training, Penalties, Initialisation, BandOrder)
    keys = {info.alias for group in groups for info in group.model_fields.values()}
    assert keys == CASES.keys() | ELSEWHERE.keys()
    assert all((Path(__file__).parent / f"{name}.py").exists() for name in ELSEWHERE.values())
