"""What of a bundle has no effect on a run, and why: nothing is silently ignored."""

from collections.abc import Callable

import numpy as np

from deeppseudopot_jax.initialize import is_random, why_no_moments, why_not_fitted
from deeppseudopot_jax.potentials.networks import CATALOGUE
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.types import Bundle, GapDeformationTargets, SystemInput

Reason = Callable[[Bundle], str]
"""Why a key does not act in a run; empty where it acts, or asks for nothing."""


def remarks(bundle: Bundle) -> list[str]:
    """One sentence for every reason why keys or files of the bundle do not act in this run."""
    given = [name for name in Settings.model_fields if name in bundle.settings.model_fields_set]
    idle = [(str(Settings.model_fields[n].alias), WHY_IDLE[n](bundle)) for n in given]
    if why_no_other_fits(bundle):
        idle += [(key, why_no_other_fits(bundle)) for key in _other_fits(bundle)]
    keys_of: dict[str, list[str]] = {}
    for key, reason in idle + _idle_inputs(bundle):
        if reason:
            keys_of.setdefault(reason, []).append(key)
    found = [f"no effect of {', '.join(keys)}: {reason}." for reason, keys in keys_of.items()]
    if CATALOGUE[bundle.settings.model].dropout:
        found.append("the dropout rate is 0, the PyTorch code's default, for which it has no key.")
    return found


def _other_fits(bundle: Bundle) -> list[str]:
    """The keys of input_X.par that ask for a fit to something else than band energies."""
    return [
        f"{key} = 1 (input_{system.index}.par)"
        for system in bundle.systems
        for key, asked in (
            ("fit_defPot", system.fit_deformation),
            ("fit_eph", system.fit_couplings),
            ("fit_eff_masses", system.fit_masses),
        )
        if asked
    ]


def _idle_inputs(bundle: Bundle) -> list[tuple[str, str]]:
    """What is idle of the bundle beside NN_config.par, and why."""
    found = []
    for system in bundle.systems:
        deformation, couplings, masses = _fits(bundle, system)
        old_form = isinstance(system.deformation_targets, GapDeformationTargets)
        gap = couplings or masses or (deformation and old_form)
        found += [
            (name.format(system.index), "no cost of this run contains it")
            for name, idle in (
                ("idxCB (input_{}.par)", system.conduction_band is not None and not gap),
                ("idxGap (input_{}.par)", system.gap_k_point is not None and not gap),
                ("expDefPot_{}.par", system.deformation_targets and not deformation),
                ("expCoupling_{}", system.coupling_targets and not couplings),
                ("qpoints_{}.par", system.q_points is not None and not couplings),
            )
            if idle
        ]
    if bundle.monte_carlo_options or bundle.step_sizes is not None:
        found.append(("mcOpts*.par, *ParamSteps.par", _first(_NO_MONTE_CARLO, _network)(bundle)))
    if bundle.model_state is not None and bundle.settings.trains_coefficients:
        found.append(("init_PPmodel.pth", "PPmodel = ZeroFunction has no weights"))
    if bundle.optimizer_state is not None:
        found.append(("init_AdamState.pth", why_no_moments(bundle)))
    if bundle.tabulated_potential is not None:
        found.append(("init_qSpace_pot.par", why_not_fitted(bundle)))
    if bundle.coefficients is not None:
        if bundle.coefficients[:, 5:8].any() and not bundle.settings.spin_orbit:
            found.append(("a5, a6, a7", "SObool is 0"))
        if bundle.coefficients[:, 8].any() and _NO_DEFORMATION(bundle):
            found.append(("a8", _NO_DEFORMATION(bundle)))
    return found


def why_no_other_fits(bundle: Bundle) -> str:
    """Why the keys fit_defPot, fit_eph and fit_eff_masses do not act; empty where they do."""
    settings = bundle.settings
    if not _is_fitted(bundle):
        return "nothing is trained"
    if settings.monte_carlo and settings.trains_coefficients:
        return "mcOpts*.par says what the coefficients are fitted to"
    return ""


def _fits(bundle: Bundle, system: SystemInput) -> tuple[bool, bool, bool]:
    """Whether the cost of a run has the system's deformation potentials, couplings, masses."""
    settings = bundle.settings
    if not _is_fitted(bundle):
        return False, False, False
    if not (settings.monte_carlo and settings.trains_coefficients):
        return system.fit_deformation, system.fit_couplings, system.fit_masses
    files = bundle.monte_carlo_options
    return (
        any(file.fit_deformation for file in files),
        any(file.fit_couplings for file in files),
        any(file.fit_masses for file in files),
    )


def _is_fitted(bundle: Bundle) -> bool:
    return bundle.settings.monte_carlo or bundle.settings.max_epochs > 0


def _acts(_: Bundle) -> str:
    return ""


def _idle(reason: str) -> Reason:
    return lambda _: reason


def _needs(condition: Callable[[Bundle], object], otherwise: str) -> Reason:
    return lambda bundle: "" if condition(bundle) else otherwise


def _first(*reasons: Reason) -> Reason:
    return lambda bundle: next(filter(None, (reason(bundle) for reason in reasons)), "")


def _switch(field: str, reason: Reason) -> Reason:
    """A key that is at its default asks for nothing, whatever the run does."""
    default = Settings.model_fields[field].default
    return lambda b: "" if getattr(b.settings, field) == default else reason(b)


def _model_option(field: str) -> Reason:
    return lambda b: (
        "" if field in CATALOGUE[b.settings.model].needs else f"PPmodel = {b.settings.model}"
    )


def _has_neutral_moves(bundle: Bundle) -> bool:
    """Whether a4 can change with every system staying neutral."""
    counts = [[s.crystal.symbols.count(x) for x in bundle.species] for s in bundle.systems]
    return bool(np.linalg.matrix_rank(np.array(counts)) < len(bundle.species))


def _has_long_range(bundle: Bundle) -> bool:
    given = bundle.coefficients is not None and bool(bundle.coefficients[:, 4].any())
    return given or (bundle.settings.train_long_range and not WHY_IDLE["train_long_range"](bundle))


def _force_retrain(bundle: Bundle) -> str:
    if bundle.model_state is not None and bundle.settings.init_epochs == 0:
        return "there is nothing to retrain with init_Zunger_num_epochs = 0"
    return why_not_fitted(bundle) or (
        "there is no init_PPmodel.pth" if bundle.model_state is None else ""
    )


def _mc_options_say(bundle: Bundle) -> str:
    given = bundle.settings.trains_coefficients and bundle.monte_carlo_options
    return "mcOpts*.par says it for the coefficients" if given else ""


def _network(bundle: Bundle) -> str:
    return "" if bundle.settings.trains_coefficients else "a network moves by the mc_* keys"


def _mean_cost(bundle: Bundle) -> str:
    coefficients = bundle.settings.monte_carlo and bundle.settings.trains_coefficients
    return "the Monte Carlo cost of coefficients has no penalties" if coefficients else ""


def _steps_say(bundle: Bundle) -> str:
    return "coefficients move by their step sizes" if bundle.settings.trains_coefficients else ""


def _ladder_says(bundle: Bundle) -> str:
    return "every replica has its own beta" if bundle.settings.mc_replicas > 1 else ""


_UNDEFORMED = "the energies of undeformed crystals do not depend on it"
_NO_DEFORMATION = _needs(
    lambda b: b.settings.strain and any(_fits(b, system)[0] for system in b.systems),
    _UNDEFORMED,
)
_TRAINING = _needs(lambda b: b.settings.max_epochs > 0, "nothing is trained")
_ADAM = _first(_TRAINING, _needs(lambda b: b.settings.optimizer == "adam", "it belongs to adam"))
_SGD = _first(_TRAINING, _needs(lambda b: b.settings.optimizer == "sgd", "it belongs to sgd"))
_NO_MONTE_CARLO = _needs(lambda b: b.settings.monte_carlo, "there is no Monte Carlo fit")
_SEVERAL_REPLICAS = _needs(lambda b: b.settings.mc_replicas > 1, "mc_replicas is 1")
_TEMPERING = _first(_NO_MONTE_CARLO, _SEVERAL_REPLICAS)
_COST = _needs(
    lambda b: all(s.reference_energies is not None for s in b.systems), "there is no reference"
)
_TAIL = _needs(lambda b: b.settings.tail_strength > 0, "penalize_lambda is not positive")
_MAGNITUDE = _needs(
    lambda b: b.settings.magnitude_strength > 0, "penalize_mag_lambda is not positive"
)

WHY_IDLE: dict[str, Reason] = {
    "num_cores": _idle("JAX uses every core; OPENBLAS_NUM_THREADS sets LAPACK's share"),
    "separate_k_gradients": _idle("gradients need no extra memory per k-point here"),
    "gradient_checkpointing": _idle("gradients come from the wave functions in any case"),
    "cache_spin_orbit": _idle("spin-orbit and nonlocal parts are projectors, too small to cache"),
    "show_plots": _idle("figures are written to files and not shown"),
    **dict.fromkeys(("log_memory", "log_runtime", "n_systems", "spin_orbit", "model"), _acts),
    "log_gradients": _switch("log_gradients", _TRAINING),
    "long_range_gamma": _needs(_has_long_range, "every a4 is 0 and stays so"),
    "strain": _switch("strain", _NO_DEFORMATION),
    "train_long_range": _switch(
        "train_long_range",
        _first(_TRAINING, _needs(_has_neutral_moves, "neutrality of the systems fixes every a4")),
    ),
    "train_spin_orbit": _switch("train_spin_orbit", _TRAINING),
    "train_nonlocal": _switch("train_nonlocal", _TRAINING),
    "train_strain": _switch("train_strain", _idle(_UNDEFORMED)),
    "hidden_layers": _needs(
        lambda b: not b.settings.trains_coefficients, "PPmodel = ZeroFunction has no weights"
    ),
    **{name: _model_option(name) for name in ("decay_rate", "decay_center", "gaussian_std")},
    "scale": _model_option("scale"),
    "tail_start": _first(_TAIL, _COST, _mean_cost),
    "tail_strength": _switch("tail_strength", _first(_TAIL, _COST, _mean_cost)),
    "magnitude_threshold": _first(_MAGNITUDE, _COST, _mean_cost),
    "magnitude_strength": _switch("magnitude_strength", _first(_MAGNITUDE, _COST, _mean_cost)),
    "init_epochs": _switch("init_epochs", why_not_fitted),
    **dict.fromkeys(("init_optimizer", "init_learning_rate"), why_not_fitted),
    **dict.fromkeys(("init_scheduler_gamma", "init_plot_every"), why_not_fitted),
    "init_log_gradients": _switch("init_log_gradients", why_not_fitted),
    "force_retrain": _switch("force_retrain", _force_retrain),
    "max_epochs": _acts,
    **dict.fromkeys(("optimizer", "learning_rate", "plot_every", "patience"), _TRAINING),
    **dict.fromkeys(("scheduler_gamma", "scheduler_step"), _TRAINING),
    "sgd_momentum": _SGD,
    "adam_beta1": _ADAM,
    "adam_beta2": _ADAM,
    "perturb_every": _switch("perturb_every", _TRAINING),
    "pre_adjust_moves": _switch("pre_adjust_moves", _TRAINING),
    "pre_adjust_step_size": _first(
        _TRAINING, _needs(lambda b: b.settings.pre_adjust_moves, "pre_adjust_moves is 0")
    ),
    **dict.fromkeys(("monte_carlo", "smooth_reorder", "eigenvector_reorder"), _acts),
    "mc_iterations": _first(_NO_MONTE_CARLO, _mc_options_say),
    **dict.fromkeys(("mc_perturb_mode", "mc_fraction"), _first(_NO_MONTE_CARLO, _steps_say)),
    "mc_beta": _first(_NO_MONTE_CARLO, _ladder_says, _mc_options_say),
    "mc_beta_schedule": _first(_NO_MONTE_CARLO, _mc_options_say),
    "mc_replicas": _switch("mc_replicas", _NO_MONTE_CARLO),
    **dict.fromkeys(("mc_betas", "mc_swap_every"), _TEMPERING),
    "mc_burn_in": _switch("mc_burn_in", _TEMPERING),
    "mc_delayed_acceptance": _switch("mc_delayed_acceptance", _NO_MONTE_CARLO),
    "relative_band": _needs(
        lambda b: any(
            s.reference_energies is not None and s.relative_band == b.settings.relative_band
            for s in b.systems
        ),
        "every system has its own, or no reference",
    ),
    "seed": _needs(lambda b: is_random(b) or b.settings.monte_carlo, "no random numbers are drawn"),
    **dict.fromkeys(("basis_sphere", "q_max", "n_q", "n_r", "r_max"), _acts),
}
