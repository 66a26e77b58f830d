"""In which runs a key acts, from what the log of a run would say.

A key acts in a run whose log does not say that it has no effect. The runs are those of the example
bundle of docs/bundle.md, twice, with the settings below: every key has a value that is not its
default in one of them.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from deeppseudopot_jax.files.bundle import read_bundle
from deeppseudopot_jax.files.torch_pickle import write_checkpoint
from deeppseudopot_jax.run.checks.idle import remarks
from deeppseudopot_jax.run.checks.plan import plan_of
from deeppseudopot_jax.stages import NO_NETWORK

Texts = dict[str, str]

_ALWAYS = {
    "num_cores": "4", "separateKptGrad": "0", "checkpoint": "1", "SHOWPLOTS": "1",
    "memory_flag": "1", "runtime_flag": "1", "printGrad": "1", "nSystem": "2", "SObool": "1",
    "cacheSO": "0", "LRgamma": "0.3", "strainBool": "1", "trainLR": "1", "trainSO": "1",
    "trainNL": "1", "trainStrain": "1", "penalize_starting": "5", "penalize_lambda": "1",
    "penalize_mag_threshold": "100", "penalize_mag_lambda": "1", "prior_roughness": "0.003",
    "prior_range": "0.1", "prior_width": "1200", "validation_k": "3", "validation_systems": "1",
    "relE_bIdx": "2", "basis_sphere": "kG", "seed": "1", "movie": "0", "qmax": "15",
    "nQGrid": "100", "nRGrid": "100", "Rmax": "20",
    "init_Zunger_num_epochs": "5", "init_Zunger_optimizer": "sgd",
    "init_Zunger_optimizer_lr": "0.01", "init_Zunger_scheduler_gamma": "0.9",
    "init_Zunger_plotEvery": "2", "init_Zunger_printGrad": "1", "sgd_momentum": "0.5",
    "adam_beta1": "0.8", "adam_beta2": "0.99", "optimizer_lr": "0.01", "scheduler_gamma": "0.9",
    "schedulerStep": "2", "plotEvery": "2", "patience": "3", "perturbEvery": "5",
    "pre_adjust_moves": "1", "pre_adjust_stepSize": "0.1", "clip_gradient": "1",
    "max_cost_increase": "5", "ensemble_spread": "0.2",
    "mc_iter": "10", "mc_perturb_mode": "4", "mc_percentage": "0.1", "mc_beta": "20",
    "mc_swap_every": "5", "mc_delayed_acceptance": "1",
}  # fmt: skip
_MODELS: dict[str, list[Texts]] = {
    "networks": [
        {
            "PPmodel": "Net_fourier_celu_HeInit_decayGaussian", "hiddenLayers": "4",
            "PPmodel_n_frequencies": "2", "PPmodel_range": "8", "PPmodel_gaussian_std": "3",
        },
        {
            "PPmodel": "Net_relu_xavier_decay", "hiddenLayers": "4", "PPmodel_decay_rate": "1",
            "PPmodel_decay_center": "6",
        },
        {
            "PPmodel": "Net_celu_HeInit_scale_decayGaussian", "hiddenLayers": "4",
            "PPmodel_gaussian_std": "3", "PPmodel_scale": "2 3",
        },
        {"PPmodel": "BSpline", "PPmodel_n_knots": "9"},
    ],
    "coefficients": [{"PPmodel": "ZeroFunction"}],
}  # fmt: skip
_EPOCHS = {"max_num_epochs": "3"}
_FROM = {"init_from": "earlier"}
_RUNS: dict[str, list[Texts]] = {
    "training": [
        _EPOCHS | {"optimizer": "adam", "force_retrain": "1"},
        _EPOCHS | {"optimizer": "sgd", "ensemble_size": "2"},
        _EPOCHS | {"optimizer": "sgd", "ensemble_size": "2", "init_Zunger_num_epochs": "0"},
        _EPOCHS | {"optimizer": "lm", "smooth_reorder": "1"},
        _EPOCHS | {"optimizer": "lm", "eigvec_reorder": "1"},
        _EPOCHS | {"stages": "zunger"},
        _EPOCHS | _FROM,
    ],
    "Monte Carlo": [
        {"stages": "monte_carlo"},
        {"mc_bool": "1"} | _FROM,
        {"mc_bool": "1", "mc_beta_schedule": "betas.par", "smooth_reorder": "1"},
        {
            "mc_bool": "1",
            "mc_replicas": "3",
            "mc_betas": "30 20 10",
            "mc_burn_in": "2",
            "eigvec_reorder": "1",
        },
    ],
    "start": [{"smooth_reorder": "1"}, {"force_retrain": "1", "eigvec_reorder": "1"}, _FROM],
    "eval": [
        _EPOCHS | {"force_retrain": "1", "smooth_reorder": "1"},
        {"mc_bool": "1", "force_retrain": "1", "eigvec_reorder": "1"},
        _FROM,
    ],
}
_INPUTS = {
    "nBands": "10", "maxKE": "1", "idxVB": "7", "idxCB": "8", "idxGap": "1",
    "BS_plot_center": "-4", "BS_plot_CBVB_range": "12", "BS_plot_CBVB_range_zoom": "3",
    "systemName": "GaAs", "fit_defPot": "1", "fit_eph": "1", "fit_eff_masses": "1",
}  # fmt: skip
_COEFFICIENTS = {"Ga": "65 2 3 0.7 0.1 1 1 1 0.1", "As": "70 3 3 0.7 -0.1 1 1 1 0.1"}
_LEFT_OUT = {"init_qSpace_pot.par", "mcOpts1.par", "kpoints_0_orderMatrix.par"}
"""Files that would speak for some of the keys."""
_NAMED = re.compile(r"[A-Za-z_]\w*")


def acting(examples: Mapping[str, str]) -> dict[str, str]:
    """Every key of NN_config.par and input_X.par, and the runs in which it acts, in words."""
    where: dict[str, dict[str, set[str]]] = {}
    reasons: dict[str, str] = {}
    for run, kind, settings in _probed():
        given = _ALWAYS | settings
        with tempfile.TemporaryDirectory() as folder:
            idle = _told_idle(_written(Path(folder), examples, given), run == "eval")
        reasons |= idle
        for key in (*given, *_INPUTS):
            acts = where.setdefault(key, {}).setdefault(run, set())
            acts.update([] if key in idle else [kind])
    return {key: _in_words(runs, reasons.get(key, "")) for key, runs in where.items()}


def _probed() -> Iterator[tuple[str, str, Texts]]:
    """Kind of run, kind of model, and the settings of both."""
    for run, variants in _RUNS.items():
        for kind, models in _MODELS.items():
            for model in models:
                for variant in variants:
                    trains = kind == "networks" and variant.get("stages") == "zunger"
                    last = {"stages": "zunger network"} if trains else {}
                    yield run, kind, model | variant | last


def _written(folder: Path, examples: Mapping[str, str], settings: Texts) -> Path:
    """The bundle: the examples as systems 0 and 1, with these settings and all fits asked for."""
    files = {name: text for name, text in examples.items() if name not in _LEFT_OUT}
    files |= {f"init_{symbol}Params.par": row for symbol, row in _COEFFICIENTS.items()}
    files |= {"NN_config.par": _lines(settings), "input_0.par": _lines(_INPUTS)}
    files |= {name.replace("_0", "_1"): text for name, text in files.items() if "_0" in name}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    if "force_retrain" in settings:  # it speaks of this file
        write_checkpoint(folder / "init_PPmodel.pth", {})
    if earlier := settings.get("init_from"):
        (folder / earlier).mkdir()
        for symbol, row in _COEFFICIENTS.items():
            (folder / earlier / f"final_{symbol}Params.par").write_text(row, encoding="utf-8")
        if settings["PPmodel"] != NO_NETWORK:
            write_checkpoint(folder / earlier / "final_PPmodel.pth", {})
    return folder


def _told_idle(folder: Path, evaluates: bool) -> dict[str, str]:
    """The keys of NN_config.par and input_0.par that do not act, with what is said of them."""
    purpose = "eval" if evaluates else "run"
    bundle = read_bundle(folder, purpose=purpose)
    plan = plan_of(bundle, purpose=purpose)
    idle: dict[str, str] = {}
    for remark in remarks(plan):
        keys, _, reason = remark.removeprefix("no effect of ").partition(": ")
        for key in keys.split(", "):
            if "(input_1.par)" not in key:
                idle[key.split(" ")[0]] = reason.rstrip(".")
    for note in bundle.notes:
        if " left out, " in note:
            keys = note.partition(": ")[2].partition(" left out, ")[0]
            idle |= dict.fromkeys(_NAMED.findall(keys), "left out")
    return idle


def _lines(keys: Mapping[str, str]) -> str:
    return "".join(f"{key} = {value}\n" for key, value in keys.items())


def _in_words(runs: Mapping[str, set[str]], reason: str) -> str:
    acting = {run: kinds for run, kinds in runs.items() if kinds}
    if not acting:
        return f"none: {reason}"
    if acting.keys() == _RUNS.keys() and len({frozenset(kinds) for kinds in acting.values()}) == 1:
        return f"all runs{_of(acting['start'])}"
    return ", ".join(run + _of(kinds) for run, kinds in acting.items())


def _of(kinds: set[str]) -> str:
    return "" if len(kinds) == len(_MODELS) else f" of {', '.join(kinds)}"
